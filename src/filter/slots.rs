//! L1's slots in shared data: how an entry comes in, how a change of its resource drives it out.
//!
//! Workers write the same slots at the same time, and no order of theirs may bring back what an unsafe request made
//! untrue. So a slot changes by compare-and-swap alone, its creation included, and its mark (`store::l1`) is looked at
//! in the same step. The directory follows: a slot is written first and booked then, so that a lost race leaves too
//! much booked rather than an entry that nobody counts.
//!
//! A response that varies stands in a slot of its own, and its key's slot holds the index of all variants
//! (`store::variants`). The variant is written first and named in the index then.

use super::{Worker, kept_until};
use crate::exchange::{Held, fits};
use crate::host::{Host, Version};
use crate::http::key::{Digest, Key};
use crate::http::{Fields, Reason, RequestHead};
use crate::store::Entry;
use crate::store::l1::{self, Slot};
use crate::store::variants::{self, Index, Publication, Variant};
use crate::telemetry::Occurrence;
use crate::time::Wall;
use std::time::Duration;

/// What became of a wish to put something into L1.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// It is there, or too large for L1. Of an entry that varies, this is now the index of its key, and how the entry
    /// gets into that in Redis.
    Taken(Option<(Index, Publication)>),
    /// Its resource was changed after it was true, or L1 holds a later one.
    OutOfDate,
}

impl<H: Host> Worker<H> {
    /// The slot's value that holds what answers a request, fresh or not; else why there is none.
    pub(super) fn find(&self, key: &Key, request: &RequestHead, fields: &Fields) -> Result<Vec<u8>, Reason> {
        let value = self.host.shared(&self.tiers.geometry.slot(key.digest()).key()).ok_or(Reason::UriMiss)?.0;
        let bytes = l1::unwrap(&value).ok_or(Reason::UriMiss)?.1;
        if let Some(entry) = Entry::read(bytes) {
            return match fits(&entry, key, request, fields) && self.is_true(&entry, key) {
                true => Ok(value),
                false => Err(Reason::UriMiss),
            };
        }
        let index = Index::read(bytes).filter(|index| index.key == key.bytes()).ok_or(Reason::UriMiss)?;
        // The index may have come back from Redis, and knows of each variant when it came, not when it was asked for.
        let changed_at = l1::changed_at(&value);
        let found = index.selected(fields).into_iter().find_map(|variant| {
            let slot = self.tiers.geometry.slot(variants::digest(key.bytes(), &variant.selecting));
            let (value, _) = self.host.shared(&slot.key())?;
            let entry = Entry::read(l1::unwrap(&value)?.1)?;
            let fits = variant.is(&entry, key.bytes()) && fits(&entry, key, request, fields);
            let answers = fits && entry.requested_at() > changed_at && self.is_true(&entry, key);
            answers.then_some((value, variant.selecting.clone()))
        });
        let (value, selecting) = found.ok_or(Reason::VaryMiss)?;
        self.note_use(key, index, &selecting);
        Ok(value)
    }

    /// A variant was asked for: the least used will go first. A lost race loses one note.
    fn note_use(&self, key: &Key, mut index: Index, selecting: &[u8]) {
        if !index.use_now(selecting, self.host.wall()) {
            return;
        }
        let slot = self.tiers.geometry.slot(key.digest());
        let (held, version) = self.slot(slot);
        let Some((kept_until, bytes)) = l1::unwrap(&held) else { return };
        if let Some(mut held_index) = Index::read(bytes).filter(|held| held.key == index.key)
            && held_index.use_now(selecting, self.host.wall())
        {
            let value = l1::wrap(kept_until, l1::changed_at(&held), &held_index.encode());
            self.swap(slot, &value, version);
        }
    }

    /// Puts an entry into L1, driving out the oldest of its group; `digest` is that of its key.
    pub(super) fn fill(&mut self, true_at: Wall, digest: Digest, bytes: &[u8], max_variants: u32) -> Filled {
        let Some(entry) = Entry::read(bytes) else { return Filled::OutOfDate };
        if !entry.selecting.is_empty() {
            return self.fill_variant(true_at, digest, &entry, bytes, max_variants);
        }
        let slot = self.tiers.geometry.slot(digest);
        self.write(slot, |held| {
            (true_at > l1::changed_at(held) && !is_later(held, &entry)).then(|| bytes.to_vec())
        })
        .map_or(Filled::OutOfDate, |_| Filled::Taken(None))
    }

