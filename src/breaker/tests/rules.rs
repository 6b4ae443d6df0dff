//! All rules by name, on both sides of each limit.

use super::super::{
    Admission, Breaker, Counters, Outcome, PROBE_TIMEOUT, Shared, State, Transition, TripReason,
};
use super::*;
use Outcome::{Abandoned, Failure, Success};

// ## Closed

#[test]
fn failures_in_a_row_open_the_circuit() {
    let mut breaker = Breaker::new(POLICY);
    assert_eq!(calls(&mut breaker, Failure, 4, T0), None);
    assert_eq!(breaker.state(T0), State::Closed);
    let opened = Transition {
        from: State::Closed,
        to: State::Open,
        reason: Some(TripReason::ConsecutiveFailures),
        by_peer: false,
        era: 1,
        open_for: Duration::from_secs(5),
    };
    assert_eq!(call(&mut breaker, Failure, T0), Some(opened));
    assert_eq!(breaker.state(T0), State::Open);
    assert_eq!(breaker.opened_by(), Some(TripReason::ConsecutiveFailures));
}

#[test]
fn a_success_ends_a_row_of_failures() {
    let mut breaker = Breaker::new(plan::Breaker { failure_rate: 1.0, ..POLICY });
    for _ in 0..10 {
        assert_eq!(calls(&mut breaker, Failure, 4, T0), None);
        assert_eq!(call(&mut breaker, Success, T0), None);
    }
    assert_eq!(calls(&mut breaker, Failure, 4, T0), None);
    assert!(call(&mut breaker, Failure, T0).is_some());
}

#[test]
fn an_abandoned_call_neither_ends_a_row_nor_lengthens_it() {
    let mut breaker = Breaker::new(POLICY);
    calls(&mut breaker, Failure, 4, T0);
    assert_eq!(calls(&mut breaker, Abandoned, 50, T0), None);
    assert_eq!(breaker.counts(T0).total(), 4);
    assert!(call(&mut breaker, Failure, T0).is_some());
}

#[test]
fn a_row_of_failures_lasts_however_slowly_they_come() {
    let mut breaker = Breaker::new(POLICY);
    let opened: Vec<bool> =
        (0..5).map(|hour| call(&mut breaker, Failure, at(hour * 3_600_000)).is_some()).collect();
    assert_eq!(opened, [false, false, false, false, true]);
}

#[test]
fn the_failure_rate_opens_the_circuit_from_its_limit_on() {
    let reason = |successes| {
        let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
        calls(&mut breaker, Success, successes, T0);
        calls(&mut breaker, Failure, 20, T0).and_then(|opened| opened.reason)
    };
    assert_eq!(reason(21), None, "20 of 41");
    assert_eq!(reason(20), Some(TripReason::FailureRate), "20 of 40");
}

#[test]
fn a_cold_start_holds_until_min_requests() {
    let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
    assert_eq!(calls(&mut breaker, Failure, 19, T0), None);
    assert_eq!(call(&mut breaker, Failure, T0).and_then(|t| t.reason), Some(TripReason::FailureRate));
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let reason = |later| {
        let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
        calls(&mut breaker, Failure, 19, T0);
        call(&mut breaker, Failure, at(later)).and_then(|opened| opened.reason)
    };
    assert_eq!(reason(9_999), Some(TripReason::FailureRate));
    assert_eq!(reason(10_000), None);
}

#[test]
fn a_success_never_opens_the_circuit() {
    let mut breaker = Breaker::new(plan::Breaker { consecutive_failures: 1_000, ..POLICY });
    calls(&mut breaker, Failure, 19, T0);
    assert_eq!(call(&mut breaker, Success, T0), None, "19 failures of 20");
    assert!(call(&mut breaker, Failure, T0).is_some(), "20 failures of 21");
}

#[test]
fn a_disabled_circuit_always_passes_and_never_trips() {
    let mut breaker = Breaker::new(plan::Breaker { enabled: false, ..POLICY });
    assert_eq!(calls(&mut breaker, Failure, 1_000, T0), None);
    assert_eq!(breaker.merge(&tripped().shared(), T0), None);
    assert!(matches!(breaker.admit(T0), Admission::Pass(_)));
    assert_eq!(breaker.shared(), Shared::INITIAL);
}

// ## Open

#[test]
fn an_open_circuit_refuses_until_its_time_is_over() {
    let mut breaker = tripped();
    assert_eq!(refused(&mut breaker, T0), Some(Duration::from_secs(5)));
    assert_eq!(refused(&mut breaker, at(4_999)), Some(Duration::from_millis(1)));
    assert_eq!(breaker.state(at(4_999)), State::Open);
    assert_eq!(breaker.state(at(5_000)), State::HalfOpen);
    assert_eq!(refused(&mut breaker, at(5_000)), None);
}

