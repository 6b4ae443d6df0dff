//! What holds whatever happens: to one circuit, and to several that share a record.

use super::super::{Admission, Breaker, Outcome, PROBE_TIMEOUT, Permit, Shared, State};
use super::POLICY;
use crate::config::plan;
use crate::testing::cases;
use crate::time::{Mono, millis};
use proptest::prelude::*;
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    Admit,
    /// The result of the permit at this place (modulo) of those held.
    Record(usize, Outcome, u64),
    /// A permit is dropped.
    Lose(usize),
    Merge(Shared),
    Pass(u64),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        4 => Just(Outcome::Failure),
        1 => Just(Outcome::Abandoned),
    ]
}

fn record(time: impl Strategy<Value = u64>) -> impl Strategy<Value = Shared> {
    (0u64..30, 0u8..4, time, 0u32..40).prop_map(|(era, opened, until, step)| {
        let mut bytes = Shared { era, until: Mono(until), step, ..Shared::INITIAL }.encode();
        bytes[1] = opened;
        Shared::decode(&bytes).expect("a record")
    })
}

fn event(step: u64) -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Admit),
        8 => (any::<usize>(), outcome(), any::<u64>()).prop_map(|(at, o, random)| Event::Record(at, o, random)),
        1 => any::<usize>().prop_map(Event::Lose),
        1 => record(0..=step.saturating_mul(40)).prop_map(Event::Merge),
        3 => (0..=step).prop_map(Event::Pass),
    ]
}

/// Small limits, so that a few events go through all states.
fn policy() -> impl Strategy<Value = plan::Breaker> {
    (1u32..4, 1u32..6, 1u32..4, 1u64..3_000, 1u64..20_000).prop_map(|(streak, min, probes, open, cap)| {
        plan::Breaker {
            consecutive_failures: streak,
            min_requests: min,
            half_open_probes: probes,
            open_for: Duration::from_millis(open),
            max_open_for: Duration::from_millis(cap),
            ..POLICY
        }
    })
}

fn any_policy() -> impl Strategy<Value = plan::Breaker> {
    (any::<[u64; 3]>(), any::<[u32; 3]>(), any::<f64>(), any::<bool>()).prop_map(
        |(times, limits, rate, enabled)| plan::Breaker {
            enabled,
            window: Duration::from_millis(times[0]),
            min_requests: limits[0],
            consecutive_failures: limits[1] % 4,
            failure_rate: rate,
            open_for: Duration::from_millis(times[1]),
            max_open_for: Duration::from_millis(times[2]),
            half_open_probes: limits[2] % 4,
            ..POLICY
        },
    )
}

