//! A wave through four of each, and through four Envoys of which one is killed while it fetches, or whose Redis is down.

use crate::crowd::Crowd;
use crate::origin::{Kind, UPSTREAM, path};
use crate::parts::redis::Redis;
use crate::subject::{FLEET, Subject, shipped};
use crate::table::grouped;
use crate::wave::{Noted, noted, wave};
use crate::{Bench, are_sound, table, turns};
use std::thread;

impl Bench {
    pub async fn fleet(&self) -> Result<(), String> {
        let (origin, mut redis) = (self.origin.address, Redis::start().await);
        let recipe = shipped(origin, &redis);
        let mut subjects = [
            Subject::envoys("Breakwater", &recipe, FLEET).await,
            Subject::nginx(origin, FLEET).await?,
            Subject::varnish(origin, FLEET).await?,
        ];
        let whole = turns(self.rounds, &subjects, |subject, name| {
            wave(subject, &self.origin, self.clients, Kind::Page, &format!("fleet-{name}"))
        })?;
        are_sound(&subjects).await?;

        let (mut killed, mut lost) = (Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let (noted, failed) = self.killed(&mut subjects[0], &format!("killed-{round}"))?;
            subjects[0].replace(&recipe).await;
            killed.push(noted);
            lost.push(failed);
        }

        redis.kill();
        let down = turns(self.rounds, &subjects[..1], |subject, name| {
            wave(subject, &self.origin, self.clients, Kind::Page, &format!("down-{name}"))
        })?;
        are_sound(&subjects).await?;

        let title = format!("{FLEET} instances, {} GETs of a page at once", grouped(self.clients));
        let lost = table::counts(lost.into_iter());
        let mut rows: Vec<_> =
            subjects.iter().zip(&whole).map(|(subject, own)| row(&subject.name, own, "0")).collect();
        let failing = [
            row("Breakwater, one killed while it fetches", &killed, &lost),
            row("Breakwater, Redis down", &down[0], "0"),
        ];
        rows.splice(1..1, failing);
        table::print(&[&title, "upstream requests", "of the living without an answer", "all have it"], rows);
        Ok(())
    }

    /// A wave during which the Envoy that fetches is killed; and how many got no answer who did not ask that one.
    fn killed(&self, subject: &mut Subject, name: &str) -> Result<(Noted, usize), String> {
        let path = path(Kind::Page, name);
        let door = |number| Crowd::door(number, self.clients, FLEET);
        let mut crowd = Crowd::connect(&subject.addresses, self.clients)?;
        let mut leader = None;
        let wave = crowd.wave(&path, || {
            leader = self.origin.first(&path).map(door);
            // By then all that was asked has arrived.
            thread::sleep(UPSTREAM / 2);
            if let Some(leader) = leader {
                subject.envoys.remove(leader).kill();
            }
        })?;
        let failed = wave.failed(|number| Some(door(number)) != leader);
        Ok((noted(&wave, &self.origin, &path, 0)?, failed))
    }
}

fn row(name: &str, own: &[Noted], lost: &str) -> Vec<String> {
    vec![
        name.to_owned(),
        table::counts(own.iter().map(|noted| noted.upstream)),
        lost.to_owned(),
        table::milliseconds(own.iter().map(|noted| noted.all)),
    ]
}
