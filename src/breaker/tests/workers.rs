//! What workers learn from one another.

use super::super::{Breaker, Shared, State, TripReason};
use super::*;
use Outcome::{Failure, Success};

#[test]
fn a_peers_open_opens_here() {
    let mut breaker = Breaker::new(POLICY);
    let opened = breaker.merge(&tripped().shared(), at(50)).expect("opened");
    assert_eq!((opened.from, opened.to), (State::Closed, State::Open));
    assert_eq!((opened.reason, opened.by_peer), (Some(TripReason::Peer), true));
    assert_eq!(opened.open_for, Duration::from_millis(4_950));
    assert_eq!(breaker.opened_by(), Some(TripReason::ConsecutiveFailures));
    assert_eq!(breaker.counters().opened, 0, "it is counted where it was seen");
}

#[test]
fn a_peers_closed_closes_here() {
    let (mut breaker, mut peer) = (tripped(), Breaker::new(POLICY));
    peer.merge(&breaker.shared(), T0);
    let old = probe(&mut breaker, HALF_OPEN);
    calls(&mut peer, Success, 3, HALF_OPEN);
    let closed = breaker.merge(&peer.shared(), HALF_OPEN).expect("closed");
    assert_eq!((closed.from, closed.to, closed.reason), (State::HalfOpen, State::Closed, None));
    assert!(closed.by_peer);
    assert_eq!(breaker.record(old, Failure, HALF_OPEN, EVEN), None);
    assert_eq!(
        breaker.counts(HALF_OPEN).total(),
        0,
        "a probe's result is not a sample of the closed circuit"
    );
}

#[test]
fn an_older_record_and_the_same_one_change_nothing() {
    let old = tripped().shared();
    let mut breaker = recovered();
    let permit = permit(breaker.admit(HALF_OPEN));
    assert_eq!(breaker.merge(&old, HALF_OPEN), None);
    assert_eq!(breaker.merge(&breaker.shared(), HALF_OPEN), None);
    assert_eq!(breaker.state(HALF_OPEN), State::Closed);
    breaker.record(permit, Success, HALF_OPEN, EVEN);
    assert_eq!(breaker.counts(HALF_OPEN).total(), 1, "nothing is late");
}

#[test]
fn a_closing_missed_between_two_ticks_still_empties_the_window() {
    let mut breaker = Breaker::new(POLICY);
    calls(&mut breaker, Failure, 4, T0);
    assert_eq!(breaker.merge(&recovered().shared(), HALF_OPEN), None, "closed before and after");
    assert_eq!(calls(&mut breaker, Failure, 4, HALF_OPEN), None);
}

#[test]
fn when_two_workers_close_at_once_what_they_saw_since_holds() {
    let (mut a, mut b) = (tripped(), tripped());
    calls(&mut a, Success, 3, HALF_OPEN);
    calls(&mut b, Success, 3, Mono(HALF_OPEN.0 + 1));
    calls(&mut a, Failure, 4, HALF_OPEN);
    assert_eq!(a.merge(&b.shared(), HALF_OPEN), None);
    assert_eq!(a.shared(), b.shared());
    assert!(call(&mut a, Failure, HALF_OPEN).is_some());
}

#[test]
fn when_one_worker_closes_and_another_reopens_at_once_the_circuit_is_open() {
    let (mut a, mut b) = (tripped(), tripped());
    calls(&mut a, Success, 3, HALF_OPEN);
    call(&mut b, Failure, HALF_OPEN);
    assert_eq!(a.merge(&b.shared(), HALF_OPEN).map(|t| t.to), Some(State::Open));
    assert_eq!(b.merge(&recovered().shared(), HALF_OPEN), None);
    assert_eq!(a.shared(), b.shared());
}

#[test]
fn a_peers_word_is_believed_no_longer_than_the_policy_allows() {
    let garbage = Shared { until: Mono(u64::MAX), ..tripped().shared() };
    let mut breaker = Breaker::new(POLICY);
    breaker.merge(&garbage, T0);
    assert_eq!(breaker.state(at(299_999)), State::Open);
    assert_eq!(breaker.state(at(300_000)), State::HalfOpen);
    assert_eq!(breaker.shared(), garbage, "what is told on is not touched");
}

#[test]
fn only_what_is_newer_than_the_stored_record_is_published() {
    let (breaker, newer) = (tripped(), recovered().shared());
    assert_eq!(breaker.publish(None), Some(breaker.shared().encode()));
    assert_eq!(breaker.publish(Some(&Shared::INITIAL)), Some(breaker.shared().encode()));
    assert_eq!(breaker.publish(Some(&breaker.shared())), None);
    assert_eq!(breaker.publish(Some(&newer)), None);
}
