//! Which calls are under way, and since when?
//!
//! An upstream that hangs fails nothing: its calls end when a timeout does, and until then a breaker that counts ends
//! is blind. So a call counts as too slow at the moment it becomes so, while it is pending.
//!
//! Calls are not kept one by one. Those begun within a moment (`grain`, a small part of what is too slow) share a
//! bucket, and a call that ends is taken out of the bucket of its beginning; so memory is bounded by how long is too
//! long over the grain, whatever the load. A bucket is overdue when the last of its calls is.

use crate::time::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// The calls of one circuit in one worker that are under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    begun: VecDeque<Begun>,
    /// Whatever began up to then was overdue.
    overdue_to: Option<Mono>,
    under_way: u64,
}

#[derive(Clone, Copy, Debug)]
struct Begun {
    first: Mono,
    last: Mono,
    calls: u64,
}

impl Pending {
    /// A call begins; `limit` is what is too long for it, if that can be said. Else it is not watched.
    pub(super) fn begin(&mut self, now: Mono, limit: Option<Duration>) {
        self.under_way = self.under_way.saturating_add(1);
        let Some(limit) = limit else { return };
        let grain = limit.checked_div(PARTS).unwrap_or(FINE).max(FINE);
        match self.begun.back_mut().filter(|begun| now < begun.first.after(grain)) {
            Some(begun) => {
                begun.last = begun.last.max(now);
                begun.calls = begun.calls.saturating_add(1);
            }
            None => self.begun.push_back(Begun { first: now, last: now, calls: 1 }),
        }
        if self.begun.len() > MOST
            && let Some(oldest) = self.begun.pop_front()
            && let Some(next) = self.begun.front_mut()
        {
            next.first = oldest.first;
            next.calls = next.calls.saturating_add(oldest.calls);
        }
    }

    /// A call that began then ends. Whether it was not overdue yet.
    pub(super) fn end(&mut self, at: Mono, watched: bool) -> bool {
        self.end_elsewhen();
        if !watched {
            return true;
        }
        if self.overdue_to.is_some_and(|overdue| at <= overdue) {
            return false;
        }
        let place = self.begun.partition_point(|begun| begun.first <= at).saturating_sub(1);
        if let Some(begun) = self.begun.get_mut(place) {
            begun.calls = begun.calls.saturating_sub(1);
        }
        true
    }

    /// A call ends that began before all were set aside.
    pub(super) fn end_elsewhen(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Those under way are not looked after any more.
    pub(super) fn set_aside(&mut self) {
        *self = Self { under_way: self.under_way, ..Self::default() };
    }

    /// How many have become too slow since this was last asked.
    pub(super) fn overdue(&mut self, limit: Duration, now: Mono) -> u64 {
        let mut calls = 0u64;
        while let Some(begun) = self.begun.front().copied()
            && (now >= begun.last.after(limit) || begun.calls == 0 && self.begun.len() > 1)
        {
            self.begun.pop_front();
            if begun.calls > 0 {
                calls = calls.saturating_add(begun.calls);
                self.overdue_to = Some(begun.last);
            }
        }
        calls
    }

    /// How many are under way.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way
    }
}

/// Parts of what is too long that share a bucket.
const PARTS: u32 = 64;
/// No bucket is finer; nothing is known more finely than on the tick.
const FINE: Duration = Duration::from_millis(10);
/// With buckets of the grain there are never so many; they are for a limit that has changed.
const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const LIMIT: Duration = Duration::from_millis(640);

    #[test]
    fn a_call_is_overdue_once_when_it_has_lasted_too_long() {
        let mut pending = Pending::default();
        pending.begin(Mono(1_000), Some(LIMIT));
        assert_eq!(pending.overdue(LIMIT, Mono(1_639)), 0);
        assert_eq!(pending.overdue(LIMIT, Mono(1_640)), 1);
        assert_eq!(pending.overdue(LIMIT, Mono(9_000)), 0);
        assert_eq!(pending.under_way(), 1);
        assert!(!pending.end(Mono(1_000), true), "it was counted");
        assert_eq!(pending.under_way(), 0);
    }

    #[test]
    fn a_call_that_ended_in_time_is_never_overdue() {
        let mut pending = Pending::default();
        pending.begin(Mono(1_000), Some(LIMIT));
        pending.begin(Mono(1_001), Some(LIMIT));
        assert!(pending.end(Mono(1_001), true));
        assert_eq!(pending.overdue(LIMIT, Mono(9_000)), 1);
    }

    #[test]
    fn calls_of_one_moment_are_overdue_together_when_the_last_of_them_is() {
        let mut pending = Pending::default();
        for at in 1_000..1_010 {
            pending.begin(Mono(at), Some(LIMIT));
        }
        assert_eq!(pending.overdue(LIMIT, Mono(1_648)), 0);
        assert_eq!(pending.overdue(LIMIT, Mono(1_649)), 10);
    }

    #[test]
    fn buckets_are_bounded_whatever_the_load_and_the_limit() {
        for limit in [Some(Duration::from_millis(1)), Some(Duration::from_secs(600))] {
            let mut pending = Pending::default();
            for at in 0..100_000 {
                pending.begin(Mono(at * 7), limit);
                assert!(pending.begun.len() <= MOST);
            }
            assert_eq!(pending.under_way(), 100_000);
            assert_eq!(pending.overdue(Duration::ZERO, Mono(u64::MAX)), 100_000, "none is forgotten");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn each_call_ends_in_time_or_is_overdue_once(
            steps in prop::collection::vec((0u64..60, prop::option::of(any::<prop::sample::Index>())), 1..300),
        ) {
            let (mut pending, mut now) = (Pending::default(), Mono(0));
            let mut open: Vec<u64> = Vec::new();
            let (mut counted, mut begun, mut ended) = (0, 0u64, 0);
            for (step, ends) in steps {
                now = Mono(now.0 + step);
                let fresh = pending.overdue(LIMIT, now);
                counted += fresh;
                let perhaps = open.iter().filter(|at| now.0 >= **at + 640).count() as u64;
                prop_assert!(fresh <= perhaps);
                match ends.filter(|_| !open.is_empty()) {
                    Some(index) => {
                        let at = open.remove(index.index(open.len()));
                        ended += u64::from(pending.end(Mono(at), true));
                    }
                    None => {
                        pending.begin(now, Some(LIMIT));
                        open.push(now.0);
                        begun += 1;
                    }
                }
            }
            counted += pending.overdue(LIMIT, Mono(u64::MAX));
            prop_assert_eq!(counted + ended, begun, "each once");
        }
    }
}
