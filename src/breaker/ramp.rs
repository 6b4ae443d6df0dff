//! How does traffic come back to an upstream that answers again?
//!
//! Not at once: a process that has just started, with empty caches and cold pools, falls over under the load that it
//! carried before. First single probes go, one at a time over all workers. When enough of them went well, a small share
//! of the requests passes, then a larger one; each *rung* lasts for a part of `open_for`, and somebody must have passed
//! well on it. The whole ramp takes little more than `open_for`, and the first relapse ends it.
//!
//! The share is dealt out evenly, not by chance: of a hundred requests at one percent one passes, not none or three.
//! Where so little comes that a share of it is nothing for long, one passes in each rung's time nevertheless.

use crate::config::plan;
use crate::time::{Mono, millis};
use std::time::Duration;

/// Rungs of the ramp.
pub(super) const RUNGS: u8 = 4;

/// Percent of the requests that pass with so many rungs still to be climbed.
pub(super) fn share(left: u8) -> u32 {
    match left {
        0 => 100,
        1 => 50,
        2 => 20,
        3 => 5,
        _ => 1,
    }
}

/// How many rungs are still to be climbed where that share passes.
pub(super) fn rungs_left(percent: u32) -> u8 {
    (1..RUNGS).find(|left| share(*left) == percent).unwrap_or(RUNGS)
}

/// How long a rung lasts.
pub(super) fn rung(policy: &plan::Breaker) -> Duration {
    Duration::from_millis(millis(policy.open_for).saturating_mul(3) / 10)
}

/// Deals out places by share, in one worker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ration {
    /// In hundredths of a place; below one place.
    credit: u32,
    last: Option<Mono>,
}

impl Ration {
    /// Whether one more request has a place, where `percent` of them have, and at least one in `trickle`.
    pub(super) fn take(&mut self, percent: u32, trickle: Duration, now: Mono) -> bool {
        let credit = self.credit.saturating_add(percent);
        let is_due = self.last.is_none_or(|last| now >= last.after(trickle));
        let taken = credit >= 100 || is_due;
        if taken {
            self.last = Some(now);
        }
        self.credit = if taken { credit.saturating_sub(100) } else { credit };
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRICKLE: Duration = Duration::from_secs(1);

    #[test]
    fn each_rung_lets_more_pass_and_the_last_all() {
        let shares: Vec<u32> = (0..=RUNGS).rev().map(share).collect();
        assert_eq!(shares, [1, 5, 20, 50, 100]);
        assert!((1..=RUNGS).all(|left| rungs_left(share(left)) == left));
    }

    #[test]
    fn of_many_requests_exactly_the_share_passes_evenly_spread() {
        for percent in [1u32, 5, 20, 50] {
            let mut ration = Ration::default();
            let passed: Vec<u64> = (0..1_000).filter(|ms| ration.take(percent, TRICKLE, Mono(*ms))).collect();
            let expected = u64::from(percent) * 10;
            let count = passed.len() as u64;
            assert!(count.abs_diff(expected) <= 1, "{percent} %: {count}");
            let widest = passed.windows(2).map(|pair| pair[1] - pair[0]).max();
            assert!(widest <= Some(u64::from(200 / percent)), "{percent} %: {widest:?}");
        }
    }

    #[test]
    fn where_little_comes_one_passes_in_each_rungs_time() {
        let mut ration = Ration::default();
        let passed = (0..100u64).filter(|n| ration.take(1, TRICKLE, Mono(n * 250))).count();
        assert_eq!(passed, 25);
        let mut ration = Ration::default();
        assert!((0..10u64).all(|n| ration.take(1, TRICKLE, Mono(n * 5_000))));
    }

    #[test]
    fn a_place_that_was_due_anyway_is_not_paid_for_later() {
        let mut ration = Ration::default();
        assert!(ration.take(1, TRICKLE, Mono(0)));
        assert!((1..100).all(|ms| !ration.take(1, TRICKLE, Mono(ms))));
        assert!(ration.take(1, TRICKLE, Mono(100)));
    }
}
