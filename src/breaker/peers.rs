//! The circuit among the workers: what it takes over, and what it tells.

use super::admission::Permit;
use super::circuit::Breaker;
use super::ramp::rungs_left;
use super::record::{Record, Stage, Turn};
use super::shared::Shared;
use super::throttle::sheds;
use super::transition::{Cause, State, Transition};
use crate::config::plan::{Mode, Stance};
use crate::time::Mono;
use std::time::Duration;

/// What is to be written where a worker has read what all know.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    shared: Shared,
    outlier: Option<Cause>,
}

impl Proposal {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.shared.encode()
    }
}

impl Shared {
    /// Whether a transition is known to all: it is told here, or one that overrules it.
    pub fn tells(&self, transition: &Transition) -> bool {
        let stage = match transition.to {
            State::Open => Stage::Open,
            State::HalfOpen => Stage::HalfOpen(rungs_left(transition.share)),
            State::Closed | State::Shedding => Stage::Closed,
        };
        (self.record.era, self.record.stage) >= (transition.era, stage)
    }
}

impl Breaker {
    /// Takes over what all know, where that is newer. The transition is `None` too if this worker's state stays what it
    /// is, though the circuit has been through others meanwhile or stays open longer.
    ///
    /// A peer's word is believed for no longer than this policy would have made it: an end beyond that is cut here
    /// (not in the record), so that no garbage keeps a circuit open for ever.
    pub fn merge(&mut self, stored: &Shared, now: Mono) -> Option<Transition> {
        if !self.policy.enabled {
            return None;
        }
        let (from, own) = (self.state(now), self.shared.record);
        let record = stored.record;
        if record > own {
            self.shared.record = record;
            self.until = record.until.min(now.after(self.policy.max_open_for));
            // Where two made the same transition at once, what was seen since holds on.
            if (record.era, record.stage) != (own.era, own.stage) {
                self.begin_anew();
            }
        }
        if stored.tally.era == self.shared.record.era
            && stored.tally.window.width == self.shared.tally.window.width
        {
            self.shared.tally = stored.tally.clone();
        } else if stored.tally.era < self.shared.record.era {
            // Of what is usual they may know more than this one.
            self.shared.tally.laps.usual = stored.tally.laps.usual;
            self.shared.tally.era = stored.tally.era;
            self.recount();
        }
        let to = self.state(now);
        // With a larger share of the requests it is half-open still.
        let is_news = from != to || to == State::HalfOpen && own.stage != self.shared.record.stage;
        let cause = match (from, to) {
            (_, State::Shedding) => Cause::FailureRate,
            (State::Shedding, State::Closed) => Cause::RateFell,
            _ => self.shared.record.cause,
        };
        let open_for = if to == State::Open { self.until.since(now) } else { Duration::ZERO };
        let transition = Transition { by_peer: true, open_for, ..self.transition(from, to, cause) };
        is_news.then_some(transition)
    }

    /// What is to be written where `stored` was read, by compare-and-swap, so that peers learn what they do not
    /// know; `None` if there is nothing. To be asked after `stored` was merged.
    pub fn propose(&self, stored: Option<&Shared>, now: Mono) -> Option<Proposal> {
        let mut shared = self.shared.clone();
        let mut outlier = None;
        if !self.sample.is_empty() {
            outlier = shared.tally.add(&self.sample, &self.policy, now < self.hinted_until, now);
        }
        if self.policy.mode == Mode::Gradual && shared.record.stage == Stage::Closed {
            let counts = shared.tally.window.counts(now);
            shared.tally.shedding = sheds(&self.policy, counts, shared.tally.shedding);
        }
        let is_known = match stored {
            Some(stored) => *stored == shared,
            None => shared == Self::new(self.policy.clone()).shared,
        };
        (!is_known).then_some(Proposal { shared, outlier })
    }

    /// A proposal was written. The transition is one that follows from what all have seen together; it is to be told in
    /// turn.
    pub fn accepted(&mut self, proposal: Proposal, now: Mono, random: u64) -> Option<Transition> {
        let shed_before = self.shared.tally.shedding;
        self.shared = proposal.shared;
        let told = std::mem::take(&mut self.sample);
        let is_closed = self.shared.record.stage == Stage::Closed;
        if let Some(cause) = proposal.outlier.filter(|_| is_closed && self.may_open(now)) {
            // ## Closed => Open
            let step = if now < self.shared.record.until { self.shared.record.step } else { 0 };
            return Some(self.open(State::Closed, cause, step, Duration::ZERO, now, random));
        }
        // What was too little for each of them may be enough for all together.
        if told.ends_in_failure() && self.shared.record.stage != Stage::Open {
            let made = self.failed(told.is_slow(), Duration::ZERO, now, random);
            if made.is_some() {
                return made;
            }
        }
        match (shed_before, self.shared.tally.shedding) {
            // ## Closed => Shedding
            (false, true) => Some(self.transition(State::Closed, State::Shedding, Cause::FailureRate)),
            // ## Shedding => Closed
            (true, false) => Some(self.transition(State::Shedding, State::Closed, Cause::RateFell)),
            _ => None,
        }
    }

    /// Whether nobody has taken the turn that this permit has: to be asked with what stands there now.
    pub fn keeps_turn(&self, permit: &Permit, stored: Option<&Shared>) -> bool {
        let Some((before, _)) = permit.turn else { return true };
        stored.is_none_or(|stored| {
            let Record { era, turn, .. } = stored.record;
            era < self.shared.record.era || era == self.shared.record.era && turn <= before
        })
    }

    /// Another was faster: the permit is void.
    pub fn lose_turn(&mut self, permit: Permit) {
        if let Some((before, count)) = permit.turn
            && count == self.shared.record.turn.count
        {
            self.shared.record.turn = before;
        }
        self.abandon(permit);
    }

    /// The transition from open to half-open, if this probe is the first after the time was over.
    pub fn begins_to_probe(&self, permit: &Permit) -> Option<Transition> {
        let is_first = permit.turn.is_some_and(|(before, _)| before == Turn::default());
        is_first.then(|| self.transition(State::Open, State::HalfOpen, Cause::TimeOver))
    }

    /// For a worker that is alone: tells nobody what it has seen.
    pub fn settle(&mut self, now: Mono, random: u64) -> Option<Transition> {
        let proposal = self.propose(Some(&self.shared), now)?;
        self.accepted(proposal, now, random)
    }

    /// What all know, as far as this one knows it.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Whether failures open it.
    pub(super) fn may_open(&self, now: Mono) -> bool {
        self.policy.enabled && self.policy.mode == Mode::Hard && self.stance(now) != Stance::Closed
    }
}
