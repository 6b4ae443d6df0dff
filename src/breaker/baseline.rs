//! What is usual for this upstream, and is what happens now out of it?
//!
//! Calls are summed up by *laps*, two fifths of a window each (longer ones where traffic is thin). At its end a lap is
//! held against the baseline, which is what earlier laps have shown:
//!
//! - **failure rate**: the share of failures over some thirty laps, older ones forgotten bit by bit. A lap is outside
//!   if its failures are a [`surprise`] of `outlier_sigma`, after allowing for how much laps of this upstream scatter
//!   anyway and for how little is known of it; and if they are twice the usual share and two percent of calls more.
//!   So 99.9 % to 99.5 % never trips, however many calls tell the two apart.
//! - **latency**: mean and spread of the logarithm of the time to the response's head, for latencies differ by
//!   factors. A lap is outside if its mean is `outlier_sigma` spreads of laps above, three times as long, and
//!   [`LATENCY_FLOOR`] longer.
//!
//! One lap outside is chance, or a moment's trouble; three of the last four are not. The baseline learns from laps that
//! are inside alone, so it is not dragged along by an outage, while it follows a drift; and it judges nothing before it
//! has seen [`LEARNT`] laps. When a circuit that opened because of an outlier closes again, it is forgotten: what is
//! still so after the pause is the new usual, or the circuit would open for ever.

use super::chance::surprise;
use super::transition::Cause;
use crate::config::plan;
use crate::time::{Mono, millis};
use std::time::Duration;

/// Sums over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lap {
    pub(super) calls: u32,
    pub(super) failures: u32,
    /// Calls whose latency says something.
    pub(super) timed: u32,
    /// Sum of the logarithms of their latencies in milliseconds.
    pub(super) logs: f64,
    /// Sum of the squares of these.
    pub(super) squares: f64,
}

/// What is usual. All numbers are finite and above or equal to zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Baseline {
    /// Laps that it has learnt from, up to [`LEARNT`].
    pub(super) laps: u32,
    /// Of them, those with latencies.
    pub(super) timed_laps: u32,
    /// Calls and failures, older ones counting less.
    pub(super) calls: f64,
    pub(super) failures: f64,
    /// How much more the failures of laps scatter than chance would have it: the mean of squared deviations.
    pub(super) scatter: f64,
    /// Mean logarithm of the latency in milliseconds.
    pub(super) level: f64,
    /// Its variance from lap to lap.
    pub(super) between: f64,
    /// The variance among the calls of a lap.
    pub(super) within: f64,
}

/// The lap under way, and how the last ones were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Laps {
    pub(super) since: Mono,
    pub(super) lap: Lap,
    /// A bit for each of the last laps, the lowest for the latest: whether its failures were outside.
    pub(super) failing: u8,
    /// The same for its latency.
    pub(super) slow: u8,
    pub(super) usual: Baseline,
}

impl Lap {
    /// A call with this latency ended.
    pub(super) fn time(&mut self, took: Duration) {
        let log = (took.as_millis().max(1) as f64).ln();
        self.timed = self.timed.saturating_add(1);
        self.logs += log;
        self.squares += log * log;
    }

    fn add(&mut self, more: &Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.failures = self.failures.saturating_add(more.failures);
        self.timed = self.timed.saturating_add(more.timed);
        self.logs += more.logs;
        self.squares += more.squares;
    }

    /// Mean and variance of the logarithms, if there are enough.
    fn latency(&self) -> Option<(f64, f64)> {
        let calls = f64::from(self.timed);
        (self.timed >= MIN_CALLS).then(|| {
            let mean = self.logs / calls;
            (mean, (self.squares / calls - mean * mean).max(0.0))
        })
    }
}

impl Baseline {
    /// The usual share of failures. What is not known is taken to be one of fifty.
    pub(super) fn failure_rate(&self) -> f64 {
        (self.failures + 1.0) / (self.calls + PRIOR_CALLS)
    }

    /// The usual latency, if it is known.
    pub(super) fn latency(&self) -> Option<Duration> {
        self.knows_latency().then(|| from_log(self.level))
    }

    /// What no call takes that goes well, if that is known: many times the usual, or far beyond the scatter of calls.
    pub(super) fn slow_call(&self) -> Option<Duration> {
        let far = (FAR * (self.between + self.within).sqrt()).max(MANY_TIMES.ln());
        self.knows_latency().then(|| from_log(self.level + far).clamp(SLOW_AT_LEAST, SLOW_AT_MOST))
    }

    fn knows_latency(&self) -> bool {
        self.timed_laps >= LEARNT
    }

    fn is_failing(&self, lap: &Lap, sigma: f64) -> bool {
        if self.laps < LEARNT || lap.calls == 0 {
            return false;
        }
        let (calls, failures, usual) = (f64::from(lap.calls), f64::from(lap.failures), self.failure_rate());
        let seen = failures / calls;
        let doubt = self.scatter.max(1.0) * (1.0 + calls / (self.calls + PRIOR_CALLS));
        seen >= FAILURE_FACTOR * usual
            && seen >= usual + FAILURE_FLOOR
            && surprise(failures, calls, usual) >= sigma * doubt.sqrt()
    }

