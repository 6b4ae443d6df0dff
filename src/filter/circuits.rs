//! One circuit per rule and upstream cluster, kept in step with the other workers'.
//!
//! All know of a circuit what stands under its key in shared data ([`Shared`]). A worker reads it on its tick, as long as
//! requests ask for that circuit, and before the first request that asks again after a while; it writes what it has seen
//! with the tick, and a transition at once, and then wakes the others through their queues. So a transition is known
//! everywhere within a tick, mostly within a fraction of a millisecond, and no request costs a call for it.

use super::breakers::Passing;
use super::tasks::Task;
use super::{Slot, Worker};
use crate::breaker::{Breaker, Permit, Shared, State, Transition};
use crate::config::plan::{Rule, Stance};
use crate::exchange::Event;
use crate::flight::message::Message;
use crate::host::{Host, Level, QueueId, StreamId, TICK, Version};
use crate::telemetry::Occurrence;
use crate::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// The circuits of one worker.
pub(super) struct Circuits {
    circuits: Vec<Circuit>,
    places: BTreeMap<(usize, Vec<u8>), usize>,
    /// Responses under way.
    pub(super) passing: hashbrown::HashMap<StreamId, Passing, ahash::RandomState>,
    /// Whether the fleet is asked.
    pub(super) hints: bool,
    /// When it is asked again.
    pub(super) hints_at: Mono,
    /// Whether any circuit is not closed, or kept from passing requests by an operator.
    pub(super) disturbed: bool,
}

pub(super) struct Circuit {
    pub(super) breaker: Breaker,
    /// The rule's index.
    pub(super) rule: usize,
    pub(super) name: String,
    /// Whether the fleet is told of it, and asked.
    pub(super) hints: bool,
    key: Vec<u8>,
    /// When a request last asked.
    pub(super) asked_at: Mono,
    /// When what all know was last read.
    read_at: Mono,
}

impl Circuits {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        let passing = hashbrown::HashMap::with_hasher(hasher);
        Self {
            circuits: Vec::new(),
            places: BTreeMap::new(),
            passing,
            hints: false,
            hints_at: Mono(0),
            disturbed: false,
        }
    }

    pub(super) fn at(&mut self, place: usize) -> Option<&mut Circuit> {
        self.circuits.get_mut(place)
    }

    pub(super) fn known(&mut self, rule: usize, cluster: Vec<u8>) -> Option<&mut Circuit> {
        let place = *self.places.get(&(rule, cluster))?;
        self.circuits.get_mut(place)
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Circuit> {
        self.circuits.iter_mut()
    }

    /// How many are open, half-open and shedding.
    pub(super) fn disturbances(&self, now: Mono) -> [usize; 3] {
        [State::Open, State::HalfOpen, State::Shedding]
            .map(|state| self.circuits.iter().filter(|circuit| circuit.breaker.state(now) == state).count())
    }
}

impl<H: Host> Worker<H> {
    pub(super) fn circuit(&mut self, rule_index: usize, rule: &Rule, cluster: Vec<u8>) -> Option<usize> {
        let id = (rule_index, cluster);
        if let Some(place) = self.circuits.places.get(&id) {
            return Some(*place);
        }
        let place = self.circuits.circuits.len();
        if place >= MAX_CIRCUITS {
            return None;
        }
        let name = format!("{} to {}", rule.name, String::from_utf8_lossy(&id.1));
        // The value's length stands in the key: workers of versions that write it otherwise do not meet.
        let key = format!("b{}/{name}", Shared::LEN).into_bytes();
        let (breaker, long_ago) = (Breaker::new(rule.breaker.clone()), Mono(0));
        let circuit = Circuit {
            breaker,
            rule: rule_index,
            name,
            hints: rule.breaker.fleet_hint,
            key,
            asked_at: long_ago,
            read_at: long_ago,
        };
        self.circuits.circuits.push(circuit);
        self.circuits.places.insert(id, place);
        self.circuits.hints |= rule.breaker.fleet_hint;
        self.overrule(place);
        self.synchronize(place, self.host.mono());
        Some(place)
    }

    /// Before a request asks: nothing may have been read while nobody did.
    pub(super) fn keep_up(&mut self, place: usize, now: Mono) {
        let Some(circuit) = self.circuits.circuits.get(place) else { return };
        let is_old = now >= circuit.read_at.after(TICK.saturating_mul(2));
        if is_old || circuit.breaker.state(now) == State::HalfOpen {
            self.synchronize(place, now);
        }
    }

