//! The rules of the circuit, by name; its table of states and events; and its properties.

mod properties;
mod rules;
mod table;
mod workers;

use super::{Admission, Breaker, Outcome, Permit, Transition};
use crate::config::plan::{self, Fallback};
use crate::time::Mono;
use std::time::Duration;

/// The defaults an operator gets; each test changes only what it is about.
pub(super) const POLICY: plan::Breaker = plan::Breaker {
    enabled: true,
    window: Duration::from_secs(10),
    min_requests: 20,
    consecutive_failures: 5,
    failure_rate: 0.5,
    open_for: Duration::from_secs(5),
    max_open_for: Duration::from_secs(300),
    half_open_probes: 3,
    fallback: Fallback::Stale,
};

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
        Admission::Refuse { retry_after } => panic!("refused for {retry_after:?}"),
    }
}

fn probe(breaker: &mut Breaker, now: Mono) -> Permit {
    match breaker.admit(now) {
        Admission::Probe(permit) => permit,
        other => panic!("not a probe: {other:?}"),
    }
}

fn refused(breaker: &mut Breaker, now: Mono) -> Option<Duration> {
    match breaker.admit(now) {
        Admission::Refuse { retry_after } => Some(retry_after),
        Admission::Pass(_) | Admission::Probe(_) => None,
    }
}

/// One request from beginning to end.
fn call(breaker: &mut Breaker, outcome: Outcome, now: Mono) -> Option<Transition> {
    let permit = permit(breaker.admit(now));
    breaker.record(permit, outcome, now, EVEN)
}

fn calls(breaker: &mut Breaker, outcome: Outcome, count: u32, now: Mono) -> Option<Transition> {
    (0..count).fold(None, |last, _| last.or(call(breaker, outcome, now)))
}

/// A circuit that failures in a row opened at `T0`.
fn tripped() -> Breaker {
    let mut breaker = Breaker::new(POLICY);
    assert!(calls(&mut breaker, Outcome::Failure, POLICY.consecutive_failures, T0).is_some());
    breaker
}

/// One that probes closed as soon as they could.
fn recovered() -> Breaker {
    let mut breaker = tripped();
    assert!(calls(&mut breaker, Outcome::Success, POLICY.half_open_probes, HALF_OPEN).is_some());
    breaker
}
