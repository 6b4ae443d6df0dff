//! The flights one worker takes part in, with the requests that wait in them.
//!
//! Each waiter has a place of its own, so that it can leave without a search. A flight is led by a request of this
//! worker or by another worker's; when a leader of ours is lost, the waiter that came first takes its place and the
//! flight goes on under the same token, so that no other worker needs to know.

use crate::flight::Token;
use crate::flight::lease::Lease;
use crate::http::key::Digest;
use crate::time::{Mono, Wall};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who leads a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead<S> {
    /// A request of this worker.
    Here(S),
    /// A request of another worker.
    Elsewhere,
    /// Nobody for the moment: the first waiter is about to be promoted.
    Vacant,
}

/// One flight as this worker sees it.
#[derive(Clone, Debug)]
pub struct Flight<S> {
    /// The key that is fetched.
    pub digest: Digest,
    /// Who leads.
    pub lead: Lead<S>,
    /// Whether other workers may take part: it then stands in a stripe and has a lease to be renewed.
    pub shared: bool,
    /// When the resource was last changed before it began: a later change makes its answer unfit for those who come
    /// after. Of a shared flight, its record tells that.
    pub changed_at: Wall,
    /// Until when the leader is believed in.
    pub lease_until: Mono,
    /// For how long a sign of life counts.
    pub lease: Duration,
    /// How it stands to the lease of the fleet.
    pub in_fleet: Lease,
    /// The waiters by place, in the order in which they came.
    pub waiters: BTreeMap<u64, S>,
}

/// All flights of one worker.
#[derive(Clone, Debug)]
pub struct Table<S> {
    flights: BTreeMap<Token, Flight<S>>,
    joinable: BTreeMap<Digest, Token>,
    next_place: u64,
    /// Waiters of all flights.
    waiting: usize,
}

/// How many may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// In one flight.
    pub per_flight: usize,
    /// In all flights together.
    pub in_all: usize,
}

impl<S> Flight<S> {
    /// A flight that nobody waits in yet.
    pub fn new(
        digest: Digest,
        lead: Lead<S>,
        shared: bool,
        changed_at: Wall,
        lease_until: Mono,
        lease: Duration,
    ) -> Self {
        Self {
            digest,
            lead,
            shared,
            changed_at,
            lease_until,
            lease,
            in_fleet: Lease::None,
            waiters: BTreeMap::new(),
        }
    }
}

impl<S> Default for Table<S> {
    fn default() -> Self {
        Self { flights: BTreeMap::new(), joinable: BTreeMap::new(), next_place: 0, waiting: 0 }
    }
}

impl<S: Copy> Table<S> {
    /// The flight of a key that can be joined, if this worker takes part in one.
    pub fn joinable(&self, digest: Digest) -> Option<Token> {
        self.joinable.get(&digest).copied()
    }

    /// Enters a flight.
    pub fn enter(&mut self, token: Token, flight: Flight<S>) {
        self.joinable.insert(flight.digest, token);
        self.flights.entry(token).or_insert(flight);
    }

    /// Adds a waiter; its place, or `None` if there is no room for another or no such flight.
    pub fn wait(&mut self, token: Token, stream: S, room: Room) -> Option<u64> {
        let flight = self.flights.get_mut(&token)?;
        if flight.waiters.len() >= room.per_flight || self.waiting >= room.in_all {
            return None;
        }
        let place = self.next_place;
        self.next_place = self.next_place.wrapping_add(1);
        flight.waiters.insert(place, stream);
        self.waiting = self.waiting.saturating_add(1);
        Some(place)
    }

    /// A waiter leaves.
    pub fn leave(&mut self, token: Token, place: u64) {
        if self.flights.get_mut(&token).and_then(|flight| flight.waiters.remove(&place)).is_some() {
            self.waiting = self.waiting.saturating_sub(1);
        }
    }

    /// The leader of ours is lost. Returns whether someone waits to take its place.
    pub fn vacate(&mut self, token: Token) -> bool {
        let Some(flight) = self.flights.get_mut(&token) else { return false };
        flight.lead = Lead::Vacant;
        !flight.waiters.is_empty()
    }

