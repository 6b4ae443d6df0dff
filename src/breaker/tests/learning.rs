//! What is learnt of what is usual, and what opens the circuit because it is not.

use super::super::{Cause, State};
use super::*;

/// An upstream, driven second by second.
struct Upstream {
    breaker: Breaker,
    now: Mono,
    /// Calls a second.
    rate: u64,
    /// Failures owed, so that the share comes out exactly and evenly.
    owed: f64,
    opened: Vec<(Mono, Cause)>,
}

impl Upstream {
    fn new(policy: plan::Breaker, rate: u64) -> Self {
        Self { breaker: Breaker::new(policy), now: T0, rate, owed: 0.0, opened: Vec::new() }
    }

    /// So many seconds, in which this share fails and the others take so long.
    fn runs(&mut self, seconds: u64, failures: f64, took: u64) -> &mut Self {
        for _ in 0..seconds * self.rate {
            self.now = Mono(self.now.0 + 1_000 / self.rate);
            self.owed += failures;
            let fails = self.owed >= 1.0;
            self.owed -= if fails { 1.0 } else { 0.0 };
            if let Admission::Pass(permit) | Admission::Probe(permit) = self.breaker.admit(CALL, self.now, 0)
            {
                let ends = if fails { self.now } else { Mono(self.now.0 + took) };
                let outcome = if fails { Outcome::NONE } else { Outcome::Success };
                let made = self.breaker.record(permit, outcome, ends, EVEN);
                self.note(made, ends);
            }
            let made = self.breaker.settle(self.now, EVEN);
            self.note(made, self.now);
            let made = self.breaker.tick(self.now, EVEN);
            self.note(made, self.now);
        }
        self
    }

    fn note(&mut self, made: Option<Transition>, now: Mono) {
        if let Some(Transition { to: State::Open, cause, .. }) = made {
            self.opened.push((now, cause));
        }
    }

    fn causes(&self) -> Vec<Cause> {
        self.opened.iter().map(|(_, cause)| *cause).collect()
    }
}

/// An upstream that usually fails so, and takes 20 ms.
fn used_to(failures: f64, rate: u64) -> Upstream {
    let mut upstream = Upstream::new(POLICY, rate);
    upstream.runs(120, failures, 20);
    assert_eq!(upstream.opened, [], "it is usual");
    upstream
}

#[test]
fn what_is_usual_is_learnt() {
    let upstream = used_to(0.02, 100);
    let (failures, latency) = upstream.breaker.usual();
    assert!((0.018..0.023).contains(&failures), "{failures}");
    assert_eq!(latency.map(|latency| latency.as_millis()), Some(20));
}

#[test]
fn a_cold_start_judges_nothing() {
    let mut upstream = Upstream::new(POLICY, 100);
    assert_eq!(upstream.runs(20, 0.02, 20).runs(25, 0.15, 100).causes(), []);
}

#[test]
fn a_failure_rate_outside_of_what_is_usual_opens_within_two_windows() {
    let mut upstream = used_to(0.02, 100);
    let since = upstream.now;
    upstream.runs(20, 0.08, 20);
    assert_eq!(upstream.causes(), [Cause::FailureOutlier]);
    assert!(upstream.opened[0].0.since(since) <= Duration::from_secs(20));
}

#[test]
fn a_rate_that_is_only_a_little_worse_never_opens_however_many_calls_tell_so() {
    for (before, after) in [(0.001, 0.005), (0.02, 0.035), (0.1, 0.15)] {
        let mut upstream = used_to(before, 500);
        assert_eq!(upstream.runs(120, after, 20).causes(), [], "{before} to {after}");
    }
}

#[test]
fn one_bad_moment_opens_nothing() {
    let mut upstream = used_to(0.02, 100);
    assert_eq!(upstream.runs(4, 0.15, 20).runs(60, 0.02, 20).runs(4, 0.15, 20).causes(), []);
}

#[test]
fn a_latency_outside_of_what_is_usual_opens_within_two_windows_and_its_double_does_not() {
    let mut upstream = used_to(0.02, 100);
    assert_eq!(upstream.runs(60, 0.02, 40).causes(), [], "twice as long is a busy hour");
    let mut upstream = used_to(0.02, 100);
    assert_eq!(upstream.runs(20, 0.02, 100).causes(), [Cause::LatencyOutlier]);
}

#[test]
fn what_nobody_notices_is_no_reason_however_many_times_slower_it_is() {
    let mut upstream = Upstream::new(POLICY, 100);
    assert_eq!(upstream.runs(120, 0.0, 2).runs(60, 0.0, 20).causes(), [], "18 ms more");
}

#[test]
fn a_slow_drift_is_followed() {
    let mut upstream = used_to(0.02, 100);
    for took in 20..120 {
        upstream.runs(30, 0.02, took);
    }
    assert_eq!(upstream.causes(), [], "six times as long, over 50 minutes");
}

