//! Which share of the calls of the last while has failed?
//!
//! Time is cut into buckets, a tenth of the window each; a bucket remembers which tenth it was last used for, so a
//! sample ages out by not being looked at, and nothing has to be cleared when time passes or jumps. The counts are
//! exact; the window's edge is as coarse as a bucket: a sample counts for at least nine tenths of the window, and
//! never when it is as old as all ten. Recording costs one bucket, asking costs ten, memory is fixed.

use crate::time::{Mono, millis};
use std::time::Duration;

/// Successes and failures over a sliding window.
#[derive(Clone, Debug)]
pub struct Window {
    /// Milliseconds per bucket; never zero.
    width: u64,
    buckets: [Bucket; BUCKETS],
}

/// What a window holds at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that went well.
    pub successes: u64,
    /// Calls that failed.
    pub failures: u64,
}

impl Window {
    /// An empty window over `span`, rounded up to ten whole milliseconds; at least ten.
    pub fn new(span: Duration) -> Self {
        Self { width: millis(span).div_ceil(SPAN).max(1), buckets: Default::default() }
    }

    /// Counts one call that ended at `now`.
    pub fn record(&mut self, success: bool, now: Mono) {
        let tick = self.tick(now);
        let place = usize::try_from(tick % SPAN).unwrap_or(0);
        let Some(bucket) = self.buckets.get_mut(place) else { return };
        if bucket.tick != tick {
            *bucket = Bucket { tick, ..Bucket::default() };
        }
        let count = if success { &mut bucket.successes } else { &mut bucket.failures };
        *count = count.saturating_add(1);
    }

    /// What the window that ends at `now` holds. Samples from after `now` are not in it.
    pub fn counts(&self, now: Mono) -> Counts {
        let tick = self.tick(now);
        let mut counts = Counts::default();
        for bucket in &self.buckets {
            if tick.checked_sub(bucket.tick).is_some_and(|age| age < SPAN) {
                counts.successes = counts.successes.saturating_add(u64::from(bucket.successes));
                counts.failures = counts.failures.saturating_add(u64::from(bucket.failures));
            }
        }
        counts
    }

    /// Failures over all calls in the window that ends at `now`; `None` if there were none.
    pub fn failure_rate(&self, now: Mono) -> Option<f64> {
        self.counts(now).failure_rate()
    }

    fn tick(&self, now: Mono) -> u64 {
        now.0.checked_div(self.width).unwrap_or(0)
    }
}

impl Counts {
    /// All calls.
    pub fn total(self) -> u64 {
        self.successes.saturating_add(self.failures)
    }

    /// Failures over all calls; `None` if there were none.
    pub fn failure_rate(self) -> Option<f64> {
        // Exact: ten 32-bit counts stay far below the 2^53 up to which f64 counts every integer.
        (self.total() > 0).then(|| self.failures as f64 / self.total() as f64)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which bucket width since the clock's beginning these counts are of.
    tick: u64,
    successes: u32,
    failures: u32,
}

const BUCKETS: usize = 10;
const SPAN: u64 = BUCKETS as u64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn counts(successes: u64, failures: u64) -> Counts {
        Counts { successes, failures }
    }

    #[test]
    fn an_empty_window_has_no_rate() {
        assert_eq!(Window::new(SECOND).failure_rate(Mono(7)), None);
    }

    #[test]
    fn the_rate_is_exact() {
        let mut window = Window::new(SECOND);
        for n in 0..10 {
            window.record(n >= 3, Mono(n));
        }
        assert_eq!(window.failure_rate(Mono(9)), Some(0.3));
        assert_eq!(window.counts(Mono(9)), counts(7, 3));
    }

    #[test]
    fn a_sample_ages_out_after_the_window() {
        let mut window = Window::new(SECOND);
        window.record(false, Mono(5_000));
        assert_eq!(window.counts(Mono(5_999)), counts(0, 1));
        assert_eq!(window.counts(Mono(6_000)), counts(0, 0));
    }

    #[test]
    fn a_sample_counts_for_nine_tenths_of_the_window_at_least() {
        let mut window = Window::new(SECOND);
        window.record(false, Mono(5_099));
        assert_eq!(window.counts(Mono(5_099 + 900)), counts(0, 1));
        assert_eq!(window.counts(Mono(5_099 + 901)), counts(0, 0));
    }

    #[test]
    fn a_leap_of_the_clock_empties_the_window_and_a_leap_back_leaves_it_usable() {
        let mut window = Window::new(SECOND);
        window.record(false, Mono(100));
        window.record(true, Mono(u64::MAX));
        assert_eq!(window.counts(Mono(u64::MAX)), counts(1, 0));
        window.record(false, Mono(200));
        assert_eq!(window.counts(Mono(200)), counts(0, 2), "what lies ahead is not in the window");
        window.record(false, Mono(2_000));
        assert_eq!(window.counts(Mono(2_000)), counts(0, 1));
    }

    #[test]
    fn a_window_of_nothing_and_of_everything_can_be_built() {
        for span in [Duration::ZERO, Duration::MAX] {
            let mut window = Window::new(span);
            window.record(false, Mono(3));
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
                window.record(success, Mono(now));
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
                window.record(success, Mono(now));
                prop_assert!(window.counts(Mono(now)).total() <= at as u64 + 1);
                prop_assert!(window.failure_rate(Mono(now)).is_some());
            }
        }
    }
}
