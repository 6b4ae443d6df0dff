//! What holds for ours under every load, whichever seed.

use crate::load::{self, Load};
use crate::ours::{OPEN_FOR_MS, Ours};
use crate::race::Tally;
use crate::seeds::{assert_holds, race, seeds};

/// Calls per load, unless the number of seeds is given.
const CALLS: u64 = 2_000_000;

/// One false alarm in ten thousand runs.
const RARE: f64 = 1.0 / 10_000.0;

pub fn ours(load: &Load) -> Vec<Tally> {
    race(load, seeds(load, CALLS), Ours::new)
}

fn never_opens(load: &Load) {
    assert_holds(load, &ours(load), RARE, |tally| tally.false_opens == 0 && tally.refused == 0);
}

#[test]
fn a_dead_upstream_is_seen_within_a_second_and_then_gets_twenty_requests_at_most() {
    let [refuses, ..] = load::outages();
    assert_holds(&refuses, &ours(&refuses), 0.0, |tally| {
        tally.detected_ms.is_some_and(|ms| ms <= 1_000) && tally.sent_in_5_s <= 20
    });
}

#[test]
fn after_a_short_outage_all_traffic_is_back_within_three_times_the_open_time() {
    let [.., short] = load::outages();
    let back = |tally: &Tally| tally.full_ms.is_some_and(|ms| ms <= 3 * OPEN_FOR_MS);
    assert_holds(&short, &ours(&short), 0.0, |tally| back(tally) && tally.reopened == 0);
}

#[test]
fn a_third_of_failures_is_seen_from_the_start() {
    let [_, from_start, _] = load::partial();
    assert_holds(&from_start, &ours(&from_start), 0.0, |tally| tally.detected_ms.is_some());
}

#[test]
fn usual_failures_at_10_a_second_never_open_it() {
    let [load, ..] = load::usual();
    never_opens(&load);
}

#[test]
fn usual_failures_at_100_a_second_never_open_it() {
    let [_, load, _] = load::usual();
    never_opens(&load);
}

#[test]
fn usual_failures_at_1000_a_second_never_open_it() {
    let [.., load] = load::usual();
    never_opens(&load);
}

#[test]
fn a_slow_drift_never_opens_it() {
    let [.., drift] = load::shifts();
    never_opens(&drift);
}

#[test]
fn under_low_traffic_it_does_not_flap() {
    let [_, usual] = load::low();
    never_opens(&usual);
}

#[test]
fn under_low_traffic_it_is_not_blind_and_comes_back() {
    let [outage, _] = load::low();
    assert_holds(&outage, &ours(&outage), 0.0, |tally| {
        tally.detected_ms.is_some() && tally.full_ms.is_some() && tally.false_opens == 0
    });
}
