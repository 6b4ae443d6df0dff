//! The rules of a circuit that is half-open, and of one that has closed again.

use super::super::{Cause, PROBE_TIMEOUT, State, Why};
use super::*;
use Outcome::{Abandoned, Success};

const FAILURE: Outcome = Outcome::NONE;

fn cause(transition: Option<Transition>) -> Option<Cause> {
    transition.map(|transition| transition.cause)
}

/// A circuit that has climbed so many rungs of the ramp; the last climb was at the time that is returned.
fn climbing(rungs: u64) -> (Breaker, Mono) {
    let mut breaker = tripped();
    calls(&mut breaker, Success, POLICY.half_open_probes, HALF_OPEN);
    for rung in 1..rungs {
        call(&mut breaker, Success, Mono(HALF_OPEN.0 + rung * 1_500)).expect("a larger share");
    }
    (breaker, Mono(HALF_OPEN.0 + (rungs - 1) * 1_500))
}

// ## Half-open: single probes

#[test]
fn one_probe_goes_at_a_time() {
    let mut breaker = tripped();
    let first = probe(&mut breaker, HALF_OPEN);
    assert!(first.has_turn());
    let second = refused(&mut breaker, HALF_OPEN).expect("refused");
    assert_eq!((second.why, second.retry_after), (Why::Open, Duration::from_secs(1)));
    assert_eq!(breaker.record(first, Success, HALF_OPEN, EVEN), None);
    assert!(probe(&mut breaker, HALF_OPEN).has_turn());
}

#[test]
fn enough_probes_that_went_well_let_a_share_pass() {
    let mut breaker = tripped();
    assert_eq!(calls(&mut breaker, Success, 2, HALF_OPEN), None);
    let climbed = call(&mut breaker, Success, HALF_OPEN).expect("a share");
    assert_eq!((climbed.to, climbed.cause, climbed.share), (State::HalfOpen, Cause::ProbesSucceeded, 1));
}

#[test]
fn a_failed_probe_opens_the_circuit_for_twice_as_long() {
    let mut breaker = tripped();
    calls(&mut breaker, Success, 2, HALF_OPEN);
    let permit = probe(&mut breaker, HALF_OPEN);
    let opened = breaker.record(permit, FAILURE, HALF_OPEN, 1_000).expect("opened");
    assert_eq!((opened.from, opened.cause), (State::HalfOpen, Cause::ProbeFailed));
    assert_eq!(opened.open_for, Duration::from_secs(10));
    let again = HALF_OPEN.after(opened.open_for);
    assert_eq!(calls(&mut breaker, Success, 2, again), None, "the successes before do not count");
}

#[test]
fn the_open_time_grows_up_to_its_limit() {
    let mut breaker = tripped();
    let mut now = HALF_OPEN;
    for _ in 0..40 {
        let opened = call(&mut breaker, FAILURE, now).expect("opened");
        assert!(opened.open_for <= POLICY.max_open_for);
        now = now.after(opened.open_for);
    }
    let last = call(&mut breaker, FAILURE, now).expect("opened");
    assert!(last.open_for >= Duration::from_secs(270));
}

#[test]
fn an_abandoned_probe_makes_room_for_another_and_counts_for_nothing() {
    let mut breaker = tripped();
    for _ in 0..5 {
        assert_eq!(call(&mut breaker, Abandoned, HALF_OPEN), None);
    }
    assert_eq!(breaker.counters().abandoned, 5);
    assert_eq!(calls(&mut breaker, Success, 2, HALF_OPEN), None);
    assert!(call(&mut breaker, Success, HALF_OPEN).is_some());
}

#[test]
fn a_probe_of_which_nothing_is_heard_makes_room_when_its_time_is_over() {
    let mut breaker = tripped();
    let lost = probe(&mut breaker, HALF_OPEN);
    let over = HALF_OPEN.after(PROBE_TIMEOUT);
    assert!(refused(&mut breaker, Mono(over.0 - 1)).is_some());
    let next = probe(&mut breaker, over);
    assert_eq!(breaker.record(lost, Success, over, EVEN), None);
    assert!(refused(&mut breaker, over).is_some(), "it gives the other's turn not back");
    assert_eq!(breaker.record(next, Success, over, EVEN), None);
    assert!(refused(&mut breaker, over).is_none());
}

#[test]
fn a_probe_given_up_for_lost_that_fails_in_the_end_has_failed() {
    let mut breaker = tripped();
    let lost = probe(&mut breaker, HALF_OPEN);
    let over = HALF_OPEN.after(PROBE_TIMEOUT);
    let _next = probe(&mut breaker, over);
    assert_eq!(cause(breaker.record(lost, FAILURE, over, EVEN)), Some(Cause::ProbeFailed));
}

