//! May this request go to the upstream, and what follows from its result?
//!
//! The event machine of one circuit in one worker. Its state is the last transition (a [`Shared`] record, its own or
//! a peer's) and what it has seen since: in a closed circuit the window, in an open one the probes. Open and half-open
//! are one phase seen at two times, so that half-open needs no event to begin, and all workers see it at once.

use super::backoff::{healthy_period, spread};
use super::outcome::Outcome;
use super::probes::Probes;
use super::shared::Shared;
use super::transition::{State, Transition, TripReason};
use super::window::{Counts, Window};
use crate::config::plan;
use crate::time::Mono;
use std::time::Duration;

/// The circuit to one upstream cluster under one rule, as one worker sees it.
#[derive(Clone, Debug)]
pub struct Breaker {
    policy: plan::Breaker,
    /// The last transition, as it is told to peers.
    record: Shared,
    /// Counts the transitions this worker has gone through; unlike the era it never takes one value twice, though
    /// two workers' transitions met in one era.
    incarnation: u64,
    phase: Phase,
    counters: Counters,
}

/// What a request is told.
#[derive(Debug)]
pub enum Admission {
    /// Go, and record what becomes of it.
    Pass(Permit),
    /// Go, and record what becomes of it: the circuit's fate hangs on it.
    Probe(Permit),
    /// Do not go.
    Refuse {
        /// When asking again may be of use; above zero.
        retry_after: Duration,
    },
}

/// The right to send one request, given back with its result. It cannot be copied, so no request counts twice.
#[derive(Debug)]
#[must_use = "a permit that is neither recorded nor abandoned holds a probe's slot until it times out"]
pub struct Permit {
    incarnation: u64,
    /// The slot it holds, if it is a probe's.
    probe: Option<u64>,
}

/// What this worker's circuit did since it was built. Transitions are its own only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests let by, probes not among them.
    pub passed: u64,
    /// Requests let by as probes.
    pub probes: u64,
    /// Requests refused.
    pub refused: u64,
    /// Results that were successes.
    pub successes: u64,
    /// Results that were failures.
    pub failures: u64,
    /// Permits given back without a result.
    pub abandoned: u64,
    /// Results that came after a transition, and so were not looked at.
    pub late: u64,
    /// Probes that were presumed lost.
    pub lost: u64,
    /// How often it opened, from half-open too.
    pub opened: u64,
    /// How often it closed.
    pub closed: u64,
}

#[derive(Clone, Debug)]
enum Phase {
    Closed {
        window: Window,
        /// Failures since the last success, however long ago.
        streak: u32,
        /// When the step is forgotten.
        forgiven_at: Mono,
    },
    /// Open, and from `until` on half-open.
    Open { until: Mono, probes: Probes },
}

impl Breaker {
    /// A closed circuit that has seen nothing. A limit of zero (no valid plan has one) is taken as one.
    pub fn new(policy: plan::Breaker) -> Self {
        let phase = closed(&policy, Mono(0));
        Self { policy, record: Shared::INITIAL, incarnation: 0, phase, counters: Counters::default() }
    }

    /// Whether a request may go now.
    pub fn admit(&mut self, now: Mono) -> Admission {
        let limit = self.probe_limit();
        let permit = |probe| Permit { incarnation: self.incarnation, probe };
        let counters = &mut self.counters;
        match &mut self.phase {
            Phase::Closed { .. } => {
                add(&mut counters.passed, 1);
                Admission::Pass(permit(None))
            }
            Phase::Open { until, .. } if now < *until => {
                add(&mut counters.refused, 1);
                Admission::Refuse { retry_after: until.since(now) }
            }
            Phase::Open { probes, .. } => {
                add(&mut counters.lost, probes.expire(now));
                match probes.take(limit, now) {
                    Some(id) => {
                        add(&mut counters.probes, 1);
                        Admission::Probe(permit(Some(id)))
                    }
                    None => {
                        add(&mut counters.refused, 1);
                        Admission::Refuse { retry_after: RETRY_WHILE_PROBED }
                    }
                }
            }
        }
    }