    fn is_slow(&self, lap: &Lap, sigma: f64) -> bool {
        let Some((mean, within)) = lap.latency().filter(|_| self.knows_latency()) else { return false };
        let above = mean - self.level;
        let spread = (self.between + within / f64::from(lap.timed)).sqrt();
        above >= LATENCY_FACTOR.ln()
            && above >= sigma * spread
            && from_log(mean) >= from_log(self.level).saturating_add(LATENCY_FLOOR)
    }

    fn learn(&mut self, lap: &Lap) {
        let (calls, failures, usual) = (f64::from(lap.calls), f64::from(lap.failures), self.failure_rate());
        if lap.calls > 0 {
            let expected = calls * usual;
            let off = (failures - expected) * (failures - expected) / (expected * (1.0 - usual)).max(0.5);
            approach(&mut self.scatter, off.min(MOST_SCATTER), self.laps);
            self.calls = self.calls * (1.0 - MEMORY) + calls;
            self.failures = self.failures * (1.0 - MEMORY) + failures;
            self.laps = self.laps.saturating_add(1).min(LEARNT);
        }
        if let Some((mean, within)) = lap.latency() {
            let off = if self.timed_laps == 0 { 0.0 } else { mean - self.level };
            // One lap far off, as a busy night's batch, is no measure of how much they scatter.
            let off = off.clamp(-LATENCY_FACTOR.ln(), LATENCY_FACTOR.ln());
            let seen = self.timed_laps;
            approach(&mut self.between, off * off, seen);
            approach(&mut self.within, within, seen);
            let level = self.level + if seen == 0 { mean } else { off };
            approach(&mut self.level, level, seen);
            self.timed_laps = seen.saturating_add(1).min(LEARNT);
        }
    }
}

impl Laps {
    /// Adds calls that ended; if a lap ends here that makes too many outside, says in what.
    pub(super) fn add(
        &mut self,
        more: &Lap,
        policy: &plan::Breaker,
        hinted: bool,
        now: Mono,
    ) -> Option<Cause> {
        let length = Duration::from_millis(millis(policy.window).saturating_mul(2) / 5);
        let is_over = now >= self.since.after(length) && self.lap.calls >= MIN_CALLS;
        let outside = if is_over { self.end(policy, hinted, now) } else { None };
        if self.lap == Lap::default() {
            self.since = now;
        }
        self.lap.add(more);
        outside
    }

    /// Forgets the lap under way and the last ones.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { usual: self.usual, ..Self::default() };
    }

    fn end(&mut self, policy: &plan::Breaker, hinted: bool, now: Mono) -> Option<Cause> {
        let lap = std::mem::take(&mut self.lap);
        self.since = now;
        let sigma = policy.outlier_sigma;
        if sigma <= 0.0 {
            return None;
        }
        let (failing, slow) = (self.usual.is_failing(&lap, sigma), self.usual.is_slow(&lap, sigma));
        self.failing = self.failing << 1 | u8::from(failing);
        self.slow = self.slow << 1 | u8::from(slow);
        if !failing && !slow {
            self.usual.learn(&lap);
        }
        let most = if hinted { OUTSIDE.saturating_sub(1) } else { OUTSIDE };
        let is_out = |laps: u8| laps & 1 == 1 && (laps & LAST).count_ones() >= most;
        if is_out(self.failing) {
            return Some(Cause::FailureOutlier);
        }
        is_out(self.slow).then_some(Cause::LatencyOutlier)
    }
}

/// Moves a mean towards a sample: at first each counts as much as those before, later as one of many.
fn approach(mean: &mut f64, sample: f64, seen: u32) {
    let weight = (1.0 / (f64::from(seen) + 1.0)).max(MEMORY);
    *mean += weight * (sample - *mean);
}

fn from_log(log: f64) -> Duration {
    Duration::try_from_secs_f64(log.exp() / 1_000.0).unwrap_or(SLOW_AT_MOST)
}

/// Laps before anything is judged: most of a minute with the usual window.
pub(super) const LEARNT: u32 = 12;
/// The weight of a lap among those that are remembered.
const MEMORY: f64 = 1.0 / 32.0;
/// Calls that make a lap.
const MIN_CALLS: u32 = 10;
/// Calls of which one failed stand for what is not known.
const PRIOR_CALLS: f64 = 50.0;
/// Of the last four laps.
const LAST: u8 = 0b1111;
/// So many outside open the circuit.
const OUTSIDE: u32 = 3;
/// Less than twice the usual failures is a bad hour.
const FAILURE_FACTOR: f64 = 2.0;
/// Two of a hundred calls more than usual.
const FAILURE_FLOOR: f64 = 0.02;
/// An upstream that scatters more than this is not to be judged by it.
const MOST_SCATTER: f64 = 9.0;
/// Less than three times the usual latency is a busy hour.
const LATENCY_FACTOR: f64 = 3.0;
/// What a person does not notice is no reason to leave an upstream alone.
pub(super) const LATENCY_FLOOR: Duration = Duration::from_millis(25);
/// In standard deviations of the logarithm of single calls.
const FAR: f64 = 4.0;
/// Times the usual latency.
const MANY_TIMES: f64 = 10.0;
/// A pause for the collection of garbage is not yet an outage.
const SLOW_AT_LEAST: Duration = Duration::from_millis(500);
/// Beyond this nobody waits.
const SLOW_AT_MOST: Duration = Duration::from_secs(60);
