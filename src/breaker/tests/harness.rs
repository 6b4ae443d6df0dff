//! Workers that share a circuit, driven as `filter::circuits` drives them.

use super::super::{Admission, Breaker, Call, Outcome, Permit, Proposal, Shared, State};
use crate::config::plan;
use crate::time::Mono;

/// What all know, as shared data keeps it: a value and a number for compare-and-swap.
#[derive(Default)]
pub(super) struct Cell {
    bytes: Vec<u8>,
    cas: u32,
}

impl Cell {
    pub(super) fn read(&self) -> (Option<Shared>, u32) {
        (Shared::decode(&self.bytes), self.cas)
    }

    fn swap(&mut self, proposal: &Proposal, cas: u32) -> bool {
        let swaps = cas == self.cas;
        if swaps {
            self.bytes = proposal.encode();
            self.cas += 1;
        }
        swaps
    }
}

/// Workers that do what `filter::circuits` does.
pub(super) struct Workers {
    pub(super) policy: plan::Breaker,
    pub(super) breakers: Vec<Breaker>,
    pub(super) held: Vec<Vec<Permit>>,
    pub(super) cell: Cell,
    /// Another writes just before this one does.
    pub(super) raced: bool,
    pub(super) now: Mono,
    chance: u64,
}

impl Workers {
    pub(super) fn new(policy: plan::Breaker, count: usize) -> Self {
        let breakers = vec![Breaker::new(policy.clone()); count];
        let held = (0..count).map(|_| Vec::new()).collect();
        Self { policy, breakers, held, cell: Cell::default(), raced: false, now: Mono(1_000), chance: 1 }
    }

    /// Numbers of all sizes: one that stays the same would have a shedding circuit shed all or nothing.
    fn random(&mut self) -> u64 {
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.chance
    }

    pub(super) fn synchronize(&mut self, who: usize) {
        for _ in 0..4 {
            let random = self.random();
            let (stored, cas) = self.cell.read();
            let breaker = &mut self.breakers[who];
            stored.iter().for_each(|stored| {
                breaker.merge(stored, self.now);
            });
            let Some(proposal) = breaker.propose(stored.as_ref(), self.now) else { return };
            self.cell.cas += u32::from(std::mem::take(&mut self.raced));
            if self.cell.swap(&proposal, cas) && breaker.accepted(proposal, self.now, random).is_none() {
                return;
            }
        }
    }

    pub(super) fn admit(&mut self, who: usize, call: Call) -> Option<(State, bool)> {
        self.synchronize(who);
        let random = self.random();
        let state = self.breakers[who].state(self.now);
        let permit = match self.breakers[who].admit(call, self.now, random) {
            Admission::Pass(permit) => permit,
            Admission::Probe(permit) if permit.has_turn() => {
                let (stored, cas) = self.cell.read();
                let breaker = &mut self.breakers[who];
                let keeps = breaker.keeps_turn(&permit, stored.as_ref());
                let proposal = breaker.propose(stored.as_ref(), self.now).filter(|_| keeps);
                self.cell.cas += u32::from(std::mem::take(&mut self.raced));
                match proposal.filter(|proposal| self.cell.swap(proposal, cas)) {
                    Some(proposal) => {
                        breaker.accepted(proposal, self.now, random);
                    }
                    None => {
                        breaker.lose_turn(permit);
                        return None;
                    }
                }
                permit
            }
            Admission::Probe(permit) => permit,
            Admission::Refuse(_) | Admission::Spared(_) => return None,
        };
        let alone = permit.has_turn();
        self.held[who].push(permit);
        Some((state, alone))
    }

    pub(super) fn take(&mut self, who: usize, at: usize) -> Option<Permit> {
        let held = &mut self.held[who];
        (!held.is_empty()).then(|| held.swap_remove(at % held.len()))
    }

    pub(super) fn record(&mut self, who: usize, permit: Permit, outcome: Outcome, random: u64) {
        self.breakers[who].record(permit, outcome, self.now, random);
        self.synchronize(who);
    }

    pub(super) fn tick(&mut self, who: usize) {
        let random = self.random();
        self.breakers[who].tick(self.now, random);
        self.synchronize(who);
    }

    /// A tick for each to tell, and one for each to hear.
    pub(super) fn come_to_one_mind(&mut self) {
        for _ in 0..2 {
            (0..self.breakers.len()).for_each(|who| self.synchronize(who));
        }
    }
}
