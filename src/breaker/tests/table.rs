//! Every event in every state, compared with `table.txt` beside this file.
//!
//! When a change of behaviour is meant, the failing test prints the new table to be put there.

use super::super::record::{Record, Stage};
use super::super::{Cause, PROBE_TIMEOUT, Shared, State};
use super::*;
use std::fmt::Write;

/// A situation: the circuit, a permit of now, a permit from before its last transition, and the time.
type Situation = (Breaker, Option<Permit>, Option<Permit>, Mono);

/// What was told, and what the circuit is then; `None`: the event cannot happen.
type After = Option<(String, Breaker, Mono)>;

type Arrange = fn() -> Situation;
type Happen = fn(Situation) -> After;

const FAILURE: Outcome = Outcome::NONE;

fn passing(mut breaker: Breaker, now: Mono) -> Situation {
    let permit = permit(breaker.admit(CALL, now, u64::MAX));
    (breaker, Some(permit), None, now)
}

fn with_stance(breaker: Breaker, stance: Stance, now: Mono) -> Situation {
    let mut breaker = breaker;
    breaker.overrule(Some((stance, Mono(u64::MAX))));
    (breaker, None, None, now)
}

/// So many rungs up the ramp, with a permit.
fn on_rung(rungs: u64) -> Situation {
    let mut breaker = tripped();
    let old = permit(breaker.admit(CALL, HALF_OPEN, 0));
    breaker.record(old, Outcome::Abandoned, HALF_OPEN, EVEN);
    calls(&mut breaker, Outcome::Success, 3, HALF_OPEN);
    let mut now = HALF_OPEN;
    for _ in 1..rungs {
        now = Mono(now.0 + 1_500);
        call(&mut breaker, Outcome::Success, now);
    }
    let permit = permit(breaker.admit(Call { invited: true, ..CALL }, now, 0));
    (breaker, Some(permit), None, now)
}

const SITUATIONS: [(&str, Arrange); 17] = [
    ("disabled", || {
        let mut breaker = Breaker::new(plan::Breaker { enabled: false, ..POLICY });
        calls(&mut breaker, FAILURE, 100, T0);
        passing(breaker, T0)
    }),
    ("closed", || passing(Breaker::new(POLICY), T0)),
    ("closed, one failure short of a row", || {
        let mut breaker = Breaker::new(POLICY);
        calls(&mut breaker, FAILURE, 4, T0);
        passing(breaker, T0)
    }),
    ("closed, one call short of the rate", || {
        let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
        calls(&mut breaker, Outcome::Success, 29, T0);
        calls(&mut breaker, FAILURE, 10, T0);
        passing(breaker, T0)
    }),
    ("closed again", || {
        let (breaker, old) = {
            let mut breaker = tripped();
            let old = probe(&mut breaker, HALF_OPEN);
            breaker.merge(recovered().shared(), RECOVERED);
            (breaker, old)
        };
        let (breaker, permit, _, now) = passing(breaker, RECOVERED);
        (breaker, permit, Some(old), now)
    }),
    ("open", || {
        let mut breaker = Breaker::new(POLICY);
        let old = permit(breaker.admit(CALL, T0, 0));
        calls(&mut breaker, FAILURE, 5, T0);
        (breaker, None, Some(old), T0)
    }),
    ("half-open, the turn is free", || (tripped(), None, None, HALF_OPEN)),
    ("half-open, the turn is taken here", || {
        let mut breaker = tripped();
        let probe = probe(&mut breaker, HALF_OPEN);
        (breaker, Some(probe), None, HALF_OPEN)
    }),
    ("half-open, the turn is taken elsewhere", || {
        let (mut breaker, mut peer) = (tripped(), tripped());
        drop(probe(&mut peer, HALF_OPEN));
        breaker.merge(peer.shared(), HALF_OPEN);
        (breaker, None, None, HALF_OPEN)
    }),
    ("half-open, one success short", || {
        let mut breaker = tripped();
        calls(&mut breaker, Outcome::Success, 2, HALF_OPEN);
        let probe = probe(&mut breaker, HALF_OPEN);
        (breaker, Some(probe), None, HALF_OPEN)
    }),
    ("half-open, first rung", || on_rung(1)),
    ("half-open, third rung, its time over", || {
        let (breaker, permit, old, now) = on_rung(3);
        (breaker, permit, old, Mono(now.0 + 1_500))
    }),
    ("half-open, last rung, one failure seen, its time over", || {
        let (mut breaker, permit, old, now) = on_rung(4);
        let failed = super::permit(breaker.admit(Call { invited: true, ..CALL }, now, 0));
        breaker.record(failed, FAILURE, now, EVEN);
        (breaker, permit, old, Mono(now.0 + 1_500))
    }),
    ("shedding", || {
        let mut breaker = Breaker::new(plan::Breaker { mode: Mode::Gradual, ..POLICY });
        calls(&mut breaker, FAILURE, 40, T0);
        breaker.settle(T0, EVEN);
        passing(breaker, T0)
    }),
    ("closed, forced open", || with_stance(Breaker::new(POLICY), Stance::Open, T0)),
    ("open, forced closed", || with_stance(tripped(), Stance::Closed, T0)),
    ("open, observed", || with_stance(tripped(), Stance::Observe, T0)),
];