    fn fill_variant(
        &mut self,
        true_at: Wall,
        digest: Digest,
        entry: &Entry<'_>,
        bytes: &[u8],
        max_variants: u32,
    ) -> Filled {
        let slot = self.tiers.geometry.slot(digest);
        if true_at <= l1::changed_at(&self.slot(slot).0) {
            return Filled::OutOfDate;
        }
        let variant_digest = variants::digest(entry.key, entry.selecting);
        let variant_slot = self.tiers.geometry.slot(variant_digest);
        self.write(variant_slot, |held| (!is_later(held, entry)).then(|| bytes.to_vec()));
        let max = usize::try_from(max_variants).unwrap_or(variants::MAX_VARIANTS);
        let now = self.host.wall();
        let variant = Variant::of(entry, entry.of_use_until(), now);
        let mut known = None;
        let mut gone = Vec::new();
        let named = self.write(slot, |held| {
            if true_at <= l1::changed_at(held) {
                return None;
            }
            let there = l1::unwrap(held).map_or(&[][..], |(_, bytes)| bytes);
            if Entry::read(there).is_some() && is_later(held, entry) {
                return None;
            }
            let read = Index::read(there).filter(|index| index.key == entry.key);
            let mut index = read.unwrap_or_else(|| Index::new(entry.key));
            if index.received_at(entry.selecting).is_some_and(|known| known > variant.received_at) {
                return None;
            }
            gone = index.admit(variant.clone(), max, now);
            // What stood there alone until now stands so in Redis too.
            let stood_alone = Entry::read(there).is_some_and(|other| other.key == entry.key);
            let publication = index.publish(stood_alone, max);
            let bytes = index.encode();
            known = Some((index, publication));
            Some(bytes)
        });
        if named.is_none() {
            return Filled::OutOfDate;
        }
        for variant in gone {
            self.counters.occurred(Occurrence::VariantEvicted);
            self.evict(self.tiers.geometry.slot(variants::digest(entry.key, &variant.selecting)));
        }
        Filled::Taken(known)
    }

    /// The tiers behind were asked for the index of a key, and this is it, if there is one: what they do not name is not
    /// believed, for a write elsewhere takes away the index there. But for what has come here since they were asked.
    pub(super) fn confirm_index(
        &mut self,
        key: &Key,
        other: Option<&Index>,
        asked_at: Wall,
        max_variants: u32,
    ) {
        let slot = self.tiers.geometry.slot(key.digest());
        let max = usize::try_from(max_variants).unwrap_or(variants::MAX_VARIANTS);
        let now = self.host.wall();
        self.write(slot, |held| {
            let read = l1::unwrap(held).and_then(|(_, bytes)| Index::read(bytes));
            let known = read.filter(|index| index.key == key.bytes());
            let mut index = known.or_else(|| other.map(|other| Index::new(&other.key)))?;
            let before = index.clone();
            index.drop_outdated(asked_at);
            if let Some(other) = other {
                index.join(other, max, now);
            }
            index.drop_outdated(l1::changed_at(held));
            index.log_is(other);
            let bytes = if index.variants().is_empty() { Vec::new() } else { index.encode() };
            (index != before).then_some(bytes)
        });
    }

    /// Writes what is not an entry into its slot.
    pub(super) fn note(&mut self, digest: Digest, bytes: &[u8]) {
        let slot = self.tiers.geometry.slot(digest);
        self.write(slot, |_| Some(bytes.to_vec()));
    }

