//! What workers learn from one another.

use super::super::{Cause, Shared, State};
use super::*;
use Outcome::Success;

const FAILURE: Outcome = Outcome::NONE;

/// Tells what one knows, as if it were written and read.
fn tell(from: &mut Breaker, to: &mut Breaker, now: Mono) -> Option<Transition> {
    from.settle(now, EVEN);
    let shared = Shared::decode(&from.shared().encode()).expect("a value");
    to.merge(&shared, now)
}

#[test]
fn a_peers_open_opens_here() {
    let mut breaker = Breaker::new(POLICY);
    let opened = breaker.merge(tripped().shared(), at(50)).expect("opened");
    assert_eq!((opened.from, opened.to), (State::Closed, State::Open));
    assert_eq!((opened.cause, opened.by_peer), (Cause::ConsecutiveFailures, true));
    assert_eq!(opened.open_for, Duration::from_millis(4_950));
    assert_eq!(breaker.counters().opened, 0, "it is counted where it was seen");
}

#[test]
fn a_peers_share_passes_here_and_a_peers_closed_closes_here() {
    let (mut breaker, mut peer) = (tripped(), Breaker::new(POLICY));
    peer.merge(breaker.shared(), T0);
    calls(&mut peer, Success, 3, HALF_OPEN);
    let climbed = tell(&mut peer, &mut breaker, HALF_OPEN).expect("a share");
    assert_eq!((climbed.to, climbed.share), (State::HalfOpen, 1));
    let closed = breaker.merge(recovered().shared(), RECOVERED).expect("closed");
    assert_eq!((closed.from, closed.to, closed.by_peer), (State::HalfOpen, State::Closed, true));
}

#[test]
fn of_all_workers_one_probes() {
    let (mut breaker, mut peer) = (tripped(), Breaker::new(POLICY));
    peer.merge(breaker.shared(), T0);
    let first = probe(&mut peer, HALF_OPEN);
    assert!(tell(&mut peer, &mut breaker, HALF_OPEN).is_none());
    assert!(refused(&mut breaker, HALF_OPEN).is_some());
    assert!(!breaker.invites(HALF_OPEN));
    peer.record(first, Success, HALF_OPEN, EVEN);
    tell(&mut peer, &mut breaker, HALF_OPEN);
    assert!(probe(&mut breaker, HALF_OPEN).has_turn());
}

#[test]
fn of_two_that_take_the_turn_at_once_who_writes_first_has_it() {
    let (mut breaker, mut peer) = (tripped(), Breaker::new(POLICY));
    peer.merge(breaker.shared(), T0);
    let (mine, others) = (probe(&mut breaker, HALF_OPEN), probe(&mut peer, HALF_OPEN));
    assert!(peer.keeps_turn(&others, Some(tripped().shared())));
    assert!(!breaker.keeps_turn(&mine, Some(peer.shared())));
    breaker.lose_turn(mine);
    assert!(tell(&mut peer, &mut breaker, HALF_OPEN).is_none());
    assert!(refused(&mut breaker, HALF_OPEN).is_some());
}

#[test]
fn probes_that_went_well_are_counted_over_all_workers() {
    let (mut breaker, mut peer) = (tripped(), Breaker::new(POLICY));
    peer.merge(breaker.shared(), T0);
    call(&mut peer, Success, HALF_OPEN);
    tell(&mut peer, &mut breaker, HALF_OPEN);
    call(&mut breaker, Success, HALF_OPEN);
    tell(&mut breaker, &mut peer, HALF_OPEN);
    assert_eq!(call(&mut peer, Success, HALF_OPEN).map(|made| made.cause), Some(Cause::ProbesSucceeded));
}

#[test]
fn a_row_of_failures_may_be_spread_over_workers() {
    let (mut one, mut other) = (Breaker::new(POLICY), Breaker::new(POLICY));
    assert_eq!(calls(&mut one, FAILURE, 2, T0), None);
    tell(&mut one, &mut other, T0);
    assert_eq!(calls(&mut other, FAILURE, 2, at(100)), None);
    tell(&mut other, &mut one, at(100));
    assert!(call(&mut one, FAILURE, at(200)).is_some());
}

