//! Which responses are kept beside each other for one key, because Vary tells them apart (RFC 9111 §4.1).
//!
//! A response without Vary stands under its key. Where responses vary, an *index* stands there instead: a list of the
//! variants, each with the request fields that select it and the moment it was received, and each variant stands under
//! a digest of its own, made of the key and what selects it. The index is the truth: a variant is believed only if the
//! index names it with the very moment it was received. So whoever takes the index away takes all variants with it, and
//! one that was written by a loser of a race is nobody's.
//!
//! In Redis the index is a log: whoever stores a variant appends its line (`APPEND`, which needs no reading before), so
//! that of two workers or Envoys that store at once neither overwrites what the other has written, and what was taken
//! away stays so. When the log has grown to twice what an index may hold, it is written anew.
//!
//! The list is bounded. When it is full, the variant that is of no more use goes first, else the one that was asked for
//! longest ago.

use super::entry::Entry;
use crate::http::key::Digest;
use crate::http::{Fields, vary};
use crate::time::Wall;
use std::time::Duration;

/// The variants of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// The full key.
    pub key: Vec<u8>,
    variants: Vec<Variant>,
    /// How many lines it takes in Redis, as far as is known.
    logged: u32,
}

/// How a variant gets into the index in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publication {
    /// By a line at its end.
    Append,
    /// With all that is known, in place of what is there.
    Replace,
}

/// One variant, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// The request fields that select it (`http::vary`).
    pub selecting: Vec<u8>,
    /// When it was received.
    pub received_at: Wall,
    /// Until when it is of any use.
    pub of_use_until: Wall,
    /// When it was last asked for, to about a second.
    pub used_at: Wall,
}

impl Variant {
    /// Of an entry that is of use until then.
    pub fn of(entry: &Entry<'_>, of_use_until: Wall, now: Wall) -> Self {
        Self {
            selecting: entry.selecting.to_vec(),
            received_at: entry.meta.received_at,
            of_use_until,
            used_at: now,
        }
    }

    /// Whether `entry` is the one the index means.
    pub fn is(&self, entry: &Entry<'_>, key: &[u8]) -> bool {
        entry.key == key && entry.selecting == self.selecting && entry.meta.received_at == self.received_at
    }
}

impl Index {
    /// An index without variants.
    pub fn new(key: &[u8]) -> Self {
        Self { key: key.to_vec(), variants: Vec::new(), logged: 0 }
    }

    /// The variants that `request` selects, the one received last first (RFC 9111 §4).
    pub fn selected(&self, request: &Fields) -> Vec<&Variant> {
        let mut selected: Vec<_> =
            self.variants.iter().filter(|variant| vary::matches(&variant.selecting, request)).collect();
        selected.sort_by_key(|variant| std::cmp::Reverse(variant.received_at));
        selected
    }

    /// When the variant with these selecting fields was received, if there is one.
    pub fn received_at(&self, selecting: &[u8]) -> Option<Wall> {
        self.variants.iter().find(|variant| variant.selecting == selecting).map(|variant| variant.received_at)
    }

    /// When the last of them was received.
    pub fn latest(&self) -> Option<Wall> {
        self.variants.iter().map(|variant| variant.received_at).max()
    }

    /// Until when one of them is of use.
    pub fn of_use_until(&self) -> Option<Wall> {
        self.variants.iter().map(|variant| variant.of_use_until).max()
    }

    /// The variants.
    pub fn variants(&self) -> &[Variant] {
        &self.variants
    }

    /// Takes a variant in, in place of the former one with the same selecting fields, and gives those that had to go
    /// so that at most `max` stay.
    pub fn admit(&mut self, variant: Variant, max: usize, now: Wall) -> Vec<Variant> {
        let newcomer = variant.selecting.clone();
        match self.variants.iter_mut().find(|known| known.selecting == variant.selecting) {
            Some(known) => *known = variant,
            None => self.variants.push(variant),
        }
        let mut gone = Vec::new();
        while self.variants.len() > max.clamp(1, MAX_VARIANTS) {
            let others = self.variants.iter().enumerate().filter(|(_, other)| other.selecting != newcomer);
            let least = others.min_by_key(|(_, other)| (other.of_use_until > now, other.used_at));
            let Some((place, _)) = least else { break };
            gone.push(self.variants.swap_remove(place));
        }
        gone
    }