    /// A request takes a vacant lead from outside; under which digest, if it was vacant.
    pub fn adopt(&mut self, token: Token, stream: S) -> Option<Digest> {
        let flight = self.flights.get_mut(&token).filter(|flight| matches!(flight.lead, Lead::Vacant))?;
        flight.lead = Lead::Here(stream);
        Some(flight.digest)
    }

    /// The first waiter takes a vacant lead.
    pub fn promote(&mut self, token: Token) -> Option<S> {
        let flight = self.flights.get_mut(&token)?;
        if !matches!(flight.lead, Lead::Vacant) {
            return None;
        }
        let (_, stream) = flight.waiters.pop_first()?;
        flight.lead = Lead::Here(stream);
        self.waiting = self.waiting.saturating_sub(1);
        Some(stream)
    }

    /// Whether a flight's lead is vacant.
    pub fn is_vacant(&self, token: Token) -> bool {
        self.flights.get(&token).is_some_and(|flight| matches!(flight.lead, Lead::Vacant))
    }

    /// Nobody joins the key's flight any more; it ends normally for those in it.
    pub fn close(&mut self, digest: Digest) {
        self.joinable.remove(&digest);
    }

    /// A flight ends here: takes it out with those who wait in it.
    pub fn end(&mut self, token: Token) -> Option<Flight<S>> {
        let flight = self.flights.remove(&token)?;
        self.waiting = self.waiting.saturating_sub(flight.waiters.len());
        if self.joinable.get(&flight.digest) == Some(&token) {
            self.joinable.remove(&flight.digest);
        }
        Some(flight)
    }

    /// A flight.
    pub fn flight(&self, token: Token) -> Option<&Flight<S>> {
        self.flights.get(&token)
    }

    /// How a flight stands to the lease of the fleet, to be changed.
    pub fn lease(&mut self, token: Token) -> Option<&mut Lease> {
        Some(&mut self.flights.get_mut(&token)?.in_fleet)
    }

    /// The leader is believed in for longer.
    pub fn extend(&mut self, token: Token, lease_until: Mono) {
        if let Some(flight) = self.flights.get_mut(&token) {
            flight.lease_until = lease_until;
        }
    }

    /// Flights between workers or Envoys that need a look: those led here of whose lease half is over, and those led
    /// elsewhere whose lease has ended. (token, whether led here)
    pub fn due(&self, now: Mono) -> Vec<(Token, bool)> {
        self.flights
            .iter()
            .filter(|(_, flight)| flight.shared || flight.in_fleet.is_held())
            .map(|(token, flight)| (*token, flight, !matches!(flight.lead, Lead::Elsewhere)))
            .filter(|(_, flight, here)| {
                let margin = if *here { flight.lease.div_f32(2.0) } else { Duration::ZERO };
                now.after(margin) >= flight.lease_until
            })
            .map(|(token, _, here)| (token, here))
            .collect()
    }

    /// Number of waiters in all flights.
    pub fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const KEY: Digest = Digest([1; 16]);
    const T: Token = Token(5);
    const LEASE: Duration = Duration::from_millis(100);
    const AMPLE: Room = Room { per_flight: 9, in_all: 9 };

    fn led_by(stream: u32) -> Table<u32> {
        let mut table = Table::default();
        table.enter(T, Flight::new(KEY, Lead::Here(stream), true, Wall(0), Mono(100), LEASE));
        table
    }

    #[test]
    fn waiters_are_taken_up_to_the_limit_and_no_further() {
        let mut table = led_by(1);
        let room = Room { per_flight: 2, in_all: 9 };
        assert!(table.wait(T, 2, room).is_some());
        assert!(table.wait(T, 3, room).is_some());
        assert_eq!(table.wait(T, 4, room), None);
        assert_eq!(table.waiting(), 2);
    }

