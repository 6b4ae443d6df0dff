//! The lease of the fleet, as far as a worker takes part: wished for with a lookup, renewed on the tick, given back when
//! the flight has ended.
//!
//! It belongs to the flight, not to the request that leads it: when a leader's client goes, the next leads on under the
//! same lease. It is given back behind what was stored, in one pipeline. Where lease and entry stand on two servers, it may
//! thus be free a moment before the entry is there; whoever comes just then fetches once more.
//!
//! A wait is looked after here too: when to ask Redis again, and a tick short enough for that.

use super::tasks::Task;
use super::tick::due;
use super::tiers::Purpose;
use super::{Slot, Worker};
use crate::config::plan::Rule;
use crate::flight::lease::{self, LEFT_FOR, Lease, Name, Standing};
use crate::flight::table::Flight;
use crate::flight::{Origin, Outcome, Token, left};
use crate::host::{Host, StreamId, TICK};
use crate::http::key::Digest;
use crate::store::Entry;
use crate::store::leases::{self, Said, Wish};
use crate::telemetry::Occurrence;
use crate::time::{Mono, Wall};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// What one worker knows of leases.
pub(super) struct Leases {
    /// This worker's number in the fleet.
    worker: u64,
    /// Who looks again when.
    pub(super) looks: BTreeSet<(Mono, StreamId)>,
    /// Leases that may be taken yet by a wish under way, and when that is over.
    unsure: VecDeque<(Mono, Release)>,
    /// How long fetches take lately, by rule.
    usual: Vec<Option<Duration>>,
    /// The interval of the tick.
    interval: Duration,
}

/// A lease to be given back.
#[derive(Clone, Debug)]
pub(super) struct Release {
    pub(super) digest: Digest,
    name: Name,
    /// What is to be left for those who wait, before, and when it came to that.
    left: Option<(Outcome, Wall)>,
}

impl Release {
    pub(super) fn pipeline(&self, namespace: &str) -> Vec<u8> {
        leases::release(namespace, self.digest, self.name)
    }
}

impl Leases {
    pub(super) fn new(worker: u64, rules: usize) -> Self {
        Self {
            worker,
            looks: BTreeSet::new(),
            unsure: VecDeque::new(),
            usual: vec![None; rules],
            interval: TICK,
        }
    }

    /// A flight's name in the fleet.
    fn name(&self, token: Token) -> Name {
        Name::new(self.worker, token)
    }
}

impl<H: Host> Worker<H> {
    /// The wish for a flight's lease. It may have it already, from a leader that is gone; or have had it, until a write
    /// through another Envoy ended it.
    pub(super) fn wish(&mut self, token: Token) -> Option<Wish> {
        let name = self.leases.name(token);
        let flight = self.flights.table.flight(token)?;
        let marks = !matches!(flight.in_fleet, Lease::Awaited { marked: true, .. });
        let awaited = flight.in_fleet.awaited();
        let wish = Wish { digest: flight.digest, name, lease: flight.lease, awaited, marks };
        if flight.in_fleet == Lease::None {
            *self.flights.table.lease(token)? = Lease::Asked;
        }
        Some(wish)
    }