    /// Takes the result of an admitted request, and makes the transition that follows from it. `random` spreads the
    /// open time; any number will do.
    pub fn record(&mut self, permit: Permit, outcome: Outcome, now: Mono, random: u64) -> Option<Transition> {
        let success = match outcome {
            Outcome::Success => true,
            Outcome::Failure => false,
            Outcome::Abandoned => {
                self.abandon(permit);
                return None;
            }
        };
        if permit.incarnation != self.incarnation {
            add(&mut self.counters.late, 1);
            return None;
        }
        add(if success { &mut self.counters.successes } else { &mut self.counters.failures }, 1);
        match &mut self.phase {
            Phase::Closed { window, streak, forgiven_at } => {
                window.record(success, now);
                *streak = if success { 0 } else { streak.saturating_add(1) };
                // A success never opens the circuit, even if it is the one that makes the rate count.
                let reason = if success { None } else { trip(&self.policy, *streak, window.counts(now)) };
                // ## Closed => Open
                let step = if now < *forgiven_at { self.record.step } else { 0 };
                reason.map(|reason| self.open(State::Closed, reason, step, now, random))
            }
            Phase::Open { probes, .. } => {
                if let Some(id) = permit.probe {
                    probes.release(id);
                }
                if !success {
                    // ## HalfOpen => Open
                    let step = self.record.step.saturating_add(1);
                    return Some(self.open(State::HalfOpen, TripReason::ProbeFailed, step, now, random));
                }
                let enough = probes.succeed() >= self.policy.half_open_probes;
                // ## HalfOpen => Closed
                enough.then(|| self.close(now))
            }
        }
    }

    /// Takes a permit back that led to no result; as recording [`Outcome::Abandoned`].
    pub fn abandon(&mut self, permit: Permit) {
        add(&mut self.counters.abandoned, 1);
        if let (Phase::Open { probes, .. }, Some(id)) = (&mut self.phase, permit.probe)
            && permit.incarnation == self.incarnation
        {
            probes.release(id);
        }
    }

    /// The last transition, to be told to peers.
    pub fn shared(&self) -> Shared {
        self.record
    }

    /// What is to be written where `stored` was read, by compare-and-swap, so that peers learn what they do not
    /// know; `None` if there is nothing. To be asked after `stored` was merged; where nothing readable is stored,
    /// there is always something.
    pub fn publish(&self, stored: Option<&Shared>) -> Option<[u8; Shared::LEN]> {
        stored.is_none_or(|stored| *stored < self.record).then(|| self.record.encode())
    }

    /// Takes over what a peer knows, if it is newer, whatever it says. The transition is `None` too if this worker's
    /// state stays what it is, though the circuit has been through others meanwhile or stays open longer.
    ///
    /// A peer's word is believed for no longer than this policy would have made it: an end beyond that is cut here
    /// (not in the record), so that no garbage keeps a circuit open for ever.
    pub fn merge(&mut self, peer: &Shared, now: Mono) -> Option<Transition> {
        if !self.policy.enabled || *peer <= self.record {
            return None;
        }
        let from = self.state(now);
        let same_era = peer.era == self.record.era;
        self.record = *peer;
        if peer.opened.is_some() {
            // ## any => Open, or at once HalfOpen
            self.incarnation = self.incarnation.wrapping_add(1);
            let until = peer.until.min(now.after(self.policy.max_open_for));
            self.phase = Phase::Open { until, probes: Probes::default() };
        } else {
            let forgiven_at = peer.until.min(now.after(healthy_period(&self.policy, peer.step)));
            match &mut self.phase {
                // Both closed the circuit at once: what was seen since holds on.
                Phase::Closed { forgiven_at: mine, .. } if same_era => *mine = forgiven_at,
                // ## any => Closed
                phase => {
                    self.incarnation = self.incarnation.wrapping_add(1);
                    *phase = closed(&self.policy, forgiven_at);
                }
            }
        }
        let to = self.state(now);
        let transition = Transition {
            from,
            to,
            reason: peer.opened.map(|_| TripReason::Peer),
            by_peer: true,
            era: peer.era,
            open_for: self.refusal(now).unwrap_or_default(),
        };
        (from != to).then_some(transition)
    }

