//! What holds whatever happens: to one circuit, and to several that share a value.

use super::super::record::{Record, Stage};
use super::super::{Admission, Breaker, Call, Cause, Outcome, PROBE_TIMEOUT, Shared, State};
use super::harness::Workers;
use super::{CALL, POLICY};
use crate::config::plan::{self, Mode, Stance};
use crate::testing::cases;
use crate::time::Mono;
use proptest::prelude::*;
use std::time::Duration;

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Success),
        4 => (0u64..20).prop_map(|again| Outcome::Failure { again_after: Duration::from_secs(again) }),
        1 => Just(Outcome::Abandoned),
    ]
}

/// Small limits, so that a few events go through all states.
fn policy() -> impl Strategy<Value = plan::Breaker> {
    let slow = prop::option::of(20u64..2_000);
    (1u32..4, 1u32..6, 1u32..4, 1u64..3_000, 1u64..20_000, slow, prop::bool::weighted(0.2)).prop_map(
        |(streak, min, probes, open, cap, slow, gradual)| plan::Breaker {
            mode: if gradual { Mode::Gradual } else { Mode::Hard },
            consecutive_failures: streak,
            min_requests: min,
            half_open_probes: probes,
            open_for: Duration::from_millis(open.min(cap)),
            max_open_for: Duration::from_millis(cap),
            slow_call: slow.map(Duration::from_millis),
            ..POLICY
        },
    )
}

fn any_policy() -> impl Strategy<Value = plan::Breaker> {
    let stance = prop::sample::select(vec![Stance::Auto, Stance::Open, Stance::Closed, Stance::Observe]);
    let times = prop::array::uniform4(any::<u64>());
    (times, any::<[u32; 3]>(), any::<[f64; 2]>(), any::<[bool; 2]>(), stance).prop_map(
        |(times, limits, [failure_rate, outlier_sigma], [enabled, gradual], stance)| plan::Breaker {
            enabled,
            stance,
            mode: if gradual { Mode::Gradual } else { Mode::Hard },
            window: Duration::from_millis(times[0]),
            min_requests: limits[0],
            consecutive_failures: limits[1] % 4,
            failure_rate,
            outlier_sigma,
            slow_call: Some(Duration::from_millis(times[3])),
            open_for: Duration::from_millis(times[1]),
            max_open_for: Duration::from_millis(times[2]),
            half_open_probes: limits[2] % 4,
            ..POLICY
        },
    )
}

/// What a worker does, in the midst of whatever the others do.
#[derive(Clone, Debug)]
enum Act {
    /// A request comes; whether it is the worker's own, and whether it is timed.
    Admit(bool, bool),
    /// The result of the permit at this place (modulo) of those held.
    Record(usize, Outcome, u64),
    /// A permit is dropped.
    Lose(usize),
    Tick,
    /// Another worker writes in between.
    Raced,
    /// Another VM takes the worker's place and knows nothing.
    Restart,
    /// Time passes, for all.
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (prop::bool::weighted(0.2), prop::bool::weighted(0.9)).prop_map(|(own, timed)| Act::Admit(own, timed)),
        12 => (any::<usize>(), outcome(), any::<u64>()).prop_map(|(at, o, random)| Act::Record(at, o, random)),
        1 => any::<usize>().prop_map(Act::Lose),
        6 => Just(Act::Tick),
        1 => Just(Act::Raced),
        1 => Just(Act::Restart),
        4 => (0u64..3_000).prop_map(Act::Wait),
    ]
}

