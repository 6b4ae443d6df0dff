//! May this request go to the upstream, and what follows from its result?
//!
//! The event machine of one circuit in one worker. What it is follows from the last transition (its own or a peer's)
//! and the time: an open circuit whose time is over is half-open, so that half-open needs no event to begin, and all
//! workers see it at once. Results that come after a transition are late: they say nothing of the circuit as it now is.

use super::admission::Permit;
use super::backoff::{healthy_period, spread};
use super::outcome::Outcome;
use super::pending::Pending;
use super::ramp::{RUNGS, Ration, rung};
use super::record::{Record, Stage, Turn};
use super::shared::Shared;
use super::tally::{Sample, Tally};
use super::transition::{Cause, State, Transition};
use super::trip::{Evidence, relapses, trip};
use crate::config::plan::{self, Stance};
use crate::time::Mono;
use std::time::Duration;

/// The circuit to one upstream cluster under one rule, as one worker sees it.
#[derive(Clone, Debug)]
pub struct Breaker {
    pub(super) policy: plan::Breaker,
    /// What all workers know, as of the last time they were asked.
    pub(super) shared: Shared,
    /// What this one has seen since.
    pub(super) sample: Sample,
    pub(super) pending: Pending,
    /// Counts the transitions this worker has gone through; unlike the era it never takes one value twice, though
    /// two workers' transitions met in one era.
    pub(super) incarnation: u64,
    /// Open: when half-open begins, as far as it is believed.
    pub(super) until: Mono,
    pub(super) ration: Ration,
    pub(super) invited: Option<Mono>,
    /// Responses that broke off, since one came whole.
    pub(super) broken: u32,
    pub(super) hinted_until: Mono,
    pub(super) overruled: Option<(Stance, Mono)>,
    pub(super) counters: Counters,
}

/// What this worker's circuit did since it was built. Transitions are its own only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests let by, probes not among them.
    pub passed: u64,
    /// Requests let by as probes.
    pub probes: u64,
    /// Requests refused, or spared for the circuit is only watched.
    pub refused: u64,
    /// Results that were successes.
    pub successes: u64,
    /// Results that were failures, or calls that took too long.
    pub failures: u64,
    /// Permits given back without a result.
    pub abandoned: u64,
    /// Results that came after a transition, and so were not looked at.
    pub late: u64,
    /// How often it opened, from half-open too.
    pub opened: u64,
    /// How often it closed.
    pub closed: u64,
}

impl Breaker {
    /// A closed circuit that has seen nothing. A limit of zero (no valid plan has one) is taken as one.
    pub fn new(policy: plan::Breaker) -> Self {
        let shared = Shared { record: Record::INITIAL, tally: Tally::new(&policy) };
        Self {
            shared,
            policy,
            sample: Sample::default(),
            pending: Pending::default(),
            incarnation: 0,
            until: Mono(0),
            ration: Ration::default(),
            invited: None,
            broken: 0,
            hinted_until: Mono(0),
            overruled: None,
            counters: Counters::default(),
        }
    }

    /// Takes the result of an admitted request, and makes the transition that follows from it. `random` spreads the
    /// open time; any number will do.
    pub fn record(&mut self, permit: Permit, outcome: Outcome, now: Mono, random: u64) -> Option<Transition> {
        let again_after = match outcome {
            Outcome::Success => Duration::ZERO,
            Outcome::Failure { again_after } => again_after,
            Outcome::Abandoned => {
                self.abandon(permit);
                return None;
            }
        };
        if permit.unheard {
            return None;
        }
        if !self.hears(&permit) {
            self.pending.end_elsewhen();
            add(&mut self.counters.late, 1);
            return None;
        }
        // What has lasted too long was counted then; only a probe's result matters still.
        if !self.pending.end(permit.at, permit.limit.is_some()) && permit.turn.is_none() {
            return None;
        }
        let took = permit.timed.then(|| now.since(permit.at));
        let slow = permit.limit.zip(took).is_some_and(|(limit, took)| took >= limit);
        if outcome == Outcome::Success && !slow {
            add(&mut self.counters.successes, 1);
            self.sample.succeeded(took);
            return self.succeeded(permit.turn, now);
        }
        add(&mut self.counters.failures, 1);
        if slow {
            self.sample.slow(1)
        } else {
            self.sample.failed()
        }
        self.failed(slow, again_after, now, random)
    }