const EVENTS: [(&str, Happen); 20] = [
    ("admit", |(breaker, _, _, now)| admit(breaker, CALL, now)),
    ("admit invited", |(breaker, _, _, now)| admit(breaker, Call { invited: true, ..CALL }, now)),
    ("invites", |(mut breaker, _, _, now)| {
        let told = if breaker.invites(now) { "yes" } else { "no" };
        Some((told.into(), breaker, now))
    }),
    ("success", |situation| result(situation, Outcome::Success)),
    ("failure", |situation| result(situation, FAILURE)),
    ("failure, come again in a minute", |situation| {
        result(situation, Outcome::Failure { again_after: Duration::from_secs(60) })
    }),
    ("abandoned", |situation| result(situation, Outcome::Abandoned)),
    ("late success", |(b, _, old, now)| result((b, old, None, now), Outcome::Success)),
    ("late failure", |(b, _, old, now)| result((b, old, None, now), FAILURE)),
    ("late abandoned", |(b, _, old, now)| result((b, old, None, now), Outcome::Abandoned)),
    ("broke off", |(mut breaker, _, _, now)| {
        let since = breaker.incarnation;
        let made = breaker.broke_off(since, now, now, EVEN);
        Some((made.map_or_else(String::new, told), breaker, now))
    }),
    ("tick", |(mut breaker, _, _, now)| {
        let made = breaker.tick(now, EVEN);
        Some((made.map_or_else(String::new, told), breaker, now))
    }),
    ("settle", |(mut breaker, _, _, now)| {
        let made = breaker.settle(now, EVEN);
        Some((made.map_or_else(String::new, told), breaker, now))
    }),
    ("30 s pass", |(breaker, _, _, now)| Some((String::new(), breaker, Mono(now.0 + 30_000)))),
    ("merge the same", |situation| {
        let same = situation.0.shared().clone();
        merge(situation, same)
    }),
    ("merge an older era", |situation| {
        let era = situation.0.shared().era().checked_sub(1)?;
        merge(situation, of_era(era, Stage::Open, 60_000))
    }),
    ("merge open of this era, longer", |situation| {
        let (era, until) = (situation.0.shared().era(), situation.3.0 + 20_000);
        merge(situation, of_era(era, Stage::Open, until))
    }),
    ("merge open of the next era", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, situation.3.0 + 7_000);
        merge(situation, of_era(era, Stage::Open, until))
    }),
    ("merge a share of the next era", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, situation.3.0 + 1_500);
        merge(situation, of_era(era, Stage::HalfOpen(2), until))
    }),
    ("merge closed of the next era", |situation| {
        let (era, until) = (situation.0.shared().era() + 1, situation.3.0 + 10_000);
        merge(situation, of_era(era, Stage::Closed, until))
    }),
];

fn of_era(era: u64, stage: Stage, until: u64) -> Shared {
    let mut shared = Breaker::new(POLICY).shared().clone();
    shared.record = Record { era, stage, cause: Cause::FailureRate, until: Mono(until), ..Record::INITIAL };
    shared.tally.era = era;
    shared
}

fn admit(mut breaker: Breaker, call: Call, now: Mono) -> After {
    let told = match breaker.admit(call, now, 0) {
        Admission::Pass(_) => "pass".into(),
        Admission::Probe(permit) if permit.has_turn() => "probe, alone".into(),
        Admission::Probe(_) => "probe".into(),
        Admission::Spared(Refusal { why, .. }) => format!("spared {why:?}").to_lowercase(),
        Admission::Refuse(Refusal { why, retry_after }) => {
            format!("refuse {why:?} {retry_after:?}").to_lowercase()
        }
    };
    Some((told, breaker, now))
}

fn result((mut breaker, permit, _, now): Situation, outcome: Outcome) -> After {
    let transition = breaker.record(permit?, outcome, now, EVEN);
    Some((transition.map_or_else(String::new, told), breaker, now))
}

fn merge((mut breaker, _, _, now): Situation, peer: Shared) -> After {
    let transition = breaker.merge(&peer, now);
    Some((transition.map_or_else(String::new, told), breaker, now))
}

fn told(transition: Transition) -> String {
    let by = if transition.by_peer { "told" } else { "made" };
    let wait =
        if transition.open_for.is_zero() { String::new() } else { format!(" {:?}", transition.open_for) };
    format!("{}→{}{wait} {by} {}", transition.from.word(), transition.to.word(), transition.cause.word())
}

fn line(breaker: &Breaker, now: Mono) -> String {
    let (shared, counts) = (breaker.shared(), breaker.counts(now));
    let state = match breaker.state(now) {
        State::HalfOpen => format!("half-open {} %", breaker.share()),
        state => state.word().into(),
    };
    let turn = shared.record.turn;
    let turn = if turn.count == 0 {
        String::new()
    } else {
        format!("turn {} with {} well", if turn.is_taken() { "taken" } else { "free" }, turn.successes)
    };
    let (era, step, late) = (shared.era(), shared.record.step, breaker.counters().late);
    let window = format!("{} of {} failed", counts.failures, counts.calls);
    format!("{state:14} era {era} step {step} late {late} {window:17} {turn:22}")
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let mut table = String::new();
    for (name, situation) in SITUATIONS {
        let (breaker, _, _, now) = situation();
        writeln!(table, "# {name}\n  {:34} {}", "", line(&breaker, now).trim_end()).expect("text");
        for (event, happen) in EVENTS {
            let after = happen(situation()).map_or("cannot happen".into(), |(told, breaker, now)| {
                format!("{} | {told}", line(&breaker, now))
            });
            writeln!(table, "  {event:34} {}", after.trim_end_matches([' ', '|'])).expect("text");
        }
    }
    assert!(table == include_str!("table.txt"), "the table is now:\n{table}");
}

/// A probe of which nothing is heard is not waited for longer.
#[test]
fn in_each_half_open_situation_somebody_passes_in_the_end() {
    for (name, situation) in SITUATIONS {
        let (mut breaker, _, _, now) = situation();
        if breaker.state(now) == State::HalfOpen {
            let later = now.after(PROBE_TIMEOUT);
            assert!(refused(&mut breaker, later).is_none(), "{name}");
        }
    }
}
