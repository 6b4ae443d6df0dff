//! How does the wall hold a wave, next to nginx and Varnish?
//!
//! All stand before one upstream that takes 200 ms, each as it is recommended to be set up (see [`peer`]; Envoy on the
//! shipped configuration), with two workers where there are such, and answer one client, which keeps its connections:
//!
//! 1. the same page, a thousand times at once: what it costs the upstream, and how long after the leader's answer the
//!    others have theirs;
//! 2. the same where the answer turns out to be private: how long it takes until everybody has their own; then the same
//!    URL again;
//! 3. the same page through a fleet of four;
//! 4. ten thousand different pages: what looking for company costs where there is none.
//!
//! Each subject has its turn in each round: on a machine with other work only neighbours in time compare. What is
//! printed is the median of the rounds with their quartiles, and ratios are those of one round. How much of it is the
//! client's and the upstream's own is told by asking the upstream directly, and by Envoy without the plugin. That
//! everybody got a 200 is checked.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `ENVOY` | `.tools/envoy-1.40.0/envoy` | the Envoy binary; `nginx` and `varnishd` are looked for in `PATH` |
//! | `BENCH_ROUNDS` | 5 | turns of each subject |
//! | `BENCH_CLIENTS` | 1000 | requests in a wave |
//! | `BENCH_KEYS` | 10000 | different pages |
//! | `BENCH_CONNECTIONS` | 500 | how many of them are asked for at a time |
//! | `BENCH_ONLY` | all | `shared`, `private`, `fleet` or `keys` |
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod crowd;
mod origin;
#[path = "../../tests/support/mod.rs"]
mod parts;
mod peer;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod wave;

use crowd::Crowd;
use origin::{Kind, Origin, path};
use parts::redis::Redis;
use std::process::ExitCode;
use subject::{FLEET, Subject, plain, shipped, with_scope};
use support::{measure, named, number};
use tokio::runtime::Runtime;
use wave::{Noted, wave};

fn main() -> ExitCode {
    measure("waves", || Runtime::new().map_err(|reason| reason.to_string())?.block_on(run()))
}

struct Bench {
    origin: Origin,
    redis: Redis,
    rounds: usize,
    clients: usize,
    keys: usize,
    connections: usize,
}

async fn run() -> Result<(), String> {
    let whole = |variable, default| number(variable, default).map(|number| number as usize);
    let bench = Bench {
        origin: Origin::start()?,
        redis: Redis::start().await,
        rounds: whole("BENCH_ROUNDS", 5)?,
        clients: whole("BENCH_CLIENTS", 1000)?,
        keys: whole("BENCH_KEYS", 10_000)?,
        connections: whole("BENCH_CONNECTIONS", 500)?,
    };
    let only = named("BENCH_ONLY", "");
    let wanted = |name: &str| name.contains(&only);
    println!(
        "{} rounds, upstream {:?}, median [quartiles]; two workers each",
        bench.rounds,
        origin::UPSTREAM
    );
    if wanted("shared") || wanted("private") {
        let subjects = bench.single().await?;
        if wanted("shared") {
            bench.shared(&subjects)?;
        }
        if wanted("private") {
            bench.private(&subjects)?;
        }
        for subject in &subjects {
            subject.is_sound().await?;
        }
    }
    if wanted("fleet") {
        bench.fleet().await?;
    }
    if wanted("keys") {
        bench.keys().await?;
    }
    Ok(())
}

/// The yardstick in [`Bench::single`].
const PLAIN: usize = 1;

