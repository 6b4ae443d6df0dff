//! All rules by name, on both sides of each limit.

use super::super::{Cause, Counters, State, Transition, Why};
use super::*;
use Outcome::{Abandoned, Success};

const FAILURE: Outcome = Outcome::NONE;
/// A policy that a row alone never trips.
fn rowless() -> plan::Breaker {
    plan::Breaker { consecutive_failures: 1_000_000, ..POLICY }
}

fn cause(transition: Option<Transition>) -> Option<Cause> {
    transition.map(|transition| transition.cause)
}

/// The state, and the percent of the requests that pass.
fn stands(breaker: &Breaker, now: Mono) -> (State, u32) {
    (breaker.state(now), breaker.share())
}

// ## Closed

#[test]
fn failures_in_a_row_open_the_circuit() {
    let mut breaker = Breaker::new(POLICY);
    assert_eq!(calls(&mut breaker, FAILURE, 4, T0), None);
    assert_eq!(breaker.state(T0), State::Closed);
    let opened = Transition {
        from: State::Closed,
        to: State::Open,
        cause: Cause::ConsecutiveFailures,
        by_peer: false,
        era: 1,
        open_for: Duration::from_secs(5),
        share: 0,
    };
    assert_eq!(call(&mut breaker, FAILURE, T0), Some(opened));
    assert_eq!(stands(&breaker, T0), (State::Open, 0));
}

#[test]
fn a_success_ends_a_row_of_failures() {
    let mut breaker = Breaker::new(plan::Breaker { failure_rate: 1.0, ..POLICY });
    for _ in 0..10 {
        assert_eq!(calls(&mut breaker, FAILURE, 4, T0), None);
        assert_eq!(call(&mut breaker, Success, T0), None);
    }
    assert_eq!(calls(&mut breaker, FAILURE, 4, T0), None);
    assert!(call(&mut breaker, FAILURE, T0).is_some());
}

#[test]
fn a_row_that_is_few_among_the_calls_of_the_window_opens_nothing() {
    let opens = |successes| {
        let mut breaker = Breaker::new(POLICY);
        calls(&mut breaker, Success, successes, T0);
        calls(&mut breaker, FAILURE, 5, T0).is_some()
    };
    assert!(opens(245), "5 of 250");
    assert!(!opens(246), "5 of 251");
}

#[test]
fn an_abandoned_call_neither_ends_a_row_nor_lengthens_it() {
    let mut breaker = Breaker::new(POLICY);
    calls(&mut breaker, FAILURE, 4, T0);
    assert_eq!(calls(&mut breaker, Abandoned, 50, T0), None);
    assert_eq!(breaker.counts(T0).calls, 4);
    assert!(call(&mut breaker, FAILURE, T0).is_some());
}

#[test]
fn a_row_of_failures_lasts_however_slowly_they_come() {
    let mut breaker = Breaker::new(POLICY);
    let opened: Vec<bool> =
        (0..5).map(|hour| call(&mut breaker, FAILURE, at(hour * 3_600_000)).is_some()).collect();
    assert_eq!(opened, [false, false, false, false, true]);
}

#[test]
fn the_failure_rate_opens_the_circuit_from_its_limit_on() {
    let opened = |successes| {
        let mut breaker = Breaker::new(rowless());
        calls(&mut breaker, Success, successes, T0);
        cause(calls(&mut breaker, FAILURE, 20, T0))
    };
    assert_eq!(opened(61), None, "20 of 81");
    assert_eq!(opened(60), Some(Cause::FailureRate), "20 of 80");
}

#[test]
fn a_cold_start_holds_until_min_requests() {
    let mut breaker = Breaker::new(rowless());
    assert_eq!(calls(&mut breaker, FAILURE, 39, T0), None);
    assert_eq!(cause(call(&mut breaker, FAILURE, T0)), Some(Cause::FailureRate));
}

#[test]
fn failures_older_than_the_window_do_not_count() {
    let opened = |later| {
        let mut breaker = Breaker::new(rowless());
        calls(&mut breaker, FAILURE, 39, T0);
        breaker.settle(T0, EVEN);
        cause(call(&mut breaker, FAILURE, at(later)))
    };
    assert_eq!(opened(9_999), Some(Cause::FailureRate));
    assert_eq!(opened(10_000), None);
}

