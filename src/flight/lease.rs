//! Flights in the whole fleet: a lease in Redis.
//!
//! Within one Envoy a flight has one leader. With `coalesce.scope: fleet` that leader asks Redis for the key's *lease*,
//! in the same round trip as for the entry itself: a value that is set only where none is, and ends by itself. Whoever
//! holds it fetches; the leaders of the other Envoys, and with them all who wait there, look again after a while
//! ([`pause`]) until the entry is there, or the lease is free. What the fetch brought for those who waited and is not
//! to be stored is left for a moment under the flight's own [`Name`], so that only they take it who have seen it under
//! way.
//!
//! A lease is believed in only by its name: prolonged and given back by whoever it names, and by nobody else. It keeps
//! the upstream from work, not anybody from harm. If Redis loses it, two fetch; if its holder dies, it ends.

use crate::flight::{Outcome, Token};
use crate::http::key::Digest;
use crate::time::Mono;
use std::time::Duration;

/// A flight's name in the fleet; as text 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name([u8; 16]);

impl Name {
    /// The name of a worker's flight, where no two workers of the fleet bear the same number: 64 bits of chance.
    pub fn new(worker: u64, token: Token) -> Self {
        let mut name = [0; 16];
        let (high, low) = name.split_at_mut(8);
        high.copy_from_slice(&worker.to_be_bytes());
        low.copy_from_slice(&token.0.to_be_bytes());
        Self(name)
    }

    /// The name as text.
    pub fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(32);
        Digest(self.0).write_hex(&mut text);
        text
    }

    /// Reads a name; `None` if it is of no known form.
    pub fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; 32] = text.try_into().ok()?;
        let mut name = [0; 16];
        for (byte, digits) in name.iter_mut().zip(text.chunks_exact(2)) {
            for digit in digits {
                let nibble = DIGITS.iter().position(|known| known == digit)?;
                *byte = *byte << 4 | u8::try_from(nibble).ok()?;
            }
        }
        Some(Self(name))
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// How a flight of this Envoy stands to its key's lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lease {
    /// It has nothing to do with one.
    #[default]
    None,
    /// It asked, and the answer is on its way or lost: the lease may be its own.
    Asked,
    /// It has held the lease since then.
    Held(Mono),
    /// Another Envoy's flight has it.
    Awaited {
        /// Which.
        holder: Name,
        /// When it was first seen to have it.
        since: Mono,
        /// Whether it was seen to have left nothing: its fetch had not ended then. That it has the lease does not say so,
        /// for it may not come to give it back.
        seen: bool,
        /// Whether it knows that somebody waits.
        marked: bool,
        /// How often what it left was seen: its fetch has ended, and the lease is about to be given back.
        over: u32,
    },
}

impl Lease {
    /// Whether the flight holds the lease.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// Whether the lease is to be given back when the flight ends.
    pub fn may_be_held(self) -> bool {
        matches!(self, Self::Asked | Self::Held(_))
    }

    /// Whose lease the flight waits for.
    pub fn awaited(self) -> Option<Name> {
        match self {
            Self::Awaited { holder, .. } => Some(holder),
            Self::None | Self::Asked | Self::Held(_) => None,
        }
    }
}

/// What a lookup said of its key's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing: it was not asked for, or is not to be had. Whoever leads goes on without.
    Unasked,
    /// The flight has it.
    Ours,
    /// Another Envoy's flight has it.
    Elsewhere,
    /// Another Envoy's flight had it, and ended like this for those who waited.
    Ended(Outcome),
}

/// How long to wait before looking again, for something that has taken `waited` so far and takes `usual` if that is
/// known. `chance` is 64 random bits: those who look for the same thing shall not look at the same time.
///
/// The pauses grow with the time already waited, so that a fetch of any length is looked for some dozens of times, and
/// noticed late by a small part of its length. Towards the usual end they shrink to [`SHORTEST`], and grow anew
/// beyond it.
pub fn pause(waited: Duration, usual: Option<Duration>, chance: u64) -> Duration {
    let by_age = |age: Duration, part: u32| age.checked_div(part).unwrap_or_default();
    let pause = match usual.map(|usual| (usual, usual.saturating_sub(waited))) {
        // Half of what is left, but no more than where the fetch were a short one this time.
        Some((_, left)) if left > Duration::ZERO => by_age(left, 2).min(by_age(waited, 4)),
        Some((usual, _)) => by_age(waited.saturating_sub(usual), 16),
        None => by_age(waited, 16),
    };
    let pause = pause.clamp(SHORTEST, LONGEST);
    // Between three quarters and five quarters.
    let spread = u32::try_from(chance % 512).unwrap_or_default();
    pause.saturating_mul(spread.saturating_add(768)).checked_div(1024).unwrap_or(pause)
}