    #[test]
    fn waiters_of_all_flights_together_are_taken_up_to_the_limit_and_no_further() {
        let mut table = led_by(1);
        table.enter(Token(6), Flight::new(Digest([2; 16]), Lead::Elsewhere, true, Wall(0), Mono(90), LEASE));
        let room = Room { per_flight: 9, in_all: 2 };
        let place = table.wait(T, 2, room).unwrap();
        assert!(table.wait(Token(6), 3, room).is_some());
        assert_eq!([T, Token(6)].map(|token| table.wait(token, 4, room)), [None; 2]);
        table.leave(T, place);
        table.leave(T, place);
        assert_eq!(table.waiting(), 1, "who has left does not leave again");
        assert!(table.wait(T, 4, room).is_some());
    }

    #[test]
    fn the_waiter_that_came_first_takes_a_lost_lead() {
        let mut table = led_by(1);
        let gone = table.wait(T, 2, AMPLE).unwrap();
        table.wait(T, 3, AMPLE).unwrap();
        table.wait(T, 4, AMPLE).unwrap();
        table.leave(T, gone);
        assert_eq!(table.promote(T), None, "the lead is taken");
        assert!(table.vacate(T));
        assert_eq!(table.promote(T), Some(3));
        assert_eq!(table.joinable(KEY), Some(T));
        assert_eq!(table.end(T).unwrap().waiters.into_values().collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn a_vacant_lead_and_no_other_is_adopted() {
        let mut table = led_by(1);
        assert_eq!(table.adopt(T, 2), None);
        assert!(!table.vacate(T));
        assert_eq!(table.adopt(T, 2), Some(KEY));
        assert_eq!(table.flight(T).unwrap().lead, Lead::Here(2));
        assert_eq!(table.adopt(Token(6), 2), None);
    }

    #[test]
    fn a_closed_flight_ends_for_those_in_it_and_lets_a_new_one_stand() {
        let mut table = led_by(1);
        table.wait(T, 2, AMPLE).unwrap();
        table.close(KEY);
        assert_eq!(table.joinable(KEY), None);
        table.enter(Token(6), Flight::new(KEY, Lead::Here(3), true, Wall(0), Mono(100), LEASE));
        assert_eq!(table.end(T).unwrap().waiters.len(), 1);
        assert_eq!(table.joinable(KEY), Some(Token(6)));
    }

    #[test]
    fn leases_fall_due_for_shared_flights_only() {
        let mut table = led_by(1);
        table.enter(Token(6), Flight::new(Digest([2; 16]), Lead::Elsewhere, true, Wall(0), Mono(90), LEASE));
        table.enter(Token(7), Flight::new(Digest([3; 16]), Lead::Here(2), false, Wall(0), Mono(10), LEASE));
        assert_eq!(table.due(Mono(49)), []);
        assert_eq!(table.due(Mono(50)), [(T, true)], "half of its lease is over");
        table.extend(T, Mono(900));
        assert_eq!(table.due(Mono(89)), []);
        assert_eq!(table.due(Mono(90)), [(Token(6), false)]);
    }

    #[test]
    fn a_flight_nobody_waits_in_has_no_successor() {
        let mut table = led_by(1);
        assert!(!table.vacate(T));
        assert_eq!(table.promote(T), None);
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn as_many_are_counted_as_wait(steps in prop::collection::vec((0_u8..6, 1_u64..4, 0_u64..9), 0..60)) {
            let mut table = Table::default();
            let room = Room { per_flight: 3, in_all: 5 };
            for (stream, (step, token, place)) in (0_u32..).zip(steps) {
                let token = Token(token);
                let lead = if token == T { Lead::Elsewhere } else { Lead::Here(stream) };
                match step {
                    0 => table.enter(token, Flight::new(KEY, lead, true, Wall(0), Mono(90), LEASE)),
                    1 | 2 => drop(table.wait(token, stream, room)),
                    3 => table.leave(token, place),
                    4 => drop((table.vacate(token), table.promote(token))),
                    _ => drop(table.end(token)),
                }
                let waiters = table.flights.values().map(|flight| flight.waiters.len());
                prop_assert_eq!(table.waiting(), waiters.sum::<usize>());
                prop_assert!(table.waiting() <= room.in_all);
            }
        }
    }
}