    /// What Redis said to a flight's wish, sent at `asked_at` for a request that `came` before. Nothing that became untrue
    /// at `changed_at` is believed.
    pub(super) fn stands(
        &mut self,
        token: Token,
        said: Option<Said<'_>>,
        (came, asked_at): (Option<Mono>, Mono),
        changed_at: Wall,
    ) -> Standing {
        let own = self.leases.name(token);
        let Some(lease) = self.flights.table.lease(token) else { return Standing::Unasked };
        let Some(said) = said else {
            // The wish may have been heard all the same.
            return if lease.is_held() { Standing::Ours } else { Standing::Unasked };
        };
        let former = *lease;
        *lease = match (said.holder, former) {
            (Some(holder), Lease::Held(since)) if holder == own => Lease::Held(since),
            (Some(holder), _) if holder == own => Lease::Held(asked_at),
            (Some(holder), Lease::Awaited { holder: awaited, since, seen, over, .. })
                if holder == awaited =>
            {
                let over = over.saturating_add(u32::from(said.left.is_some()));
                let seen = seen || said.left.is_none();
                Lease::Awaited { holder, since, seen, marked: said.marked, over }
            }
            (Some(holder), _) => {
                Lease::Awaited { holder, since: asked_at, seen: false, marked: said.marked, over: 0 }
            }
            // What stands there is no lease of this version.
            (None, _) => Lease::None,
        };
        let orphaned = match *lease {
            Lease::Awaited { holder, over: ORPHANED, .. } => Some(holder),
            _ => None,
        };
        let stands = match *lease {
            Lease::Held(_) => Standing::Ours,
            // Nor can it be given back for its holder.
            Lease::Awaited { over: HOPELESS.., .. } => Standing::Unasked,
            Lease::Awaited { .. } => Standing::Elsewhere,
            Lease::None | Lease::Asked => Standing::Unasked,
        };
        if lease.awaited() != former.awaited() || lease.is_held() != former.is_held() {
            match stands {
                Standing::Ours => self.counters.occurred(Occurrence::LeaseTaken),
                Standing::Elsewhere => self.counters.occurred(Occurrence::LeaseAwaited),
                Standing::Unasked | Standing::Ended(_) => {}
            }
        }
        if let (Some(name), Some(flight)) = (orphaned, self.flights.table.flight(token)) {
            // Its worker may have died just then: it is given back for it.
            self.later(Task::Release(Release { digest: flight.digest, name, left: None }));
        }
        // It is told once.
        let Lease::Awaited { holder, seen, over: 0, .. } = former else { return stands };
        let Some((ended_at, mut outcome)) = said.left.and_then(|left| left::decode(left, holder)) else {
            return stands;
        };
        let now = self.host.wall();
        // By two clocks in whole milliseconds: whoever came in the last one is not sure to have come before.
        let since_end = now.since(ended_at).saturating_add(Duration::from_millis(1));
        let ended_at = self.host.mono().before(since_end);
        if let Outcome::Answer(answer) = &mut outcome {
            answer.came_before = Some(ended_at);
        }
        let waited = seen && came.is_some_and(|came| came < ended_at);
        if is_for_this(&outcome, waited, changed_at, now) { Standing::Ended(outcome) } else { stands }
    }

    /// A leader waits for another Envoy's fetch.
    pub(super) fn await_lease(&mut self, stream: StreamId, slot: &mut Slot, rule: &Rule, token: Token) {
        let now = self.host.mono();
        let usual = self.leases.usual.get(slot.exchange.rule).copied().flatten();
        let pause = match self.flights.table.flight(token).map(|flight| flight.in_fleet) {
            Some(Lease::Awaited { since, over: 0, .. }) => {
                lease::pause(now.since(since), usual, self.chance.bits())
            }
            _ => lease::SHORTEST,
        };
        self.leases.looks.insert((now.after(pause), stream));
        self.deadline(stream, slot, rule);
    }

    /// On the tick: who is to look again.
    pub(super) fn look_again_at(&mut self, now: Mono) {
        let due = due(&mut self.leases.looks, now);
        if !due.is_empty() {
            self.later(Task::Look(due));
        }
    }

    /// On the tick: gives back what a wish may have taken though its flight had ended.
    pub(super) fn release_unsure(&mut self, now: Mono) {
        while self.leases.unsure.front().is_some_and(|(at, _)| now >= *at) {
            let due = self.leases.unsure.pop_front();
            due.into_iter().for_each(|(_, release)| self.later(Task::Release(release)));
        }
    }

    /// Has the tick come when the next one is to look again, and no sooner. Not from the tick itself.
    pub(super) fn keep_pace(&mut self) {
        let until =
            |(at, _): &(Mono, StreamId)| at.since(self.host.mono()).clamp(Duration::from_millis(1), TICK);
        let interval = self.leases.looks.first().map_or(TICK, until);
        if interval != self.leases.interval {
            self.leases.interval = interval;
            self.host.tick_every(interval);
        }
    }

    /// Whether the tick is shorter than it needs to be.
    pub(super) fn is_hurried(&self) -> bool {
        self.leases.looks.is_empty() && self.leases.interval != TICK
    }

    /// On the tick: a lease is prolonged while the fetch goes on.
    pub(super) fn renew_lease(&mut self, token: Token, digest: Digest, lease: Duration) {
        if self.flights.table.lease(token).is_some_and(|lease| lease.is_held()) {
            let name = self.leases.name(token);
            let pipeline = leases::renew(&self.plan.namespace, digest, name, lease);
            if self.tiers.can_ask() {
                self.call(&pipeline, Purpose::Renew(token));
            }
        }
    }

    /// A lease was prolonged, or is another's by now: the fetch goes on, and is not in anybody's way.
    pub(super) fn renewed(&mut self, token: Token, own: bool) {
        if let Some(lease) = self.flights.table.lease(token).filter(|lease| lease.is_held() && !own) {
            *lease = Lease::None;
            self.counters.occurred(Occurrence::LeaseLost);
        }
    }