fn take(permits: &mut Vec<(Permit, Mono)>, at: usize) -> Option<Permit> {
    (!permits.is_empty()).then(|| permits.swap_remove(at % permits.len()).0)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn an_open_circuit_passes_nothing_and_a_half_open_one_no_more_than_its_probes(
        policy in policy(),
        events in prop::collection::vec(event(2_000), 0..300),
    ) {
        let limit = policy.half_open_probes as usize;
        let mut breaker = Breaker::new(policy);
        let (mut now, mut held, mut open_until) = (Mono(0), Vec::new(), None::<Mono>);
        // When the probes of this half-open period began that have no result yet.
        let mut probes: Vec<(Permit, Mono)> = Vec::new();
        for event in events {
            match event {
                Event::Admit => {
                    let (state, expected) = (breaker.state(now), breaker.retry_after(now));
                    match breaker.admit(now) {
                        Admission::Pass(permit) => {
                            prop_assert_eq!((state, expected), (State::Closed, None));
                            held.push((permit, now));
                        }
                        Admission::Probe(permit) => {
                            prop_assert_eq!((state, expected), (State::HalfOpen, None));
                            probes.push((permit, now));
                        }
                        Admission::Refuse { retry_after } => {
                            prop_assert!(state != State::Closed && retry_after > Duration::ZERO);
                            prop_assert_eq!(expected, Some(retry_after));
                        }
                    }
                }
                Event::Record(at, outcome, random) => {
                    let permits = if at % 2 == 0 && !probes.is_empty() { &mut probes } else { &mut held };
                    let before = breaker.state(now);
                    if let Some(permit) = take(permits, at / 2)
                        && let Some(transition) = breaker.record(permit, outcome, now, random)
                    {
                        prop_assert_eq!(transition.from, before);
                        prop_assert_eq!(transition.to, breaker.state(now));
                        prop_assert!(transition.from != transition.to);
                        prop_assert!(transition.open_for <= policy.max_open_for);
                        open_until = (transition.to == State::Open).then(|| now.after(transition.open_for));
                        held.append(&mut probes);
                    }
                }
                Event::Lose(at) => drop(take(&mut held, at)),
                Event::Merge(peer) => {
                    let newer = peer > breaker.shared();
                    let before = breaker.state(now);
                    let transition = breaker.merge(&peer, now);
                    prop_assert!(breaker.shared() >= peer);
                    prop_assert_eq!(transition.is_some(), breaker.state(now) != before);
                    if newer {
                        open_until = None;
                        held.append(&mut probes);
                    }
                }
                Event::Pass(step) => now = Mono(now.0 + step),
            }
            if open_until.is_some_and(|until| now < until) {
                prop_assert_eq!(breaker.state(now), State::Open);
            }
            let in_flight = probes.iter().filter(|(_, since)| now.since(*since) < PROBE_TIMEOUT).count();
            prop_assert!(in_flight <= limit, "{} probes under way", in_flight);
        }
    }

    #[test]
    fn no_policy_no_time_and_no_order_of_events_panics(
        policy in any_policy(),
        events in prop::collection::vec((event(u64::MAX), any::<u64>()), 0..100),
    ) {
        let mut breaker = Breaker::new(policy);
        let mut held = Vec::new();
        for (event, now) in events {
            let now = Mono(now);
            match event {
                Event::Admit => match breaker.admit(now) {
                    Admission::Pass(permit) | Admission::Probe(permit) => held.push((permit, now)),
                    Admission::Refuse { .. } => prop_assert!(policy.enabled),
                },
                Event::Record(at, outcome, random) => {
                    if let Some(permit) = take(&mut held, at) {
                        let transition = breaker.record(permit, outcome, now, random);
                        prop_assert!(transition.is_none() || policy.enabled);
                    }
                }
                Event::Lose(at) => drop(take(&mut held, at)),
                Event::Merge(peer) => drop(breaker.merge(&peer, now)),
                Event::Pass(_) => {
                    let (counts, wait) = (breaker.counts(now), breaker.retry_after(now));
                    prop_assert!(counts.failure_rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
                    prop_assert_eq!(wait.is_some_and(|wait| wait.is_zero()), false);
                }
            }
        }
    }

    #[test]
    fn a_circuit_is_never_stuck(
        policy in policy(),
        events in prop::collection::vec(event(2_000), 0..200),
    ) {
        let mut breaker = Breaker::new(policy);
        let (mut now, mut held) = (Mono(0), Vec::new());
        for event in events {
            match event {
                Event::Admit => if let Admission::Pass(permit) | Admission::Probe(permit) = breaker.admit(now) {
                    held.push((permit, now));
                },
                Event::Record(at, outcome, random) => if let Some(permit) = take(&mut held, at) {
                    breaker.record(permit, outcome, now, random);
                },
                Event::Lose(at) => drop(take(&mut held, at)),
                Event::Merge(peer) => drop(breaker.merge(&peer, now)),
                Event::Pass(step) => now = Mono(now.0 + step),
            }
        }
        // All permits are lost; the upstream is well again.
        let patience = now.after(policy.max_open_for).after(PROBE_TIMEOUT);
        for _ in 0..policy.half_open_probes {
            match breaker.admit(patience) {
                Admission::Pass(permit) | Admission::Probe(permit) => {
                    breaker.record(permit, Outcome::Success, patience, 0);
                }
                Admission::Refuse { retry_after } => prop_assert!(false, "refused for {:?}", retry_after),
            }
        }
        prop_assert_eq!(breaker.state(patience), State::Closed);
    }

    #[test]
    fn merging_is_independent_of_order_and_repetition(
        peers in prop::collection::vec(record(0u64..20_000), 1..8),
        shuffled in any::<u64>(),
    ) {
        let now = Mono(10_000);
        let (mut forth, mut back) = (Breaker::new(POLICY), Breaker::new(POLICY));
        for peer in &peers {
            forth.merge(peer, now);
        }
        let turn = shuffled as usize % peers.len();
        for peer in peers[turn..].iter().rev().chain(peers.iter().rev()).chain(&peers) {
            back.merge(peer, now);
        }
        prop_assert_eq!(forth.shared(), back.shared());
        prop_assert_eq!(forth.shared(), peers.iter().copied().fold(Shared::INITIAL, Ord::max));
        prop_assert_eq!(forth.state(now), back.state(now));
        prop_assert_eq!(forth.retry_after(now), back.retry_after(now));
    }
}

/// The one record, as shared data keeps it: bytes and a number for compare-and-swap.
#[derive(Default)]
struct Cell {
    bytes: Vec<u8>,
    cas: u32,
}

/// What a worker does, in the midst of whatever the others do.
#[derive(Clone, Debug)]
enum Act {
    Call(Outcome, u64),
    /// First half of a tick: read and merge.
    Read,
    /// Second half: write if it is newer than what was read and nobody wrote meanwhile.
    Write,
    /// Another VM takes the worker's place and knows nothing.
    Restart,
    /// Time passes, for all.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (outcome(), any::<u64>()).prop_map(|(outcome, random)| Act::Call(outcome, random)),
        4 => Just(Act::Read),
        4 => Just(Act::Write),
        1 => Just(Act::Restart),
        3 => (0u64..3_000).prop_map(Act::Wait),
    ]
}

