//! Does the wall cache as the public test suite for HTTP caches expects?
//!
//! The suite (`http-cache-tests`, <https://cache-tests.fyi>) asks each of its questions in a few requests, through the
//! cache, of an origin of its own, and judges what came back and what the origin saw. Here it asks the shipped
//! configuration, with one worker and with two. What each question comes to stands in a table, with a reason where it
//! is not a pass; any other result fails this test, an unexpected pass too, since the table is to tell the truth.
//!
//! Two states of the suite are known. The one on npm, 0.4.5, can be had everywhere and is what `make conformance`
//! installs (`expected.tsv`). It is years older than the suite's repository, which has turned some of its expectations
//! round since and asks about RFC 9213 and interim responses (`expected-newer.tsv`, as of July 2026): with a checkout
//! and its packages (`npm install undici` is enough), `make conformance SUITE=folder` asks that one.
//!
//! `RUNS=3` asks everything three times over; `UPDATE=1` writes the results into the table and leaves the reasons to be
//! written by hand. What was found, with the suite's messages, is left in `target/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod suite;
mod table;

use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;
use suite::Suite;
use support::recipe::Recipe;
use support::redis::Redis;
use table::{Answer, Table};

const TABLE: &str = "tests/conformance/expected.tsv";
const NEWER_TABLE: &str = "tests/conformance/expected-newer.tsv";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_of_the_suite_ends_as_the_table_says() {
    let suite = option("SUITE").map_or_else(Suite::pinned, |folder| Suite::at(&folder));
    let rounds = option("RUNS").map_or(1, |runs| runs.parse().expect("RUNS is a number"));
    let mut runs = Vec::new();
    for workers in [1, 2].repeat(rounds) {
        let started = Instant::now();
        let answers = ask(&suite, workers).await;
        let seconds = started.elapsed().as_secs();
        println!("{workers} worker{}, {seconds} s: {}", ["", "s"][workers - 1], table::totals(&answers));
        runs.push(answers);
    }

    let path = support::root().join(if suite.is_newer() { NEWER_TABLE } else { TABLE });
    let mut table = Table::parse(&fs::read_to_string(&path).expect("the table is committed"));
    if option("UPDATE").is_some() {
        table = table.updated(&runs[0]);
        fs::write(&path, table.to_string()).expect("the table can be written");
        println!("to be explained in {}: {}", path.display(), table.unexplained().join(" "));
    }
    let differences = table.differences(&runs);
    for difference in &differences {
        println!("{difference}");
    }
    assert!(differences.is_empty(), "{} differences from {}", differences.len(), path.display());
}

#[test]
fn the_tables_name_each_question_once_and_explain_what_does_not_pass() {
    for path in [TABLE, NEWER_TABLE] {
        let text = fs::read_to_string(support::root().join(path)).expect("the table is committed");
        let table = Table::parse(&text);
        assert_eq!(table.to_string(), text, "{path}");
        let ids: BTreeSet<_> = text.lines().map(|line| line.split('\t').nth(1)).collect();
        assert_eq!(ids.len(), text.lines().count(), "{path}: a question stands in it twice");
        assert_eq!(table.unexplained(), [""; 0], "{path} gives no reason");
    }
}

/// Asks the whole suite of a wall with this many workers.
async fn ask(suite: &Suite, workers: usize) -> Vec<Answer> {
    let redis = Redis::start().await;
    let origin = suite.origin().await;
    let envoy = Recipe::shipped()
        .origin(origin.address())
        .redis(redis.address())
        .workers(workers)
        // Many questions have the one origin fail on purpose: its circuit would open, rightly, before all the others.
        // And the suite begins a hundred tests at the same moment, which makes Redis seem slow on a busy machine: how
        // the wall does then is asked elsewhere.
        .redis_op_timeout("2s")
        // To the suite a cookie is no obstacle to sharing (RFC 9111 §7.3 leaves that to the response's other fields); the
        // wall shares one only where a rule says so.
        .plugin(&json!({
            // So many slots that no URL takes another's.
            "l1": {"max_bytes": "4GiB"},
            "l2": {"timeout": "3s"},
            "defaults": {"breaker": {"enabled": false}, "cache": {"set_cookie": "store"}},
        }))
        .start()
        .await;
    let answers = suite.ask(envoy.address()).await;
    assert_eq!(envoy.vm_failures().await, 0);
    let lines: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
    fs::write(report(workers), lines).expect("target/ can be written");
    answers
}

/// Where the answers of the last run with this many workers are left.
fn report(workers: usize) -> PathBuf {
    let folder = support::root().join("target");
    fs::create_dir_all(&folder).expect("target/ can be made");
    folder.join(format!("conformance-{workers}.tsv"))
}

/// What the Makefile hands on.
fn option(name: &str) -> Option<String> {
    std::env::var(format!("BREAKWATER_CONFORMANCE_{name}")).ok().filter(|value| !value.is_empty())
}
