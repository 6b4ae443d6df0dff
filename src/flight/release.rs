//! Whose turn it is among the released, where a rule lets only so many go at a time.
//!
//! A flight whose answer is for nobody else releases its waiters to the upstream: at once and in parallel, unless the
//! rule spares it such a wave. There a released request goes if fewer of its rule are *out* than may be, that is, let
//! through and without a response's head yet; else it *stays*, behind those that came before it. Each that comes back
//! makes room for the first that stays. Whoever leaves, in whatever way, leaves its place too; where it stands it keeps in
//! mind itself. Other workers have lanes of their own.
//!
//! ```text
//! released ─┬─► out ───────► (left)   a head came, it was reset or is over, or it never went
//!           └─► staying ─┬─► out      its turn came
//!                        └─► (left)   it has waited for as long as it may, or its client is gone
//! ```

use std::collections::BTreeMap;

/// The released requests of one worker.
#[derive(Clone, Debug)]
pub struct Releases<S> {
    /// By rule.
    lanes: Vec<Lane<S>>,
    next_place: u64,
    /// Those who stay in all lanes.
    staying: usize,
}

#[derive(Clone, Debug)]
struct Lane<S> {
    out: usize,
    /// By place, in the order in which they came.
    staying: BTreeMap<u64, S>,
}

/// Where a released request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// At the upstream.
    Out,
    /// Behind others, at this place.
    Staying(u64),
}

impl<S> Default for Releases<S> {
    fn default() -> Self {
        Self { lanes: Vec::new(), next_place: 0, staying: 0 }
    }
}

impl<S> Releases<S> {
    /// Releases a request under a rule, by its index, that lets `most` out at a time.
    pub fn release(&mut self, rule: usize, stream: S, most: usize) -> Released {
        while self.lanes.len() <= rule {
            self.lanes.push(Lane { out: 0, staying: BTreeMap::new() });
        }
        let Some(lane) = self.lanes.get_mut(rule) else { return Released::Out };
        if lane.staying.is_empty() && lane.out < most {
            lane.out = lane.out.saturating_add(1);
            return Released::Out;
        }
        let place = self.next_place;
        self.next_place = self.next_place.wrapping_add(1);
        lane.staying.insert(place, stream);
        self.staying = self.staying.saturating_add(1);
        Released::Staying(place)
    }

    /// Whose turn it is under a rule: it is out from now on.
    pub fn next(&mut self, rule: usize, most: usize) -> Option<S> {
        let lane = self.lanes.get_mut(rule).filter(|lane| lane.out < most)?;
        let (_, stream) = lane.staying.pop_first()?;
        lane.out = lane.out.saturating_add(1);
        self.staying = self.staying.saturating_sub(1);
        Some(stream)
    }

    /// A request is no longer where it stood. Returns whether it may be another's turn.
    pub fn leave(&mut self, rule: usize, released: Released) -> bool {
        let Some(lane) = self.lanes.get_mut(rule) else { return false };
        match released {
            Released::Out => lane.out = lane.out.saturating_sub(1),
            Released::Staying(place) if lane.staying.remove(&place).is_some() => {
                self.staying = self.staying.saturating_sub(1);
            }
            Released::Staying(_) => {}
        }
        !lane.staying.is_empty()
    }

    /// How many stay.
    pub fn staying(&self) -> usize {
        self.staying
    }
}

#[cfg(test)]
mod tests;