#[derive(Clone)]
struct Worker {
    breaker: Breaker,
    read: Option<(Option<Shared>, u32)>,
}

impl Worker {
    fn new(policy: plan::Breaker) -> Self {
        Self { breaker: Breaker::new(policy), read: None }
    }

    fn read(&mut self, cell: &Cell, now: Mono) {
        let stored = Shared::decode(&cell.bytes);
        if let Some(stored) = &stored {
            self.breaker.merge(stored, now);
        }
        self.read = Some((stored, cell.cas));
    }

    fn write(&mut self, cell: &mut Cell) {
        let Some((stored, cas)) = self.read.take() else { return };
        if let Some(bytes) = self.breaker.publish(stored.as_ref())
            && cas == cell.cas
        {
            cell.bytes = bytes.to_vec();
            cell.cas += 1;
        }
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn workers_that_go_on_merging_come_to_one_mind(
        policy in policy(),
        workers in 2usize..6,
        acts in prop::collection::vec((any::<usize>(), act()), 0..400),
    ) {
        let mut workers: Vec<Worker> = vec![Worker::new(policy); workers];
        let (mut cell, mut now, mut greatest) = (Cell::default(), Mono(0), Shared::INITIAL);
        let count = workers.len();
        for (who, act) in acts {
            let worker = &mut workers[who % count];
            match act {
                Act::Call(outcome, random) => {
                    if let Admission::Pass(permit) | Admission::Probe(permit) = worker.breaker.admit(now) {
                        worker.breaker.record(permit, outcome, now, random);
                    }
                }
                Act::Read => worker.read(&cell, now),
                Act::Write => worker.write(&mut cell),
                Act::Restart => *worker = Worker::new(policy),
                Act::Wait(step) => now = Mono(now.0 + step),
            }
            let stored = Shared::decode(&cell.bytes).unwrap_or(Shared::INITIAL);
            prop_assert!(stored >= greatest, "the stored record never goes back");
            greatest = stored;
        }
        // A tick for each to tell, and one for each to hear.
        let told = workers.iter().map(|w| w.breaker.shared()).fold(greatest, Ord::max);
        for _ in 0..2 {
            for worker in &mut workers {
                worker.read(&cell, now);
                worker.write(&mut cell);
            }
        }
        for worker in &workers {
            prop_assert_eq!(worker.breaker.shared(), told);
            prop_assert_eq!(worker.breaker.state(now), workers[0].breaker.state(now));
        }
        // And they see half-open begin together.
        if let Some(wait) = workers[0].breaker.retry_after(now) {
            for ahead in [millis(wait) - 1, millis(wait)] {
                let then = Mono(now.0 + ahead);
                let states: Vec<State> = workers.iter().map(|w| w.breaker.state(then)).collect();
                prop_assert!(states.iter().all(|state| *state == states[0]), "{:?}", states);
            }
        }
    }
}