    /// A probe that goes alone takes its turn before it goes: who comes too late does not.
    pub(super) fn take_turn(&mut self, place: usize, permit: Permit, now: Mono) -> Option<Permit> {
        let circuit = self.circuits.circuits.get_mut(place)?;
        if !permit.has_turn() {
            return Some(permit);
        }
        let stored = self.host.shared(&circuit.key);
        let known = stored.as_ref().and_then(|(bytes, _)| Shared::decode(bytes));
        let is_first = circuit.breaker.keeps_turn(&permit, known.as_ref());
        let written = is_first && {
            let proposal = circuit.breaker.propose(known.as_ref(), now);
            proposal.is_none_or(|proposal| {
                let version = stored.map_or(Version::ABSENT, |(_, version)| version);
                let written = self.host.share(&circuit.key, &proposal.encode(), Some(version)).is_ok();
                if written {
                    let random = self.chance.bits();
                    circuit.breaker.accepted(proposal, now, random);
                }
                written
            })
        };
        if !written {
            circuit.breaker.lose_turn(permit);
            return None;
        }
        let begun = circuit.breaker.begins_to_probe(&permit);
        if let Some(transition) = begun {
            self.announce(place, &transition);
        }
        Some(permit)
    }

    /// A transition was made here, or a turn given back: all are told.
    pub(super) fn made(&mut self, place: usize, transition: Option<Transition>, now: Mono) {
        if let Some(transition) = &transition {
            self.takes_effect(place, transition);
        }
        self.agree(place, transition, now);
    }

    /// A worker has made a transition.
    pub(super) fn woken(&mut self) {
        let now = self.host.mono();
        for place in 0..self.circuits.circuits.len() {
            self.synchronize(place, now);
        }
    }

    /// On the tick: what time does, and what others have found out.
    pub(super) fn tend_circuits(&mut self, now: Mono) {
        for place in 0..self.circuits.circuits.len() {
            let Some(circuit) = self.circuits.circuits.get_mut(place) else { break };
            let is_quiet = circuit.breaker.state(now) == State::Closed
                && circuit.breaker.under_way() == 0
                && now >= circuit.asked_at.after(WORTH_KEEPING_UP);
            if is_quiet {
                continue;
            }
            let random = self.chance.bits();
            match circuit.breaker.tick(now, random) {
                Some(transition) => self.made(place, Some(transition), now),
                None => self.synchronize(place, now),
            }
        }
        let disturbances = self.circuits.disturbances(now);
        let is_forced = |circuit: &mut Circuit| circuit.breaker.stance(now) == Stance::Open;
        self.circuits.disturbed = disturbances != [0; 3] || self.circuits.all().any(is_forced);
        self.counters.circuits(disturbances);
    }

    /// Takes over what all know, and tells what this worker does.
    fn synchronize(&mut self, place: usize, now: Mono) {
        self.agree(place, None, now);
    }

    /// The same, with a transition that this worker has made. Two may make one at once: who writes it first announces it.
    fn agree(&mut self, place: usize, mut made: Option<Transition>, now: Mono) {
        for _ in 0..MAX_TRIES {
            let random = self.chance.bits();
            let Some(circuit) = self.circuits.circuits.get_mut(place) else { return };
            circuit.read_at = now;
            let stored = self.host.shared(&circuit.key);
            let known = stored.as_ref().and_then(|(bytes, _)| Shared::decode(bytes));
            made.take_if(|made| known.as_ref().is_some_and(|known| known.tells(made)));
            let merged = known.as_ref().and_then(|known| circuit.breaker.merge(known, now));
            let proposal = circuit.breaker.propose(known.as_ref(), now);
            let version = stored.map_or(Version::ABSENT, |(_, version)| version);
            let share = |bytes: &[u8]| self.host.share(&circuit.key, bytes, Some(version)).is_ok();
            let is_written = proposal.as_ref().map(|proposal| share(&proposal.encode()));
            let follows = match (proposal, is_written) {
                (Some(proposal), Some(true)) => circuit.breaker.accepted(proposal, now, random),
                _ => None,
            };
            if let Some(transition) = merged {
                self.takes_effect(place, &transition);
            }
            // A race was lost: once more.
            if is_written == Some(false) {
                continue;
            }
            if let Some(made) = made.take() {
                self.announce(place, &made);
            }
            let Some(transition) = follows else { return };
            self.takes_effect(place, &transition);
            if transition.is_of_gradual_mode() {
                // It has been written already.
                self.announce(place, &transition);
            } else {
                made = Some(transition);
            }
        }
        // The races are lost for now: the next tick writes it.
        if let Some(made) = made {
            self.announce(place, &made);
        }
    }