#[test]
fn where_it_is_known_what_is_too_slow_a_peers_probe_is_not_waited_for_much_longer() {
    let policy = plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..POLICY };
    let (mut breaker, mut peer) = (Breaker::new(policy.clone()), Breaker::new(policy));
    breaker.merge(tripped().shared(), T0);
    peer.merge(tripped().shared(), T0);
    let lost = probe(&mut peer, HALF_OPEN);
    breaker.merge(peer.shared(), HALF_OPEN);
    assert!(refused(&mut breaker, Mono(HALF_OPEN.0 + 1_199)).is_some());
    assert!(
        refused(&mut breaker, Mono(HALF_OPEN.0 + 1_200)).is_none(),
        "twice the 600 ms of a circuit that is back"
    );
    peer.abandon(lost);
}

#[test]
fn probes_of_an_earlier_half_open_period_do_not_count_in_this_one() {
    for outcome in [Success, FAILURE, Abandoned] {
        let mut breaker = tripped();
        let old = probe(&mut breaker, HALF_OPEN);
        let later = HALF_OPEN.after(PROBE_TIMEOUT);
        let opened = call(&mut breaker, FAILURE, later).expect("opened");
        let again = later.after(opened.open_for);
        let _new = probe(&mut breaker, again);
        assert_eq!(breaker.record(old, outcome, again, EVEN), None, "{outcome:?}");
        assert!(
            refused(&mut breaker, again).is_some(),
            "{outcome:?} does not give the new probe's turn back"
        );
    }
}

#[test]
fn a_probe_that_takes_twice_too_long_has_failed() {
    let slow_call = Some(Duration::from_millis(300));
    let mut breaker = Breaker::new(plan::Breaker { slow_call, ..POLICY });
    calls(&mut breaker, FAILURE, 5, T0);
    let hangs = probe(&mut breaker, HALF_OPEN);
    assert_eq!(breaker.tick(Mono(HALF_OPEN.0 + 599), EVEN), None, "who has just come back may be slower");
    let opened = breaker.tick(Mono(HALF_OPEN.0 + 600), EVEN).expect("opened");
    assert_eq!(opened.cause, Cause::ProbeFailed);
    breaker.abandon(hangs);
}

#[test]
fn who_loses_the_turn_leaves_all_as_it_was() {
    let mut breaker = tripped();
    let before = breaker.shared().clone();
    let permit = probe(&mut breaker, HALF_OPEN);
    assert_ne!(*breaker.shared(), before);
    breaker.lose_turn(permit);
    assert_eq!(*breaker.shared(), before);
    assert_eq!(breaker.under_way(), 0);
}

#[test]
fn who_can_be_answered_otherwise_is_invited_now_and_then_to_probe_in_the_background() {
    let mut breaker = tripped();
    assert!(breaker.invites(HALF_OPEN));
    assert!(!breaker.invites(Mono(HALF_OPEN.0 + 99)), "that may still come");
    assert!(breaker.invites(Mono(HALF_OPEN.0 + 100)));
    let _probe = probe(&mut breaker, Mono(HALF_OPEN.0 + 100));
    assert!(!breaker.invites(Mono(HALF_OPEN.0 + 1_000)), "one is under way");
    assert!(Breaker::new(POLICY).invites(T0), "a closed circuit has nothing against it");
}

// ## Half-open: the ramp

#[test]
fn the_share_that_passes_grows_rung_by_rung_until_all_do() {
    let mut breaker = tripped();
    calls(&mut breaker, Success, 3, HALF_OPEN);
    let mut seen = vec![breaker.share()];
    let mut now = HALF_OPEN;
    while breaker.state(now) != State::Closed {
        now = Mono(now.0 + 1_500);
        let climbed = call(&mut breaker, Success, now).expect("more");
        assert_eq!(climbed.cause, if climbed.share == 100 { Cause::Recovered } else { Cause::ShareHeld });
        seen.push(climbed.share);
    }
    assert_eq!(seen, [1, 5, 20, 50, 100]);
    assert_eq!(now.since(HALF_OPEN), Duration::from_secs(6), "little more than the open time");
}

#[test]
fn a_rung_lasts_for_its_time_and_needs_a_success() {
    let (mut breaker, since) = climbing(2);
    let end = Mono(since.0 + 1_500);
    assert_eq!(breaker.tick(end, EVEN), None, "nothing has passed");
    assert_eq!(call(&mut breaker, Success, Mono(end.0 - 1)), None, "too early");
    assert_eq!(cause(breaker.tick(end, EVEN)), Some(Cause::ShareHeld));
}