    /// How the variant that was just admitted is to be published; `anew` if what stands in Redis is no index, or none
    /// that can be read.
    pub fn publish(&mut self, anew: bool, max: usize) -> Publication {
        let longest = u32::try_from(max.clamp(1, MAX_VARIANTS).saturating_mul(2)).unwrap_or(u32::MAX);
        if anew || self.logged >= longest {
            self.logged = u32::try_from(self.variants.len()).unwrap_or(u32::MAX);
            return Publication::Replace;
        }
        self.logged = self.logged.saturating_add(1);
        Publication::Append
    }

    /// Takes over from what was read from Redis how long it is there.
    pub fn log_is(&mut self, other: Option<&Self>) {
        self.logged = other.map_or(0, |other| other.logged);
    }

    /// Joins what another copy of the index knows, the later of each two.
    pub fn join(&mut self, other: &Self, max: usize, now: Wall) {
        for variant in &other.variants {
            if self.received_at(&variant.selecting).is_none_or(|known| known < variant.received_at) {
                self.admit(variant.clone(), max, now);
            }
        }
    }

    /// Leaves out what was received up to a moment.
    pub fn drop_outdated(&mut self, changed_at: Wall) {
        self.variants.retain(|variant| variant.received_at > changed_at);
    }

    /// Notes that a variant was asked for; whether that is news.
    pub fn use_now(&mut self, selecting: &[u8], now: Wall) -> bool {
        let variant = self.variants.iter_mut().find(|variant| variant.selecting == selecting);
        let Some(variant) = variant.filter(|variant| now.since(variant.used_at) >= USE_GRAIN) else {
            return false;
        };
        variant.used_at = now;
        true
    }

    /// Reads an index, in one piece or in several that were appended; `None` if the bytes are not one of a known
    /// version, whole and exact.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (mut index, mut rest) = Self::read_piece(bytes)?;
        while !rest.is_empty() {
            let (piece, after) = Self::read_piece(rest)?;
            index.logged = index.logged.saturating_add(piece.logged);
            if piece.key != index.key || index.logged > LONGEST_LOG {
                return None;
            }
            // Whichever was received last, if there are more than there may be, is asked for at least.
            index.join(&piece, MAX_VARIANTS, Wall::default());
            rest = after;
        }
        Some(index)
    }

    fn read_piece(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (key, rest) = part(rest)?;
        let (logged, rest) = rest.split_first_chunk::<4>()?;
        let (count, mut rest) = rest.split_first_chunk::<4>()?;
        let count =
            usize::try_from(u32::from_le_bytes(*count)).ok().filter(|count| *count <= MAX_VARIANTS)?;
        let mut variants = Vec::with_capacity(count);
        for _ in 0..count {
            let (selecting, after) = part(rest)?;
            let (times, after) = after.split_first_chunk::<24>()?;
            let time = |place: usize| {
                let (time, _) = times.get(place..)?.split_first_chunk::<8>()?;
                Some(Wall(u64::from_le_bytes(*time)))
            };
            variants.push(Variant {
                selecting: selecting.to_vec(),
                received_at: time(0)?,
                of_use_until: time(8)?,
                used_at: time(16)?,
            });
            rest = after;
        }
        let logged = u32::from_le_bytes(*logged);
        Some((Self { key: key.to_vec(), variants, logged }, rest))
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        piece(&self.key, self.logged, &self.variants)
    }

    /// The line of a variant, to be appended.
    pub fn line(&self, selecting: &[u8]) -> Vec<u8> {
        let variant = self.variants.iter().find(|variant| variant.selecting == selecting);
        piece(&self.key, 1, variant.map(std::slice::from_ref).unwrap_or_default())
    }
}

fn piece(key: &[u8], logged: u32, variants: &[Variant]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    write(&mut out, key);
    out.extend_from_slice(&logged.to_le_bytes());
    out.extend_from_slice(&u32::try_from(variants.len()).unwrap_or(u32::MAX).to_le_bytes());
    for variant in variants {
        write(&mut out, &variant.selecting);
        for time in [variant.received_at, variant.of_use_until, variant.used_at] {
            out.extend_from_slice(&time.0.to_le_bytes());
        }
    }
    out
}

/// Under which digest a variant stands.
pub fn digest(key: &[u8], selecting: &[u8]) -> Digest {
    let length = u64::try_from(key.len()).unwrap_or(u64::MAX);
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"variant").update(&length.to_le_bytes()).update(key).update(selecting);
    Digest::first_of(&hasher.finalize())
}

fn part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

fn write(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(part);
}

/// Also what is read from a store that others can write to.
pub const MAX_VARIANTS: usize = 64;
const MAGIC: &[u8] = b"BV\x02";
/// Beyond, a log is taken for garbage: whoever writes one begins anew long before.
const LONGEST_LOG: u32 = 1_024;
/// A hot page is not written to for each request.
const USE_GRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
