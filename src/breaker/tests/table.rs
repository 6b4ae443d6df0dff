//! Every event in every state, compared with `table.txt` beside this file.
//!
//! When a change of behaviour is meant, the failing test prints the new table to be put there.

use super::super::{Admission, Breaker, Outcome, PROBE_TIMEOUT, Shared, State, TripReason};
use super::*;
use std::fmt::Write;

/// A situation: the circuit, a permit of now, a permit from before its last transition, and the time.
type Situation = (Breaker, Option<Permit>, Option<Permit>, Mono);

/// What was told, and what the circuit is then; `None`: the event cannot happen.
type After = Option<(String, Breaker, Mono)>;

type Arrange = fn() -> Situation;
type Happen = fn(Situation) -> After;

const SITUATIONS: [(&str, Arrange); 9] = [
    ("disabled", || {
        let mut breaker = Breaker::new(plan::Breaker { enabled: false, ..POLICY });
        let permit = permit(breaker.admit(T0));
        calls(&mut breaker, Outcome::Failure, 100, T0);
        (breaker, Some(permit), None, T0)
    }),
    ("closed", || {
        let mut breaker = Breaker::new(POLICY);
        let permit = permit(breaker.admit(T0));
        (breaker, Some(permit), None, T0)
    }),
    ("closed, one failure short of a row", || {
        let mut breaker = Breaker::new(POLICY);
        calls(&mut breaker, Outcome::Failure, 4, T0);
        let permit = permit(breaker.admit(T0));
        (breaker, Some(permit), None, T0)
    }),
    ("closed, one call short of the rate", || {
        let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
        calls(&mut breaker, Outcome::Success, 9, T0);
        calls(&mut breaker, Outcome::Failure, 10, T0);
        let permit = permit(breaker.admit(T0));
        (breaker, Some(permit), None, T0)
    }),
    ("closed again", || {
        let mut breaker = tripped();
        let old = probe(&mut breaker, HALF_OPEN);
        calls(&mut breaker, Outcome::Success, 3, HALF_OPEN);
        let permit = permit(breaker.admit(HALF_OPEN));
        (breaker, Some(permit), Some(old), HALF_OPEN)
    }),
    ("open", || {
        let mut breaker = Breaker::new(POLICY);
        let old = permit(breaker.admit(T0));
        calls(&mut breaker, Outcome::Failure, 5, T0);
        (breaker, None, Some(old), T0)
    }),
    ("half-open", || {
        let mut breaker = Breaker::new(POLICY);
        let old = permit(breaker.admit(T0));
        calls(&mut breaker, Outcome::Failure, 5, T0);
        let probe = probe(&mut breaker, HALF_OPEN);
        (breaker, Some(probe), Some(old), HALF_OPEN)
    }),
    ("half-open, one success short", || {
        let mut breaker = tripped();
        calls(&mut breaker, Outcome::Success, 2, HALF_OPEN);
        let probe = probe(&mut breaker, HALF_OPEN);
        (breaker, Some(probe), None, HALF_OPEN)
    }),
    ("half-open, all probes under way", || {
        let mut breaker = tripped();
        let probe = [(); 3].map(|()| probe(&mut breaker, HALF_OPEN)).into_iter().next();
        (breaker, probe, None, HALF_OPEN)
    }),
];

