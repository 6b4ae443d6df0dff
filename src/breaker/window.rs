//! How did the calls of the last while end?
//!
//! Time is cut into buckets, a tenth of the window each; a bucket remembers which tenth it was last used for, so a
//! sample ages out by not being looked at, and nothing has to be cleared when time passes or jumps. The counts are
//! exact; the window's edge is as coarse as a bucket: a sample counts for at least nine tenths of the window, and
//! never when it is as old as all ten. Recording costs one bucket, asking costs ten, memory is fixed.

use crate::time::{Mono, millis};
use std::time::Duration;

/// Calls over a sliding window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Milliseconds per bucket; never zero.
    pub(super) width: u64,
    pub(super) buckets: [Bucket; BUCKETS],
}

/// How calls ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that ended, or have lasted too long.
    pub calls: u64,
    /// Those of them that failed, slow ones included; also those that broke off and began before.
    pub failures: u64,
    /// Those of the failures that were no worse than slow, as far as is known.
    pub slow: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Which bucket width since the clock's beginning these counts are of.
    pub(super) tick: u64,
    pub(super) calls: u32,
    pub(super) failures: u32,
    pub(super) slow: u32,
}

impl Window {
    /// An empty window over `span`, rounded up to ten whole milliseconds; at least ten.
    pub fn new(span: Duration) -> Self {
        Self { width: millis(span).div_ceil(SPAN).max(1), buckets: Default::default() }
    }

    /// Counts calls that ended at `now`.
    pub fn add(&mut self, more: Counts, now: Mono) {
        let tick = self.tick(now);
        let place = usize::try_from(tick % SPAN).unwrap_or(0);
        let Some(bucket) = self.buckets.get_mut(place) else { return };
        if bucket.tick != tick {
            *bucket = Bucket { tick, ..Bucket::default() };
        }
        for (count, more) in [
            (&mut bucket.calls, more.calls),
            (&mut bucket.failures, more.failures),
            (&mut bucket.slow, more.slow),
        ] {
            *count = count.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }

    /// What the window that ends at `now` holds. Samples from after `now` are not in it.
    pub fn counts(&self, now: Mono) -> Counts {
        let tick = self.tick(now);
        let mut counts = Counts::default();
        for bucket in &self.buckets {
            if tick.checked_sub(bucket.tick).is_some_and(|age| age < SPAN) {
                counts = counts.and(Counts {
                    calls: bucket.calls.into(),
                    failures: bucket.failures.into(),
                    slow: bucket.slow.into(),
                });
            }
        }
        counts
    }

    fn tick(&self, now: Mono) -> u64 {
        now.0.checked_div(self.width).unwrap_or(0)
    }
}

impl Counts {
    /// One call that went well.
    pub const SUCCESS: Self = Self { calls: 1, failures: 0, slow: 0 };
    /// One that failed.
    pub const FAILURE: Self = Self { calls: 1, failures: 1, slow: 0 };

    /// One that failed, though it was counted as a success before.
    pub const BROKEN_OFF: Self = Self { calls: 0, failures: 1, slow: 0 };

    /// So many that took too long.
    pub fn slow(calls: u64) -> Self {
        Self { calls, failures: calls, slow: calls }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(more.calls),
            failures: self.failures.saturating_add(more.failures),
            slow: self.slow.saturating_add(more.slow),
        }
    }

    /// Failures over all calls; `None` if there were none.
    pub fn failure_rate(self) -> Option<f64> {
        share(self.failures, self.calls)
    }

    /// The same as if the slow calls had gone well.
    pub fn failure_rate_but_for_slow(self) -> Option<f64> {
        share(self.failures.saturating_sub(self.slow), self.calls)
    }
}

/// Exact: ten 32-bit counts stay far below the 2^53 up to which f64 counts every integer. At most one: what broke off may
/// have begun before the window.
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| (part as f64 / all as f64).min(1.0))
}