/// Some Redis round trips.
pub const SHORTEST: Duration = Duration::from_millis(2);
/// So often at least, however long it takes: shorter than people notice.
pub const LONGEST: Duration = Duration::from_millis(250);
/// For how long what is not stored stays for those who wait: longer than the longest pause and a slow Redis.
pub const LEFT_FOR: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// How often one looks for what takes so long, and how late it is seen.
    fn looks(takes: Duration, usual: Option<Duration>, mut chance: impl FnMut() -> u64) -> (u32, Duration) {
        let (mut waited, mut count) = (Duration::ZERO, 0);
        while waited < takes {
            waited += pause(waited, usual, chance());
            count += 1;
        }
        (count, waited - takes)
    }

    #[test]
    fn a_name_is_read_as_it_is_written_and_nothing_else_is_one() {
        let name = Name::new(0x0123_4567_89ab_cdef, Token(u64::MAX - 1));
        assert_eq!(name.text(), b"0123456789abcdeffffffffffffffffe");
        assert_eq!(Name::read(&name.text()), Some(name));
        for other in [
            &b""[..],
            b"0123456789abcdeffffffffffffffff",
            b"0123456789ABCDEFFFFFFFFFFFFFFFFE",
            &[b'f'; 33],
            &[b'g'; 32],
        ] {
            assert_eq!(Name::read(other), None);
        }
    }

    #[test]
    fn the_same_flight_of_two_workers_has_two_names() {
        assert_ne!(Name::new(1, Token(1)), Name::new(2, Token(1)));
        assert_ne!(Name::new(1, Token(1)), Name::new(1, Token(2)));
    }

    #[test]
    fn what_takes_as_long_as_usual_is_seen_within_a_few_milliseconds() {
        for takes in [20, 50, 200, 1_000, 5_000] {
            let (count, late) = looks(ms(takes), Some(ms(takes)), || 511);
            assert!(late <= ms(3), "{takes} ms are noticed {late:?} late");
            assert!(count <= 40, "{takes} ms are looked for {count} times");
        }
    }

    #[test]
    fn what_takes_an_unknown_time_is_seen_late_by_a_small_part_of_it() {
        for takes in [20, 50, 200, 1_000, 4_000] {
            let (count, late) = looks(ms(takes), None, || 511);
            assert!(late <= ms(3).max(ms(takes) / 12), "{takes} ms are noticed {late:?} late");
            assert!(count <= 110, "{takes} ms are looked for {count} times");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn a_pause_is_neither_short_nor_long_and_its_length_is_by_chance(
            waited in 0_u64..100_000, usual in prop::option::of(0_u64..100_000), chance: u64
        ) {
            let pause = |chance| pause(ms(waited), usual.map(ms), chance);
            prop_assert!(pause(chance) >= SHORTEST * 3 / 4 && pause(chance) <= LONGEST * 5 / 4);
            prop_assert!(pause(511) > pause(0));
        }

        #[test]
        fn what_takes_less_or_more_than_usual_is_seen_late_by_a_part_of_it(
            takes in 1_u64..10_000, usual in 1_u64..10_000, seed: u64
        ) {
            let mut bits = seed;
            let chance = || { bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); bits >> 32 };
            let (count, late) = looks(ms(takes), Some(ms(usual)), chance);
            prop_assert!(late <= ms(4).max(ms(takes) / 3), "{takes} ms instead of {usual} are noticed {late:?} late");
            prop_assert!(count <= 160, "{takes} ms instead of {usual} are looked for {count} times");
        }

        #[test]
        fn any_text_is_a_name_or_none(text in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(name) = Name::read(&text) {
                prop_assert_eq!(&name.text()[..], &text[..]);
            }
        }
    }
}