#[test]
fn of_the_requests_on_a_rung_its_share_passes() {
    let (mut breaker, since) = climbing(3);
    let passed = (0..1_000u64)
        .filter(|n| {
            let admission = breaker.admit(CALL, Mono(since.0 + n), 0);
            matches!(admission, Admission::Probe(_))
        })
        .count();
    assert!((200..=201).contains(&passed), "{passed} of 1,000 at 20 %");
}

#[test]
fn an_invited_request_has_its_place_already() {
    let (mut breaker, since) = climbing(2);
    let now = Mono(since.0 + 1);
    assert!(breaker.invites(now), "the first of a rung");
    assert!(refused(&mut breaker, now).is_some());
    assert!(matches!(breaker.admit(Call { invited: true, ..CALL }, now, 0), Admission::Probe(_)));
}

#[test]
fn the_first_relapse_opens_it_again_for_twice_as_long() {
    let (mut breaker, since) = climbing(4);
    let now = Mono(since.0 + 10);
    let invited = |breaker: &mut Breaker, outcome| {
        let permit = permit(breaker.admit(Call { invited: true, ..CALL }, now, 0));
        breaker.record(permit, outcome, now, 1_000)
    };
    assert_eq!(invited(&mut breaker, FAILURE), None, "one may be chance");
    let opened = invited(&mut breaker, FAILURE).expect("opened");
    assert_eq!((opened.cause, opened.open_for), (Cause::Relapse, Duration::from_secs(10)));
}

#[test]
fn a_row_of_failures_is_a_relapse_however_many_went_well_before() {
    let (mut breaker, since) = climbing(4);
    let now = Mono(since.0 + 10);
    let mut invited = |outcome| {
        let permit = permit(breaker.admit(Call { invited: true, ..CALL }, now, 0));
        cause(breaker.record(permit, outcome, now, EVEN))
    };
    assert!((0..500).all(|_| invited(Success).is_none()));
    assert!((0..4).all(|_| invited(FAILURE).is_none()));
    assert_eq!(invited(FAILURE), Some(Cause::Relapse));
}

#[test]
fn who_has_no_place_on_a_rung_may_ask_again_soon() {
    let (mut breaker, since) = climbing(1);
    let _first = probe(&mut breaker, since);
    let refusal = refused(&mut breaker, since).expect("refused");
    assert_eq!((refusal.why, refusal.retry_after), (Why::Open, Duration::from_secs(1)));
}

#[test]
fn a_failure_among_many_is_no_relapse() {
    let (mut breaker, since) = climbing(4);
    let now = Mono(since.0 + 10);
    for n in 0..500 {
        let permit = permit(breaker.admit(Call { invited: true, ..CALL }, now, 0));
        let outcome = if n % 50 == 49 { FAILURE } else { Success };
        assert_eq!(breaker.record(permit, outcome, now, EVEN), None, "{n}");
    }
}

// ## Closed again

#[test]
fn closing_empties_the_window() {
    let mut breaker = recovered();
    assert_eq!(breaker.counts(RECOVERED).calls, 0);
    assert_eq!(calls(&mut breaker, FAILURE, 4, RECOVERED), None, "the row begins anew too");
}

#[test]
fn the_step_is_remembered_through_the_healthy_period_and_then_forgotten() {
    let open_for = |later: u64| {
        let mut breaker = tripped();
        let opened = call(&mut breaker, FAILURE, HALF_OPEN).expect("opened");
        let mut now = HALF_OPEN.after(opened.open_for);
        let opened = call(&mut breaker, FAILURE, now).expect("opened");
        now = now.after(opened.open_for);
        calls(&mut breaker, Success, 3, now).expect("a share");
        for _ in 0..4 {
            now = Mono(now.0 + 1_500);
            call(&mut breaker, Success, now).expect("more");
        }
        // Step 2: 20 s of health are asked for.
        let trip = Mono(now.0 + later);
        calls(&mut breaker, FAILURE, 4, trip);
        let permit = permit(breaker.admit(CALL, trip, 0));
        breaker.record(permit, FAILURE, trip, 2_000).expect("opened").open_for
    };
    assert_eq!(open_for(19_999), Duration::from_secs(20));
    assert_eq!(open_for(20_000), Duration::from_millis(5_499), "5 s, spread");
}

#[test]
fn tripping_soon_again_without_a_failed_probe_does_not_lengthen_the_stay() {
    let mut breaker = recovered();
    let opened = calls(&mut breaker, FAILURE, 5, RECOVERED).expect("opened");
    assert_eq!(opened.open_for, POLICY.open_for);
}