impl Bench {
    async fn single(&self) -> Result<Vec<Subject>, String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        Ok(vec![
            Subject::nobody(origin),
            Subject::envoys("Envoy without the plugin", &plain(origin, redis), 1).await,
            Subject::envoys("Breakwater", &shipped(origin, redis), 1).await,
            Subject::nginx(origin, 1).await?,
            Subject::varnish(origin, 1).await?,
        ])
    }

    /// One turn of each subject a round; another one begins each round: who follows whom must not matter.
    fn turns<T>(
        &self,
        rounds: usize,
        subjects: &[Subject],
        mut turn: impl FnMut(&Subject, String) -> Result<T, String>,
    ) -> Result<Vec<Vec<T>>, String> {
        let mut noted: Vec<Vec<T>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for place in 0..subjects.len() {
                let place = (place + round) % subjects.len();
                noted[place].push(turn(&subjects[place], format!("{round}-{place}"))?);
            }
        }
        Ok(noted)
    }

    fn shared(&self, subjects: &[Subject]) -> Result<(), String> {
        let noted = self.turns(self.rounds, subjects, |subject, name| {
            wave(subject, &self.origin, self.clients, Kind::Page, &format!("shared-{name}"))
        })?;
        let title = format!("{} GETs of a page at once", self.clients);
        let heading = [&title, "upstream requests", "the first's answer", "99 % of the others after it"];
        table::print(
            &heading,
            subjects.iter().zip(&noted).map(|(subject, noted)| {
                vec![
                    subject.name.clone(),
                    table::counts(noted.iter().map(|noted| noted.upstream)),
                    table::milliseconds(noted.iter().map(|noted| noted.leader)),
                    table::milliseconds(noted.iter().map(|noted| noted.behind)),
                ]
            }),
        );
        Ok(())
    }

    fn private(&self, subjects: &[Subject]) -> Result<(), String> {
        let noted = self.turns(self.rounds, subjects, |subject, name| {
            let name = format!("private-{name}");
            let wave = || wave(subject, &self.origin, self.clients, Kind::Private, &name);
            Ok([wave()?, wave()?])
        })?;
        let title = format!("{} GETs of what is private", self.clients);
        let heading = [&title, "never seen: all have theirs", "of plain Envoy", "again", "of plain Envoy"];
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

    async fn fleet(&self) -> Result<(), String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        let subjects = vec![
            Subject::envoys("Breakwater", &shipped(origin, redis), FLEET).await,
            Subject::nginx(origin, FLEET).await?,
            Subject::varnish(origin, FLEET).await?,
        ];
        let noted = self.turns(self.rounds, &subjects, |subject, name| {
            wave(subject, &self.origin, self.clients, Kind::Page, &format!("fleet-{name}"))
        })?;
        let title = format!("{FLEET} instances, {} GETs of a page at once", self.clients);
        table::print(
            &[&title, "upstream requests", "all have it"],
            subjects.iter().zip(&noted).map(|(subject, noted)| {
                vec![
                    subject.name.clone(),
                    table::counts(noted.iter().map(|noted| noted.upstream)),
                    table::milliseconds(noted.iter().map(|noted| noted.all)),
                ]
            }),
        );
        subjects[0].is_sound().await
    }

    async fn keys(&self) -> Result<(), String> {
        let (origin, redis) = (self.origin.address, &self.redis);
        let subjects = vec![
            Subject::envoys("Breakwater, off", &with_scope(origin, redis, "off"), 1).await,
            Subject::envoys("Breakwater, instance", &with_scope(origin, redis, "instance"), 1).await,
            Subject::envoys("Envoy without the plugin", &plain(origin, redis), 1).await,
            Subject::nginx(origin, 1).await?,
            Subject::varnish(origin, 1).await?,
        ];
        // They are longer than waves.
        let rounds = self.rounds.div_ceil(2);
        let noted = self.turns(rounds, &subjects, |subject, name| {
            let say = |reason| format!("{}: {reason}", subject.name);
            let below = path(Kind::Page, &format!("keys-{name}/"));
            let mut crowd = Crowd::connect(&subject.addresses, self.connections).map_err(say)?;
            let took = crowd.load(self.keys, |key| format!("{below}{key}")).map_err(say)?;
            Ok((self.origin.asked_below(&below), self.keys as f64 / took.as_secs_f64()))
        })?;
        let title = format!("{} different pages, {} at a time", self.keys, self.connections);
        table::print(
            &[&title, "upstream requests", "requests/s", "of those without coalescing"],
            subjects.iter().zip(&noted).map(|(subject, own)| {
                vec![
                    subject.name.clone(),
                    table::counts(own.iter().map(|own| own.0)),
                    table::rate(own.iter().map(|own| own.1)),
                    table::ratio(own.iter().zip(&noted[0]).map(|(own, off)| own.1 / off.1)),
                ]
            }),
        );
        for subject in &subjects {
            subject.is_sound().await?;
        }
        Ok(())
    }
}