#[test]
fn what_is_too_little_for_each_of_two_workers_is_enough_for_both() {
    let policy = plan::Breaker { slow_call: Some(Duration::from_millis(300)), ..POLICY };
    let (mut one, mut other) = (Breaker::new(policy.clone()), Breaker::new(policy));
    for breaker in [&mut one, &mut other] {
        for _ in 0..3 {
            let _hangs = permit(breaker.admit(CALL, T0, 0));
        }
        assert_eq!(breaker.tick(at(300), EVEN), None, "three are no row of five");
    }
    tell(&mut one, &mut other, at(300));
    let opened = other.settle(at(300), EVEN).expect("six are");
    assert_eq!((opened.to, opened.cause), (State::Open, Cause::SlowCalls));
}

#[test]
fn a_success_elsewhere_ends_the_row() {
    let (mut one, mut other) = (Breaker::new(POLICY), Breaker::new(POLICY));
    calls(&mut one, FAILURE, 4, T0);
    tell(&mut one, &mut other, T0);
    call(&mut other, Success, at(100));
    tell(&mut other, &mut one, at(100));
    assert_eq!(calls(&mut one, FAILURE, 4, at(200)), None);
}

#[test]
fn the_window_is_that_of_all_workers() {
    let policy = plan::Breaker { consecutive_failures: 1_000, ..POLICY };
    let (mut one, mut other) = (Breaker::new(policy.clone()), Breaker::new(policy));
    calls(&mut one, FAILURE, 20, T0);
    tell(&mut one, &mut other, T0);
    assert_eq!(calls(&mut other, FAILURE, 19, at(100)), None);
    assert_eq!(other.counts(at(100)).calls, 39);
    assert_eq!(call(&mut other, FAILURE, at(100)).map(|made| made.cause), Some(Cause::FailureRate));
}

#[test]
fn calls_of_an_earlier_era_are_not_counted_in_this_one() {
    let mut late = Breaker::new(POLICY);
    calls(&mut late, FAILURE, 4, T0);
    let mut breaker = recovered();
    breaker.settle(RECOVERED, EVEN);
    assert_eq!(late.merge(breaker.shared(), RECOVERED), None, "closed before and after");
    assert_eq!(late.counts(RECOVERED).calls, 0);
    assert_eq!(calls(&mut late, FAILURE, 4, RECOVERED), None);
}

#[test]
fn what_was_shed_under_another_policy_is_not_under_this_one() {
    let mut gradual = Breaker::new(plan::Breaker { mode: Mode::Gradual, ..POLICY });
    calls(&mut gradual, FAILURE, 40, T0);
    gradual.settle(T0, EVEN).expect("sheds");
    let mut hard = Breaker::new(POLICY);
    assert_eq!(tell(&mut gradual, &mut hard, T0), None);
    assert_eq!(hard.state(T0), State::Closed);
    assert!(matches!(hard.admit(CALL, T0, 0), Admission::Pass(_)));
    assert_eq!(
        hard.propose(Some(gradual.shared()), T0),
        None,
        "nor is it written anew, as long as both are there"
    );
}

#[test]
fn a_peers_shedding_sheds_here_and_ends_here() {
    let policy = plan::Breaker { mode: Mode::Gradual, ..POLICY };
    let (mut breaker, mut peer) = (Breaker::new(policy.clone()), Breaker::new(policy));
    calls(&mut peer, FAILURE, 40, T0);
    let sheds = tell(&mut peer, &mut breaker, T0).expect("sheds");
    assert_eq!((sheds.from, sheds.to, sheds.cause), (State::Closed, State::Shedding, Cause::FailureRate));
    assert!(sheds.by_peer);
    let closed = tell(&mut peer, &mut breaker, at(10_000)).expect("no more");
    assert_eq!((closed.from, closed.to, closed.cause), (State::Shedding, State::Closed, Cause::RateFell));
}

#[test]
fn an_older_value_and_the_same_one_change_nothing() {
    let old = tripped().shared().clone();
    let mut breaker = recovered();
    let permit = permit(breaker.admit(CALL, RECOVERED, 0));
    assert_eq!(breaker.merge(&old, RECOVERED), None);
    let same = breaker.shared().clone();
    assert_eq!(breaker.merge(&same, RECOVERED), None);
    assert_eq!(breaker.state(RECOVERED), State::Closed);
    breaker.record(permit, Success, RECOVERED, EVEN);
    assert_eq!(breaker.counts(RECOVERED).calls, 1, "nothing is late");
}