#[test]
fn nothing_is_learnt_of_an_outage() {
    let mut upstream = used_to(0.02, 100);
    upstream.runs(8, 0.2, 150);
    let (failures, latency) = upstream.breaker.usual();
    assert!(failures < 0.025, "{failures}");
    assert!(latency < Some(Duration::from_millis(25)), "{latency:?}");
}

#[test]
fn what_is_still_so_after_the_pause_is_the_new_usual() {
    let mut upstream = used_to(0.02, 100);
    upstream.runs(300, 0.08, 20);
    assert_eq!(upstream.causes(), [Cause::FailureOutlier], "once, and then no more");
    assert_eq!(upstream.breaker.state(upstream.now), State::Closed);
    let (failures, _) = upstream.breaker.usual();
    assert!((0.07..0.09).contains(&failures), "{failures}");
}

#[test]
fn with_a_sigma_of_zero_nothing_is_learnt() {
    let mut upstream = Upstream::new(plan::Breaker { outlier_sigma: 0.0, ..POLICY }, 100);
    assert_eq!(upstream.runs(120, 0.02, 20).runs(120, 0.2, 400).causes(), []);
    assert_eq!(upstream.breaker.usual().1, None);
}

#[test]
fn calls_that_hang_far_beyond_what_is_usual_open_it_before_they_end() {
    let mut upstream = used_to(0.0, 100);
    let since = upstream.now;
    let mut hung = Vec::new();
    let opened = (0..200u64).find_map(|n| {
        let now = Mono(since.0 + n * 10);
        if let Admission::Pass(permit) = upstream.breaker.admit(CALL, now, 0) {
            hung.push(permit);
        }
        upstream.breaker.tick(now, EVEN).map(|made| (made.cause, now.since(since)))
    });
    let (cause, after) = opened.expect("it opens");
    assert_eq!(cause, Cause::SlowCalls);
    assert!((500..800).contains(&after.as_millis()), "half a second and a row of them: {after:?}");
}

#[test]
fn a_hint_makes_two_laps_outside_enough_where_it_takes_three() {
    let opened = |hinted: bool| {
        let mut upstream = used_to(0.02, 100);
        if hinted {
            upstream.breaker.hint(Mono(u64::MAX));
        }
        // Two laps and what ends them, then as usual.
        upstream.runs(8, 0.1, 20).runs(20, 0.02, 20).causes()
    };
    assert_eq!(opened(false), []);
    assert_eq!(opened(true), [Cause::FailureOutlier]);
}

/// A request each five seconds; which of them opened the circuit and why, and when it is then.
fn each_five_seconds(
    breaker: &mut Breaker,
    from: Mono,
    count: u64,
    fails: fn(u64) -> bool,
) -> (Vec<(u64, Cause)>, Mono) {
    let mut opened = Vec::new();
    for n in 0..count {
        let now = Mono(from.0 + n * 5_000);
        let outcome = if fails(n) { Outcome::NONE } else { Outcome::Success };
        let mut made = Vec::new();
        if let Admission::Pass(permit) | Admission::Probe(permit) = breaker.admit(CALL, now, 0) {
            made.push(breaker.record(permit, outcome, now, EVEN));
        }
        made.extend([breaker.settle(now, EVEN), breaker.tick(now, EVEN)]);
        opened.extend(made.into_iter().flatten().filter(|t| t.to == State::Open).map(|t| (n, t.cause)));
    }
    (opened, Mono(from.0 + count * 5_000))
}

#[test]
fn what_takes_longer_for_good_than_was_learnt_opens_it_once() {
    let mut upstream = used_to(0.0, 100);
    upstream.runs(600, 0.0, 700);
    assert_eq!(upstream.causes(), [Cause::SlowCalls]);
    assert_eq!(upstream.breaker.state(upstream.now), State::Closed);
    assert_eq!(upstream.breaker.usual().1, Some(Duration::from_millis(700)));
}

#[test]
fn with_a_request_each_five_seconds_it_neither_flaps_nor_is_blind() {
    let mut breaker = Breaker::new(POLICY);
    // Six hours in which one of fifty fails, now and then two in a row.
    let (opened, now) = each_five_seconds(&mut breaker, T0, 4_320, |n| n % 100 < 2);
    assert_eq!(opened, []);
    let (opened, now) = each_five_seconds(&mut breaker, now, 60, |_| true);
    assert_eq!(opened.first(), Some(&(4, Cause::ConsecutiveFailures)), "the fifth failure");
    let (opened, now) = each_five_seconds(&mut breaker, now, 120, |_| false);
    assert_eq!(opened, []);
    assert_eq!(breaker.state(now), State::Closed, "and it comes back");
}

#[test]
fn with_a_request_each_five_seconds_every_other_failing_is_seen_though_there_is_no_row() {
    let mut breaker = Breaker::new(POLICY);
    let (_, now) = each_five_seconds(&mut breaker, T0, 720, |n| n % 100 < 2);
    let (opened, _) = each_five_seconds(&mut breaker, now, 60, |n| n % 2 == 0);
    let (first, cause) = *opened.first().expect("opened");
    assert_eq!(cause, Cause::FailureOutlier);
    assert!((20..=40).contains(&first), "three laps of ten calls: {first}");
}
