//! Does what cannot be cached pass the wall as if L2 were not there, and as soon as if the wall were not?
//!
//! Envoys of one worker each, on the shipped configuration, stand before one upstream: as it is; without L2;
//! without the plugin; and without the plugin once more, whose distance from the other is what this machine makes of
//! no difference at all. Pages are timed to their last byte, streams to the first byte of their body (the rest comes
//! 5 ms later: who gathered it would be late by that). The upstream takes no time, or as long as a real one does.
//!
//! Each Envoy has its turn in each round, and turns are short: on a machine with other work only neighbours in time
//! compare. So a ratio is that of two medians of the same round, and what is printed is the median of the rounds'
//! ratios with their quartiles; then what the plugin adds without L2 and what L2 adds, in the same way. That the plugin
//! took the way a case is about is checked with every answer; how many commands a request costs Redis is counted.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `ENVOY` | `.tools/envoy-1.40.0/envoy` | the Envoy binary |
//! | `BENCH_ROUNDS` | 15 | turns of each Envoy in each case |
//! | `BENCH_TURN_MS` | 150 | length of a turn |
//! | `BENCH_CLIENTS` | 1 | clients at a time, each with one request at a time |
//! | `BENCH_UPSTREAM_MS` | 0,5,20 | how long the upstream takes |
//! | `BENCH_ONLY` | all | a part of the cases' names |
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

mod case;
mod client;
mod origin;
#[path = "../../tests/support/mod.rs"]
mod parts;
mod subject;
#[path = "../support/mod.rs"]
mod support;

use case::{CASES, Case};
use parts::redis::Redis;
use std::process::ExitCode;
use std::time::Duration;
use subject::{PLAIN, PLAIN_AGAIN, SHIPPED, Subject, WITHOUT_L2, subjects};
use support::{measure, median, named, number, quantile};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    measure("passing", || Runtime::new().map_err(|reason| reason.to_string())?.block_on(run()))
}

struct Plan {
    rounds: u64,
    turn: Duration,
    clients: u64,
}

async fn run() -> Result<(), String> {
    let plan = Plan {
        rounds: number("BENCH_ROUNDS", 15)?,
        turn: Duration::from_millis(number("BENCH_TURN_MS", 150)?),
        clients: number("BENCH_CLIENTS", 1)?,
    };
    let upstreams = named("BENCH_UPSTREAM_MS", "0,5,20");
    let upstreams: Result<Vec<u64>, _> = upstreams.split(',').map(str::parse).collect();
    let upstreams = upstreams.map_err(|reason| format!("BENCH_UPSTREAM_MS: {reason}"))?;
    let only = named("BENCH_ONLY", "");

    let redis = Redis::start().await;
    let subjects = subjects(origin::start()?, &redis).await;
    println!(
        "\n{} rounds of {:?}, one worker, clients: {}; p50, and the ratios of p50: median [quartiles] over rounds\n",
        plan.rounds, plan.turn, plan.clients
    );
    println!("{}", heading());
    for case in CASES.iter().filter(|case| case.name.contains(&only)) {
        for upstream_ms in &upstreams {
            println!("{}", line(&plan, &subjects, &redis, case, *upstream_ms).await?);
        }
    }
    for subject in &subjects {
        let failures = subject.envoy.vm_failures().await;
        if failures > 0 {
            return Err(format!("{}: {failures} VMs failed", subject.name));
        }
    }
    Ok(())
}

fn heading() -> String {
    format!(
        "{:<27} {:>8} | {:>9} | {:^19} | {:^19} | {:^19} | {:^20} | {:>9} {:>9} | {:>8}",
        "",
        "upstream",
        "plain",
        "plain again / plain",
        "without L2 / plain",
        "shipped / plain",
        "shipped / without L2",
        "it adds",
        "L2 adds",
        "commands"
    )
}

/// Measures a case and says what was found.
async fn line(
    plan: &Plan,
    subjects: &[Subject],
    redis: &Redis,
    case: &Case,
    upstream_ms: u64,
) -> Result<String, String> {
    let mut middles: Vec<Vec<f64>> = subjects.iter().map(|_| Vec::new()).collect();
    let (mut commands, mut requests) = (0, 0);
    for round in 0..plan.rounds {
        for place in 0..subjects.len() {
            // Another one begins each round: who follows whom must not matter.
            let place = (place + round as usize) % subjects.len();
            let before = had(redis).await?;
            let turn = subjects[place].turn(case, upstream_ms, plan.clients, plan.turn)?;
            commands += had(redis).await? - before - 1;
            requests += if place == SHIPPED { turn.requests } else { 0 };
            middles[place].push(median(turn.times));
        }
    }
    let over_rounds = |own: usize, other: usize, compare: fn(f64, f64) -> f64| {
        let compared: Vec<f64> =
            middles[own].iter().zip(&middles[other]).map(|(own, other)| compare(*own, *other)).collect();
        [0.25, 0.5, 0.75].map(|share| quantile(compared.iter().copied(), share))
    };
    let ratio = |own, other| {
        let [low, middle, high] = over_rounds(own, other, |own, other| own / other);
        format!("{middle:.3} [{low:.3} {high:.3}]")
    };
    let more = |own, other| over_rounds(own, other, |own, other| own - other)[1] * 1e6;
    Ok(format!(
        "{:<27} {upstream_ms:>5} ms | {:>6.3} ms | {:>19} | {:>19} | {:>19} | {:>20} | {:>6.0} µs {:>6.0} µs | {:>8.2}",
        case.name,
        median(middles[PLAIN].iter().copied()) * 1e3,
        ratio(PLAIN_AGAIN, PLAIN),
        ratio(WITHOUT_L2, PLAIN),
        ratio(SHIPPED, PLAIN),
        ratio(SHIPPED, WITHOUT_L2),
        more(WITHOUT_L2, PLAIN),
        more(SHIPPED, WITHOUT_L2),
        commands as f64 / requests as f64
    ))
}

/// How many commands Redis has had, this question among them.
async fn had(redis: &Redis) -> Result<u64, String> {
    let info = redis.command(&["INFO", "stats"]).await;
    let count =
        info.lines().find_map(|line| line.strip_prefix("total_commands_processed:")?.trim().parse().ok());
    count.ok_or(format!("Redis counts nothing: {info}"))
}