    /// Writes what `make` makes of a slot's value into it, and books it; `None` if it makes nothing. What is too large
    /// is made and not written.
    fn write(&mut self, slot: Slot, mut make: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<()> {
        for _ in 0..MAX_TRIES {
            let (held, version) = self.slot(slot);
            let bytes = make(&held)?;
            let now = self.host.wall();
            let value = l1::wrap(kept_until(&self.plan, now), l1::changed_at(&held), &bytes);
            let too_large =
                u64::try_from(bytes.len()).map_or(true, |len| len > self.plan.l1.max_object_bytes);
            if too_large || !self.tiers.geometry.takes(value.len()) {
                return Some(());
            }
            if self.swap(slot, &value, version) {
                self.book(slot, value.len(), now);
                self.counters.occurred(Occurrence::L1Stored);
                return Some(());
            }
        }
        Some(())
    }

    /// Takes a key out of L1, leaving a mark against what was fetched before, and drops what was still to be stored.
    pub(super) fn forget(&mut self, at: Wall, digest: Digest) {
        let slot = self.tiers.geometry.slot(digest);
        for _ in 0..MAX_TRIES {
            let (held, version) = self.slot(slot);
            // Two changes within a millisecond are two.
            let changed_at = at.max(l1::changed_at(&held).after(Duration::from_millis(1)));
            let value = l1::wrap(Wall::default(), changed_at, b"");
            if self.swap(slot, &value, version) {
                break;
            }
        }
        self.drop_stores(digest);
    }

    /// When a key's resource was last changed here, as far as is known.
    pub(super) fn changed_at(&self, key: &Key) -> Wall {
        self.marked_at(key.digest())
            .max(key.resource().map_or(Wall::default(), |digest| self.marked_at(digest)))
    }

    fn marked_at(&self, digest: Digest) -> Wall {
        l1::changed_at(&self.slot(self.tiers.geometry.slot(digest)).0)
    }

    /// Whether an entry was asked for after its resource changed under another key than its own, whose slot has the mark.
    fn is_true(&self, entry: &Entry<'_>, key: &Key) -> bool {
        key.resource().is_none_or(|digest| entry.requested_at() > self.marked_at(digest))
    }

    /// What L1 holds for a key, fresh or not. A waiter holds nothing itself: copies by the thousand would.
    pub(super) fn held_in_l1(&self, slot: &super::Slot) -> Option<Held> {
        let exchange = &slot.exchange;
        let value = self.find(exchange.key()?, &exchange.request, &exchange.fields).ok()?;
        l1::unwrap(&value).map(|(_, entry)| Held::new(entry.to_vec()))
    }

    /// When the resource of a request was last changed, or what was stored of it discarded.
    pub(super) fn mark(&self, slot: &super::Slot) -> Wall {
        slot.exchange.key().map(|key| self.changed_at(key)).unwrap_or_default()
    }

    fn book(&mut self, slot: Slot, size: usize, now: Wall) {
        let key = l1::directory_key(slot.group);
        for _ in 0..MAX_TRIES {
            let Some((directory, version)) = self.host.shared(&key) else { break };
            let Some(booking) = self.tiers.geometry.book(&directory, slot, size, now) else { break };
            if self.host.share(&key, &booking.directory, Some(version)).is_ok() {
                for victim in booking.victims {
                    self.evict(victim);
                }
                return;
            }
        }
        // What is not booked must not stay.
        self.evict(slot);
    }

    /// Empties a slot but for its mark.
    fn evict(&mut self, victim: Slot) {
        for _ in 0..MAX_TRIES {
            let (held, version) = self.slot(victim);
            let value = l1::wrap(Wall::default(), l1::changed_at(&held), b"");
            if self.swap(victim, &value, version) {
                self.counters.occurred(Occurrence::L1Evicted);
                return;
            }
        }
    }

    /// Writes a slot that still has this version, then what tells that it changed: who has the former version of that
    /// has the former value (`hot`).
    fn swap(&self, slot: Slot, value: &[u8], version: Version) -> bool {
        let written = self.host.share(&slot.key(), value, Some(version)).is_ok();
        if written {
            let _ = self.host.share(&slot.version_key(), b"", None);
        }
        written
    }

    fn slot(&self, slot: Slot) -> (Vec<u8>, Version) {
        self.host.shared(&slot.key()).unwrap_or((Vec::new(), Version::ABSENT))
    }
}

/// Whether a slot holds a later response for the same key as `entry`.
fn is_later(held: &[u8], entry: &Entry<'_>) -> bool {
    let held = l1::unwrap(held).map_or(&[][..], |(_, held)| held);
    let received_at = match Entry::read(held) {
        Some(held) => (held.key == entry.key).then_some(held.meta.received_at),
        None => Index::read(held).filter(|index| index.key == entry.key).and_then(|index| index.latest()),
    };
    received_at.is_some_and(|received_at| received_at > entry.meta.received_at)
}

/// Conflicts in a row; each means that another worker got through.
const MAX_TRIES: u32 = 64;
