//! One circuit per rule and upstream cluster, told to the other workers through shared data on the tick.

use super::{Slot, Worker};
use crate::breaker::{self, Admission, Breaker, Permit, Shared, State, Transition};
use crate::config::plan::Rule;
use crate::exchange::Event;
use crate::host::{Host, Level, StreamId};
use crate::telemetry::Occurrence;
use std::collections::BTreeMap;

/// The circuits of one worker.
#[derive(Default)]
pub(super) struct Breakers {
    circuits: Vec<Circuit>,
    places: BTreeMap<(usize, Vec<u8>), usize>,
}

struct Circuit {
    breaker: Breaker,
    name: String,
    key: Vec<u8>,
}

impl<H: Host> Worker<H> {
    /// Asks the circuit of the request's rule and cluster.
    pub(super) fn admit(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule) -> Event {
        if !rule.breaker.enabled {
            return Event::Admitted(None);
        }
        let cluster = self.host.upstream_cluster(stream);
        let Some(place) = self.circuit(slot.exchange.rule, rule, cluster) else {
            return Event::Admitted(None);
        };
        slot.breaker = Some(place);
        let now = self.host.mono();
        let Some(circuit) = self.breakers.circuits.get_mut(place) else { return Event::Admitted(None) };
        let admission = circuit.breaker.admit(now);
        let state = circuit.breaker.state(now);
        self.host.annotate(stream, "breaker", state.word());
        match admission {
            Admission::Pass(permit) | Admission::Probe(permit) => Event::Admitted(Some(permit)),
            Admission::Refuse { retry_after } => {
                let in_l1 = if rule.cache.enabled { self.held_in_l1(slot) } else { None };
                Event::Refused(retry_after, in_l1, self.mark(slot))
            }
        }
    }

    fn circuit(&mut self, rule_index: usize, rule: &Rule, cluster: Vec<u8>) -> Option<usize> {
        let id = (rule_index, cluster);
        if let Some(place) = self.breakers.places.get(&id) {
            return Some(*place);
        }
        let place = self.breakers.circuits.len();
        if place >= MAX_CIRCUITS {
            return None;
        }
        let name = format!("{} to {}", rule.name, String::from_utf8_lossy(&id.1));
        // The record's length stands in the key: workers of versions that write it otherwise do not meet.
        let key = format!("b{}/{name}", Shared::LEN).into_bytes();
        let mut breaker = Breaker::new(rule.breaker);
        if let Some(record) = self.host.shared(&key).and_then(|(bytes, _)| Shared::decode(&bytes)) {
            breaker.merge(&record, self.host.mono());
        }
        self.breakers.circuits.push(Circuit { breaker, name, key });
        self.breakers.places.insert(id, place);
        Some(place)
    }

    /// Tells a circuit what became of its permit.
    pub(super) fn record(&mut self, place: Option<usize>, permit: Permit, outcome: breaker::Outcome) {
        let Some(circuit) = place.and_then(|place| self.breakers.circuits.get_mut(place)) else { return };
        let transition = circuit.breaker.record(permit, outcome, self.host.mono(), self.host.random());
        if let (Some(transition), Some(place)) = (transition, place) {
            self.announce(place, &transition);
            self.synchronize(place);
        }
    }

    /// On the tick: merges what other workers found out.
    pub(super) fn synchronize_breakers(&mut self) {
        for place in 0..self.breakers.circuits.len() {
            self.synchronize(place);
        }
    }

    fn synchronize(&mut self, place: usize) {
        let Some(circuit) = self.breakers.circuits.get_mut(place) else { return };
        let stored = self.host.shared(&circuit.key);
        let record = stored.as_ref().and_then(|(bytes, _)| Shared::decode(bytes));
        let merged = record.and_then(|record| circuit.breaker.merge(&record, self.host.mono()));
        if let Some(bytes) =
            circuit.breaker.publish(record.as_ref()).filter(|_| circuit.breaker.shared() != Shared::INITIAL)
        {
            // A lost race is mended on the next tick.
            let _ = self.host.share(&circuit.key, &bytes, stored.map(|(_, version)| version));
        }
        if let Some(transition) = merged {
            self.announce(place, &transition);
        }
    }

    fn announce(&mut self, place: usize, transition: &Transition) {
        if transition.by_peer {
            return;
        }
        let Some(circuit) = self.breakers.circuits.get(place) else { return };
        let reason = transition.reason.map_or("", |reason| reason.word());
        let line = format!(
            "circuit {}: {} -> {} {reason}",
            circuit.name,
            transition.from.word(),
            transition.to.word()
        );
        self.host.log(Level::Warn, line.trim_end());
        match transition.to {
            State::Open => self.counters.occurred(Occurrence::BreakerOpened),
            State::Closed => self.counters.occurred(Occurrence::BreakerClosed),
            State::HalfOpen => {}
        }
    }
}

/// Clusters come from Envoy's configuration, but a route may let a header name them.
const MAX_CIRCUITS: usize = 1_024;