#[test]
fn a_result_from_before_the_circuit_opened_is_late() {
    for outcome in [Success, Failure, Abandoned] {
        let mut breaker = Breaker::new(POLICY);
        let early: Vec<Permit> = (0..3).map(|_| permit(breaker.admit(T0))).collect();
        calls(&mut breaker, Failure, 5, T0);
        for permit in early {
            assert_eq!(breaker.record(permit, outcome, HALF_OPEN, EVEN), None);
        }
        assert_eq!(breaker.state(HALF_OPEN), State::HalfOpen, "{outcome:?}");
        assert_eq!(calls(&mut breaker, Success, 2, HALF_OPEN), None, "{outcome:?} is no probe's success");
    }
}

// ## Half-open

#[test]
fn as_many_successful_probes_as_configured_close_the_circuit() {
    let mut breaker = tripped();
    assert_eq!(calls(&mut breaker, Success, 2, HALF_OPEN), None);
    let closed = call(&mut breaker, Success, HALF_OPEN).expect("closed");
    assert_eq!((closed.from, closed.to, closed.reason), (State::HalfOpen, State::Closed, None));
    assert_eq!((closed.era, closed.open_for), (2, Duration::ZERO));
    assert!(matches!(breaker.admit(HALF_OPEN), Admission::Pass(_)));
}

#[test]
fn closing_empties_the_window() {
    let mut breaker = recovered();
    assert_eq!(breaker.counts(HALF_OPEN).total(), 0);
    assert_eq!(calls(&mut breaker, Failure, 4, HALF_OPEN), None, "the row begins anew too");
}

#[test]
fn no_more_probes_are_under_way_than_configured() {
    let mut breaker = tripped();
    let permits: Vec<Permit> = (0..3).map(|_| probe(&mut breaker, HALF_OPEN)).collect();
    assert_eq!(refused(&mut breaker, HALF_OPEN), Some(Duration::from_secs(1)));
    for permit in permits.into_iter().take(1) {
        assert_eq!(breaker.record(permit, Success, HALF_OPEN, EVEN), None);
    }
    let _next = probe(&mut breaker, HALF_OPEN);
    assert!(refused(&mut breaker, HALF_OPEN).is_some());
}

#[test]
fn a_failed_probe_opens_the_circuit_for_twice_as_long() {
    let mut breaker = tripped();
    calls(&mut breaker, Success, 2, HALF_OPEN);
    let permit = probe(&mut breaker, HALF_OPEN);
    let opened = breaker.record(permit, Failure, HALF_OPEN, 1_000).expect("opened");
    assert_eq!((opened.from, opened.to), (State::HalfOpen, State::Open));
    assert_eq!(opened.reason, Some(TripReason::ProbeFailed));
    assert_eq!(opened.open_for, Duration::from_secs(10));
}

#[test]
fn successes_before_a_failed_probe_do_not_count_after_it() {
    let mut breaker = tripped();
    calls(&mut breaker, Success, 2, HALF_OPEN);
    call(&mut breaker, Failure, HALF_OPEN);
    let again = Mono(HALF_OPEN.0 + 11_000);
    assert_eq!(calls(&mut breaker, Success, 2, again), None);
    assert_eq!(call(&mut breaker, Success, again).map(|t| t.to), Some(State::Closed));
}

#[test]
fn the_open_time_grows_up_to_its_limit() {
    let mut breaker = tripped();
    let mut now = HALF_OPEN;
    for _ in 0..40 {
        let opened = call(&mut breaker, Failure, now).expect("opened");
        assert!(opened.open_for <= POLICY.max_open_for);
        now = now.after(opened.open_for);
    }
    let last = call(&mut breaker, Failure, now).expect("opened");
    assert!(last.open_for >= Duration::from_secs(270));
}

#[test]
fn an_abandoned_probe_makes_room_for_another() {
    for through_record in [true, false] {
        let mut breaker = tripped();
        let permits: Vec<Permit> = (0..3).map(|_| probe(&mut breaker, HALF_OPEN)).collect();
        for permit in permits {
            if through_record {
                assert_eq!(breaker.record(permit, Abandoned, HALF_OPEN, EVEN), None);
            } else {
                breaker.abandon(permit);
            }
        }
        assert_eq!(breaker.counters().abandoned, 3);
        assert!(calls(&mut breaker, Success, 3, HALF_OPEN).is_some(), "closes after three all the same");
    }
}

