//! Flights of this worker and their records in shared data.
//!
//! Every change of a record is read, computed (`flight::stripe`) and written by compare-and-swap, repeated on
//! conflict a bounded number of times; a worker that never gets through fetches by itself, which costs the upstream a
//! request and nobody a wait.

use super::{Slot, Worker};
use crate::config::plan::{Rule, Scope};
use crate::exchange::{Event, Exchange, Formation, Held};
use crate::flight::message::Message;
use crate::flight::remembered::{Concerns, Remembered};
use crate::flight::stripe::{self, Joined, Settled, WorkerId};
use crate::flight::table::{Flight, Lead, Room, Table};
use crate::flight::{Outcome, Token};
use crate::host::{Host, QueueId, StreamId};
use crate::http::key::{Digest, Key};
use crate::http::{Reason, RequestHead};
use crate::store::{Entry, l1};
use crate::telemetry::Occurrence;
use crate::time::{Mono, Wall};
use std::collections::BTreeSet;

/// What one worker knows of flights.
#[derive(Default)]
pub(super) struct Flights {
    pub(super) table: Table<StreamId>,
    pub(super) remembered: Remembered,
    /// Who waits until when.
    pub(super) deadlines: BTreeSet<(Mono, StreamId)>,
    count: u32,
}

impl Flights {
    /// A request waits no longer. When it waits again, its first deadline counts.
    pub(super) fn forget_deadline(&mut self, stream: StreamId, deadline: Option<Mono>) {
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, stream));
        }
    }
}

impl<H: Host> Worker<H> {
    /// Joins the flight of the request's key, or leads one.
    pub(super) fn join(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule) -> Option<Event> {
        let key = slot.exchange.key()?;
        let digest = flight_digest(&slot.exchange, key);
        if let Some(token) = self.joinable(digest, key) {
            return Some(self.wait(stream, slot, rule, token));
        }
        // Whom nobody can wake does not fly; it was no other waiter that kept it out.
        let Some(me) = self.me() else { return Some(Event::Apart(slot.exchange.why)) };
        let now = self.host.mono();
        let lease_until = now.after(rule.coalesce.lease);
        self.flights.count = self.flights.count.wrapping_add(1);
        let offered = Token::new(me.0, self.flights.count, slot.exchange.sender.is_refresh());
        let joined = match rule.coalesce.scope {
            // A write closes the flights of its key, and does not know which variants there are: those of other workers
            // are not joined.
            Scope::Fleet | Scope::Instance if !matches!(slot.exchange.formation, Formation::Variant(_)) => {
                self.change_stripe(digest, |record| {
                    let (record, joined) = stripe::join(record, digest, me, offered, now, lease_until);
                    Some((record, joined))
                })
            }
            Scope::Fleet | Scope::Instance | Scope::Worker | Scope::Off => None,
        };
        if let Some(Joined::Watching(token, lease_until)) = joined {
            let flight =
                Flight::new(digest, Lead::Elsewhere, true, Wall::default(), lease_until, rule.coalesce.lease);
            self.flights.table.enter(token, flight);
            return Some(self.wait(stream, slot, rule, token));
        }
        let shared = joined == Some(Joined::Leading);
        let (fresh, changed_at) = self.look_again(slot);
        slot.exchange.drop_outdated(changed_at);
        let flight =
            Flight::new(digest, Lead::Here(stream), shared, changed_at, lease_until, rule.coalesce.lease);
        self.flights.table.enter(offered, flight);
        self.counters.occurred(Occurrence::FlightLed);
        Some(Event::Led(offered, fresh.filter(|_| rule.cache.enabled)))
    }

    /// The flight of a key that this worker is in, if the other workers let it be joined still.
    fn joinable(&mut self, digest: Digest, key: &Key) -> Option<Token> {
        let token = self.flights.table.joinable(digest)?;
        let flight = self.flights.table.flight(token)?;
        let open = if flight.shared {
            let record = self.host.shared(&stripe::stripe_key(digest));
            record.and_then(|(record, _)| stripe::standing(&record, token)).is_some_and(|(_, open)| open)
        } else {
            flight.changed_at == self.changed_at(key)
        };
        if open {
            return Some(token);
        }
        self.flights.table.close(digest);
        None
    }

    pub(super) fn wait(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule, token: Token) -> Event {
        let [per_flight, in_all] = [rule.coalesce.max_waiters, self.plan.max_waiters]
            .map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let in_all = in_all.saturating_sub(self.releases.staying());
        let Some(place) = self.flights.table.wait(token, stream, Room { per_flight, in_all }) else {
            return Event::Apart(Reason::TooManyWaiters);
        };
        self.deadline(stream, slot, rule);
        Event::Watching(token, place)
    }

    /// A request waits, and no longer than this. One that waits again keeps its first deadline.
    pub(super) fn deadline(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule) {
        let deadline = *slot.deadline.get_or_insert(self.host.mono().after(rule.coalesce.wait_timeout));
        self.flights.deadlines.insert((deadline, stream));
    }

