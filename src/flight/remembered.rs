//! Keys that proved uncacheable a moment ago, so that the next wave does not queue for them.
//!
//! A fixed, direct-mapped table: a digest picks its place, a newer key drives out an older one. Forgetting early
//! costs one wave of waiting, so no more care is needed; remembering for ever would keep a page that became
//! cacheable out, so a mark expires, and a cacheable answer erases it at once. Failures are not remembered.
//!
//! What was refused because it was asked for with `Authorization` (RFC 9111 §3.5) is no news to those who ask without:
//! else anybody could keep a key's waves apart by sending one such request a minute.

use crate::http::key::Digest;
use crate::time::Mono;
use std::time::Duration;

/// Whom a refusal to share concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerns {
    /// Everybody who asks for the key.
    All,
    /// Those who ask with `Authorization`.
    Authorized,
}

/// The keys one worker remembers.
#[derive(Clone, Debug)]
pub struct Remembered {
    places: Vec<Option<Mark>>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    digest: Digest,
    until: Mono,
    concerns: Concerns,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { places: vec![None; PLACES] }
    }
}

impl Remembered {
    /// Remembers a key for a while.
    pub fn mark(&mut self, digest: Digest, concerns: Concerns, now: Mono) {
        let wider = concerns == Concerns::Authorized && self.is_marked(digest, Concerns::All, now);
        if let Some(place) = self.places.get_mut(place(digest)).filter(|_| !wider) {
            *place = Some(Mark { digest, until: now.after(REMEMBER_FOR), concerns });
        }
    }

    /// Forgets a key: for these it was cacheable after all.
    pub fn clear(&mut self, digest: Digest, concerns: Concerns) {
        if let Some(place) = self.places.get_mut(place(digest)) {
            place.take_if(|mark| mark.digest == digest && mark.is_for(concerns));
        }
    }

    /// Whether a key is remembered for these.
    pub fn is_marked(&self, digest: Digest, concerns: Concerns, now: Mono) -> bool {
        let mark = self.places.get(place(digest)).copied().flatten();
        mark.is_some_and(|mark| mark.digest == digest && now < mark.until && mark.is_for(concerns))
    }
}

impl Mark {
    fn is_for(&self, concerns: Concerns) -> bool {
        self.concerns == Concerns::All || concerns == Concerns::Authorized
    }
}

fn place(digest: Digest) -> usize {
    let [low, high, ..] = digest.0;
    usize::from(u16::from_le_bytes([low, high])) % PLACES
}

/// 4,096 places of 40 bytes: 160 KiB per worker.
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
        remembered.mark(KEY, Concerns::All, Mono(0));
        assert!(remembered.is_marked(KEY, Concerns::All, Mono(59_999)));
        assert!(!remembered.is_marked(KEY, Concerns::All, Mono(60_000)));
    }

    #[test]
    fn a_cacheable_answer_erases_the_mark_of_its_own_key_only() {
        let mut remembered = Remembered::default();
        remembered.mark(KEY, Concerns::All, Mono(0));
        let mut neighbour = KEY;
        neighbour.0[15] = 9;
        remembered.clear(neighbour, Concerns::All);
        assert!(remembered.is_marked(KEY, Concerns::All, Mono(1)));
        remembered.clear(KEY, Concerns::All);
        assert!(!remembered.is_marked(KEY, Concerns::All, Mono(1)));
    }

    #[test]
    fn a_refusal_to_the_authorized_concerns_nobody_else() {
        let mut remembered = Remembered::default();
        remembered.mark(KEY, Concerns::Authorized, Mono(0));
        assert!(remembered.is_marked(KEY, Concerns::Authorized, Mono(1)));
        assert!(!remembered.is_marked(KEY, Concerns::All, Mono(1)));
        remembered.clear(KEY, Concerns::All);
        assert!(
            remembered.is_marked(KEY, Concerns::Authorized, Mono(1)),
            "an answer for all says nothing of it"
        );
        remembered.mark(KEY, Concerns::All, Mono(1));
        remembered.mark(KEY, Concerns::Authorized, Mono(2));
        assert!(remembered.is_marked(KEY, Concerns::All, Mono(3)));
        remembered.clear(KEY, Concerns::Authorized);
        assert!(!remembered.is_marked(KEY, Concerns::Authorized, Mono(4)));
    }

    #[test]
    fn any_number_of_keys_takes_the_same_room() {
        let mut remembered = Remembered::default();
        for n in 0..100_000u128 {
            remembered.mark(Digest(n.to_le_bytes()), Concerns::All, Mono(0));
        }
        assert_eq!(remembered.places.len(), PLACES);
    }
}
