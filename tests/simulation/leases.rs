//! Judging what the Envoys of a fleet owe each other: one flight for all of them, and no lease that outlasts it.

use super::*;

impl Judge {
    /// Whether Envoys can be expected to know of each other's flights for two clients: Redis is well, and was when the
    /// first of them came, and before that for as long as flights live that were begun in trouble.
    pub(super) fn is_fleet(&self, asked: &Asked, other: &Asked, world: &World) -> bool {
        let first = self.first_began(asked, other, world);
        let flights_end = self.terms.wait_timeout + SLOWEST;
        self.reach >= Reach::Workers
            && self.troubles.spare(first, world.now(), flights_end, flights_end + GIVEN_UP)
    }

    fn first_began(&self, asked: &Asked, other: &Asked, world: &World) -> Duration {
        let began = |asked: &Asked| world.with_client(asked.client, |client| client.began).unwrap();
        began(asked).min(began(other))
    }

    /// Whoever waits for an answer of the URL on another Envoy, or comes before that has said so to Redis, learns that
    /// it is not for all, and that Envoy remembers it.
    pub(super) fn tell_fleet(&mut self, url: &str, world: &World) {
        if self.reach < Reach::Workers {
            return;
        }
        let waits = |client: &Client| Some(place(client)).filter(|(_, other)| other == url);
        let told = self.due_at.keys().filter_map(|client| world.with_client(*client, waits).flatten());
        self.unshared.extend(told);
        self.told.insert(url.to_owned(), world.now());
    }

    /// A client comes, perhaps in time to be told what its Envoy has not heard yet.
    pub(super) fn hear(&mut self, client: ClientId, world: &World) {
        let place = world.with_client(client, place).unwrap();
        // A lease that could not be given back leads to what was left beside it.
        let now = world.now();
        let well = self.troubles.spare(now, now, self.terms.lease + LEFT_FOR, GIVEN_UP);
        let known = if well { TELLING } else { LEFT_FOR + TELLING };
        let told = self.told.get(&place.1).is_some_and(|told| now <= *told + known);
        // That an answer is too large shows somewhere in its body.
        let shows = |flight: &Flight| {
            let serial = flight.asked.serial;
            let is_large = self.made(serial).is_some_and(|made| made.forbidden.is_none());
            path(&flight.asked) == place.1 && self.is_known_unfit(serial) && is_large
        };
        if told || (self.reach >= Reach::Workers && self.flights.values().any(shows)) {
            self.unshared.insert(place);
        }
    }

    /// Whether a write through any Envoy lies between the arrivals of two clients of two Envoys, or so shortly before
    /// that Redis had not heard of it yet.
    pub(super) fn is_parted_in_fleet(&self, url: &str, asked: &Asked, other: &Asked, world: &World) -> bool {
        let (one, two) = (asked.client, other.client);
        let first = self.began[&one].min(self.began[&two]);
        let first_at = self.first_began(asked, other, world);
        self.writes_under_way.keys().any(|at| at.1 == url)
            || self.parted.iter().any(|(at, (order, parted))| {
                at.1 == url && (*order >= first || *parted + TELLING >= first_at)
            })
    }

    /// At rest, nobody needs a lease any more: each was given back, or ends by itself.
    pub(super) fn judge_leases(&self, world: &World) -> Result<(), Breach> {
        let longest = self.terms.lease.max(LEFT_FOR);
        for key in world.redis_keys() {
            let name = String::from_utf8_lossy(&key).into_owned();
            if !name.contains(":lock:") {
                continue;
            }
            match world.redis_lasts(&key).unwrap() {
                None => return breach(Promise::Leases, format!("{name} never ends")),
                Some(lasts) if lasts > longest => {
                    return breach(Promise::Leases, format!("{name} ends in {lasts:?} only"));
                }
                Some(_) => {}
            }
            // What was left for those who waited is no lease.
            let value = world.redis_value(&key).unwrap();
            let holder = value.strip_suffix(b"+").unwrap_or(&value);
            if self.calm && holder.len() == 32 && holder.iter().all(u8::is_ascii_hexdigit) {
                return breach(Promise::Leases, format!("{name} was not given back"));
            }
        }
        Ok(())
    }
}

/// From an Envoy's knowledge of something to its being in Redis where nothing is wrong: through a queue or a tick, and
/// on the way there.
const TELLING: Duration = Duration::from_millis(25);
/// For how long what is not stored may stay for those who wait for it.
const LEFT_FOR: Duration = Duration::from_secs(2);
/// How long a Redis that did not answer may go unasked.
const GIVEN_UP: Duration = Duration::from_secs(6);
