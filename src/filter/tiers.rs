//! The tiers as host calls: what is prepared for L1, and the dialogue with L2 and L3 but for reading (`lookups`).

use super::leases::Release;
use super::lookups::Asked;
use super::slots::Filled;
use super::tasks::Task;
use super::{Worker, refreshes};
use crate::config::plan::{L2, Plan};
use crate::flight::{Token, stripe};
use crate::host::{CalloutId, Host, Level, StreamId};
use crate::http::key::Digest;
use crate::store::Entry;
use crate::store::health::Health;
use crate::store::l1::{self, Geometry};
use crate::store::leases;
use crate::store::remote::{self, Unavailable, Written};
use crate::store::variants::{self, Publication};
use crate::telemetry::Occurrence;
use crate::time::{Mono, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one worker knows of the tiers.
pub(super) struct Tiers {
    pub(super) geometry: Geometry,
    /// Dialogues under way, and since when.
    pub(super) callouts: BTreeMap<CalloutId, (Purpose, Mono)>,
    health: Health,
    /// Keys whose deletion is under way, with what is to be stored under them then: on another connection it might
    /// come first.
    deleting: BTreeMap<Digest, Option<Task>>,
    /// Keys to be deleted as soon as Redis answers.
    owed: BTreeSet<Digest>,
    /// What was received before is not believed.
    pub(super) believed_since: Wall,
    configured: bool,
    max_body_bytes: usize,
}

/// What a callout is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Asks for a request's entry.
    Lookup(StreamId, Asked),
    /// Has a resource fetched anew in the background.
    Refresh(Digest),
    /// Leads a flight.
    Detached(Token),
    /// Sends a stream's request again.
    Refetch(StreamId),
    /// Stores, in so many commands.
    Store(usize),
    /// Deletes a key.
    Delete(Digest),
    /// Prolongs a flight's lease.
    Renew(Token),
    /// Gives a lease back if nobody awaits it; else something is left first.
    ReleaseUnawaited(Release),
    /// Leaves something for those who await a lease; then it is given back.
    Leave(Release),
    /// Gives a lease back.
    Release,
    /// Asks which circuits are open elsewhere in the fleet.
    Hints(Vec<usize>),
    /// Asks whether Redis is back.
    Probe,
}

impl Tiers {
    pub(super) fn new(plan: &Plan) -> Self {
        let largest = plan.l2.as_ref().map_or(0, |l2| l2.max_object_bytes).max(plan.l1.max_object_bytes);
        Self {
            geometry: Geometry::new(&plan.l1),
            callouts: BTreeMap::new(),
            health: Health::default(),
            deleting: BTreeMap::new(),
            owed: BTreeSet::new(),
            believed_since: Wall::default(),
            configured: plan.l2.is_some(),
            max_body_bytes: usize::try_from(largest).unwrap_or(usize::MAX),
        }
    }

    /// Whether there is a tier behind L1, and it answers.
    pub(super) fn can_ask(&self) -> bool {
        self.configured && self.health.is_up()
    }

    /// Largest body that any tier takes.
    pub(super) fn max_body_bytes(&self) -> usize {
        self.max_body_bytes
    }
}

/// Creates what must be in shared data before the first request: flights' stripes and L1's directories. A changed
/// geometry empties the old table.
pub fn prepare(host: &impl Host, plan: &Plan) {
    refreshes::prepare(host);
    for key in stripe::stripe_keys() {
        if host.shared(&key).is_none() {
            let _ = host.share(&key, b"", None);
        }
    }
    let geometry = Geometry::new(&plan.l1);
    let former = host.shared(l1::GEOMETRY_KEY).and_then(|(bytes, _)| Geometry::decode(&bytes));
    if former == Some(geometry) {
        return;
    }
    if let Some(former) = former {
        for slot in former.slots() {
            let _ = host.share(&slot.key(), b"", None);
            let _ = host.share(&slot.version_key(), b"", None);
        }
        for group in former.groups() {
            let _ = host.share(&l1::directory_key(group), b"", None);
        }
    }
    for group in geometry.groups() {
        let _ = host.share(&l1::directory_key(group), &geometry.empty_directory(), None);
    }
    let _ = host.share(l1::GEOMETRY_KEY, &geometry.encode(), None);
}

