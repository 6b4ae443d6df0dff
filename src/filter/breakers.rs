//! A request asks the circuit of its rule and upstream cluster, and tells it what became of it.

use super::tasks::Task;
use super::{Slot, Worker};
use crate::breaker::{Admission, Call, Outcome, Permit, Refusal, State, Why};
use crate::config::plan::{Fallback, Rule, Stance};
use crate::exchange::{self, Event, Sender, Stock};
use crate::host::{Host, Source, StreamId};
use crate::http::{Fields, Reason};
use crate::telemetry::Occurrence;
use crate::time::Mono;
use std::collections::VecDeque;

/// Whose response is under way, for the circuit's sake.
#[derive(Clone, Copy)]
pub(super) struct Passing {
    place: usize,
    incarnation: u64,
    since: Mono,
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
        self.keep_up(place, now);
        let Some(circuit) = self.circuits.at(place) else { return Event::Admitted(None) };
        let (state, stance) = (circuit.breaker.state(now), circuit.breaker.stance(now));
        self.host.annotate(stream, "breaker", word(state, stance));
        let may_be_spared = slot.exchange.sender == Sender::Client
            && slot.exchange.is_cacheable()
            && rule.breaker.fallback == Fallback::Stale;
        if state == State::HalfOpen && stance == Stance::Auto && may_be_spared {
            return Event::Offered(self.stock(slot, rule));
        }
        self.ask_circuit(stream, slot, rule, place, now)
    }

    /// Asks for a place, though the circuit is half-open and nothing else can answer.
    pub(super) fn probe(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule) -> Event {
        let Some(place) = slot.breaker else { return Event::Admitted(None) };
        let now = self.host.mono();
        self.ask_circuit(stream, slot, rule, place, now)
    }

    fn ask_circuit(&mut self, stream: StreamId, slot: &Slot, rule: &Rule, place: usize, now: Mono) -> Event {
        let random = self.chance.bits();
        let Some(circuit) = self.circuits.at(place) else { return Event::Admitted(None) };
        circuit.asked_at = now;
        let decides = circuit.breaker.stance(now) == Stance::Auto;
        let invited = matches!(slot.exchange.sender, Sender::Refresh(_));
        let call = Call { invited, timed: is_timed(slot) };
        match circuit.breaker.admit(call, now, random) {
            Admission::Pass(permit) => Event::Admitted(Some(permit)),
            Admission::Probe(permit) => match self.take_turn(place, permit, now) {
                Some(permit) => {
                    self.counters.occurred(Occurrence::BreakerProbed);
                    // Nobody who has something stale to live on pays for the one probe, nor by waiting for it. On the
                    // ramp several go at a time: there the flight is what keeps them from asking for the same thing.
                    if decides && permit.has_turn() {
                        self.later(Task::Opened(VecDeque::from([stream])));
                    }
                    Event::Admitted(Some(permit))
                }
                None if !decides => {
                    self.counters.occurred(Occurrence::BreakerSpared);
                    Event::Admitted(None)
                }
                None => {
                    let stock = self.stock(slot, rule);
                    let retry_after = crate::breaker::SOON;
                    Event::Refused(exchange::Refusal { why: Reason::BreakerOpen, retry_after, stock })
                }
            },
            Admission::Spared(_) => {
                self.counters.occurred(Occurrence::BreakerSpared);
                Event::Admitted(None)
            }
            Admission::Refuse(Refusal { why, retry_after }) => {
                let why = match why {
                    Why::Open => Reason::BreakerOpen,
                    Why::Shed => Reason::Shed,
                    Why::Forced => Reason::BreakerForced,
                };
                Event::Refused(exchange::Refusal { why, retry_after, stock: self.stock(slot, rule) })
            }
        }
    }

    /// What may stand in for the upstream.
    pub(super) fn stock(&self, slot: &Slot, rule: &Rule) -> Stock {
        let in_l1 = if rule.cache.enabled { self.held_in_l1(slot) } else { None };
        Stock { in_l1, changed_at: self.mark(slot) }
    }

    /// Tells a circuit what became of its permit. A response that went well so far may still break off.
    pub(super) fn record(
        &mut self,
        stream: StreamId,
        place: Option<usize>,
        permit: Permit,
        outcome: Outcome,
    ) {
        let (now, random) = (self.host.mono(), self.chance.bits());
        let Some((place, circuit)) = place.and_then(|place| Some((place, self.circuits.at(place)?))) else {
            return;
        };
        let (was_probe, incarnation) = (permit.is_probe(), permit.incarnation());
        let is_heard = circuit.breaker.hears(&permit);
        let transition = circuit.breaker.record(permit, outcome, now, random);
        if is_heard && outcome == Outcome::Success {
            self.circuits.passing.insert(stream, Passing { place, incarnation, since: now });
        }
        if transition.is_some() || was_probe {
            self.made(place, transition, now);
        }
    }

    /// The response is over.
    pub(super) fn came_whole(&mut self, stream: StreamId) {
        let passing = self.circuits.passing.remove(&stream);
        if let Some(circuit) = passing.and_then(|passing| self.circuits.at(passing.place)) {
            circuit.breaker.came_whole();
        }
    }

    /// A stream is over: if the upstream broke its response off, that is a failure.
    pub(super) fn passed_by(&mut self, stream: StreamId) {
        let Some(Passing { place, incarnation, since }) = self.circuits.passing.remove(&stream) else {
            return;
        };
        if self.host.response_source(stream) != Source::UpstreamFailure {
            return;
        }
        let (now, random) = (self.host.mono(), self.chance.bits());
        let Some(circuit) = self.circuits.at(place) else { return };
        if let Some(transition) = circuit.breaker.broke_off(incarnation, since, now, random) {
            self.made(place, Some(transition), now);
        }
    }

    /// Whether a request that was answered may have the upstream asked in the background.
    pub(super) fn may_refresh_upstream(&mut self, stream: StreamId, rule_index: usize) -> bool {
        // As long as all is well, that costs nothing.
        if !self.circuits.disturbed {
            return true;
        }
        let cluster = self.host.upstream_cluster(stream);
        let now = self.host.mono();
        self.circuits.known(rule_index, cluster).is_none_or(|circuit| circuit.breaker.invites(now))
    }
}

/// What access logs and spans are told.
fn word(state: State, stance: Stance) -> &'static str {
    match (stance, state) {
        (Stance::Auto, state) => state.word(),
        (Stance::Open, _) => "forced-open",
        (Stance::Closed, _) => "forced-closed",
        (Stance::Observe, State::Closed) => "observed-closed",
        (Stance::Observe, State::Open) => "observed-open",
        (Stance::Observe, State::HalfOpen) => "observed-half-open",
        (Stance::Observe, State::Shedding) => "observed-shedding",
    }
}

/// A large body is as slow as its client; a small one is there when the request is.
fn is_timed(slot: &Slot) -> bool {
    let length = |fields: &Fields| {
        std::str::from_utf8(fields.get(b"content-length")?).ok()?.trim().parse::<u64>().ok()
    };
    !slot.exchange.request.has_body
        || length(&slot.exchange.fields).is_some_and(|length| length <= SMALL_BODY)
}

/// In bytes.
const SMALL_BODY: u64 = 16 * 1024;
