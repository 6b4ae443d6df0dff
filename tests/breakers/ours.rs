//! Breakwater as it runs in an Envoy of two workers, with the defaults an operator gets.
//!
//! Requests fall to either worker by chance. Each worker decides by what it has seen and by what all had told at its last
//! tick; on its tick it takes over what they share, adds what it has seen, and writes that. One worker's tick falls
//! between two of the other's. A transition is written at once, and wakes the other worker; so does a probe that goes
//! alone, before it goes. What nobody has asked for in a second is left alone until somebody does.

use crate::peer::Peer;
use breakwater::breaker::{Admission, Breaker, Call, Outcome, Permit, Shared, State, Transition};
use breakwater::config;
use breakwater::config::plan;
use breakwater::host::TICK;
use breakwater::host::sim::Rng;
use breakwater::time::{Mono, millis};

const WORKERS: usize = 2;

/// The defaults.
fn policy() -> plan::Breaker {
    config::parse(b"{}").unwrap().default_rule.breaker
}

/// How long the circuit stays open the first time.
pub const OPEN_FOR_MS: u64 = 5_000;

/// The window of the policy.
pub const WINDOW_MS: u64 = 10_000;

/// One circuit, over all workers.
#[derive(Debug)]
pub struct Ours {
    workers: [Breaker; WORKERS],
    stored: Option<Shared>,
    rng: Rng,
    /// `u64::MAX` while nothing is to be kept up with.
    next_tick: u64,
    asked_at: Mono,
    turn: usize,
    /// Eras in which it opened; what two workers do in one era is one opening.
    opened: u64,
    last_era: u64,
}

impl Ours {
    pub fn new(seed: u64) -> Self {
        Self {
            workers: [Breaker::new(policy()), Breaker::new(policy())],
            stored: None,
            rng: Rng::new(seed ^ 0x6272_6561_6b65_7273),
            next_tick: u64::MAX,
            asked_at: Mono(0),
            turn: 0,
            opened: 0,
            last_era: 0,
        }
    }

    /// Takes over what all know, and tells what one knows, until nothing follows from that.
    fn synchronize(&mut self, worker: usize, now: Mono) {
        loop {
            let random = self.rng.bits();
            let breaker = &mut self.workers[worker];
            if let Some(stored) = &self.stored {
                breaker.merge(stored, now);
            }
            let Some(proposal) = breaker.propose(self.stored.as_ref(), now) else { return };
            self.stored = Shared::decode(&proposal.encode());
            let Some(transition) = breaker.accepted(proposal, now, random) else { return };
            self.count(&transition);
        }
    }

    fn made(&mut self, worker: usize, transition: Option<Transition>, now: Mono) {
        if let Some(transition) = &transition {
            self.count(transition);
        }
        self.synchronize(worker, now);
        if transition.is_some() {
            self.synchronize(1 - worker, now);
        }
    }

    fn count(&mut self, transition: &Transition) {
        if transition.to == State::Open && transition.era > self.last_era {
            self.last_era = transition.era;
            self.opened += 1;
        }
    }
}

impl Peer for Ours {
    type Ticket = (usize, Permit);

    fn admit(&mut self, now_ms: u64) -> Option<Self::Ticket> {
        let (worker, now) = (self.rng.index(WORKERS), Mono(now_ms));
        let random = self.rng.bits();
        self.asked_at = now;
        if self.next_tick == u64::MAX {
            self.next_tick = now_ms + 1;
            (0..WORKERS).for_each(|worker| self.synchronize(worker, now));
        }
        if self.workers[worker].state(now) == State::HalfOpen {
            self.synchronize(worker, now);
        }
        match self.workers[worker].admit(Call { invited: false, timed: true }, now, random) {
            Admission::Pass(permit) => Some((worker, permit)),
            Admission::Probe(permit) => {
                // Nobody comes in between here.
                if permit.has_turn() {
                    self.synchronize(worker, now);
                }
                Some((worker, permit))
            }
            Admission::Refuse(_) | Admission::Spared(_) => None,
        }
    }

    fn ended(&mut self, (worker, permit): Self::Ticket, ok: bool, _took_ms: u64, now_ms: u64) {
        let outcome = if ok { Outcome::Success } else { Outcome::NONE };
        let (random, was_probe) = (self.rng.bits(), permit.is_probe());
        let transition = self.workers[worker].record(permit, outcome, Mono(now_ms), random);
        if transition.is_some() || was_probe {
            self.made(worker, transition, Mono(now_ms));
        }
    }

    fn due(&self) -> u64 {
        self.next_tick
    }

    fn tick(&mut self, now_ms: u64) {
        let (worker, now) = (self.turn, Mono(now_ms));
        let random = self.rng.bits();
        match self.workers[worker].tick(now, random) {
            Some(transition) => self.made(worker, Some(transition), now),
            None => self.synchronize(worker, now),
        }
        self.turn = (self.turn + 1) % WORKERS;
        let is_quiet = |breaker: &Breaker| breaker.state(now) == State::Closed && breaker.under_way() == 0;
        let leaves_alone = now_ms >= self.asked_at.0 + 1_000 && self.workers.iter().all(is_quiet);
        self.next_tick = if leaves_alone { u64::MAX } else { now_ms + millis(TICK) / WORKERS as u64 };
    }

    fn opened(&self) -> u64 {
        self.opened
    }

    fn is_open(&self, now_ms: u64) -> bool {
        self.workers.iter().any(|worker| worker.state(Mono(now_ms)) != State::Closed)
    }
}
