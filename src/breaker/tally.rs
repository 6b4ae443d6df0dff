//! What do all workers together know of a circuit's calls?
//!
//! One worker sees a part of the traffic, and where that is thin, too little to judge. So each worker keeps what it has
//! seen since it last told ([`Sample`]), and on its tick adds it to the common [`Tally`], which it takes over in the same
//! breath. Whoever ends a lap judges it for all. In between a worker knows the others' calls as of the last tick, and
//! its own at once.

use super::baseline::{Baseline, Lap, Laps};
use super::transition::Cause;
use super::window::{Counts, Window};
use crate::config::plan;
use crate::time::Mono;
use std::time::Duration;

/// The calls of a circuit since its last transition, and what is usual.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// The transition since when these calls are counted.
    pub(super) era: u64,
    pub(super) window: Window,
    /// Failures since the last success, however long ago.
    pub(super) streak: u32,
    /// Whether a share of the requests is shed.
    pub(super) shedding: bool,
    pub(super) laps: Laps,
}

/// The calls that one worker has seen and not told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    counts: Counts,
    lap: Lap,
    /// Whether there was a success among them.
    success: bool,
    /// Failures since that.
    streak: u32,
}

impl Tally {
    pub(super) fn new(policy: &plan::Breaker) -> Self {
        Self { era: 0, window: Window::new(policy.window), streak: 0, shedding: false, laps: Laps::default() }
    }

    /// Begins to count anew, behind a transition. What is usual stays known.
    pub(super) fn begin_anew(&mut self, era: u64, policy: &plan::Breaker) {
        self.era = era;
        self.window = Window::new(policy.window);
        self.streak = 0;
        self.laps.begin_anew();
    }

    /// Forgets what is usual.
    pub(super) fn forget(&mut self) {
        self.laps.usual = Baseline::default();
    }

    /// Takes calls in; says in what they are outside the usual, if they are.
    pub(super) fn add(
        &mut self,
        sample: &Sample,
        policy: &plan::Breaker,
        hinted: bool,
        now: Mono,
    ) -> Option<Cause> {
        self.window.add(sample.counts, now);
        self.streak = sample.streak_after(self.streak);
        self.laps.add(&sample.lap, policy, hinted, now)
    }

    pub(super) fn usual(&self) -> &Baseline {
        &self.laps.usual
    }
}

impl Sample {
    pub(super) fn is_empty(&self) -> bool {
        self.counts == Counts::default()
    }

    /// A call went well; `took` if its latency says something.
    pub(super) fn succeeded(&mut self, took: Option<Duration>) {
        self.count(Counts::SUCCESS);
        (self.success, self.streak) = (true, 0);
        took.into_iter().for_each(|took| self.lap.time(took));
    }

    /// A call failed. How fast it did says nothing of how fast the upstream answers.
    pub(super) fn failed(&mut self) {
        self.count(Counts::FAILURE);
    }

    /// A call that was counted as a success has failed after all.
    pub(super) fn broke_off(&mut self) {
        self.count(Counts::BROKEN_OFF);
    }

    /// Calls have lasted too long.
    pub(super) fn slow(&mut self, calls: u64) {
        self.count(Counts::slow(calls));
    }

    fn count(&mut self, counts: Counts) {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        self.counts = self.counts.and(counts);
        self.lap.calls = self.lap.calls.saturating_add(narrow(counts.calls));
        self.lap.failures = self.lap.failures.saturating_add(narrow(counts.failures));
        self.streak = self.streak.saturating_add(narrow(counts.failures));
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the last call failed.
    pub(super) fn ends_in_failure(&self) -> bool {
        self.streak > 0
    }

    /// Whether the failures were no worse than slow.
    pub(super) fn is_slow(&self) -> bool {
        self.counts.slow == self.counts.failures
    }

    /// The failures in a row, if there were so many before.
    pub(super) fn streak_after(&self, before: u32) -> u32 {
        if self.success { self.streak } else { before.saturating_add(self.streak) }
    }
}