#[test]
fn when_one_worker_lets_more_pass_and_another_opens_at_once_the_circuit_is_open() {
    let (mut a, mut b) = (tripped(), tripped());
    calls(&mut a, Success, 3, HALF_OPEN);
    call(&mut b, FAILURE, HALF_OPEN);
    assert_eq!(tell(&mut b, &mut a, HALF_OPEN).map(|made| made.to), Some(State::Open));
    assert_eq!(tell(&mut a, &mut b, HALF_OPEN), None);
    assert_eq!(a.shared(), b.shared());
}

#[test]
fn when_two_workers_let_more_pass_at_once_what_they_saw_since_holds() {
    let (mut a, mut b) = (tripped(), tripped());
    calls(&mut a, Success, 3, HALF_OPEN);
    calls(&mut b, Success, 3, Mono(HALF_OPEN.0 + 1));
    let permit = probe(&mut a, HALF_OPEN);
    call(&mut a, FAILURE, Mono(HALF_OPEN.0 + 1_500));
    assert_eq!(a.merge(b.shared(), HALF_OPEN), None);
    assert_eq!(a.shared(), b.shared());
    assert_eq!(a.counts(HALF_OPEN).failures, 1);
    a.record(permit, Success, HALF_OPEN, EVEN);
    assert_eq!((a.counts(HALF_OPEN).calls, a.counters().late), (2, 0));
}

#[test]
fn a_peers_word_is_believed_no_longer_than_the_policy_allows() {
    let mut garbage = tripped().shared().clone();
    garbage.record.until = Mono(u64::MAX);
    let mut breaker = Breaker::new(POLICY);
    breaker.merge(&garbage, T0);
    assert_eq!(breaker.state(at(299_999)), State::Open);
    assert_eq!(breaker.state(at(300_000)), State::HalfOpen);
    assert_eq!(breaker.shared(), &garbage, "what is told on is not touched");
}

#[test]
fn of_two_that_make_a_transition_at_once_who_writes_first_has_told_it() {
    let (mut a, mut b) = (Breaker::new(POLICY), Breaker::new(POLICY));
    let mine = calls(&mut a, FAILURE, 5, T0).expect("opened");
    assert!(!b.shared().tells(&mine), "nobody knows");
    calls(&mut b, FAILURE, 5, at(3)).expect("opened");
    assert!(b.shared().tells(&mine));
    let share = calls(&mut a, Success, 3, HALF_OPEN).expect("a share");
    assert!(!b.shared().tells(&share) && a.shared().tells(&share));
    call(&mut b, FAILURE, at(6_000)).expect("opened");
    assert!(b.shared().tells(&share), "it is overruled");
    assert!(recovered().shared().tells(&share), "it is long over");
}

#[test]
fn what_is_known_already_is_not_written_and_of_a_circuit_nothing_has_happened_to_nothing_is() {
    assert_eq!(Breaker::new(POLICY).propose(None, T0), None);
    let mut breaker = tripped();
    assert!(breaker.propose(None, T0).is_some());
    let known = breaker.shared().clone();
    assert_eq!(breaker.propose(Some(&known), T0), None);
    let permit = probe(&mut breaker, HALF_OPEN);
    assert!(breaker.propose(Some(&known), HALF_OPEN).is_some(), "a turn is told");
    breaker.abandon(permit);
}

#[test]
fn who_loses_a_race_tells_the_same_again_and_no_call_is_counted_twice() {
    let (mut one, mut other) = (Breaker::new(POLICY), Breaker::new(POLICY));
    calls(&mut one, Success, 3, T0);
    calls(&mut other, Success, 4, T0);
    let (first, _lost) = (one.propose(None, T0), other.propose(None, T0));
    one.accepted(first.expect("news"), T0, EVEN);
    other.merge(one.shared(), T0);
    let proposal = other.propose(Some(one.shared()), T0).expect("news");
    other.accepted(proposal, T0, EVEN);
    one.merge(other.shared(), T0);
    assert_eq!((one.counts(T0).calls, other.counts(T0).calls), (7, 7));
}
