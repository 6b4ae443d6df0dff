//! Many different pages, so that there is nobody to wait for: what does looking for company cost?

use crate::crowd::Crowd;
use crate::origin::{Kind, path};
use crate::subject::{Subject, plain, with_scope};
use crate::{Bench, are_sound, table, turns};

impl Bench {
    pub async fn different_pages(&self) -> Result<(), String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        let mut subjects = Vec::new();
        // The yardstick first.
        for scope in ["off", "instance"] {
            let name = format!("Breakwater, `scope: {scope}`");
            subjects.push(Subject::envoys(&name, &with_scope(origin, redis, scope), 1).await);
        }
        subjects.extend([
            Subject::envoys("Envoy without the plugin", &plain(origin, redis), 1).await,
            Subject::nginx(origin, 1).await?,
            Subject::varnish(origin, 1).await?,
        ]);
        // A turn takes as long as many waves.
        let rounds = self.rounds.div_ceil(2);
        let noted = turns(rounds, &subjects, |subject, name| {
            let say = |reason| format!("{}: {reason}", subject.name);
            let below = path(Kind::Page, &format!("keys-{name}/"));
            let mut crowd = Crowd::connect(&subject.addresses, self.connections).map_err(say)?;
            let took = crowd.load(self.keys, |key| format!("{below}{key}")).map_err(say)?;
            Ok((self.origin.asked_below(&below), self.keys as f64 / took.as_secs_f64()))
        })?;
        let title = format!("{} different pages, {} at a time", self.keys, self.connections);
        table::print(
            &[&title, "upstream requests", "requests/s", "of those with `scope: off`"],
            subjects.iter().zip(&noted).map(|(subject, own)| {
                vec![
                    subject.name.clone(),
                    table::counts(own.iter().map(|own| own.0)),
                    table::rate(own.iter().map(|own| own.1)),
                    table::ratio(own.iter().zip(&noted[0]).map(|(own, off)| own.1 / off.1)),
                ]
            }),
        );
        are_sound(&subjects).await
    }
}