impl<H: Host> Worker<H> {
    /// A callout ended.
    pub(super) fn called_back(&mut self, callout: CalloutId, answer: Option<&[u8]>) {
        match self.tiers.callouts.remove(&callout) {
            Some((Purpose::Lookup(stream, asked), begun)) => {
                let lookup = answer.ok_or(Unavailable);
                let lookup = lookup.and_then(|answer| remote::read_lookup(answer, asked.wish()));
                self.judge_health(lookup.is_ok(), begun);
                self.looked_up(stream, asked, begun, lookup);
            }
            Some((Purpose::Refresh(digest), _)) => self.refreshed(digest, answer.is_some()),
            Some((Purpose::Detached(token), _)) => self.come_back(token),
            Some((Purpose::Refetch(stream), _)) => self.refetched(callout, stream),
            Some((Purpose::Store(commands), begun)) => {
                let written =
                    answer.ok_or(Unavailable).and_then(|answer| remote::read_written(answer, commands));
                self.judge_health(written.is_ok(), begun);
                if written == Ok(Written::Refused) {
                    self.counters.occurred(Occurrence::L2Refused);
                }
            }
            Some((Purpose::Renew(token), begun)) => {
                let own = read_own(answer);
                self.judge_health(own.is_ok(), begun);
                self.renewed(token, own.unwrap_or(true));
            }
            Some((Purpose::Leave(release), begun)) => {
                let left = answer.ok_or(Unavailable).and_then(|answer| remote::read_written(answer, 1));
                self.judge_health(left.is_ok(), begun);
                self.later(Task::Release(release));
            }
            Some((Purpose::ReleaseUnawaited(release), begun)) => {
                let released = read_own(answer);
                self.judge_health(released.is_ok(), begun);
                if released == Ok(false) {
                    self.leave(release);
                }
            }
            Some((Purpose::Release, begun)) => {
                self.judge_health(read_own(answer).is_ok(), begun);
            }
            Some((Purpose::Delete(digest), begun)) => {
                let deleted = answer.ok_or(Unavailable).and_then(|answer| remote::read_written(answer, 1));
                self.judge_health(deleted.is_ok(), begun);
                if let Some(Some(store)) = self.tiers.deleting.remove(&digest) {
                    self.later(store);
                }
                if deleted != Ok(Written::Done) {
                    self.owe(digest);
                }
            }
            Some((Purpose::Hints(places), begun)) => {
                let answered = self.hinted(&places, answer);
                self.judge_health(answered, begun);
            }
            Some((Purpose::Probe, begun)) => {
                let alive = answer.is_some_and(|answer| remote::read_lookup(answer, None).is_ok());
                self.judge_health(alive, begun);
            }
            None => {}
        }
    }

    fn judge_health(&mut self, answered: bool, begun: Mono) {
        if answered {
            if self.tiers.health.succeeded() {
                self.counters.occurred(Occurrence::L2Up);
                self.host.log(Level::Info, "Redis answers again: L2 and L3 are used");
                for digest in std::mem::take(&mut self.tiers.owed) {
                    self.later(Task::Delete { digest, has_changed: false });
                }
            }
            return;
        }
        self.counters.occurred(Occurrence::L2Failed);
        // A failure that comes long after the callout's own timeout says that this worker is busy, not that Redis is.
        let timeout = self.plan.l2.as_ref().map_or(Duration::ZERO, |l2| l2.timeout);
        if self.host.mono().since(begun) > timeout.saturating_add(BUSY) {
            return;
        }
        if self.tiers.health.failed(self.host.mono()) {
            self.counters.occurred(Occurrence::L2Down);
            self.host.log(Level::Warn, "Redis does not answer: requests go on with L1 alone until it does");
        }
    }

    /// On the tick: asks a Redis that was given up whether it is back.
    pub(super) fn probe_remote(&mut self, now: Mono) {
        if self.tiers.configured && self.tiers.health.probe(now) {
            self.call(&remote::lookup(&self.plan.namespace, Digest([0; 16]), None), Purpose::Probe);
        }
    }

    pub(super) fn call(&mut self, pipeline: &[u8], purpose: Purpose) -> Option<CalloutId> {
        let L2 { cluster, timeout, .. } = self.plan.l2.as_ref()?;
        let begun = self.host.mono();
        let callout = self.host.call(cluster, pipeline, *timeout);
        match callout {
            Some(callout) => {
                self.tiers.callouts.insert(callout, (purpose, begun));
            }
            None => self.judge_health(false, begun),
        }
        callout
    }

    /// In a root callback: stores in L2 and L3, if they can be asked now, and behind that gives a lease back.
    pub(super) fn store(&mut self, mut pipeline: Vec<u8>, mut commands: usize, release: Option<Release>) {
        if self.tiers.can_ask() && self.tiers.callouts.len() < MAX_CALLOUTS {
            if let Some(release) = release {
                pipeline.extend(release.pipeline(&self.plan.namespace));
                commands = commands.saturating_add(1);
            }
            self.call(&pipeline, Purpose::Store(commands));
        } else if let Some(release) = release {
            self.release(release);
        }
    }