    /// What the circuit is now.
    pub fn state(&self, now: Mono) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { until, .. } if now < until => State::Open,
            Phase::Open { .. } => State::HalfOpen,
        }
    }

    /// What a request would be told to wait now; `None` if it would pass.
    pub fn retry_after(&self, now: Mono) -> Option<Duration> {
        self.refusal(now).or_else(|| match &self.phase {
            Phase::Open { probes, .. } if probes.in_flight(now) >= self.probe_limit() => {
                Some(RETRY_WHILE_PROBED)
            }
            _ => None,
        })
    }

    /// Why the circuit opened, whichever worker saw it; `None` if it is closed.
    pub fn opened_by(&self) -> Option<TripReason> {
        self.record.opened
    }

    /// What the window of a closed circuit holds; empty while it is not closed.
    pub fn counts(&self, now: Mono) -> Counts {
        match &self.phase {
            Phase::Closed { window, .. } => window.counts(now),
            Phase::Open { .. } => Counts::default(),
        }
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn open(&mut self, from: State, reason: TripReason, step: u32, now: Mono, random: u64) -> Transition {
        let open_for = spread(&self.policy, step, random);
        let until = now.after(open_for);
        add(&mut self.counters.opened, 1);
        self.incarnation = self.incarnation.wrapping_add(1);
        self.record = Shared { era: self.record.era.saturating_add(1), opened: Some(reason), until, step };
        self.phase = Phase::Open { until, probes: Probes::default() };
        let era = self.record.era;
        Transition { from, to: State::Open, reason: Some(reason), by_peer: false, era, open_for }
    }

    fn close(&mut self, now: Mono) -> Transition {
        let step = self.record.step;
        let until = now.after(healthy_period(&self.policy, step));
        add(&mut self.counters.closed, 1);
        self.incarnation = self.incarnation.wrapping_add(1);
        self.record = Shared { era: self.record.era.saturating_add(1), opened: None, until, step };
        self.phase = closed(&self.policy, until);
        Transition {
            from: State::HalfOpen,
            to: State::Closed,
            reason: None,
            by_peer: false,
            era: self.record.era,
            open_for: Duration::ZERO,
        }
    }

    /// How long it is until half-open begins; `None` if the circuit is not open.
    fn refusal(&self, now: Mono) -> Option<Duration> {
        match self.phase {
            Phase::Open { until, .. } if now < until => Some(until.since(now)),
            _ => None,
        }
    }

    fn probe_limit(&self) -> usize {
        usize::try_from(self.policy.half_open_probes).unwrap_or(usize::MAX).max(1)
    }
}

fn closed(policy: &plan::Breaker, forgiven_at: Mono) -> Phase {
    Phase::Closed { window: Window::new(policy.window), streak: 0, forgiven_at }
}

/// Whether a closed circuit opens, after a failure, with so many in a row and such a window.
fn trip(policy: &plan::Breaker, streak: u32, counts: Counts) -> Option<TripReason> {
    if !policy.enabled {
        return None;
    }
    if streak >= policy.consecutive_failures {
        return Some(TripReason::ConsecutiveFailures);
    }
    let enough = counts.total() >= u64::from(policy.min_requests);
    let failing = counts.failure_rate().is_some_and(|rate| rate >= policy.failure_rate);
    (enough && failing).then_some(TripReason::FailureRate)
}

fn add(counter: &mut u64, count: usize) {
    *counter = counter.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
}

/// What those are told that find all probes under way: their results are a matter of one request's duration, and
/// `Retry-After` counts in seconds.
const RETRY_WHILE_PROBED: Duration = Duration::from_secs(1);
