//! What the judge makes of requests, answers and their ends.

use super::*;

impl Judge {
    pub(super) fn follow_asked(&mut self, asked: Asked, world: &World) -> Result<(), Breach> {
        self.asked.insert(asked.serial, self.order);
        if asked.fields.get(MARK).is_some() {
            let what = format!("the upstream was shown the mark with serial {}", asked.serial);
            return breach(Promise::Refreshing, what);
        }
        let key = (asked.envoy, path(&asked));
        if method(&asked) == b"POST" {
            *self.writes_under_way.entry(key.clone()).or_default() += 1;
        } else if let Some(other) =
            self.flights.values().find(|flight| self.is_needless(&asked, flight, world))
        {
            let what = format!(
                "{:?} went upstream for {} beside serial {}",
                asked.client, key.1, other.asked.serial
            );
            return breach(Promise::OneFlight, what);
        }
        // Or its Envoy knows that there is nothing to share.
        let alone =
            self.goes_alone(&asked, world) || self.unshared.contains(&key) || self.is_left_alone(&asked);
        let flight = Flight { asked, lost: false, alone };
        self.flights.insert(flight.asked.serial, flight);
        Ok(())
    }

    /// A worker that died knows nothing of the refreshes it began.
    pub(super) fn follow_refresh(&mut self, client: ClientId, world: &World) -> Result<(), Breach> {
        let begun = |client: &Client| {
            let (envoy, url) = place(client);
            is_refresh(client).then_some((envoy, client.request.worker, url))
        };
        let Some(refresh) = world.with_client(client, begun).unwrap() else { return Ok(()) };
        let (envoy, worker, _) = refresh;
        // Sent by the VM that died while it was on its way: its successor knows nothing of it.
        let died = self.trapped.get(&(envoy, worker));
        if died.is_some_and(|at| world.now() <= *at + INNER_WAY) {
            return Ok(());
        }
        let lives = |other: &ClientId| world.with_client(*other, |other| !other.vm_died).unwrap_or(false);
        if self.refreshes.iter().any(|(other, place)| *place == refresh && lives(other)) {
            return breach(Promise::Refreshing, format!("{refresh:?} is refreshed twice at a time"));
        }
        self.refreshes.insert(client, refresh);
        Ok(())
    }

    pub(super) fn follow_headed(&mut self, client: &Client, now: Duration) {
        let method = client.request.fields.get(":method").unwrap_or_default();
        if method != b"POST" || !(200..400).contains(&client.status().unwrap_or(0)) {
            return;
        }
        let answered = client.serials.last().and_then(|serial| self.headed.get(serial));
        let answered = answered.map_or(self.order, |(order, _)| *order);
        self.written.insert(place(client), Write { answered, told: self.order, at: now });
        self.parted.insert(place(client), (self.order, now));
    }

    /// Whether an answer is not for all.
    pub(super) fn is_unfit(&self, made: &Made) -> bool {
        made.forbidden.is_some() || made.body.len() > self.terms.max_object_bytes
    }

    pub(super) fn follow_heading(&mut self, serial: u64, world: &World) {
        let now = world.now();
        self.headed.insert(serial, (self.order, now));
        if let Some(flight) = self.flights.get(&serial)
            && self.terms.breaker
            && flight.asked.at + self.slow_call() <= now + INSTANT
        {
            self.failed_at.insert(flight.asked.envoy, now);
        }
        let Some(made) = self.made(serial) else { return };
        // What the upstream says of another response is a failure where the plugin cannot ask again.
        if made.status >= 500 || (made.confused && !self.terms.refreshes) {
            self.failed_at.insert(made.envoy, now);
        }
        if made.confused {
            // It is asked again, as if the client had only come now; and what is stored is discarded as after a write.
            let patience = self.patience();
            if self.due_at.contains_key(&made.client) {
                self.expect(made.client, now + patience);
            }
            self.parted.insert((made.envoy, made.url.clone()), (self.order, now));
        }
        if !made.permits_authorized {
            self.unauthorized.insert(made.url.clone());
        }
        if made.language.is_some() {
            self.varied.insert(made.url.clone());
        }
        // What answers HEAD says nothing of GET, but what confirms a stored response does.
        let speaks = made.method == "GET" || made.confirms.is_some();
        if speaks && self.is_unfit(&made) {
            self.unshared.insert((made.envoy, made.url.clone()));
            self.tell_fleet(&made.url, world);
        }
        if let (Some(confirmed), Some(_)) = (made.confirms, made.forbidden) {
            let worker = self.flights.get(&serial).map_or(0, |flight| flight.asked.worker);
            self.revoked.insert((made.envoy, confirmed), Revoked { order: self.order, at: now, worker });
        }
        // What is stored is discarded then, as after a write; of HEAD only if it is not what there is now.
        let discards = made.method == "HEAD" || (made.confirms.is_some() && made.forbidden.is_some());
        if discards && self.reach == Reach::Worker {
            self.parted.insert((made.envoy, made.url.clone()), (self.order, now));
        }
    }

    pub(super) fn follow_stopped(&mut self, serial: u64, stop: Stop, world: &World) {
        let now = world.now();
        let Some(flight) = self.flights.remove(&serial) else { return };
        let place = (flight.asked.envoy, path(&flight.asked));
        if let Some(count) =
            self.writes_under_way.get_mut(&place).filter(|_| method(&flight.asked) == b"POST")
        {
            *count -= 1;
            self.parted.insert(place.clone(), (self.order, now));
            if *count == 0 {
                self.writes_under_way.remove(&place);
            }
        }
        if stop == Stop::Failed || stop == Stop::Cut {
            self.failed_at.insert(flight.asked.envoy, now);
        }
        // That it was too large shows only now.
        if self.made(serial).is_some_and(|made| made.method == "GET" && self.is_unfit(&made)) {
            self.tell_fleet(&place.1, world);
        }
        if stop == Stop::Complete {
            self.completed.insert(serial, now);
        }
    }
}
