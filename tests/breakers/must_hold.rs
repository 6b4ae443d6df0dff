//! What must hold for ours, and takes more than counting failures: a breaker that learns what is usual, sees calls that
//! do not end, and comes back by degrees.

use crate::holds::ours;
use crate::load::{self, Load};
use crate::ours::{OPEN_FOR_MS, WINDOW_MS};
use crate::peer::ROUTE_TIMEOUT_MS;
use crate::race::Tally;
use crate::seeds::assert_holds;

fn is_seen_within_two_windows(load: &Load) {
    assert_holds(load, &ours(load), 0.01, |tally| tally.detected_ms.is_some_and(|ms| ms <= 2 * WINDOW_MS));
}

fn comes_back_without_a_dip(load: &Load) {
    let back = |tally: &Tally| tally.full_ms.is_some_and(|ms| ms <= 3 * OPEN_FOR_MS);
    assert_holds(load, &ours(load), 0.0, |tally| back(tally) && tally.reopened == 0 && tally.overloaded == 0);
}

#[test]
fn a_hanging_upstream_is_seen_before_any_call_is_given_up() {
    let [_, hangs, _] = load::outages();
    assert_holds(&hangs, &ours(&hangs), 0.0, |tally| {
        tally.detected_ms.is_some_and(|ms| ms < ROUTE_TIMEOUT_MS) && tally.sent_in_5_s <= 20
    });
}

#[test]
fn a_third_of_failures_where_few_are_usual_is_seen_within_two_windows() {
    let [later, ..] = load::partial();
    is_seen_within_two_windows(&later);
}

#[test]
fn a_rise_from_2_to_8_percent_at_100_a_second_is_seen_within_two_windows() {
    let [load, ..] = load::shifts();
    is_seen_within_two_windows(&load);
}

#[test]
fn a_rise_from_2_to_8_percent_at_1000_a_second_is_seen_within_two_windows() {
    let [_, load, ..] = load::shifts();
    is_seen_within_two_windows(&load);
}

#[test]
fn five_times_the_latency_is_seen_within_two_windows() {
    let [_, _, load, _] = load::shifts();
    is_seen_within_two_windows(&load);
}

#[test]
fn who_is_fragile_from_its_start_is_not_toppled_again() {
    let [load, _] = load::fragile();
    comes_back_without_a_dip(&load);
}

#[test]
fn who_is_fragile_from_its_first_request_is_not_toppled_again() {
    let [_, load] = load::fragile();
    comes_back_without_a_dip(&load);
}