    /// In a root callback: deletes from L2 and L3, now or as soon as they can be asked.
    pub(super) fn delete(&mut self, digest: Digest, has_changed: bool) {
        let (pipeline, _) = remote::delete(&self.plan.namespace, digest, has_changed);
        let asked = self.tiers.can_ask() && self.tiers.callouts.len() < MAX_CALLOUTS;
        if asked && self.call(&pipeline, Purpose::Delete(digest)).is_some() {
            self.tiers.deleting.insert(digest, None);
        } else {
            self.owe(digest);
        }
    }

    /// Has a store wait for a deletion of its key that is under way; gives it back if there is none.
    pub(super) fn behind_deletion(&mut self, digest: Digest, store: Task) -> Option<Task> {
        let Some(waiting) = self.tiers.deleting.get_mut(&digest) else { return Some(store) };
        let former = waiting.replace(store);
        self.give_up_store(former);
        None
    }

    /// What waits to be stored under a key is out of date.
    pub(super) fn drop_stores(&mut self, digest: Digest) {
        self.tasks.drop_stores(digest);
        let waiting = self.tiers.deleting.get_mut(&digest).and_then(Option::take);
        self.give_up_store(waiting);
    }

    /// What waited to be stored never is: nobody shall wait for it.
    fn give_up_store(&mut self, store: Option<Task>) {
        if let Some(Task::Store { release: Some(release), .. }) = store {
            self.later(Task::Release(release));
        }
    }

    /// A deletion has to wait until Redis answers. Beyond a number of them no single one is kept in mind: then
    /// nothing is believed that Redis received before now.
    fn owe(&mut self, digest: Digest) {
        self.tiers.owed.insert(digest);
        if self.tiers.owed.len() > MAX_OWED {
            self.tiers.owed.clear();
            self.tiers.believed_since = self.host.wall();
        }
    }

    /// Stores a complete response in all tiers, unless its resource was changed after it was asked for.
    /// `replaces`: Redis holds no index under its key.
    pub(super) fn keep(
        &mut self,
        requested_at: Wall,
        digest: Digest,
        bytes: &[u8],
        max_variants: u32,
        replaces: bool,
    ) {
        let Filled::Taken(index) = self.fill(requested_at, digest, bytes, max_variants) else {
            return;
        };
        let (Some(l2), Some(entry)) = (&self.plan.l2, Entry::read(bytes)) else { return };
        let now = self.host.wall();
        let namespace = &self.plan.namespace;
        let stored = match &index {
            None => remote::store(namespace, digest, l2, &entry, now),
            Some((index, publication)) => {
                let publication = if replaces { Publication::Replace } else { *publication };
                let variant = variants::digest(entry.key, entry.selecting);
                remote::store_variant(namespace, digest, variant, l2, &entry, (index, publication), now)
            }
        };
        if let Some((pipeline, commands)) = stored {
            self.later(Task::Store { pipeline, commands, digest, release: None });
        }
    }

    /// An unsafe request changed a key's resource (RFC 9111 §4.4): it is forgotten in every tier, and a fetch that is
    /// under way is not kept.
    pub(super) fn invalidate(&mut self, at: Wall, digest: Digest) {
        self.counters.occurred(Occurrence::Invalidated);
        // In this order: a flight that begins in between begins without what was true before.
        self.forget(at, digest);
        self.taint(digest);
        if self.plan.l2.is_some() {
            self.later(Task::Delete { digest, has_changed: true });
        }
    }

    /// What is stored under a key may not be reused any more, nor what was asked for up to then.
    pub(super) fn discard(&mut self, at: Wall, digest: Digest) {
        self.forget(at, digest);
        if self.plan.l2.is_some() {
            self.later(Task::Delete { digest, has_changed: false });
        }
    }
}

fn read_own(answer: Option<&[u8]>) -> Result<bool, Unavailable> {
    leases::read_own(answer.ok_or(Unavailable)?)
}

/// Dialogues with Redis under way in one worker; beyond, writes are dropped rather than queued.
const MAX_CALLOUTS: usize = 1_024;
/// Deletions kept in mind while Redis is away: 64 KiB per worker.
const MAX_OWED: usize = 4_096;
/// How late a timeout may be noticed by a worker that is not overloaded.
const BUSY: Duration = Duration::from_millis(20);
