//! Which transition was the last, over all workers?
//!
//! Transitions are numbered: the *era* counts those of the circuit, and whoever makes one takes the next number. Records
//! are totally ordered, and merging takes the greater one; so it matters neither in which order records meet, nor how
//! often, nor who reads whom: workers that go on reading and writing come to hold the greatest record of all.
//!
//! The order: the later era; within an era (two workers made a transition at once) the more cautious stage, for a failure
//! seen is a reason for caution that a success elsewhere does not remove; then the later end and whatever else there is,
//! which names no worker, but leaves nothing undecided.
//!
//! Half-open begins with time alone: an open circuit whose time is over is half-open. Its probes go one at a time, over
//! all workers: whoever sends one takes the *turn*, by compare-and-swap, and gives it back with the result.
//!
//! Times in the record are of the process's common monotonic clock: it must not leave the process.

use super::transition::Cause;
use crate::time::Mono;
use std::cmp::Ordering;

/// The last transition of a circuit, as workers tell it one another. Greater is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// How many transitions there were; at most `MAX_ERA` in what was decoded.
    pub(super) era: u64,
    pub(super) stage: Stage,
    /// Why.
    pub(super) cause: Cause,
    /// Open: when half-open begins. Half-open: when the share may be raised. Closed: when the step is forgotten.
    pub(super) until: Mono,
    /// How often the open time was doubled.
    pub(super) step: u32,
    /// Whether the circuit opened because something left what is usual.
    pub(super) outlier: bool,
    pub(super) turn: Turn,
}

/// Where a circuit stands. The greater, the more cautious.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Closed,
    /// A share of the requests passes; so many rungs of the ramp are still to be climbed, at least one.
    HalfOpen(u8),
    Open,
}

/// Whose turn it is to probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    /// Counts the turns taken and given back: odd while a probe is under way.
    pub(super) count: u32,
    /// Probes that went well.
    pub(super) successes: u32,
    /// When the last turn was taken.
    pub(super) at: Mono,
}

impl Record {
    /// A circuit nothing has happened to: closed. No record is less.
    pub(super) const INITIAL: Self = Self {
        era: 0,
        stage: Stage::Closed,
        cause: Cause::ConsecutiveFailures,
        until: Mono(0),
        step: 0,
        outlier: false,
        turn: Turn { count: 0, successes: 0, at: Mono(0) },
    };

    fn rank(&self) -> (u64, Stage, Mono, u32, Turn, bool, u8) {
        (self.era, self.stage, self.until, self.step, self.turn, self.outlier, code(self.cause))
    }
}

impl Turn {
    pub(super) fn is_taken(self) -> bool {
        self.count & 1 == 1
    }

    /// The turn, taken. One that was never given back is skipped.
    pub(super) fn taken(self, at: Mono) -> Self {
        let step = if self.is_taken() { 2 } else { 1 };
        Self { count: self.count.wrapping_add(step), at, ..self }
    }

    /// The turn, given back.
    pub(super) fn given_back(self, success: bool) -> Self {
        let successes = self.successes.saturating_add(success.into());
        Self { count: self.count.wrapping_add(1), successes, ..self }
    }
}

impl Ord for Record {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Record {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Its place among all causes.
pub(super) fn code(cause: Cause) -> u8 {
    let place = Cause::ALL.iter().position(|other| *other == cause);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

/// No circuit gets here (a transition each millisecond would take 8,900 years), so such a record is garbage; believed,
/// it would leave no room for newer ones.
pub(super) const MAX_ERA: u64 = 1 << 48;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPEN: Record = Record {
        era: 5,
        stage: Stage::Open,
        cause: Cause::FailureRate,
        until: Mono(9_000),
        step: 2,
        ..Record::INITIAL
    };
    const CLOSED: Record = Record { stage: Stage::Closed, ..OPEN };

    /// Any record at all.
    pub(in crate::breaker) fn record() -> impl Strategy<Value = Record> {
        let stage = prop_oneof![Just(Stage::Closed), (1u8..5).prop_map(Stage::HalfOpen), Just(Stage::Open)];
        let cause = (0..Cause::ALL.len()).prop_map(|place| Cause::ALL[place]);
        let turn = (any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(count, successes, at)| Turn {
            count,
            successes,
            at: Mono(at),
        });
        (0..=MAX_ERA, stage, cause, any::<u64>(), any::<u32>(), any::<bool>(), turn).prop_map(
            |(era, stage, cause, until, step, outlier, turn)| Record {
                era,
                stage,
                cause,
                until: Mono(until),
                step,
                outlier,
                turn,
            },
        )
    }

    #[test]
    fn the_later_era_wins_whatever_it_says() {
        assert!(Record { era: 6, until: Mono(0), step: 0, ..CLOSED } > OPEN);
    }

    #[test]
    fn within_an_era_the_more_cautious_stage_wins_then_the_later_end() {
        let late = Mono(u64::MAX);
        let half = |rungs| Record { stage: Stage::HalfOpen(rungs), until: late, ..CLOSED };
        assert!(OPEN > half(4) && half(4) > half(1) && half(1) > Record { until: late, ..CLOSED });
        assert!(Record { until: Mono(9_001), step: 0, ..OPEN } > OPEN);
        assert!(Record { step: 3, ..OPEN } > OPEN);
        assert!(Record { cause: Cause::ProbeFailed, ..OPEN } > OPEN);
    }

    #[test]
    fn a_turn_goes_from_hand_to_hand_and_newer_ones_win() {
        let first = Turn::default().taken(Mono(7));
        assert!(first.is_taken() && first > Turn::default());
        let back = first.given_back(true);
        assert!(!back.is_taken() && back > first);
        assert_eq!(back.successes, 1);
        let lost = first.taken(Mono(9));
        assert!(lost.is_taken() && lost > back, "whoever took it is not waited for");
    }

    proptest! {
        #[test]
        fn only_equal_records_rank_alike(a in record(), b in record()) {
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
            prop_assert!(a >= Record::INITIAL);
        }
    }
}
