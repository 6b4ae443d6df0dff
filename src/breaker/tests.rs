//! The rules of the circuit, by name; its table of states and events; and its properties.

mod half_open;
mod harness;
mod learning;
mod properties;
mod rules;
mod stances;
mod table;
mod workers;

use super::{Admission, Breaker, Call, Outcome, Permit, Refusal, Transition};
use crate::config::plan::{self, Fallback, Mode, Stance};
use crate::http::StatusSet;
use crate::time::Mono;
use std::time::Duration;

/// The defaults an operator gets; each test changes only what it is about.
pub(super) const POLICY: plan::Breaker = plan::Breaker {
    enabled: true,
    mode: Mode::Hard,
    stance: Stance::Auto,
    window: Duration::from_secs(10),
    min_requests: 40,
    consecutive_failures: 5,
    failure_rate: 0.25,
    failure_statuses: StatusSet::FAILURES,
    outlier_sigma: 3.0,
    slow_call: None,
    open_for: Duration::from_secs(5),
    max_open_for: Duration::from_secs(300),
    half_open_probes: 3,
    fallback: Fallback::Stale,
    answer: None,
    fleet_hint: false,
};

/// A request like most.
pub(super) const CALL: Call = Call { invited: false, timed: true };

/// The `random` that spreads an open time of `POLICY`'s first step not at all.
const EVEN: u64 = 500;

/// When `tripped` opened, and when its half-open begins.
const T0: Mono = Mono(100_000);
const HALF_OPEN: Mono = Mono(105_000);

/// So many milliseconds after `T0`.
fn at(ms: u64) -> Mono {
    Mono(T0.0 + ms)
}

fn permit(admission: Admission) -> Permit {
    match admission {
        Admission::Pass(permit) | Admission::Probe(permit) => permit,
        Admission::Refuse(refusal) | Admission::Spared(refusal) => panic!("refused: {refusal:?}"),
    }
}

fn probe(breaker: &mut Breaker, now: Mono) -> Permit {
    match breaker.admit(CALL, now, 0) {
        Admission::Probe(permit) => permit,
        other => panic!("not a probe: {other:?}"),
    }
}

fn refused(breaker: &mut Breaker, now: Mono) -> Option<Refusal> {
    match breaker.admit(CALL, now, 0) {
        Admission::Refuse(refusal) => Some(refusal),
        Admission::Pass(_) | Admission::Probe(_) | Admission::Spared(_) => None,
    }
}

/// One request from beginning to end.
fn call(breaker: &mut Breaker, outcome: Outcome, now: Mono) -> Option<Transition> {
    let permit = permit(breaker.admit(CALL, now, 0));
    breaker.record(permit, outcome, now, EVEN)
}

fn calls(breaker: &mut Breaker, outcome: Outcome, count: u32, now: Mono) -> Option<Transition> {
    (0..count).fold(None, |last, _| last.or(call(breaker, outcome, now)))
}

/// A circuit that failures in a row opened at `T0`.
fn tripped() -> Breaker {
    let mut breaker = Breaker::new(POLICY);
    assert!(calls(&mut breaker, Outcome::NONE, POLICY.consecutive_failures, T0).is_some());
    breaker
}

/// One whose upstream was well from half-open on: single probes, then each rung of the ramp, until it closed at `RECOVERED`.
fn recovered() -> Breaker {
    let mut breaker = tripped();
    let mut now = HALF_OPEN;
    assert!(calls(&mut breaker, Outcome::Success, POLICY.half_open_probes, now).is_some());
    for _ in 0..4 {
        now = now.after(Duration::from_millis(1_500));
        assert!(call(&mut breaker, Outcome::Success, now).is_some());
    }
    assert_eq!(now, RECOVERED);
    breaker
}

/// When `recovered` closed.
const RECOVERED: Mono = Mono(111_000);
