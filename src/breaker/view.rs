//! What a circuit is at a moment, for those who decide by it and for operators.

use super::circuit::Breaker;
use super::ramp::share;
use super::record::Stage;
use super::transition::{Cause, State};
use super::window::Counts;
use crate::config::plan::{Mode, Stance};
use crate::time::Mono;
use std::time::Duration;

impl Breaker {
    /// What the circuit is now.
    pub fn state(&self, now: Mono) -> State {
        match self.shared.record.stage {
            Stage::Closed if self.sheds() => State::Shedding,
            Stage::Closed => State::Closed,
            Stage::Open if now < self.until => State::Open,
            Stage::Open | Stage::HalfOpen(_) => State::HalfOpen,
        }
    }

    /// Whether all know that a share is shed, and this policy has any. A value may be of a time when it was gradual.
    fn sheds(&self) -> bool {
        self.policy.mode == Mode::Gradual && self.shared.tally.shedding
    }

    /// Who decides: the circuit, or an operator.
    pub fn stance(&self, now: Mono) -> Stance {
        self.overruled.filter(|(_, until)| now < *until).map_or(self.policy.stance, |(stance, _)| stance)
    }

    /// The last transition's number, why it was made, and how long none passes.
    pub fn last(&self, now: Mono) -> (u64, Cause, Duration) {
        (self.shared.record.era, self.shared.record.cause, self.until.since(now))
    }

    /// Percent of the requests that pass in a half-open circuit; zero: single probes.
    pub fn share(&self) -> u32 {
        match self.shared.record.stage {
            Stage::HalfOpen(left) => share(left),
            Stage::Open => 0,
            Stage::Closed => 100,
        }
    }

    /// How the calls of the window ended, over all workers.
    pub fn counts(&self, now: Mono) -> Counts {
        self.shared.tally.window.counts(now).and(self.sample.counts())
    }

    /// The usual share of failures and, where it is known, the usual latency.
    pub fn usual(&self) -> (f64, Option<Duration>) {
        let usual = self.shared.tally.usual();
        (usual.failure_rate(), usual.latency())
    }

    /// This worker's calls under way.
    pub fn under_way(&self) -> u64 {
        self.pending.under_way()
    }
}
