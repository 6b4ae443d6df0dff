//! L1's slots in shared data: how an entry comes in, how a change of its resource drives it out.
//!
//! Workers write the same slots at the same time, and no order of theirs may bring back what an unsafe request made
//! untrue. So a slot changes by compare-and-swap alone, its creation included, and its mark (`store::l1`) is looked at
//! in the same step. The directory follows: a slot is written first and booked then, so that a lost race leaves too
//! much booked rather than an entry that nobody counts.

use super::{Worker, kept_until};
use crate::exchange::Held;
use crate::host::{Host, Version};
use crate::http::key::Digest;
use crate::store::Entry;
use crate::store::l1::{self, Slot};
use crate::telemetry::Occurrence;
use crate::time::Wall;
use std::time::Duration;

impl<H: Host> Worker<H> {
    /// Puts an entry into L1, driving out the oldest of its group. Returns `false` if the entry is out of date: its
    /// resource was changed after `true_at`, or L1 holds a later one.
    pub(super) fn fill(&mut self, true_at: Wall, digest: Digest, entry: &[u8]) -> bool {
        let slot = self.tiers.geometry.slot(digest);
        for _ in 0..MAX_TRIES {
            let (held, version) = self.slot(slot);
            let changed_at = l1::changed_at(&held);
            if true_at <= changed_at || is_later(&held, entry) {
                return false;
            }
            let now = self.host.wall();
            let value = l1::wrap(kept_until(&self.plan, now), changed_at, entry);
            let too_large =
                u64::try_from(entry.len()).map_or(true, |len| len > self.plan.l1.max_object_bytes);
            if too_large || !self.tiers.geometry.takes(value.len()) {
                return true;
            }
            if self.swap(slot, &value, version) {
                self.book(slot, value.len(), now);
                self.counters.occurred(Occurrence::L1Stored);
                return true;
            }
        }
        true
    }

    /// Takes a key out of L1, leaving a mark against what was fetched before, and drops what was still to be stored.
    pub(super) fn forget(&mut self, digest: Digest) {
        let slot = self.tiers.geometry.slot(digest);
        let now = self.host.wall();
        for _ in 0..MAX_TRIES {
            let (held, version) = self.slot(slot);
            // Two changes within a millisecond are two.
            let changed_at = now.max(l1::changed_at(&held).after(Duration::from_millis(1)));
            let value = l1::wrap(Wall::default(), changed_at, b"");
            if self.swap(slot, &value, version) {
                break;
            }
        }
        self.tasks.drop_stores(digest);
    }

    /// When a key's resource was last changed here, as far as is known.
    pub(super) fn changed_at(&self, digest: Digest) -> Wall {
        l1::changed_at(&self.slot(self.tiers.geometry.slot(digest)).0)
    }

    /// What L1 holds for a key, fresh or not. A waiter holds nothing itself: copies by the thousand would.
    pub(super) fn held_in_l1(&self, slot: &super::Slot) -> Option<Held> {
        let (value, _) = self.slot(self.tiers.geometry.slot(slot.exchange.key()?.digest()));
        l1::unwrap(&value).map(|(_, entry)| Held::new(entry.to_vec()))
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
fn is_later(held: &[u8], entry: &[u8]) -> bool {
    let held = l1::unwrap(held).and_then(|(_, held)| Entry::read(held));
    held.zip(Entry::read(entry))
        .is_some_and(|(held, entry)| held.key == entry.key && held.meta.received_at > entry.meta.received_at)
}

/// Conflicts in a row; each means that another worker got through.
const MAX_TRIES: u32 = 64;