#[test]
fn a_success_never_opens_the_circuit() {
    let mut breaker = Breaker::new(rowless());
    calls(&mut breaker, FAILURE, 39, T0);
    assert_eq!(call(&mut breaker, Success, T0), None, "39 failures of 40");
    assert!(call(&mut breaker, FAILURE, T0).is_some(), "40 failures of 41");
}

#[test]
fn a_call_that_takes_too_long_is_a_failure_though_it_ends_well() {
    let mut breaker = Breaker::new(plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..POLICY });
    let mut late = |took: u64| {
        let permits: Vec<Permit> = (0..5).map(|_| permit(breaker.admit(CALL, T0, 0))).collect();
        let ends = permits.into_iter().map(|permit| breaker.record(permit, Success, at(took), EVEN));
        ends.fold(None, |last, made| last.or(made))
    };
    assert_eq!(late(299), None);
    assert_eq!(cause(late(300)), Some(Cause::SlowCalls));
}

#[test]
fn calls_that_hang_open_the_circuit_before_any_of_them_ends() {
    let mut breaker = Breaker::new(plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..POLICY });
    let permits: Vec<Permit> = (0..5).map(|_| permit(breaker.admit(CALL, T0, 0))).collect();
    assert_eq!(breaker.under_way(), 5);
    assert_eq!(breaker.tick(at(299), EVEN), None);
    let opened = breaker.tick(at(300), EVEN).expect("opened");
    assert_eq!((opened.to, opened.cause), (State::Open, Cause::SlowCalls));
    for permit in permits {
        assert_eq!(breaker.record(permit, FAILURE, at(15_000), EVEN), None, "they were counted");
    }
    assert_eq!(breaker.under_way(), 0);
}

#[test]
fn a_call_that_was_too_slow_counts_once() {
    let mut breaker =
        Breaker::new(plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..rowless() });
    let slow = permit(breaker.admit(CALL, T0, 0));
    breaker.tick(at(400), EVEN);
    breaker.record(slow, Success, at(500), EVEN);
    let counts = breaker.counts(at(500));
    assert_eq!((counts.calls, counts.failures, counts.slow), (1, 1, 1));
}

#[test]
fn a_call_that_began_before_it_was_known_what_is_slow_is_not_judged_by_it() {
    let mut breaker = Breaker::new(POLICY);
    let early: Vec<Permit> = (0..5).map(|_| permit(breaker.admit(CALL, T0, 0))).collect();
    breaker.policy.slow_call = Some(Duration::from_millis(300));
    assert_eq!(breaker.tick(at(60_000), EVEN), None);
    for permit in early {
        assert_eq!(breaker.record(permit, Success, at(60_000), EVEN), None);
    }
    assert_eq!(breaker.counts(at(60_000)).failures, 0);
}

#[test]
fn what_waits_for_its_own_body_is_never_slow() {
    let mut breaker = Breaker::new(plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..POLICY });
    let upload = Call { timed: false, ..CALL };
    for _ in 0..20 {
        let permit = permit(breaker.admit(upload, T0, 0));
        assert_eq!(breaker.tick(at(60_000), EVEN), None);
        assert_eq!(breaker.record(permit, Success, at(60_000), EVEN), None);
    }
    assert_eq!(breaker.counts(at(60_000)).failures, 0);
}

#[test]
fn retry_after_lengthens_the_stay_up_to_its_limit() {
    let open_for = |seconds| {
        let mut breaker = Breaker::new(POLICY);
        calls(&mut breaker, FAILURE, 4, T0);
        let again_after = Duration::from_secs(seconds);
        call(&mut breaker, Outcome::Failure { again_after }, T0).expect("opened").open_for.as_secs()
    };
    assert_eq!([0, 3, 5, 60, 300, 3_600].map(open_for), [5, 5, 5, 60, 300, 300]);
}

#[test]
fn a_response_that_breaks_off_is_a_failure_of_the_circuit_it_began_in() {
    let mut breaker = Breaker::new(POLICY);
    let since = breaker.incarnation;
    calls(&mut breaker, FAILURE, 4, T0);
    assert!(breaker.broke_off(since, T0, T0, EVEN).is_some());
    let mut breaker = tripped();
    assert_eq!(breaker.broke_off(since, T0, HALF_OPEN, EVEN), None, "it began before");
    assert_eq!(breaker.state(HALF_OPEN), State::HalfOpen);
}