pub(super) const BUCKETS: usize = 10;
const SPAN: u64 = BUCKETS as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counts(successes: u64, failures: u64) -> Counts {
        Counts { calls: successes + failures, failures, slow: 0 }
    }

    fn one(success: bool) -> Counts {
        if success { Counts::SUCCESS } else { Counts::FAILURE }
    }

    #[test]
    fn an_empty_window_has_no_rate() {
        assert_eq!(Window::new(SECOND).counts(Mono(7)).failure_rate(), None);
    }

    #[test]
    fn the_rate_is_exact_with_slow_calls_and_without() {
        let mut window = Window::new(SECOND);
        for n in 0..10 {
            window.add(one(n >= 3), Mono(n));
        }
        window.add(Counts::slow(2), Mono(9));
        assert_eq!(window.counts(Mono(9)), Counts { calls: 12, failures: 5, slow: 2 });
        assert_eq!(window.counts(Mono(9)).failure_rate(), Some(5.0 / 12.0));
        assert_eq!(window.counts(Mono(9)).failure_rate_but_for_slow(), Some(0.25));
    }

    #[test]
    fn a_sample_ages_out_after_the_window() {
        let mut window = Window::new(SECOND);
        window.add(Counts::FAILURE, Mono(5_000));
        assert_eq!(window.counts(Mono(5_999)), counts(0, 1));
        assert_eq!(window.counts(Mono(6_000)), counts(0, 0));
    }

    #[test]
    fn a_sample_counts_for_nine_tenths_of_the_window_at_least() {
        let mut window = Window::new(SECOND);
        window.add(Counts::FAILURE, Mono(5_099));
        assert_eq!(window.counts(Mono(5_099 + 900)), counts(0, 1));
        assert_eq!(window.counts(Mono(5_099 + 901)), counts(0, 0));
    }

    #[test]
    fn a_leap_of_the_clock_empties_the_window_and_a_leap_back_leaves_it_usable() {
        let mut window = Window::new(SECOND);
        window.add(Counts::FAILURE, Mono(100));
        window.add(Counts::SUCCESS, Mono(u64::MAX));
        assert_eq!(window.counts(Mono(u64::MAX)), counts(1, 0));
        window.add(Counts::FAILURE, Mono(200));
        assert_eq!(window.counts(Mono(200)), counts(0, 2), "what lies ahead is not in the window");
        window.add(Counts::FAILURE, Mono(2_000));
        assert_eq!(window.counts(Mono(2_000)), counts(0, 1));
    }

    #[test]
    fn a_window_of_nothing_and_of_everything_can_be_built() {
        for span in [Duration::ZERO, Duration::MAX] {
            let mut window = Window::new(span);
            window.add(Counts::FAILURE, Mono(3));
            assert_eq!(window.counts(Mono(3)), counts(0, 1));
        }
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn it_counts_as_a_list_of_all_samples_would(
            span in 1u64..5_000,
            steps in prop::collection::vec((0u64..700, any::<bool>()), 0..200),
        ) {
            let mut window = Window::new(Duration::from_millis(span));
            let width = span.div_ceil(10);
            let (mut now, mut samples) = (0, Vec::new());
            for (step, success) in steps {
                now += step;
                window.add(one(success), Mono(now));
                samples.push((now, success));
                let inside = |s: &&(u64, bool)| now / width - s.0 / width < 10;
                let failures = samples.iter().filter(inside).filter(|s| !s.1).count() as u64;
                let total = samples.iter().filter(inside).count() as u64;
                prop_assert_eq!(window.counts(Mono(now)), counts(total - failures, failures));
            }
        }

        #[test]
        fn no_sequence_of_times_panics_or_counts_more_than_was_recorded(
            span in any::<u64>(),
            samples in prop::collection::vec((any::<u64>(), any::<bool>()), 0..100),
        ) {
            let mut window = Window::new(Duration::from_millis(span));
            for (at, &(now, success)) in samples.iter().enumerate() {
                window.add(one(success), Mono(now));
                prop_assert!(window.counts(Mono(now)).calls <= at as u64 + 1);
                prop_assert!(window.counts(Mono(now)).failure_rate().is_some());
            }
        }
    }
}