const EVENTS: [(&str, Happen); 14] = [
    ("admit", |(mut breaker, _, _, now)| {
        let told = match breaker.admit(now) {
            Admission::Pass(_) => "pass".into(),
            Admission::Probe(_) => "probe".into(),
            Admission::Refuse { retry_after } => format!("refuse {retry_after:?}"),
        };
        Some((told, breaker, now))
    }),
    ("success", |situation| result(situation, Outcome::Success)),
    ("failure", |situation| result(situation, Outcome::Failure)),
    ("abandoned", |situation| result(situation, Outcome::Abandoned)),
    ("late success", |(b, _, old, now)| result((b, old, None, now), Outcome::Success)),
    ("late failure", |(b, _, old, now)| result((b, old, None, now), Outcome::Failure)),
    ("late abandoned", |(b, _, old, now)| result((b, old, None, now), Outcome::Abandoned)),
    ("30 s pass", |(breaker, _, _, now)| Some((String::new(), breaker, Mono(now.0 + 30_000)))),
    ("merge the same", |situation| {
        let same = situation.0.shared();
        merge(situation, same)
    }),
    ("merge an older era", |situation| {
        let era = situation.0.shared().era().checked_sub(1)?;
        let until = Mono(u64::MAX);
        merge(situation, Shared { era, opened: Some(TripReason::ProbeFailed), until, step: 9 })
    }),
    ("merge open of this era, longer", |situation| {
        let (era, until) = (situation.0.shared().era(), Mono(situation.3.0 + 20_000));
        merge(situation, Shared { era, opened: Some(TripReason::FailureRate), until, step: 2 })
    }),
    ("merge open of the next era", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, Mono(situation.3.0 + 7_000));
        merge(situation, Shared { era, opened: Some(TripReason::FailureRate), until, step: 0 })
    }),
    ("merge open of the next era, its time over", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, situation.3);
        merge(situation, Shared { era, opened: Some(TripReason::FailureRate), until, step: 0 })
    }),
    ("merge closed of the next era", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, Mono(situation.3.0 + 10_000));
        merge(situation, Shared { era, opened: None, until, step: 0 })
    }),
];

fn result((mut breaker, permit, _, now): Situation, outcome: Outcome) -> After {
    let transition = breaker.record(permit?, outcome, now, EVEN);
    Some((transition.map_or_else(String::new, told), breaker, now))
}

fn merge((mut breaker, _, _, now): Situation, peer: Shared) -> After {
    let transition = breaker.merge(&peer, now);
    Some((transition.map_or_else(String::new, told), breaker, now))
}

fn told(transition: Transition) -> String {
    let reason = transition.reason.map_or("", TripReason::word);
    let by = if transition.by_peer { "told" } else { "made" };
    format!("{}→{} {by} {reason}", transition.from.word(), transition.to.word()).trim_end().into()
}

/// How many more may go at once, and how many successes close the circuit; of an open or closed circuit nothing.
fn room(breaker: &Breaker, now: Mono) -> String {
    if breaker.state(now) != State::HalfOpen {
        return String::new();
    }
    let (mut filled, mut closing) = (breaker.clone(), breaker.clone());
    let room = std::iter::from_fn(|| refused(&mut filled, now).is_none().then_some(())).count();
    // Asked when no probe is in the way any more.
    let later = now.after(PROBE_TIMEOUT);
    let missing = (1..9).find(|_| call(&mut closing, Outcome::Success, later).is_some());
    format!("room {room} closes after {missing:?}").replace("Some(", "").replace(')', "")
}

fn line(breaker: &Breaker, now: Mono) -> String {
    let (shared, counts) = (breaker.shared(), breaker.counts(now));
    let wait = breaker.retry_after(now).map_or("-".into(), |wait| format!("{wait:?}"));
    let window = match breaker.state(now) {
        State::Closed => format!("{} well {} failed", counts.successes, counts.failures),
        State::Open | State::HalfOpen => room(breaker, now),
    };
    let (era, step, late) = (shared.era(), shared.step, breaker.counters().late);
    format!("{:9} era {era} step {step} late {late} wait {wait:4} {window:21}", breaker.state(now).word())
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let mut table = String::new();
    for (name, situation) in SITUATIONS {
        let (breaker, _, _, now) = situation();
        writeln!(table, "# {name}\n  {:42} {}", "", line(&breaker, now).trim_end()).expect("text");
        for (event, happen) in EVENTS {
            let after = happen(situation()).map_or("cannot happen".into(), |(told, breaker, now)| {
                format!("{} | {told}", line(&breaker, now))
            });
            writeln!(table, "  {event:42} {}", after.trim_end_matches([' ', '|'])).expect("text");
        }
    }
    assert!(table == include_str!("table.txt"), "the table is now:\n{table}");
}