/// A call whose response has a head, and breaks off after this long.
fn breaks_off(breaker: &mut Breaker, at: Mono, after: Duration) -> Option<Transition> {
    let since = breaker.incarnation;
    assert_eq!(call(breaker, Success, at), None);
    breaker.broke_off(since, at, at.after(after), EVEN)
}

#[test]
fn responses_that_break_off_are_a_row_though_each_had_a_head() {
    let moment = Duration::from_millis(30);
    let row = |breaker: &mut Breaker, count: usize| -> Vec<Cause> {
        (0..count).filter_map(|_| breaks_off(breaker, T0, moment)).map(|made| made.cause).collect()
    };
    let mut breaker = Breaker::new(POLICY);
    assert_eq!(row(&mut breaker, 4), []);
    breaker.came_whole();
    assert_eq!(row(&mut breaker, 4), [], "one that came whole has ended it");
    assert_eq!(row(&mut breaker, 1), [Cause::ConsecutiveFailures]);
}

#[test]
fn streams_that_were_served_for_longer_than_the_window_are_no_row() {
    let mut breaker = Breaker::new(POLICY);
    for _ in 0..20 {
        assert_eq!(breaks_off(&mut breaker, T0, POLICY.window), None);
    }
}

#[test]
fn a_call_that_breaks_off_is_one_call() {
    let row = u32::MAX;
    let policy = plan::Breaker { failure_rate: 0.9, consecutive_failures: row, ..POLICY };
    let mut breaker = Breaker::new(policy);
    let calls = u64::from(POLICY.min_requests);
    let made: Vec<Cause> = (0..calls)
        .filter_map(|_| breaks_off(&mut breaker, T0, Duration::ZERO))
        .map(|made| made.cause)
        .collect();
    assert_eq!(made, [Cause::FailureRate]);
}

// ## Open

#[test]
fn an_open_circuit_refuses_until_its_time_is_over() {
    let mut breaker = tripped();
    let wait = |breaker: &mut Breaker, now| refused(breaker, now).map(|refusal| refusal.retry_after);
    assert_eq!(wait(&mut breaker, T0), Some(Duration::from_secs(5)));
    assert_eq!(wait(&mut breaker, at(4_999)), Some(Duration::from_millis(1)));
    assert_eq!(refused(&mut breaker, T0).map(|refusal| refusal.why), Some(Why::Open));
    assert!(!breaker.invites(at(4_999)), "nothing is asked in the background");
    assert_eq!(breaker.state(at(5_000)), State::HalfOpen);
    assert_eq!(wait(&mut breaker, at(5_000)), None);
}

#[test]
fn a_result_from_before_the_circuit_opened_is_late() {
    for outcome in [Success, FAILURE, Abandoned] {
        let mut breaker = Breaker::new(POLICY);
        let early: Vec<Permit> = (0..3).map(|_| permit(breaker.admit(CALL, T0, 0))).collect();
        calls(&mut breaker, FAILURE, 5, T0);
        for permit in early {
            assert_eq!(breaker.record(permit, outcome, HALF_OPEN, EVEN), None);
        }
        assert_eq!(breaker.state(HALF_OPEN), State::HalfOpen, "{outcome:?}");
        assert_eq!(calls(&mut breaker, Success, 2, HALF_OPEN), None, "{outcome:?} is no probe's success");
    }
}

// ## What is told

#[test]
fn what_was_done_is_counted() {
    let mut breaker = Breaker::new(POLICY);
    let late = permit(breaker.admit(CALL, T0, 0));
    calls(&mut breaker, FAILURE, 5, T0);
    refused(&mut breaker, T0);
    breaker.record(late, FAILURE, T0, EVEN);
    call(&mut breaker, Abandoned, HALF_OPEN);
    calls(&mut breaker, Success, 3, HALF_OPEN);
    let counters = Counters {
        passed: 6,
        probes: 4,
        refused: 1,
        successes: 3,
        failures: 5,
        abandoned: 1,
        late: 1,
        opened: 1,
        closed: 0,
    };
    assert_eq!(breaker.counters(), counters);
    assert_eq!(recovered().counters().closed, 1);
}

#[test]
fn every_state_and_cause_has_a_word_of_its_own() {
    let words = State::ALL.map(State::word).into_iter().chain(Cause::ALL.map(Cause::word));
    let mut words: Vec<&str> = words.collect();
    assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    words.sort_unstable();
    let count = words.len();
    words.dedup();
    assert_eq!(words.len(), count);
}