    /// Ends a flight and tells all who wait in it. Returns whether its resource was changed meanwhile.
    pub(super) fn end_flight(&mut self, token: Token, outcome: Outcome) -> bool {
        let Some(flight) = self.flights.table.end(token) else { return false };
        self.settle_lease(token, &flight, &outcome);
        let settled = if flight.shared {
            self.change_stripe(flight.digest, |record| stripe::settle(record, token))
        } else {
            None
        };
        let settled = settled.unwrap_or(Settled { watchers: Vec::new(), tainted: false });
        if !settled.watchers.is_empty() {
            let message = Message::Ended(token, outcome.clone()).encode();
            let me = self.queue.map(|queue| WorkerId(queue.0));
            for watcher in settled.watchers.iter().filter(|watcher| Some(**watcher) != me) {
                self.host.send(QueueId(watcher.0), &message);
            }
        }
        self.tell(outcome, flight);
        settled.tainted
    }

    /// Another worker's flight ended.
    pub(super) fn told(&mut self, token: Token, outcome: Outcome) {
        if let Some(flight) = self.flights.table.end(token) {
            if let Outcome::Alone(reason) = outcome {
                self.remember(flight.digest, reason);
            }
            self.tell(outcome, flight);
        }
    }

    /// A key's answer was not to be shared: the next wave does not wait for it.
    pub(super) fn remember(&mut self, digest: Digest, reason: Reason) {
        let concerns = if reason == Reason::Authorization { Concerns::Authorized } else { Concerns::All };
        self.flights.remembered.mark(digest, concerns, self.host.mono());
    }

    /// The leader is gone: a waiter of ours takes its place, or the other workers compete.
    pub(super) fn vacate(&mut self, token: Token) {
        if self.flights.table.vacate(token) {
            self.counters.occurred(Occurrence::FlightLost);
            self.promote_later(token);
        } else {
            self.end_flight(token, Outcome::Lost);
        }
    }

    /// In a root callback: the first waiter takes a vacant lead.
    pub(super) fn promote(&mut self, token: Token) {
        if !self.flights.table.is_vacant(token) {
            return;
        }
        match self.flights.table.promote(token) {
            Some(stream) => {
                self.drive(stream, Event::Led(token, None), super::At::Later);
            }
            None => {
                self.end_flight(token, Outcome::Lost);
            }
        }
    }

    /// On the tick: leases led here are renewed; leaders elsewhere whose lease has ended are given up.
    pub(super) fn watch_leases(&mut self, now: Mono) {
        for (token, here) in self.flights.table.due(now) {
            let Some((digest, lease)) =
                self.flights.table.flight(token).map(|flight| (flight.digest, flight.lease))
            else {
                continue;
            };
            if here {
                let until = now.after(lease);
                self.change_stripe(digest, |record| Some((stripe::renew(record, token, until)?, ())));
                self.flights.table.extend(token, until);
                self.renew_lease(token, digest, lease);
                continue;
            }
            let standing = self
                .host
                .shared(&stripe::stripe_key(digest))
                .and_then(|(record, _)| stripe::standing(&record, token))
                .filter(|(lease_until, _)| *lease_until > now);
            match standing {
                Some((lease_until, _)) => self.flights.table.extend(token, lease_until),
                None => {
                    self.counters.occurred(Occurrence::FlightLost);
                    self.told(token, Outcome::Lost);
                }
            }
        }
    }

    /// A key's resource changed: nobody joins its flights any more.
    pub(super) fn taint(&mut self, digest: Digest) {
        for digest in [digest, digest.beside()] {
            self.flights.table.close(digest);
            self.change_stripe(digest, |record| Some((stripe::taint(record, digest)?, ())));
        }
    }

    /// Changes the stripe of a key; `None` if there is nothing to change, or no getting through.
    fn change_stripe<T>(&self, digest: Digest, change: impl Fn(&[u8]) -> Option<(Vec<u8>, T)>) -> Option<T> {
        let key = stripe::stripe_key(digest);
        for _ in 0..MAX_TRIES {
            let (record, version) = self.host.shared(&key)?;
            let (record, result) = change(&record)?;
            if self.host.share(&key, &record, Some(version)).is_ok() {
                return Some(result);
            }
        }
        None
    }

    /// Between the look into L1 and the lead another flight may have ended, or the resource changed: the fresh entry
    /// that is there now, and the mark.
    fn look_again(&self, slot: &Slot) -> (Option<Held>, Wall) {
        let exchange = &slot.exchange;
        let Some(key) = exchange.key() else { return (None, Wall::default()) };
        // In this order: what is found after the mark was read is at most more recent than it.
        let changed_at = self.changed_at(key);
        let Ok(value) = self.find(key, &exchange.request, &exchange.fields) else {
            return (None, changed_at);
        };
        let now = self.host.wall();
        let fresh = l1::unwrap(&value).filter(|(kept_until, bytes)| {
            now < *kept_until && Entry::read(bytes).is_some_and(|entry| entry.is_fresh(now))
        });
        (fresh.map(|(_, bytes)| Held::new(bytes.to_vec())), changed_at)
    }
}

/// Under which digest an exchange flies.
fn flight_digest(exchange: &Exchange, key: &Key) -> Digest {
    match exchange.formation {
        Formation::Key => key.digest(),
        Formation::Beside => key.digest().beside(),
        Formation::Variant(digest) => digest,
    }
}

/// What is remembered against a request.
pub(super) fn concerns(request: &RequestHead) -> Concerns {
    if request.authorization { Concerns::Authorized } else { Concerns::All }
}

/// Conflicts in a row; each means that another worker got through.
const MAX_TRIES: u32 = 64;
