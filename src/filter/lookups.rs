//! Reading from L2 and L3: what they hold for a request, and what of it is believed.

use super::tiers::Purpose;
use super::{Slot, Worker};
use crate::exchange::{Event, Lookup};
use crate::flight::Origin;
use crate::host::{Host, StreamId};
use crate::http::key::Key;
use crate::store::Entry;
use crate::store::remote::{self, Found, Unavailable};
use crate::store::variants::{self, Index};
use crate::telemetry::Occurrence;
use crate::time::Wall;
use std::rc::Rc;

/// What Redis holds under a key.
enum Stored<'a> {
    Entry(Entry<'a>),
    Index(Index),
}

impl<'a> Stored<'a> {
    /// Reads what may have been written by anybody; what was received up to `changed_at` is left out of an index.
    fn read(bytes: &'a [u8], key: &Key, changed_at: Wall, now: Wall) -> Option<Self> {
        if let Some(mut index) = Index::read(bytes) {
            index.drop_outdated(changed_at);
            return (index.key == key.bytes()).then_some(Self::Index(index));
        }
        Entry::read_foreign(bytes, now).filter(|entry| entry.key == key.bytes()).map(Self::Entry)
    }
}

struct Newest<'a> {
    stored: Stored<'a>,
    bytes: &'a [u8],
    origin: Origin,
}

impl<H: Host> Worker<H> {
    /// Asks L2 and L3 for a request's entry.
    pub(super) fn look_up(&mut self, stream: StreamId, slot: &mut Slot) -> Option<Event> {
        let digest = slot.exchange.key()?.digest();
        let callout = self.call(&remote::lookup(&self.plan.namespace, digest), Purpose::Lookup(stream, None));
        slot.callout = callout;
        callout.is_none().then_some(Event::Found(Lookup::Unavailable))
    }

    /// L2 and L3 answered a request's lookup, or not. Where they hold an index, the variant that the request selects is
    /// looked up next.
    pub(super) fn looked_up(
        &mut self,
        stream: StreamId,
        variant: Option<Wall>,
        asked_at: Wall,
        lookup: Result<Found<'_>, Unavailable>,
    ) {
        let Some(slot) = self.streams.get_mut(&stream) else { return };
        slot.callout = None;
        let (rule, fields) = (slot.exchange.rule, slot.exchange.fields.clone());
        let (Ok(found), Some(key)) = (lookup, slot.exchange.key().cloned()) else {
            return self.found(stream, Lookup::Unavailable);
        };
        if variant.is_none() {
            let mut there = [found.l2, found.l3].into_iter().flatten();
            slot.exchange.replaces = found.wrong_type || there.any(|bytes| Index::read(bytes).is_none());
        }
        let newest = self.newest(found, &key);
        if variant.is_none() {
            let index = match &newest {
                Some(Newest { stored: Stored::Index(index), .. }) => Some(index),
                _ => None,
            };
            let max_variants = super::rule(&self.plan, rule).cache.max_variants;
            self.confirm_index(&key, index, asked_at, max_variants);
        }
        match newest {
            Some(Newest { stored: Stored::Entry(entry), bytes, origin }) => {
                let meant = match variant {
                    Some(received_at) => entry.meta.received_at == received_at,
                    None => true,
                };
                let lookup = match meant {
                    true => Lookup::Found(Rc::new(bytes.to_vec()), origin),
                    false => Lookup::OtherVariants,
                };
                self.found(stream, lookup);
            }
            Some(Newest { stored: Stored::Index(index), .. }) if variant.is_none() => {
                let selected = index.selected(&fields).into_iter().next();
                let wanted = selected
                    .map(|variant| (variants::digest(key.bytes(), &variant.selecting), variant.received_at));
                let Some((digest, received_at)) = wanted else {
                    return self.found(stream, Lookup::OtherVariants);
                };
                let pipeline = remote::lookup(&self.plan.namespace, digest);
                let callout = self.call(&pipeline, Purpose::Lookup(stream, Some(received_at)));
                match (callout, self.streams.get_mut(&stream)) {
                    (Some(callout), Some(slot)) => slot.callout = Some(callout),
                    _ => self.found(stream, Lookup::Unavailable),
                }
            }
            Some(_) => self.found(stream, Lookup::OtherVariants),
            None => self.found(stream, Lookup::Nothing),
        }
    }

    fn found(&mut self, stream: StreamId, lookup: Lookup) {
        // While the tiers were asked, the resource may have changed, or a confirmation forbidden what L1 held.
        let changed_at = self.streams.get(&stream).map(|slot| self.mark(slot)).unwrap_or_default();
        if let Some(slot) = self.streams.get_mut(&stream) {
            slot.exchange.drop_outdated(changed_at);
        }
        self.drive(stream, Event::Found(lookup), super::At::Later);
    }

    /// Of what the tiers hold for a key, what was received last (RFC 9111 §4), if its resource was not changed since.
    fn newest<'a>(&mut self, found: Found<'a>, key: &Key) -> Option<Newest<'a>> {
        if found.wrong_type {
            self.counters.occurred(Occurrence::L2Corrupt);
        }
        let now = self.host.wall();
        let changed_at = self.changed_at(key).max(self.tiers.believed_since);
        let mut newest: Option<(Wall, Newest<'a>)> = None;
        for (bytes, origin) in [(found.l2, Origin::L2), (found.l3, Origin::L3)] {
            let Some(bytes) = bytes else { continue };
            let Some(stored) = Stored::read(bytes, key, changed_at, now) else {
                self.counters.occurred(Occurrence::L2Corrupt);
                continue;
            };
            let (received_at, true_at) = match &stored {
                Stored::Entry(entry) => (entry.meta.received_at, entry.requested_at()),
                Stored::Index(index) => {
                    let latest = index.latest().unwrap_or_default();
                    (latest, latest)
                }
            };
            let is_newer = newest.as_ref().is_none_or(|(newest, _)| received_at > *newest);
            if true_at > changed_at && is_newer {
                newest = Some((received_at, Newest { stored, bytes, origin }));
            }
        }
        newest.map(|(_, newest)| newest)
    }
}
