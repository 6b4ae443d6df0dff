//! How do workers come to one mind about a circuit?
//!
//! All that is shared is the last transition, numbered: the *era* counts the transitions of the circuit, and whoever
//! makes one takes the next number. Records are totally ordered, and merging takes the greater one; so it matters
//! neither in which order records meet, nor how often, nor who reads whom: workers that go on reading and writing
//! come to hold the greatest record of all.
//!
//! The order: the later era; within an era (two workers made a transition at once) open before closed, for a failure
//! seen is a reason for caution that a success elsewhere does not remove; then the later end, the higher step and the
//! reason, which name no worker, but leave nothing undecided.
//!
//! Times in the record are of the process's common monotonic clock: it must not leave the process.

use super::transition::TripReason;
use crate::time::Mono;
use std::cmp::Ordering;

/// The last transition of a circuit, as workers tell it one another. Greater is newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// How many transitions there were; at most `MAX_ERA` in what was decoded.
    pub(super) era: u64,
    /// Why it opened; `None`: it closed.
    pub(super) opened: Option<TripReason>,
    /// Open: when half-open begins. Closed: when the step is forgotten.
    pub(super) until: Mono,
    /// How often the open time was doubled.
    pub(super) step: u32,
}

impl Shared {
    /// Length of the encoded record in bytes.
    pub const LEN: usize = 22;

    /// A circuit nothing has happened to: closed. No record is less.
    pub const INITIAL: Self = Self { era: 0, opened: None, until: Mono(0), step: 0 };

    /// How many transitions the circuit has made, over all workers.
    pub fn era(&self) -> u64 {
        self.era
    }

    /// The bytes: version, reason, step, era, until; numbers big-endian. A changed layout takes another version, and
    /// is no record to those who know this one.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = [
            &[VERSION, code(self.opened)][..],
            &self.step.to_be_bytes(),
            &self.era.to_be_bytes(),
            &self.until.0.to_be_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// The record, if these are the bytes of one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, opened], rest) = bytes.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let (era, rest) = rest.split_first_chunk()?;
        let (until, rest) = rest.split_first_chunk()?;
        let era = u64::from_be_bytes(*era);
        if version != VERSION || !rest.is_empty() || era > MAX_ERA {
            return None;
        }
        Some(Self {
            era,
            opened: reason(opened)?,
            until: Mono(u64::from_be_bytes(*until)),
            step: u32::from_be_bytes(*step),
        })
    }

    fn rank(&self) -> (u64, bool, Mono, u32, u8) {
        (self.era, self.opened.is_some(), self.until, self.step, code(self.opened))
    }
}

impl Ord for Shared {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Shared {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn code(opened: Option<TripReason>) -> u8 {
    match opened {
        None => 0,
        Some(TripReason::ConsecutiveFailures) => 1,
        Some(TripReason::FailureRate) => 2,
        Some(TripReason::ProbeFailed) => 3,
        // Never made: a record says why the circuit opened, not how its reader heard of it.
        Some(TripReason::Peer) => 4,
    }
}

fn reason(code: u8) -> Option<Option<TripReason>> {
    match code {
        0 => Some(None),
        1 => Some(Some(TripReason::ConsecutiveFailures)),
        2 => Some(Some(TripReason::FailureRate)),
        3 => Some(Some(TripReason::ProbeFailed)),
        _ => None,
    }
}

const VERSION: u8 = 1;

/// No circuit gets here (a transition each millisecond would take 8,900 years), so such a record is garbage; believed,
/// it would leave no room for newer ones.
const MAX_ERA: u64 = 1 << 48;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const OPEN: Shared =
        Shared { era: 5, opened: Some(TripReason::FailureRate), until: Mono(9_000), step: 2 };
    const CLOSED: Shared = Shared { opened: None, ..OPEN };

    fn record() -> impl Strategy<Value = Shared> {
        let opened = prop_oneof![
            Just(None),
            Just(Some(TripReason::ConsecutiveFailures)),
            Just(Some(TripReason::FailureRate)),
            Just(Some(TripReason::ProbeFailed)),
        ];
        (0..=MAX_ERA, opened, any::<u64>(), any::<u32>()).prop_map(|(era, opened, until, step)| Shared {
            era,
            opened,
            until: Mono(until),
            step,
        })
    }

    #[test]
    fn version_1_is_written_so() {
        assert_eq!(OPEN.encode(), *b"\x01\x02\0\0\0\x02\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\x23\x28");
    }

    #[test]
    fn nothing_but_a_whole_record_of_this_version_is_read() {
        let good = OPEN.encode();
        assert_eq!(Shared::decode(&good), Some(OPEN));
        assert_eq!(Shared::decode(&[]), None);
        for end in 0..good.len() {
            assert_eq!(Shared::decode(&good[..end]), None, "cut at {end}");
        }
        assert_eq!(Shared::decode(&[&good[..], &[0]].concat()), None, "one byte more");
        for (at, byte) in [(0, 0), (0, 2), (1, 4), (1, 255)] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(Shared::decode(&bad), None, "{byte} at {at}");
        }
    }

    #[test]
    fn an_era_that_leaves_no_room_is_not_read() {
        let at = |era| Shared::decode(&Shared { era, ..OPEN }.encode());
        assert!(at(MAX_ERA).is_some());
        assert_eq!(at(MAX_ERA + 1), None);
    }

    #[test]
    fn the_later_era_wins_whatever_it_says() {
        assert!(Shared { era: 6, until: Mono(0), step: 0, ..CLOSED } > OPEN);
    }

    #[test]
    fn within_an_era_open_wins_over_closed_then_the_later_end() {
        assert!(OPEN > Shared { until: Mono(u64::MAX), ..CLOSED });
        assert!(Shared { until: Mono(9_001), step: 0, ..OPEN } > OPEN);
        assert!(Shared { step: 3, ..OPEN } > OPEN);
        assert!(Shared { opened: Some(TripReason::ProbeFailed), ..OPEN } > OPEN);
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn what_is_written_is_read_again(record in record()) {
            prop_assert_eq!(Shared::decode(&record.encode()), Some(record));
            prop_assert!(record >= Shared::INITIAL);
        }

        #[test]
        fn what_is_read_has_one_form(version in 0u8..3, rest in prop::collection::vec(any::<u8>(), 0..30)) {
            let bytes = [&[version][..], &rest].concat();
            if let Some(record) = Shared::decode(&bytes) {
                prop_assert_eq!(&record.encode()[..], &bytes);
            }
        }

        #[test]
        fn only_equal_records_rank_alike(a in record(), b in record()) {
            prop_assert_eq!(a.cmp(&b) == Ordering::Equal, a == b);
        }
    }
}
