//! Keys that proved uncacheable a moment ago, so that the next wave does not queue for them.
//!
//! A fixed, direct-mapped table: a digest picks its place, a newer key drives out an older one. Forgetting early
//! costs one wave of waiting, so no more care is needed; remembering for ever would keep a page that became
//! cacheable out, so a mark expires, and a cacheable answer erases it at once. Failures are not remembered.

use crate::http::key::Digest;
use crate::time::Mono;
use std::time::Duration;

/// The keys one worker remembers.
#[derive(Clone, Debug)]
pub struct Remembered {
    places: Vec<Option<(Digest, Mono)>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { places: vec![None; PLACES] }
    }
}

impl Remembered {
    /// Remembers a key for a while.
    pub fn mark(&mut self, digest: Digest, now: Mono) {
        if let Some(place) = self.places.get_mut(place(digest)) {
            *place = Some((digest, now.after(REMEMBER_FOR)));
        }
    }

    /// Forgets a key: it was cacheable after all.
    pub fn clear(&mut self, digest: Digest) {
        if let Some(place) = self.places.get_mut(place(digest)) {
            place.take_if(|(marked, _)| *marked == digest);
        }
    }

    /// Whether a key is remembered.
    pub fn is_marked(&self, digest: Digest, now: Mono) -> bool {
        matches!(self.places.get(place(digest)), Some(Some((marked, until))) if *marked == digest && now < *until)
    }
}

fn place(digest: Digest) -> usize {
    let [low, high, ..] = digest.0;
    usize::from(u16::from_le_bytes([low, high])) % PLACES
}

/// 4,096 places of 32 bytes: 128 KiB per worker.
const PLACES: usize = 4_096;
/// One minute, as Varnish's and Fastly's hit-for-miss objects live one to two.
const REMEMBER_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = Digest([1; 16]);

    #[test]
    fn a_mark_lasts_a_minute() {
        let mut remembered = Remembered::default();
        remembered.mark(KEY, Mono(0));
        assert!(remembered.is_marked(KEY, Mono(59_999)));
        assert!(!remembered.is_marked(KEY, Mono(60_000)));
    }

    #[test]
    fn a_cacheable_answer_erases_the_mark_of_its_own_key_only() {
        let mut remembered = Remembered::default();
        remembered.mark(KEY, Mono(0));
        let mut neighbour = KEY;
        neighbour.0[15] = 9;
        remembered.clear(neighbour);
        assert!(remembered.is_marked(KEY, Mono(1)));
        remembered.clear(KEY);
        assert!(!remembered.is_marked(KEY, Mono(1)));
    }

    #[test]
    fn any_number_of_keys_takes_the_same_room() {
        let mut remembered = Remembered::default();
        for n in 0..100_000u128 {
            remembered.mark(Digest(n.to_le_bytes()), Mono(0));
        }
        assert_eq!(remembered.places.len(), PLACES);
    }
}