    /// Takes a permit back that led to no result; as recording [`Outcome::Abandoned`].
    pub fn abandon(&mut self, permit: Permit) {
        add(&mut self.counters.abandoned, 1);
        if permit.unheard {
            return;
        }
        if !self.hears(&permit) {
            self.pending.end_elsewhen();
            return;
        }
        let _ = self.pending.end(permit.at, permit.limit.is_some());
        self.give_turn_back(permit.turn, false);
    }

    /// A response whose head came at `at` broke off, so its call was no success after all. `since` is the
    /// [`Permit::incarnation`] with which it began.
    ///
    /// Each such head has ended the row of failures, so those that break off are a row of their own. One that went on
    /// for longer than the window is not in it: a restart cuts many such streams at once, and all were served well.
    pub fn broke_off(&mut self, since: u64, at: Mono, now: Mono, random: u64) -> Option<Transition> {
        // Of a circuit that an operator holds closed the successes are not heard either.
        let is_unheard = self.stance(now) == Stance::Closed;
        if since != self.incarnation || is_unheard || self.state(now) == State::Open {
            return None;
        }
        add(&mut self.counters.failures, 1);
        self.sample.broke_off();
        self.broken = self.broken.saturating_add(u32::from(now < at.after(self.policy.window)));
        self.failed(false, Duration::ZERO, now, random)
    }

    /// A response came to its end.
    pub fn came_whole(&mut self) {
        self.broken = 0;
    }

    /// Whether the result of a permit is of the circuit as it now is.
    pub fn hears(&self, permit: &Permit) -> bool {
        permit.incarnation == self.incarnation && !permit.unheard
    }

    /// Does what time alone does: finds calls that have lasted too long, and raises the share that passes.
    pub fn tick(&mut self, now: Mono, random: u64) -> Option<Transition> {
        if let Some(limit) = self.slow_call() {
            let slow = self.pending.overdue(limit, now);
            if slow > 0 {
                self.counters.failures = self.counters.failures.saturating_add(slow);
                self.sample.slow(slow);
                return self.failed(true, Duration::ZERO, now, random);
            }
        }
        self.raise(now)
    }

    /// An operator decides until then; `None`: no more.
    pub fn overrule(&mut self, stance: Option<(Stance, Mono)>) {
        self.overruled = stance;
    }

