//! Judging whether a request should have waited for another.

use super::*;

impl Judge {
    /// Whether `asked` should have waited for `flight`; each line that says no is an exception to the promise.
    pub(super) fn is_needless(&self, asked: &Asked, flight: &Flight, world: &World) -> bool {
        let other = &flight.asked;
        let place = (asked.envoy, path(asked));
        let envoy = asked.envoy == other.envoy;
        // Without a word from Redis.
        let near = match self.reach {
            Reach::Nowhere => false,
            Reach::Worker | Reach::Workers => envoy && asked.worker == other.worker,
            Reach::Envoy | Reach::Fleet => envoy,
        };
        (near || self.is_fleet(asked, other, world))
            && path(asked) == path(other)
            && method(asked) == b"GET"
            && method(other) == b"GET"
            // A request with no-store takes no part.
            && asked.fields.get("cache-control") != Some(b"no-store")
            && other.fields.get("cache-control") != Some(b"no-store")
            // The leader's VM died.
            && !flight.lost
            // A failure's head is just being replaced by a stale copy.
            && !self.is_being_replaced(other.serial, asked.at)
            // Either of them has waited long enough, or found no place to wait.
            && !flight.alone
            && !self.goes_alone(asked, world)
            // Known, on this Envoy, for answers that not all may share.
            && !self.unshared.contains(&place)
            // On others, nothing is left to wait for once the answer turns out to be like that.
            && (near || !self.is_known_unfit(other.serial))
            && !self.varied.contains(&place.1)
            // A write parts those who came before it from those who come after; a leader may have come before it and
            // ask the upstream after it.
            && !if near {
                self.is_parted(&place, asked, other, world)
            } else {
                self.is_parted_in_fleet(&place.1, asked, other, world)
            }
    }

    pub(super) fn is_known_unfit(&self, serial: u64) -> bool {
        self.headed.contains_key(&serial) && self.made(serial).is_some_and(|made| self.is_unfit(&made))
    }

    fn is_being_replaced(&self, serial: u64, now: Duration) -> bool {
        let failed = self.made(serial).is_some_and(|made| made.status >= 500);
        failed && self.headed.get(&serial).is_some_and(|(_, headed)| now < *headed + INSTANT)
    }

    /// Whether a write lies between the arrivals of two clients. Flights of one worker are parted by the mark in their
    /// URL's slot of L1, which other URLs may share: there every write counts.
    fn is_parted(&self, place: &(usize, String), asked: &Asked, other: &Asked, world: &World) -> bool {
        let concerned =
            |at: &(usize, String)| at == place || (self.reach == Reach::Worker && at.0 == place.0);
        // What leads for a client came after it.
        let began = |client: &ClientId| match world.with_client(*client, leads) {
            Some(true) => 0,
            _ => self.began[client],
        };
        let first = began(&other.client).min(began(&asked.client));
        let came = |client| world.with_client(client, |client| client.began).unwrap();
        let first_at = came(other.client).min(came(asked.client));
        self.writes_under_way.keys().any(concerned)
            || self.parted.iter().any(|(at, (order, parted))| {
                // A mark that is set by another worker while a flight begins closes it.
                let meanwhile = self.reach == Reach::Worker && *parted + INSTANT >= first_at;
                concerned(at) && (*order >= first || meanwhile)
            })
    }

    pub(super) fn goes_alone(&self, asked: &Asked, world: &World) -> bool {
        let began = world.with_client(asked.client, |client| client.began).unwrap();
        let patient = world.now() + Duration::from_millis(1) < began + self.terms.wait_timeout;
        // Waiters with Authorization, given an answer that is not for them, do not queue for the next one either.
        let unfit = asked.fields.get("authorization").is_some() && self.unauthorized.contains(&path(asked));
        let request = world.with_client(asked.client, |client| client.request.clone()).unwrap();
        let many =
            u32::try_from(self.due_at.len()).unwrap() > self.terms.max_waiters.min(self.terms.all_waiters);
        !patient || unfit || (many && self.is_crowded(asked.client, &request, world))
    }

    /// Whether a client may have found no place to wait.
    pub(super) fn is_crowded(&self, id: ClientId, request: &ClientRequest, world: &World) -> bool {
        let same = |client: &Client| client.request.fields.get(":path") == request.fields.get(":path");
        self.waiting(id, request, world, same) >= self.terms.max_waiters
            || self.waiting(id, request, world, |_| true) >= self.terms.all_waiters
    }

    /// How many of these other requests are held on the same worker, in a flight or leading one.
    fn waiting(
        &self,
        id: ClientId,
        request: &ClientRequest,
        world: &World,
        these: impl Fn(&Client) -> bool,
    ) -> u32 {
        let same = |client: &Client| {
            client.id != id
                && client.request.envoy == request.envoy
                && client.request.worker == request.worker
                && these(client)
        };
        let upstream: BTreeSet<_> = self.flights.values().map(|flight| flight.asked.client).collect();
        let held = self.due_at.keys().filter(|client| !upstream.contains(client));
        u32::try_from(held.filter(|client| world.with_client(**client, same).unwrap_or(false)).count())
            .unwrap()
    }
}
