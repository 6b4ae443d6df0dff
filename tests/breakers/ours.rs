//! Breakwater as it runs in an Envoy of two workers, with the defaults an operator gets.
//!
//! Requests fall to either worker by chance. Each worker decides by what it sees; on its tick it reads the record that
//! they share, takes it over if it is newer, and writes its own if that one is. One worker's tick falls between two of
//! the other's.

use crate::peer::Peer;
use breakwater::breaker::{Admission, Breaker, Outcome, Permit, Shared, State};
use breakwater::config::plan::{self, Fallback};
use breakwater::host::sim::Rng;
use breakwater::time::Mono;
use std::time::Duration;

const WORKERS: usize = 2;
const TICK_MS: u64 = 50;

const POLICY: plan::Breaker = plan::Breaker {
    enabled: true,
    window: Duration::from_millis(WINDOW_MS),
    min_requests: 20,
    consecutive_failures: 5,
    failure_rate: 0.5,
    open_for: Duration::from_millis(OPEN_FOR_MS),
    max_open_for: Duration::from_secs(300),
    half_open_probes: 3,
    fallback: Fallback::Stale,
};

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
    next_tick: u64,
    turn: usize,
    /// Eras in which it opened; what two workers do in one era is one opening.
    opened: u64,
    last_era: u64,
}

impl Ours {
    pub fn new(seed: u64) -> Self {
        Self {
            workers: [Breaker::new(POLICY), Breaker::new(POLICY)],
            stored: None,
            rng: Rng::new(seed ^ 0x6272_6561_6b65_7273),
            next_tick: TICK_MS,
            turn: 0,
            opened: 0,
            last_era: 0,
        }
    }
}

impl Peer for Ours {
    type Ticket = (usize, Permit);

    fn admit(&mut self, now_ms: u64) -> Option<Self::Ticket> {
        let worker = self.rng.index(WORKERS);
        match self.workers[worker].admit(Mono(now_ms)) {
            Admission::Pass(permit) | Admission::Probe(permit) => Some((worker, permit)),
            Admission::Refuse { .. } => None,
        }
    }

    fn ended(&mut self, (worker, permit): Self::Ticket, ok: bool, _took_ms: u64, now_ms: u64) {
        let outcome = if ok { Outcome::Success } else { Outcome::Failure };
        let random = self.rng.bits();
        let transition = self.workers[worker].record(permit, outcome, Mono(now_ms), random);
        if let Some(transition) = transition
            && transition.to == State::Open
            && transition.era > self.last_era
        {
            self.last_era = transition.era;
            self.opened += 1;
        }
    }

    fn due(&self) -> u64 {
        self.next_tick
    }

    fn tick(&mut self, now_ms: u64) {
        let worker = &mut self.workers[self.turn];
        if let Some(stored) = &self.stored {
            worker.merge(stored, Mono(now_ms));
        }
        if worker.publish(self.stored.as_ref()).is_some() {
            self.stored = Some(worker.shared());
        }
        self.turn = (self.turn + 1) % WORKERS;
        self.next_tick += TICK_MS / WORKERS as u64;
    }

    fn opened(&self) -> u64 {
        self.opened
    }

    fn is_open(&self, now_ms: u64) -> bool {
        self.workers.iter().any(|worker| worker.state(Mono(now_ms)) != State::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_worker_sees_all_know_within_a_tick_of_each() {
        let mut peer = Ours::new(1);
        let bad = |peer: &mut Ours| {
            let (worker, permit) =
                std::iter::from_fn(|| peer.admit(100)).find(|(worker, _)| *worker == 0).unwrap();
            peer.ended((worker, permit), false, 1, 100);
        };
        for _ in 0..POLICY.consecutive_failures {
            bad(&mut peer);
        }
        assert_eq!(peer.opened(), 1);
        while peer.due() <= 100 + 2 * TICK_MS {
            peer.tick(peer.due());
        }
        for _ in 0..100 {
            assert!(peer.admit(100 + 2 * TICK_MS).is_none());
        }
    }
}
