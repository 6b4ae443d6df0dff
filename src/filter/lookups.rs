//! Reading from L2 and L3: what they hold for a request, and what of it is believed.

use super::tiers::Purpose;
use super::{Slot, Worker};
use crate::exchange::{Event, Lookup};
use crate::flight::lease::Standing;
use crate::flight::{Origin, Token};
use crate::host::{Host, StreamId};
use crate::http::key::Key;
use crate::store::Entry;
use crate::store::leases::{Said, Wish};
use crate::store::remote::{self, Found, Unavailable};
use crate::store::variants::{self, Index};
use crate::telemetry::Occurrence;
use crate::time::{Mono, Wall};
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

/// What a lookup asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Of a variant, the one that was received then.
    variant: Option<Wall>,
    /// The lease of a flight.
    wish: Option<(Token, Wish)>,
}

impl Asked {
    pub(super) fn wish(&self) -> Option<&Wish> {
        self.wish.as_ref().map(|(_, wish)| wish)
    }
}

struct Newest<'a> {
    stored: Stored<'a>,
    bytes: &'a [u8],
    origin: Origin,
}

impl<H: Host> Worker<H> {
    /// Asks L2 and L3 for a request's entry, and for the lease of the flight that it leads.
    pub(super) fn look_up(
        &mut self,
        stream: StreamId,
        slot: &mut Slot,
        token: Option<Token>,
    ) -> Option<Event> {
        let digest = slot.exchange.key()?.digest();
        let wish = token.and_then(|token| self.wish(token));
        slot.standing = Standing::Unasked;
        let pipeline = remote::lookup(&self.plan.namespace, digest, wish.as_ref());
        let asked = Asked { variant: None, wish: token.zip(wish) };
        let callout =
            if self.tiers.can_ask() { self.call(&pipeline, Purpose::Lookup(stream, asked)) } else { None };
        slot.callout = callout;
        callout.is_none().then_some(Event::Found(Lookup::Unavailable, Standing::Unasked))
    }

    /// L2 and L3 answered a request's lookup, or not. Where they hold an index, the variant that the request selects is
    /// looked up next.
    pub(super) fn looked_up(
        &mut self,
        stream: StreamId,
        asked: Asked,
        asked_at: Mono,
        lookup: Result<(Found<'_>, Option<Said<'_>>), Unavailable>,
    ) {
        let Asked { variant, wish } = asked;
        let changed_at = self.streams.get(&stream).map(|slot| self.mark(slot)).unwrap_or_default();
        let standing = match (wish, &lookup) {
            (Some((token, _)), Ok((_, said))) => {
                let came = self.streams.get(&stream).map(|slot| slot.exchange.came);
                Some(self.stands(token, *said, (came, asked_at), changed_at))
            }
            // One answer that does not come is no reason to ask the upstream beside another.
            (Some((_, wish)), Err(_)) if wish.awaited.is_some() && self.tiers.can_ask() => {
                Some(Standing::Elsewhere)
            }
            _ => None,
        };
        let lookup = lookup.map(|(found, _)| found);
        let Some(slot) = self.streams.get_mut(&stream) else { return };
        slot.callout = None;
        if let Some(standing) = standing {
            slot.standing = standing;
        }
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
            let asked_at = self.host.wall().before(self.host.mono().since(asked_at));
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
                let pipeline = remote::lookup(&self.plan.namespace, digest, None);
                let asked = Asked { variant: Some(received_at), wish: None };
                let callout = self.call(&pipeline, Purpose::Lookup(stream, asked));
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
        let Some(slot) = self.streams.get_mut(&stream) else { return };
        slot.exchange.drop_outdated(changed_at);
        let standing = std::mem::replace(&mut slot.standing, Standing::Unasked);
        self.drive(stream, Event::Found(lookup, standing), super::At::Later);
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