    /// A flight has ended: its lease is given back as soon as what it brought is in Redis.
    pub(super) fn settle_lease(&mut self, token: Token, flight: &Flight<StreamId>, outcome: &Outcome) {
        if !flight.in_fleet.may_be_held() {
            return;
        }
        let now = self.host.wall();
        let name = self.leases.name(token);
        let mut release = Release { digest: flight.digest, name, left: None };
        if flight.in_fleet == Lease::Asked && self.leases.unsure.len() < MAX_UNSURE {
            // The wish may come to Redis behind the release.
            let timeout = self.plan.l2.as_ref().map_or(Duration::ZERO, |l2| l2.timeout);
            self.leases.unsure.push_back((self.host.mono().after(timeout), release.clone()));
        }
        if lasts(outcome, now) {
            // What is stored will be found where all look for it.
            match self.tasks.release_after_store(release) {
                Some(unstored) => release = unstored,
                None => return,
            }
        }
        release.left = (flight.in_fleet.is_held() && is_for_others(outcome)).then(|| (outcome.clone(), now));
        self.later(Task::Release(release));
    }

    /// In a root callback: gives a lease back. Where something is to be left for others, only if there are none.
    pub(super) fn release(&mut self, release: Release) {
        // Without Redis it ends by itself.
        if !self.tiers.can_ask() {
            return;
        }
        let (namespace, digest, name) = (&self.plan.namespace, release.digest, release.name);
        if release.left.is_some() {
            let pipeline = leases::release_unawaited(namespace, digest, name);
            self.call(&pipeline, Purpose::ReleaseUnawaited(release));
        } else {
            self.call(&release.pipeline(namespace), Purpose::Release);
        }
    }

    /// Somebody waits: something is left before the lease is given back, if Redis is to hold so much.
    pub(super) fn leave(&mut self, mut release: Release) {
        let Some((outcome, ended_at)) = release.left.take() else { return };
        let left = left::encode(release.name, ended_at, &outcome);
        let most = self.plan.l2.as_ref().map_or(0, |l2| l2.max_object_bytes);
        if u64::try_from(left.len()).map_or(true, |len| len > most) || !self.tiers.can_ask() {
            return self.release(release);
        }
        let pipeline = leases::leave(&self.plan.namespace, release.name, &left);
        self.call(&pipeline, Purpose::Leave(release));
    }

    /// A flight is about to end: how long it took is what those under the rule take.
    pub(super) fn learn(&mut self, rule: usize, token: Token, outcome: &Outcome) {
        let lease = self.flights.table.flight(token).map(|flight| flight.in_fleet);
        let (Outcome::Answer(_), Some(Lease::Held(since) | Lease::Awaited { since, .. })) = (outcome, lease)
        else {
            return;
        };
        let took = self.host.mono().since(since);
        if let Some(usual) = self.leases.usual.get_mut(rule) {
            // A quarter of the difference: a few fetches make a habit.
            let smoothed = |usual: Duration| usual.saturating_mul(3).saturating_add(took).checked_div(4);
            *usual = usual.map_or(Some(took), smoothed);
        }
    }
}

/// Whether an answer is fresh for so long that all who look for it find it.
fn lasts(outcome: &Outcome, now: Wall) -> bool {
    let Outcome::Answer(answer) = outcome else { return false };
    Entry::read(&answer.entry).is_some_and(|entry| entry.meta.fresh_until > now.after(LEFT_FOR))
}

/// Whether an outcome is news to other Envoys. What was stored is found; the state of a circuit is each one's own.
fn is_for_others(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Answer(answer) => match answer.origin {
            Origin::Upstream | Origin::Revalidated { .. } | Origin::StaleOnError(_) | Origin::Failed(_) => {
                true
            }
            Origin::L1 | Origin::L2 | Origin::L3 | Origin::StaleOnOpen | Origin::Refused => false,
        },
        Outcome::Alone(_) | Outcome::Failed(_) => true,
        Outcome::Lost => false,
    }
}

/// Whether an outcome concerns one who `waited` until the fetch ended, or did not. A fresh answer concerns everybody, if
/// its resource was not changed since; that all go alone is no harm to who came later; a failure may be over.
fn is_for_this(outcome: &Outcome, waited: bool, changed_at: Wall, now: Wall) -> bool {
    match outcome {
        Outcome::Answer(answer) => Entry::read(&answer.entry)
            .is_some_and(|entry| entry.requested_at() > changed_at && (entry.is_fresh(now) || waited)),
        Outcome::Failed(_) => waited,
        Outcome::Alone(_) | Outcome::Lost => true,
    }
}

/// More wishes are not under way when their flights end; of one that is, the lease ends by itself.
const MAX_UNSURE: usize = 4_096;
/// So often a lease is looked at whose fetch has ended, until somebody else gives it back; and so often, until it is not
/// waited for any more.
const ORPHANED: u32 = 3;
const HOPELESS: u32 = 6;
