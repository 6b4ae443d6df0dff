//! Waiters whose answer was not for them go to the upstream, by turns where their rule says how many at a time.
//!
//! Whose turn it is, `flight::release` knows. One that has to stay goes on waiting as far as its exchange knows, and is
//! told how its flight ended when its turn comes; meanwhile its deadline or its client may take it away. One that is
//! out comes back with its response's head, or by any other way in which it ceases to fetch. So whoever is driven is
//! looked at afterwards: where it is no more, it leaves its place.

use super::tasks::Task;
use super::{At, Slot, Worker, rule};
use crate::config::plan::Plan;
use crate::exchange::Event;
use crate::flight::Outcome;
use crate::flight::release::{Released, Releases};
use crate::host::{Host, StreamId};
use crate::http::Reason;
use crate::telemetry::Occurrence;

/// The released of one worker.
pub(super) type Lanes = Releases<StreamId>;

/// Where a request stands among the released, and why it goes alone.
pub(super) type Place = (Released, Reason);

impl<H: Host> Worker<H> {
    /// In a root callback: tells a waiter how its flight ended, unless it has to stay.
    pub(super) fn tell_one(&mut self, stream: StreamId, outcome: &Outcome) {
        if let Outcome::Alone(reason) = outcome
            && !self.may_go(stream, *reason)
        {
            return;
        }
        self.drive(stream, Event::Ended(outcome.clone()), At::Later);
    }

    /// Whether a released request goes now; else it has a place among those who stay.
    fn may_go(&mut self, stream: StreamId, reason: Reason) -> bool {
        let Some(slot) = self.streams.get_mut(&stream) else { return true };
        let rule_index = slot.exchange.rule;
        let Some(most) = parallel(&self.plan, rule_index) else { return true };
        // Who has left the flight is told nothing new, and who joins again goes to nobody.
        if !slot.exchange.is_waiting() || slot.exchange.is_unconcerned(reason) {
            return true;
        }
        let released = self.releases.release(rule_index, stream, most);
        slot.released = Some((released, reason));
        if released == Released::Out {
            return true;
        }
        self.counters.occurred(Occurrence::ReleaseDelayed);
        false
    }

    /// In a root callback: lets the next of a rule go, if it is anybody's turn; whether it was.
    pub(super) fn release_next(&mut self, rule_index: usize) -> bool {
        let Some(most) = parallel(&self.plan, rule_index) else { return false };
        let Some(stream) = self.releases.next(rule_index, most) else { return false };
        let slot = self.streams.get_mut(&stream);
        let Some((released, reason)) = slot.and_then(|slot| slot.released.as_mut()) else {
            // Nobody stays without knowing it; if one did, its place would be free.
            self.releases.leave(rule_index, Released::Out);
            return true;
        };
        *released = Released::Out;
        let outcome = Outcome::Alone(*reason);
        self.drive(stream, Event::Ended(outcome), At::Later);
        true
    }

    /// After whatever happened to a request: if it is no longer where it was released to, others may have their turn.
    pub(super) fn settle_release(&mut self, slot: &mut Slot) {
        let exchange = &slot.exchange;
        let left = slot.released.take_if(|(released, _)| match released {
            Released::Out => !exchange.is_fetching(),
            Released::Staying(_) => !exchange.is_waiting(),
        });
        if left.is_some_and(|(released, _)| self.releases.leave(exchange.rule, released)) {
            self.later(Task::LetOut(exchange.rule));
        }
        let waiters = self.flights.table.waiting().saturating_add(self.releases.staying());
        self.counters.waiting(waiters, &self.host);
    }
}

/// How many of a rule's released requests may be out at a time.
fn parallel(plan: &Plan, rule_index: usize) -> Option<usize> {
    let parallel = rule(plan, rule_index).coalesce.release.parallel?;
    Some(usize::try_from(parallel).unwrap_or(usize::MAX))
}
