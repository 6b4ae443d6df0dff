//! Which probes of a half-open circuit are under way?
//!
//! A probe holds a slot until its result is recorded or it is abandoned. A permit that is dropped without either
//! (its stream was torn down) would hold it for ever; so a slot is taken back after [`PROBE_TIMEOUT`], and its probe
//! presumed lost. Should its result come after all, it still counts: bad news is news, and so is good news.

use crate::time::Mono;
use std::time::Duration;

/// After this long a probe without result is presumed lost, and another may go. It is Envoy's default route timeout:
/// what has no answer by then mostly never gets one. Under longer timeouts a hanging upstream gets at most
/// `half_open_probes` more requests per worker each time it elapses.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// The probes of one half-open circuit.
#[derive(Clone, Debug, Default)]
pub(super) struct Probes {
    /// Never more than the limit given to `take`.
    slots: Vec<Slot>,
    next_id: u64,
    successes: u32,
}

#[derive(Clone, Debug)]
struct Slot {
    id: u64,
    until: Mono,
}

impl Probes {
    /// How many are under way.
    pub(super) fn in_flight(&self, now: Mono) -> usize {
        self.slots.iter().filter(|slot| now < slot.until).count()
    }

    /// Takes back the slots of lost probes; how many there were.
    pub(super) fn expire(&mut self, now: Mono) -> usize {
        let before = self.slots.len();
        self.slots.retain(|slot| now < slot.until);
        before.saturating_sub(self.slots.len())
    }

    /// A slot for one more, by its id, if fewer than `limit` are under way.
    pub(super) fn take(&mut self, limit: usize, now: Mono) -> Option<u64> {
        if self.slots.len() >= limit {
            return None;
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.slots.push(Slot { id, until: now.after(PROBE_TIMEOUT) });
        Some(id)
    }

    /// Gives a slot back; nothing happens if it was taken back already.
    pub(super) fn release(&mut self, id: u64) {
        self.slots.retain(|slot| slot.id != id);
    }

    /// Counts a success; how many there are now.
    pub(super) fn succeed(&mut self) -> u32 {
        self.successes = self.successes.saturating_add(1);
        self.successes
    }
}
