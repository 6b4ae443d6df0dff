//! What the Envoys of a fleet tell each other of open circuits, where a rule says so (`breaker.fleet_hint`).

use super::Worker;
use super::circuits::{Circuit, WORTH_KEEPING_UP};
use super::tiers::Purpose;
use crate::breaker::{State, Transition};
use crate::config::plan::Stance;
use crate::host::Host;
use crate::http::key::Digest;
use crate::store::hints;
use crate::store::remote::Unavailable;
use crate::telemetry::Occurrence;
use crate::time::Mono;
use std::time::Duration;

impl<H: Host> Worker<H> {
    /// A circuit has opened here.
    pub(super) fn tell_fleet(&mut self, place: usize, transition: &Transition) {
        let (can_ask, now) = (self.tiers.can_ask(), self.host.mono());
        // What is only watched is told nobody.
        let tells = |circuit: &&mut Circuit| circuit.hints && circuit.breaker.stance(now) == Stance::Auto;
        let Some(circuit) = self.circuits.at(place).filter(tells).filter(|_| can_ask) else { return };
        let name = digest(circuit.name.as_bytes());
        let pipeline = hints::tell(&self.plan.namespace, name, self.mark_of_process(), transition.open_for);
        // From a stream's callback its answer would be lost with the stream; a task is done by the root.
        self.later(super::tasks::Task::Hint(pipeline));
    }

    /// On the tick: asks, now and then, which of this worker's circuits are open elsewhere.
    pub(super) fn ask_fleet(&mut self, now: Mono) {
        if !self.circuits.hints || now < self.circuits.hints_at || !self.tiers.can_ask() {
            return;
        }
        self.circuits.hints_at = now.after(EVERY);
        let is_asked_for = |at: Mono| now < at.after(WORTH_KEEPING_UP);
        let circuits = self.circuits.all().enumerate().filter(|(_, circuit)| {
            circuit.hints && is_asked_for(circuit.asked_at) && circuit.breaker.state(now) == State::Closed
        });
        let (places, names): (Vec<usize>, Vec<Digest>) =
            circuits.take(MOST).map(|(place, circuit)| (place, digest(circuit.name.as_bytes()))).unzip();
        if !places.is_empty() {
            self.call(&hints::ask(&self.plan.namespace, names.into_iter()), Purpose::Hints(places));
        }
    }

    /// The fleet has answered, or not; whether it has.
    pub(super) fn hinted(&mut self, places: &[usize], answer: Option<&[u8]>) -> bool {
        let mark = self.mark_of_process();
        let hints = answer.ok_or(Unavailable).and_then(|answer| hints::read(answer, places.len(), mark));
        let Ok(hints) = hints else { return false };
        let until = self.host.mono().after(EVERY.saturating_mul(2));
        for (place, _) in places.iter().zip(hints).filter(|(_, open)| *open) {
            if let Some(circuit) = self.circuits.at(*place) {
                circuit.breaker.hint(until);
                self.counters.occurred(Occurrence::BreakerHinted);
            }
        }
        true
    }

    /// The same for all workers of this Envoy, and for no other Envoy's.
    fn mark_of_process(&self) -> Digest {
        digest(self.refreshes.secret())
    }
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::first_of(&blake3::hash(bytes))
}

/// Seldom enough to cost nothing, often enough beside `open_for`.
const EVERY: Duration = Duration::from_secs(1);
/// A pipeline has no more commands; those beyond are not hinted.
const MOST: usize = 32;