#[test]
fn a_lost_probe_makes_room_when_its_time_is_over() {
    let mut breaker = tripped();
    for _ in 0..3 {
        drop(probe(&mut breaker, HALF_OPEN));
    }
    let over = HALF_OPEN.after(PROBE_TIMEOUT);
    let before = Mono(over.0 - 1);
    assert!(refused(&mut breaker, before).is_some());
    assert_eq!(breaker.retry_after(before), Some(Duration::from_secs(1)));
    assert_eq!(breaker.retry_after(over), None);
    assert_eq!(refused(&mut breaker, over), None);
    assert_eq!(breaker.counters().lost, 3);
}

#[test]
fn the_result_of_a_probe_given_up_for_lost_still_counts() {
    for (outcome, state) in [(Failure, State::Open), (Success, State::Closed)] {
        let mut breaker = tripped();
        calls(&mut breaker, Success, 2, HALF_OPEN);
        let slow = probe(&mut breaker, HALF_OPEN);
        let later = Mono(HALF_OPEN.0 + 60_000);
        let _next = probe(&mut breaker, later);
        assert_eq!(breaker.record(slow, outcome, later, EVEN).map(|t| t.to), Some(state));
    }
}

#[test]
fn probes_of_an_earlier_half_open_period_do_not_count_in_this_one() {
    for outcome in [Success, Failure, Abandoned] {
        let mut breaker = tripped();
        let old = [probe(&mut breaker, HALF_OPEN), probe(&mut breaker, HALF_OPEN)];
        call(&mut breaker, Failure, HALF_OPEN);
        let again = Mono(HALF_OPEN.0 + 11_000);
        let _new: Vec<Permit> = (0..3).map(|_| probe(&mut breaker, again)).collect();
        for permit in old {
            assert_eq!(breaker.record(permit, outcome, again, EVEN), None);
        }
        assert!(refused(&mut breaker, again).is_some(), "{outcome:?} gives no slot of the new probes back");
    }
}

// ## Closed again

#[test]
fn the_step_is_remembered_through_the_healthy_period_and_then_forgotten() {
    let open_for = |later: u64| {
        let mut breaker = tripped();
        let opened = call(&mut breaker, Failure, HALF_OPEN).expect("opened");
        let opened = call(&mut breaker, Failure, HALF_OPEN.after(opened.open_for)).expect("opened");
        let closing = HALF_OPEN.after(Duration::from_secs(11)).after(opened.open_for);
        calls(&mut breaker, Success, 3, closing).expect("closed");
        // Step 2: 20 s of health are asked for.
        let trip = Mono(closing.0 + later);
        for _ in 0..4 {
            call(&mut breaker, Failure, trip);
        }
        let permit = permit(breaker.admit(trip));
        breaker.record(permit, Failure, trip, 2_000).expect("opened").open_for
    };
    assert_eq!(open_for(19_999), Duration::from_secs(20));
    assert_eq!(open_for(20_000), Duration::from_millis(5_499), "5 s, spread");
}

#[test]
fn tripping_soon_again_without_a_failed_probe_does_not_lengthen_the_stay() {
    let mut breaker = recovered();
    let opened = calls(&mut breaker, Failure, 5, HALF_OPEN).expect("opened");
    assert_eq!(opened.open_for, POLICY.open_for);
}

// ## What is told

#[test]
fn what_was_done_is_counted() {
    let mut breaker = Breaker::new(POLICY);
    let late = permit(breaker.admit(T0));
    calls(&mut breaker, Failure, 5, T0);
    refused(&mut breaker, T0);
    breaker.record(late, Failure, T0, EVEN);
    drop(probe(&mut breaker, HALF_OPEN));
    let later = HALF_OPEN.after(PROBE_TIMEOUT);
    call(&mut breaker, Abandoned, later);
    calls(&mut breaker, Success, 3, later);
    let counters = Counters {
        passed: 6,
        probes: 5,
        refused: 1,
        successes: 3,
        failures: 5,
        abandoned: 1,
        late: 1,
        lost: 1,
        opened: 1,
        closed: 1,
    };
    assert_eq!(breaker.counters(), counters);
}

#[test]
fn every_state_and_reason_has_its_word() {
    let states = [State::Closed, State::Open, State::HalfOpen].map(State::word);
    assert_eq!(states, ["closed", "open", "half-open"]);
    let reasons =
        [TripReason::ConsecutiveFailures, TripReason::FailureRate, TripReason::ProbeFailed, TripReason::Peer];
    assert_eq!(
        reasons.map(TripReason::word),
        ["consecutive-failures", "failure-rate", "probe-failed", "peer"]
    );
}
