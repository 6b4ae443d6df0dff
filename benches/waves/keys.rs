//! Many different pages, so that there is nobody to wait for: what does looking for company cost?

use crate::crowd::Crowd;
use crate::origin::{Kind, path};
use crate::subject::{Subject, plain, with_scope};
use crate::table::grouped;
use crate::{Bench, are_sound, table, turns};

struct Noted {
    /// Requests that reached the upstream.
    upstream: usize,
    /// Requests in a second.
    rate: f64,
    /// What a request costs the subject's own processes.
    cpu_us: f64,
}

impl Bench {
    pub async fn different_pages(&self) -> Result<(), String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        let mut subjects = Vec::new();
        // The yardstick first.
        for scope in ["off", "instance", "fleet"] {
            let name = format!("Breakwater, `scope: {scope}`");
            subjects.push(Subject::envoys(&name, &with_scope(origin, redis, scope), 1).await);
        }
        subjects.extend([
            Subject::envoys("Envoy without the plugin", &plain(origin, redis), 1).await,
            Subject::nginx(origin, 1).await?,
            Subject::varnish(origin, 1).await?,
        ]);
        // A turn takes as long as many waves.
        let noted = turns(self.rounds.div_ceil(2), &subjects, |subject, name| {
            let say = |reason| format!("{}: {reason}", subject.name);
            let below = path(Kind::Page, &format!("keys-{name}/"));
            let mut crowd = Crowd::connect(&subject.addresses, self.connections).map_err(say)?;
            let before = subject.cpu();
            let took = crowd.load(self.keys, |key| format!("{below}{key}")).map_err(say)?;
            Ok(Noted {
                upstream: self.origin.asked_below(&below),
                rate: self.keys as f64 / took.as_secs_f64(),
                cpu_us: (subject.cpu() - before).as_secs_f64() * 1e6 / self.keys as f64,
            })
        })?;
        let title =
            format!("{} different pages, {} at a time", grouped(self.keys), grouped(self.connections));
        table::print(
            &[&title, "upstream requests", "requests/s", "of `scope: off`", "CPU µs/request"],
            subjects.iter().zip(&noted).map(|(subject, own)| {
                vec![
                    subject.name.clone(),
                    table::counts(own.iter().map(|own| own.upstream)),
                    table::rounded(own.iter().map(|own| own.rate)),
                    table::ratio(own.iter().zip(&noted[0]).map(|(own, off)| own.rate / off.rate)),
                    table::rounded(own.iter().map(|own| own.cpu_us)),
                ]
            }),
        );
        are_sound(&subjects).await
    }
}
