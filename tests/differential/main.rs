//! Does the plugin answer as RFC 9111 lets it, whatever is said on either side of it?
//!
//! Seeded sequences of requests and responses (`generate`), their fields drawn from the grammars and from what is
//! nearly right, are played against the plugin in a real Envoy with a real Redis, before an origin that answers as a
//! real one does (`origin`); a slow and literal model of RFC 9111, written for this test alone, judges every answer
//! (`model`). Each difference between the two is an error in one of them, unless `intended` says why it is meant.
//!
//! `BREAKWATER_SEQUENCES` says how many are played, `BREAKWATER_SEED` which; `BREAKWATER_SEQUENCE` plays one alone and
//! shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stderr, clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod generate;
mod history;
mod intended;
mod model;
mod origin;
mod play;
mod report;
mod rng;
mod script;
mod values;

use model::explain::How;
use model::{Kind, Rule};
use origin::Stage;
use play::Played;
use report::{census, differences, meant, summary, transcript};
use script::Sequence;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use support::envoy::Envoy;
use support::origin::Origin;
use support::recipe::Recipe;
use support::redis::Redis;

/// As many at once as keep two cores busy: most of a sequence is waiting.
const TOGETHER: usize = 400;
/// As few as leave the machine idle.
const APART: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_differs_from_what_rfc_9111_and_the_promises_allow() {
    let count = setting("SEQUENCES").unwrap_or(300);
    let seed = setting("SEED").unwrap_or(1) as u64;
    let alone = setting("SEQUENCE");

    let stage = Arc::new(Stage::default());
    let acting = Arc::clone(&stage);
    let origin = Origin::start(move |seen| acting.answer(seen)).await;
    let redis = Redis::start().await;
    let envoy = envoy(&origin, &redis).await;

    let numbers = alone.map_or(0..count, |number| number..number + 1);
    let sequences = numbers.map(|number| generate::sequence(seed, number)).collect();
    let mut played = play::all(envoy.address(), &stage, sequences, TOGETHER).await;
    let meant = meant(&played);
    forgive_what_a_busy_cache_forgets(envoy.address(), &stage, &mut played).await;

    let exchanges: usize = played.iter().map(|played| played.history.len()).sum();
    eprintln!("seed {seed}: {} sequences, {exchanges} answers: {:?}", played.len(), census(&played));
    meant.iter().for_each(|(reason, times)| eprintln!("{times} times meant: {reason}"));
    if alone.is_some() {
        played.iter().for_each(|played| eprintln!("{}", transcript(played)));
    }
    let all = differences(&played);
    assert!(all.is_empty(), "{} differences\n{}", all.len(), summary(&all));
    assert_eq!(envoy.vm_failures().await, 0);
    if alone.is_none() {
        assert_that_both_ways_are_seen(&played, exchanges);
        // What is meant is rare, or it would hide what is not.
        meant.iter().for_each(|(reason, times)| assert!(times * 100 <= exchanges, "{times} times: {reason}"));
    }
}

/// The shipped configuration, but for three settings that would let one sequence disturb another.
async fn envoy(origin: &Origin, redis: &Redis) -> Envoy {
    let apart = json!({
        // So many slots that no URL pushes another out.
        "l1": {"max_bytes": "4GiB"},
        // However busy the machine is, Redis is waited for.
        "l2": {"timeout": "5s"},
        // It would see the failures of all sequences as one.
        "defaults": {"breaker": {"enabled": false}},
    });
    let recipe = Recipe::shipped().origin(origin.address()).redis(redis.address());
    recipe.redis_op_timeout("4s").plugin(&apart).start().await
}

/// A cache may forget, and a busy one does. What was missed counts only if it is missed again when the sequence is
/// played on an idle machine. (What was not allowed counts at once.)
async fn forgive_what_a_busy_cache_forgets(envoy: SocketAddr, stage: &Arc<Stage>, played: &mut [Played]) {
    let missed = missed(played);
    let numbers: BTreeSet<usize> = missed.iter().map(|(number, ..)| *number).collect();
    let again = played.iter().map(|played| &played.sequence).filter(|one| numbers.contains(&one.number));
    let again = again.map(|sequence| Sequence { round: 1, ..sequence.clone() }).collect();
    let again = self::missed(&play::all(envoy, stage, again, APART).await);
    for played in played {
        let number = played.sequence.number;
        for (exchange, verdict) in played.verdicts.iter_mut().enumerate() {
            verdict.breaches.retain(|breach| {
                breach.rule.kind() != Kind::Missed || again.contains(&(number, exchange, breach.rule))
            });
        }
    }
}

/// In which sequence and exchange which reuse was missed.
fn missed(played: &[Played]) -> BTreeSet<(usize, usize, Rule)> {
    let differences = differences(played);
    let missed = differences.iter().filter(|difference| difference.breach.rule.kind() == Kind::Missed);
    missed.map(|missed| (missed.played.sequence.number, missed.exchange, missed.breach.rule)).collect()
}

/// A run in which nothing was stored, or nothing passed on, would agree with much.
fn assert_that_both_ways_are_seen(played: &[Played], exchanges: usize) {
    let census = census(played);
    for (how, percent) in [(How::Relayed, 20), (How::Hit, 10), (How::Validated, 1)] {
        let seen = census.get(&how).copied().unwrap_or_default();
        assert!(seen * 100 >= exchanges * percent, "{how:?}: {seen} of {exchanges}");
    }
}

fn setting(name: &str) -> Option<usize> {
    let text = std::env::var(format!("BREAKWATER_{name}")).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}