    /// Another Envoy of the fleet has left this upstream alone: until then, half as much opens this circuit.
    pub fn hint(&mut self, until: Mono) {
        self.hinted_until = until;
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn give_turn_back(&mut self, turn: Option<(Turn, u32)>, success: bool) {
        if turn.is_some_and(|(_, count)| count == self.shared.record.turn.count) {
            self.shared.record.turn = self.shared.record.turn.given_back(success);
        }
    }

    /// What no call takes that goes well: as configured, or as learnt. An upstream that has just come back may be slower.
    pub(super) fn slow_call(&self) -> Option<Duration> {
        let learnt = || self.shared.tally.usual().slow_call().filter(|_| self.policy.outlier_sigma > 0.0);
        let limit = self.policy.slow_call.or_else(learnt)?;
        Some(if self.shared.record.stage == Stage::Closed { limit } else { limit.saturating_mul(2) })
    }

    fn succeeded(&mut self, turn: Option<(Turn, u32)>, now: Mono) -> Option<Transition> {
        self.give_turn_back(turn, true);
        let enough = self.shared.record.turn.successes >= self.policy.half_open_probes;
        if self.shared.record.stage == Stage::Open && enough {
            // ## HalfOpen, single probes => HalfOpen, a share
            return Some(self.climb(RUNGS, Cause::ProbesSucceeded, now));
        }
        self.raise(now)
    }

    /// A failure was seen: does anything follow? Not while an operator holds the circuit closed.
    pub(super) fn failed(
        &mut self,
        slow: bool,
        again_after: Duration,
        now: Mono,
        random: u64,
    ) -> Option<Transition> {
        if self.stance(now) == Stance::Closed {
            return None;
        }
        let evidence = Evidence {
            streak: self.sample.streak_after(self.shared.tally.streak).max(self.broken),
            counts: self.counts(now),
            usual: self.shared.tally.usual().failure_rate(),
            slow,
            hinted: now < self.hinted_until,
        };
        let step = self.shared.record.step;
        let (from, cause, step) = match self.shared.record.stage {
            Stage::Closed => {
                if !self.may_open(now) {
                    return None;
                }
                let step = if now < self.shared.record.until { step } else { 0 };
                // ## Closed => Open
                (State::Closed, trip(&self.policy, evidence)?, step)
            }
            // ## HalfOpen => Open
            Stage::Open => (State::HalfOpen, Cause::ProbeFailed, step.saturating_add(1)),
            Stage::HalfOpen(_) => {
                if !relapses(&self.policy, evidence) {
                    return None;
                }
                // ## HalfOpen => Open
                (State::HalfOpen, Cause::Relapse, step.saturating_add(1))
            }
        };
        Some(self.open(from, cause, step, again_after, now, random))
    }

    /// The largest share that was asked for has gone well for long enough: more passes.
    fn raise(&mut self, now: Mono) -> Option<Transition> {
        let Stage::HalfOpen(left) = self.shared.record.stage else { return None };
        let counts = self.counts(now);
        if now < self.shared.record.until || counts.calls <= counts.failures {
            return None;
        }
        Some(match left.saturating_sub(1) {
            // ## HalfOpen => Closed
            0 => self.close(now),
            // ## HalfOpen => HalfOpen, more
            left => self.climb(left, Cause::ShareHeld, now),
        })
    }

    pub(super) fn open(
        &mut self,
        from: State,
        cause: Cause,
        step: u32,
        again_after: Duration,
        now: Mono,
        random: u64,
    ) -> Transition {
        let open_for = spread(&self.policy, step, random).max(again_after.min(self.policy.max_open_for));
        // What took too long only as was learnt may be usual from now on, too.
        let is_learnt = cause == Cause::SlowCalls && self.policy.slow_call.is_none();
        let outlier =
            cause.is_outlier() || is_learnt || from == State::HalfOpen && self.shared.record.outlier;
        let until = now.after(open_for);
        add(&mut self.counters.opened, 1);
        self.enter(Record { stage: Stage::Open, cause, until, step, outlier, ..Record::INITIAL });
        Transition { open_for, ..self.transition(from, State::Open, cause) }
    }

    fn climb(&mut self, left: u8, cause: Cause, now: Mono) -> Transition {
        let Record { step, outlier, .. } = self.shared.record;
        let until = now.after(rung(&self.policy));
        let stage = Stage::HalfOpen(left);
        self.enter(Record { stage, cause, until, step, outlier, ..Record::INITIAL });
        self.transition(State::HalfOpen, State::HalfOpen, cause)
    }

    fn close(&mut self, now: Mono) -> Transition {
        let Record { step, outlier, .. } = self.shared.record;
        let until = now.after(healthy_period(&self.policy, step));
        let cause = Cause::Recovered;
        add(&mut self.counters.closed, 1);
        self.enter(Record { stage: Stage::Closed, cause, until, step, outlier, ..Record::INITIAL });
        self.transition(State::HalfOpen, State::Closed, cause)
    }

    /// A transition of this worker's own.
    fn enter(&mut self, record: Record) {
        let era = self.shared.record.era.saturating_add(1);
        self.shared.record = Record { era, ..record };
        self.until = record.until;
        self.begin_anew();
    }

    /// Whatever was seen was of the circuit as it was before.
    pub(super) fn begin_anew(&mut self) {
        self.incarnation = self.incarnation.wrapping_add(1);
        self.sample = Sample::default();
        self.pending.set_aside();
        self.ration = Ration::default();
        self.invited = None;
        self.broken = 0;
        self.recount();
    }

    /// Counts of an earlier era are not of this one.
    pub(super) fn recount(&mut self) {
        let Shared { record, tally } = &mut self.shared;
        if tally.era != record.era {
            tally.begin_anew(record.era, &self.policy);
            if record.stage == Stage::Closed && record.outlier {
                tally.forget();
            }
        }
    }

    pub(super) fn transition(&self, from: State, to: State, cause: Cause) -> Transition {
        Transition {
            from,
            to,
            cause,
            by_peer: false,
            era: self.shared.record.era,
            open_for: Duration::ZERO,
            share: self.share(),
        }
    }
}

fn add(counter: &mut u64, count: u64) {
    *counter = counter.saturating_add(count);
}