    /// What a transition means for this worker's requests, whoever made it.
    fn takes_effect(&mut self, place: usize, transition: &Transition) {
        if transition.to == State::Open {
            self.circuits.disturbed = true;
            self.tell_fetching(place);
        }
    }

    /// Tells operators, the fleet and the other workers of a transition that this worker has made.
    fn announce(&mut self, place: usize, transition: &Transition) {
        self.wake_peers();
        if transition.to == State::Open {
            self.tell_fleet(place, transition);
        }
        let Some(circuit) = self.circuits.circuits.get(place) else { return };
        let Transition { from, to, cause, .. } = transition;
        let how = match to {
            State::Open => format!(" for {} ms", transition.open_for.as_millis()),
            State::HalfOpen if transition.share > 0 => format!(" {} %", transition.share),
            State::Closed | State::HalfOpen | State::Shedding => String::new(),
        };
        let (name, from, word) = (&circuit.name, from.word(), to.word());
        self.host.log(Level::Warn, &format!("circuit {name}: {from} -> {word}{how} ({})", cause.word()));
        self.counters.transition(circuit.rule, *cause);
        self.counters.occurred(match to {
            State::Open => Occurrence::BreakerOpened,
            State::Closed => Occurrence::BreakerClosed,
            State::HalfOpen | State::Shedding => return,
        });
    }

    /// A circuit has opened: whoever waits for a fetch through it need not wait for its end; unless another decides who
    /// may pass.
    fn tell_fetching(&mut self, place: usize) {
        let now = self.host.mono();
        let decides = |circuit: &mut Circuit| circuit.breaker.stance(now) == Stance::Auto;
        if !self.circuits.at(place).is_some_and(decides) {
            return;
        }
        let concerned = |slot: &Slot| slot.breaker == Some(place) && slot.exchange.leads_a_fetch();
        let streams = self.streams.iter().filter(|(_, slot)| concerned(slot)).map(|(stream, _)| *stream);
        let streams: std::collections::VecDeque<StreamId> = streams.collect();
        if !streams.is_empty() {
            self.later(Task::Opened(streams));
        }
    }

    /// In a root callback: a stream's fetch goes through a circuit that has opened.
    pub(super) fn opened(&mut self, stream: StreamId) {
        let Some(slot) = self.streams.get(&stream) else { return };
        let plan = std::rc::Rc::clone(&self.plan);
        let stock = self.stock(slot, super::rule(&plan, slot.exchange.rule));
        self.drive(stream, Event::Opened(stock), super::At::Later);
    }

    /// Has the other workers look at what all know.
    fn wake_peers(&mut self) {
        let Some(me) = self.me() else { return };
        let Some((workers, _)) = self.host.shared(WORKERS_KEY) else { return };
        let message = Message::Circuits.encode();
        for queue in workers.chunks_exact(4).filter_map(|chunk| chunk.try_into().ok().map(u32::from_be_bytes))
        {
            if queue != me.0 {
                self.host.send(QueueId(queue), &message);
            }
        }
    }

    /// Has this worker woken by the others.
    pub(super) fn enlist(&self, queue: QueueId) {
        for _ in 0..MAX_TRIES {
            let stored = self.host.shared(WORKERS_KEY);
            let version = stored.as_ref().map_or(Version::ABSENT, |(_, version)| *version);
            let mut workers = stored.map_or_else(Vec::new, |(workers, _)| workers);
            // Those of workers that are gone go first.
            let excess = workers.len().saturating_add(4).saturating_sub(MAX_WORKERS.saturating_mul(4));
            workers.drain(..excess.next_multiple_of(4).min(workers.len()));
            workers.extend(queue.0.to_be_bytes());
            if self.host.share(WORKERS_KEY, &workers, Some(version)).is_ok() {
                return;
            }
        }
    }
}

/// Who is to be woken: the numbers of their queues, of four bytes each.
const WORKERS_KEY: &[u8] = b"workers/1";

/// Clusters come from Envoy's configuration, but a route may let a header name them.
const MAX_CIRCUITS: usize = 1_024;
/// An Envoy has fewer; each one that was reloaded leaves a number behind.
const MAX_WORKERS: usize = 256;
/// What nobody has asked for so long need not be kept up with.
pub(super) const WORTH_KEEPING_UP: Duration = Duration::from_secs(1);
const MAX_TRIES: usize = 4;
