//! A wave through one of each: of the same page, and of what turns out to be private.

use crate::origin::Kind;
use crate::subject::{Subject, plain, shipped};
use crate::table::grouped;
use crate::wave::{Noted, wave};
use crate::{Bench, are_sound, table, turns};

/// The yardstick: its place among the subjects.
const PLAIN: usize = 1;

impl Bench {
    pub async fn single(&self) -> Result<(), String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        let subjects = [
            Subject::nobody(origin),
            Subject::envoys("Envoy without the plugin", &plain(origin, redis), 1).await,
            Subject::envoys("Breakwater", &shipped(origin, redis), 1).await,
            Subject::nginx(origin, 1).await?,
            Subject::varnish(origin, 1).await?,
            Subject::tuned_varnish(origin).await?,
        ];
        self.same_page(&subjects)?;
        self.private(&subjects)?;
        are_sound(&subjects).await
    }

    fn same_page(&self, subjects: &[Subject]) -> Result<(), String> {
        let noted = turns(self.rounds, subjects, |subject, name| {
            wave(subject, &self.origin, self.clients, Kind::Page, &format!("same-{name}"))
        })?;
        let title = format!("{} GETs of a page at once", grouped(self.clients));
        let heading =
            [&title, "upstream requests", "the first's answer", "99 % of the others after it", "99 % of all"];
        table::print(
            &heading,
            subjects.iter().zip(&noted).map(|(subject, noted)| {
                vec![
                    subject.name.clone(),
                    table::counts(noted.iter().map(|noted| noted.upstream)),
                    table::milliseconds(noted.iter().map(|noted| noted.leader)),
                    table::milliseconds(noted.iter().map(|noted| noted.behind)),
                    table::milliseconds(noted.iter().map(|noted| noted.most)),
                ]
            }),
        );
        Ok(())
    }

    fn private(&self, subjects: &[Subject]) -> Result<(), String> {
        // nginx takes five seconds for each.
        let noted = turns(self.rounds.div_ceil(2), subjects, |subject, name| {
            let name = format!("private-{name}");
            let wave = || wave(subject, &self.origin, self.clients, Kind::Private, &name);
            Ok([wave()?, wave()?])
        })?;
        let title = format!("{} GETs of what is private", grouped(self.clients));
        let heading = [&title, "new: all have theirs", "of plain Envoy", "again", "of plain Envoy"];
        table::print(
            &heading,
            subjects.iter().zip(&noted).map(|(subject, own)| {
                let mut row = vec![subject.name.clone()];
                for which in 0..2 {
                    let all = |noted: &[Noted; 2]| noted[which].all;
                    row.push(table::milliseconds(own.iter().map(all)));
                    let pairs = own.iter().zip(&noted[PLAIN]);
                    row.push(table::ratio(
                        pairs.map(|(own, plain)| all(own).as_secs_f64() / all(plain).as_secs_f64()),
                    ));
                }
                row
            }),
        );
        Ok(())
    }
}
