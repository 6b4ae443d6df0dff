//! How does the wall hold a wave, next to nginx and Varnish?
//!
//! All stand before one upstream that takes 200 ms, each as it is recommended to be set up (see [`peer`]; Envoy on the
//! shipped configuration), with two workers where there are such and without logs and traces, and answer one client,
//! which keeps its connections:
//!
//! 1. the same page, a thousand times at once: what it costs the upstream, and how long after the leader's answer the
//!    others have theirs;
//! 2. the same where the answer turns out to be private: how long it takes until everybody has their own; then the same
//!    URL again;
//! 3. the same page through a fleet of four; then through Breakwater's with one of them killed while it fetches, and with
//!    Redis down;
//! 4. ten thousand different pages: what looking for company costs where there is none. Here the plugin has more patience
//!    for Redis, which it gives up on a crowded machine, and then looks nowhere.
//!
//! Each subject has its turn in each round: on a machine with other work only neighbours in time compare. What is
//! printed is the median of the rounds with their quartiles, and ratios are those of one round. How much of it is the
//! client's and the upstream's own is told by asking the upstream directly, and by Envoy without the plugin. That
//! everybody got a 200 is checked.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `ENVOY` | `.tools/envoy-1.40.0/envoy` | the Envoy binary; `nginx` and `varnishd` are looked for in `PATH` |
//! | `BENCH_ROUNDS` | 5 | turns of each subject; half as many where they are long |
//! | `BENCH_CLIENTS` | 1000 | requests in a wave |
//! | `BENCH_KEYS` | 10000 | different pages |
//! | `BENCH_CONNECTIONS` | 500 | how many of them are asked for at a time |
//! | `BENCH_ONLY` | all | `single`, `fleet` or `keys` |
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

mod cpu;
mod crowd;
mod fleet;
mod keys;
mod origin;
#[path = "../../tests/support/mod.rs"]
mod parts;
mod peer;
mod single;
mod subject;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod wave;

use origin::Origin;
use parts::redis::Redis;
use std::process::ExitCode;
use subject::Subject;
use support::{measure, named, number};
use tokio::runtime::Runtime;

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
    println!("{} rounds, upstream {:?}: median [quartiles]", bench.rounds, origin::UPSTREAM);
    if "single".contains(&only) {
        bench.single().await?;
    }
    if "fleet".contains(&only) {
        bench.fleet().await?;
    }
    if "keys".contains(&only) {
        bench.different_pages().await?;
    }
    Ok(())
}

/// One turn of each subject a round; another one begins each round: who follows whom must not matter.
fn turns<T>(
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

/// No worker has lost its VM meanwhile.
async fn are_sound(subjects: &[Subject]) -> Result<(), String> {
    for subject in subjects {
        subject.is_sound().await?;
    }
    Ok(())
}