impl Workers {
    fn act(&mut self, who: usize, act: &Act) -> Option<(State, bool)> {
        match *act {
            Act::Admit(invited, timed) => return self.admit(who, Call { invited, timed }),
            Act::Record(at, outcome, random) => {
                if let Some(permit) = self.take(who, at) {
                    self.record(who, permit, outcome, random);
                }
            }
            Act::Lose(at) => drop(self.take(who, at)),
            Act::Tick => self.tick(who),
            Act::Raced => self.raced = true,
            Act::Restart => {
                self.held[who].clear();
                self.breakers[who] = Breaker::new(self.policy.clone());
            }
            Act::Wait(step) => self.now = Mono(self.now.0 + step),
        }
        None
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn an_open_circuit_passes_nothing_and_only_one_probe_goes_alone(
        policy in policy(),
        workers in 1usize..4,
        acts in prop::collection::vec((any::<usize>(), act()), 0..400),
    ) {
        let mut workers = Workers::new(policy, workers);
        let count = workers.breakers.len();
        // Since when somebody probes alone, and in which era.
        let mut alone: Option<(Mono, u64)> = None;
        for (who, act) in acts {
            let who = who % count;
            let era = workers.cell.read().0.map_or(0, |shared| shared.era());
            let had_turn = matches!(act, Act::Record(..) | Act::Tick | Act::Restart | Act::Lose(_));
            let passed = workers.act(who, &act);
            let shared = workers.cell.read().0;
            if let Some((state, is_alone)) = passed {
                prop_assert_ne!(state, State::Open);
                if is_alone {
                    let patience = workers.policy.slow_call.map_or(PROBE_TIMEOUT, |slow| (slow * 4).min(PROBE_TIMEOUT));
                    let waited = alone.is_none_or(|(since, of)| of != era || workers.now.since(since) >= patience);
                    prop_assert!(waited, "two probes go alone: {alone:?} at {:?}", workers.now);
                    alone = Some((workers.now, era));
                }
            }
            // A turn that was given back is free.
            if had_turn && shared.is_none_or(|shared| !shared.record.turn.is_taken()) {
                alone = None;
            }
        }
    }

    #[test]
    fn on_each_rung_its_share_of_the_requests_passes_whichever_worker_they_come_to(
        rungs in 1u32..=4,
        workers in 1usize..5,
        requests in prop::collection::vec((any::<usize>(), 0u64..6), 1..250),
    ) {
        let mut workers = Workers::new(POLICY, workers);
        let count = workers.breakers.len();
        let ends = |workers: &mut Workers, outcome| {
            workers.admit(0, CALL);
            let permit = workers.take(0, 0).expect("passes");
            workers.record(0, permit, outcome, 0);
        };
        (0..5).for_each(|_| ends(&mut workers, Outcome::NONE));
        workers.now = workers.now.after(Duration::from_secs(6));
        (0..3).for_each(|_| ends(&mut workers, Outcome::Success));
        for _ in 1..rungs {
            workers.now = workers.now.after(Duration::from_millis(1_500));
            ends(&mut workers, Outcome::Success);
        }
        workers.come_to_one_mind();
        let share = u64::from(workers.breakers[0].share());
        prop_assert_eq!(share, [1, 5, 20, 50][rungs as usize - 1]);
        let (mut asked, mut passed) = (vec![0u64; count], vec![0u64; count]);
        for (who, gap) in requests {
            workers.now = Mono(workers.now.0 + gap);
            asked[who % count] += 1;
            passed[who % count] += u64::from(workers.admit(who % count, CALL).is_some());
        }
        for (asked, passed) in asked.into_iter().zip(passed) {
            // The first passes in any case.
            let due = asked * share / 100;
            prop_assert!((due..=due + 1).contains(&passed), "{passed} of {asked} at {share} %");
        }
    }

    #[test]
    fn a_circuit_is_never_stuck(
        policy in policy(),
        workers in 1usize..4,
        acts in prop::collection::vec((any::<usize>(), act()), 0..300),
    ) {
        // That the lost ones have lasted too long is not to be learnt while it recovers.
        let policy = plan::Breaker { outlier_sigma: 0.0, ..policy };
        let mut workers = Workers::new(policy, workers);
        let count = workers.breakers.len();
        for (who, act) in acts {
            workers.act(who % count, &act);
        }
        // All permits are lost; the upstream is well again, and requests come.
        workers.held.iter_mut().for_each(Vec::clear);
        workers.now = workers.now.after(workers.policy.max_open_for).after(Duration::from_secs(60));
        // Two windows at least, for what failed before counts through one.
        let mut closed = false;
        for step in 0..400usize {
            let who = step % count;
            if workers.admit(who, CALL).is_some() && let Some(permit) = workers.take(who, 0) {
                workers.record(who, permit, Outcome::Success, 0);
            }
            workers.tick(who);
            // Later it may open again: what is too slow is learnt, and then the calls that are lost were.
            closed = workers.breakers.iter().all(|breaker| breaker.state(workers.now) == State::Closed);
            if closed {
                break;
            }
            workers.now = workers.now.after(workers.policy.open_for / 10).after(Duration::from_millis(50));
        }
        prop_assert!(closed, "{:?}", workers.breakers.iter().map(|breaker| breaker.state(workers.now)).collect::<Vec<_>>());
    }

    #[test]
    fn workers_that_go_on_come_to_one_mind_and_the_record_never_goes_back(
        policy in policy(),
        workers in 2usize..5,
        acts in prop::collection::vec((any::<usize>(), act()), 0..300),
    ) {
        let mut workers = Workers::new(policy, workers);
        let count = workers.breakers.len();
        let mut greatest = Record::INITIAL;
        for (who, act) in acts {
            workers.act(who % count, &act);
            if let Some(stored) = workers.cell.read().0 {
                prop_assert!(stored.record >= greatest, "{:?} after {greatest:?}", stored.record);
                greatest = stored.record;
            }
        }
        workers.raced = false;
        workers.come_to_one_mind();
        for breaker in &workers.breakers {
            prop_assert_eq!(breaker.shared(), workers.breakers[0].shared());
            prop_assert_eq!(breaker.state(workers.now), workers.breakers[0].state(workers.now));
        }
    }

    #[test]
    fn each_call_is_counted_once_over_all_workers(
        workers in 1usize..5,
        calls in prop::collection::vec((any::<usize>(), any::<bool>(), 0u8..4), 0..300),
    ) {
        // Nothing opens it, and nothing is slow.
        let policy = plan::Breaker { enabled: true, consecutive_failures: 1_000_000, min_requests: 1_000_000, ..POLICY };
        let mut workers = Workers::new(policy, workers);
        let count = workers.breakers.len();
        let (mut all, mut failed) = (0, 0);
        for (who, success, what) in calls {
            let who = who % count;
            match what {
                0 => workers.tick(who),
                1 => workers.raced = true,
                _ => {
                    let permit = super::permit(workers.breakers[who].admit(CALL, workers.now, 0));
                    let outcome = if success { Outcome::Success } else { Outcome::NONE };
                    workers.breakers[who].record(permit, outcome, workers.now, 0);
                    all += 1;
                    failed += u64::from(!success);
                }
            }
        }
        workers.raced = false;
        workers.come_to_one_mind();
        for breaker in &workers.breakers {
            let counts = breaker.counts(workers.now);
            prop_assert_eq!((counts.calls, counts.failures), (all, failed));
        }
    }

    #[test]
    fn no_policy_no_time_no_value_and_no_order_of_events_panics(
        policy in any_policy(),
        acts in prop::collection::vec((act(), any::<u64>()), 0..100),
        garbage in prop::collection::vec(any::<u8>(), Shared::LEN),
    ) {
        let mut breaker = Breaker::new(policy);
        let mut held = Vec::new();
        // What was written, with the numbers of somebody else in it.
        let mut bytes = breaker.shared().encode();
        for (to, from) in bytes.iter_mut().zip(&garbage).skip(5) {
            *to ^= from & 0x3f;
        }
        if let Some(value) = Shared::decode(&bytes) {
            breaker.merge(&value, Mono(0));
        }
        for (act, now) in acts {
            let now = Mono(now);
            match act {
                Act::Admit(invited, timed) => {
                    if let Admission::Pass(p) | Admission::Probe(p) = breaker.admit(Call { invited, timed }, now, now.0) {
                        held.push(p);
                    }
                }
                Act::Record(at, outcome, random) if !held.is_empty() => {
                    let permit = held.swap_remove(at % held.len());
                    breaker.record(permit, outcome, now, random);
                }
                Act::Lose(at) if !held.is_empty() => breaker.lose_turn(held.swap_remove(at % held.len())),
                Act::Tick => {
                    breaker.tick(now, now.0);
                }
                Act::Raced => {
                    breaker.settle(now, now.0);
                }
                Act::Restart => breaker.hint(now),
                _ => {
                    breaker.invites(now);
                    breaker.broke_off(breaker.incarnation, now, now, now.0);
                    let counts = breaker.counts(now);
                    prop_assert!(counts.failure_rate().is_none_or(|rate| (0.0..=1.0).contains(&rate)));
                }
            }
        }
    }

    #[test]
    fn merging_is_independent_of_order_and_repetition(
        eras in prop::collection::vec((0u64..6, 0u8..4, 0u64..20_000, 0u32..9), 1..8),
        turn in any::<usize>(),
    ) {
        let now = Mono(10_000);
        let peers: Vec<Shared> = eras.into_iter().map(|(era, stage, until, step)| {
            let stage = [Stage::Closed, Stage::HalfOpen(1), Stage::HalfOpen(4), Stage::Open][usize::from(stage)];
            let mut shared = Breaker::new(POLICY).shared().clone();
            shared.record = Record { era, stage, cause: Cause::Relapse, until: Mono(until), step, ..Record::INITIAL };
            shared.tally.era = era;
            shared
        }).collect();
        let (mut forth, mut back) = (Breaker::new(POLICY), Breaker::new(POLICY));
        for peer in &peers {
            forth.merge(peer, now);
        }
        let turn = turn % peers.len();
        for peer in peers[turn..].iter().rev().chain(peers.iter().rev()).chain(&peers) {
            back.merge(peer, now);
        }
        prop_assert_eq!(forth.shared(), back.shared());
        let greatest = peers.iter().map(|peer| peer.record).fold(Record::INITIAL, Ord::max);
        prop_assert_eq!(forth.shared().record, greatest);
        prop_assert_eq!(forth.state(now), back.state(now));
    }
}
