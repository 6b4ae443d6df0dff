//! The gradual mode, and circuits for which another decides.

use super::super::{Cause, State, Why};
use super::*;
use Outcome::Success;

const FAILURE: Outcome = Outcome::NONE;

// ## The gradual mode

#[test]
fn the_gradual_mode_sheds_a_share_and_stops_by_itself() {
    let policy = plan::Breaker { mode: Mode::Gradual, failure_rate: 0.5, ..POLICY };
    let mut breaker = Breaker::new(policy);
    assert_eq!(calls(&mut breaker, FAILURE, 75, T0), None, "it does not open");
    calls(&mut breaker, Success, 25, T0);
    let sheds = breaker.settle(T0, EVEN).expect("sheds");
    assert_eq!((sheds.from, sheds.to, sheds.cause), (State::Closed, State::Shedding, Cause::FailureRate));
    let shed = (0..=255u64).filter(|n| {
        matches!(breaker.clone().admit(CALL, T0, n << 56), Admission::Refuse(Refusal { why: Why::Shed, .. }))
    });
    let shed = shed.count();
    assert!((125..=130).contains(&shed), "about half: {shed} of 256");
    let later = at(10_000);
    let permit = permit(breaker.admit(CALL, later, u64::MAX));
    breaker.record(permit, Success, later, EVEN);
    let closed = breaker.settle(later, EVEN).expect("no more");
    assert_eq!((closed.to, closed.cause), (State::Closed, Cause::RateFell));
}

// ## Who decides

#[test]
fn a_disabled_circuit_never_trips_and_listens_to_nobody() {
    let mut breaker = Breaker::new(plan::Breaker { enabled: false, ..POLICY });
    assert_eq!(calls(&mut breaker, FAILURE, 1_000, T0), None);
    assert_eq!(breaker.merge(tripped().shared(), T0), None);
    assert!(matches!(breaker.admit(CALL, T0, 0), Admission::Pass(_)));
}

#[test]
fn what_an_operator_has_opened_refuses_and_what_is_held_closed_never_trips() {
    let mut open = Breaker::new(plan::Breaker { stance: Stance::Open, ..POLICY });
    let refusal = refused(&mut open, T0).expect("refused");
    assert_eq!((refusal.why, refusal.retry_after), (Why::Forced, POLICY.open_for));
    assert!(!open.invites(T0));
    let mut closed = Breaker::new(plan::Breaker { stance: Stance::Closed, ..POLICY });
    assert_eq!(calls(&mut closed, FAILURE, 1_000, T0), None);
    assert_eq!(closed.state(T0), State::Closed);
}

#[test]
fn of_what_passes_a_circuit_that_is_held_closed_nothing_is_heard() {
    for outcome in [Success, FAILURE] {
        for mut breaker in [Breaker::new(POLICY), tripped()] {
            breaker.overrule(Some((Stance::Closed, Mono(u64::MAX))));
            let before = breaker.shared().clone();
            let since = breaker.incarnation;
            for _ in 0..50 {
                assert_eq!(call(&mut breaker, outcome, HALF_OPEN), None);
                assert_eq!(breaker.broke_off(since, HALF_OPEN, HALF_OPEN, EVEN), None);
            }
            breaker.overrule(None);
            assert_eq!((breaker.counts(HALF_OPEN).calls, breaker.shared()), (0, &before));
        }
    }
}

#[test]
fn an_operators_word_ends_with_its_time() {
    let mut breaker = tripped();
    breaker.overrule(Some((Stance::Closed, at(1_000))));
    assert!(matches!(breaker.admit(CALL, at(999), 0), Admission::Pass(_)));
    assert!(refused(&mut breaker, at(1_000)).is_some(), "the circuit is open still");
    let mut breaker = Breaker::new(POLICY);
    breaker.overrule(Some((Stance::Open, at(1_000))));
    let refusal = refused(&mut breaker, at(400)).expect("refused");
    assert_eq!(refusal.retry_after, Duration::from_millis(600));
    breaker.overrule(None);
    assert_eq!(refused(&mut breaker, at(400)), None);
}

#[test]
fn a_probe_that_fails_after_an_operator_has_closed_the_circuit_opens_nothing() {
    let mut breaker = tripped();
    let probe = probe(&mut breaker, HALF_OPEN);
    breaker.overrule(Some((Stance::Closed, Mono(u64::MAX))));
    assert_eq!(breaker.record(probe, FAILURE, HALF_OPEN, EVEN), None);
}

#[test]
fn a_circuit_that_is_only_watched_goes_through_its_states_and_refuses_nobody() {
    let mut breaker = Breaker::new(plan::Breaker { stance: Stance::Observe, ..POLICY });
    assert!(calls(&mut breaker, FAILURE, 5, T0).is_some());
    assert!(matches!(breaker.admit(CALL, T0, 0), Admission::Spared(Refusal { why: Why::Open, .. })));
    let first = probe(&mut breaker, HALF_OPEN);
    assert!(matches!(breaker.admit(CALL, HALF_OPEN, 0), Admission::Spared(_)));
    breaker.record(first, Success, HALF_OPEN, EVEN);
    assert!(calls(&mut breaker, Success, 2, HALF_OPEN).is_some());
    assert_eq!(breaker.counters().refused, 2, "it says whom it would have refused");
}

#[test]
fn a_hint_of_another_envoy_halves_what_opens_it_for_a_while() {
    let mut breaker = Breaker::new(POLICY);
    breaker.hint(at(2_000));
    assert_eq!(breaker.state(T0), State::Closed, "it opens nothing by itself");
    assert_eq!(calls(&mut breaker, FAILURE, 2, T0), None);
    assert!(call(&mut breaker.clone(), FAILURE, at(1_999)).is_some());
    assert!(call(&mut breaker, FAILURE, at(2_000)).is_none());
}
