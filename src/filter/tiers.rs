//! The tiers as host calls: what is prepared for L1, and the dialogue with L2 and L3.

use super::tasks::Task;
use super::{Slot, Worker};
use crate::config::plan::{L2, Plan};
use crate::exchange::{Event, Lookup};
use crate::flight::{Origin, stripe};
use crate::host::{CalloutId, Host, Level, StreamId};
use crate::http::key::{Digest, Key};
use crate::store::health::Health;
use crate::store::l1::{self, Geometry};
use crate::store::remote::{self, Found, Unavailable, Written};
use crate::store::{Entry, entry};
use crate::telemetry::Occurrence;
use crate::time::{Mono, Wall};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What one worker knows of the tiers.
pub(super) struct Tiers {
    pub(super) geometry: Geometry,
    pub(super) callouts: BTreeMap<CalloutId, Purpose>,
    health: Health,
    configured: bool,
    max_body_bytes: usize,
}

/// What a callout is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Asks for a request's entry.
    Lookup(StreamId),
    /// Writes, in so many commands.
    Write(usize),
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
    /// Asks L2 and L3 for a request's entry.
    pub(super) fn look_up(&mut self, stream: StreamId, slot: &mut Slot) -> Option<Event> {
        let digest = slot.exchange.key()?.digest();
        let callout = self.call(&remote::lookup(&self.plan.namespace, digest), Purpose::Lookup(stream));
        slot.callout = callout;
        callout.is_none().then_some(Event::Found(Lookup::Unavailable))
    }

    /// A callout ended.
    pub(super) fn called_back(&mut self, callout: CalloutId, answer: Option<&[u8]>) {
        match self.tiers.callouts.remove(&callout) {
            Some(Purpose::Lookup(stream)) => {
                let lookup = answer.ok_or(Unavailable).and_then(remote::read_lookup);
                self.judge_health(lookup.is_ok());
                let Some(slot) = self.streams.get_mut(&stream) else { return };
                slot.callout = None;
                let key = slot.exchange.key().cloned();
                let lookup = match (lookup, key) {
                    (Ok(found), Some(key)) => self.newest(found, &key),
                    _ => Lookup::Unavailable,
                };
                self.drive(stream, Event::Found(lookup), super::At::Later);
            }
            Some(Purpose::Write(commands)) => {
                let written =
                    answer.ok_or(Unavailable).and_then(|answer| remote::read_written(answer, commands));
                self.judge_health(written.is_ok());
                if written == Ok(Written::Refused) {
                    self.counters.occurred(Occurrence::L2Refused);
                }
            }
            Some(Purpose::Probe) => {
                let alive = answer.is_some_and(|answer| remote::read_lookup(answer).is_ok());
                self.judge_health(alive);
            }
            None => {}
        }
    }

    /// Of what the tiers hold for a key, the response received last (RFC 9111 §4), if its resource was not changed
    /// since.
    fn newest(&mut self, found: Found<'_>, key: &Key) -> Lookup {
        if found.wrong_type {
            self.counters.occurred(Occurrence::L2Corrupt);
        }
        let (now, changed_at) = (self.host.wall(), self.changed_at(key.digest()));
        let mut newest: Option<(Wall, &[u8], Origin)> = None;
        for (bytes, origin) in [(found.l2, Origin::L2), (found.l3, Origin::L3)] {
            let Some(bytes) = bytes else { continue };
            let entry = Entry::read_foreign(bytes, now).filter(|entry| entry.key == key.bytes());
            let Some(entry) = entry else {
                self.counters.occurred(Occurrence::L2Corrupt);
                continue;
            };
            let received_at = entry.meta.received_at;
            if received_at > changed_at && newest.is_none_or(|(newest, ..)| received_at > newest) {
                newest = Some((received_at, bytes, origin));
            }
        }
        newest.map_or(Lookup::Nothing, |(_, bytes, origin)| Lookup::Found(Rc::new(bytes.to_vec()), origin))
    }

    fn judge_health(&mut self, answered: bool) {
        if answered {
            if self.tiers.health.succeeded() {
                self.counters.occurred(Occurrence::L2Up);
                self.host.log(Level::Info, "Redis answers again: L2 and L3 are used");
            }
            return;
        }
        self.counters.occurred(Occurrence::L2Failed);
        if self.tiers.health.failed(self.host.mono()) {
            self.counters.occurred(Occurrence::L2Down);
            self.host.log(Level::Warn, "Redis does not answer: requests go on with L1 alone until it does");
        }
    }

    /// On the tick: asks a Redis that was given up whether it is back.
    pub(super) fn probe_remote(&mut self, now: Mono) {
        if self.tiers.configured && self.tiers.health.probe(now) {
            self.call(&remote::lookup(&self.plan.namespace, Digest([0; 16])), Purpose::Probe);
        }
    }

    fn call(&mut self, pipeline: &[u8], purpose: Purpose) -> Option<CalloutId> {
        let L2 { cluster, timeout, .. } = self.plan.l2.as_ref()?;
        let callout = self.host.call(cluster, pipeline, *timeout);
        match callout {
            Some(callout) => {
                self.tiers.callouts.insert(callout, purpose);
            }
            None => self.judge_health(false),
        }
        callout
    }

    /// In a root callback: writes to L2 and L3.
    pub(super) fn write(&mut self, pipeline: &[u8], commands: usize) {
        if self.tiers.can_ask() && self.tiers.callouts.len() < MAX_CALLOUTS {
            self.call(pipeline, Purpose::Write(commands));
        }
    }

    /// Stores a complete response in all tiers, unless its resource was changed after it was asked for.
    pub(super) fn keep(&mut self, requested_at: Wall, digest: Digest, entry: &[u8]) {
        if !self.fill(requested_at, digest, entry) {
            return;
        }
        if let (Some(l2), Some(entry)) = (&self.plan.l2, entry::Entry::read(entry)) {
            let now = self.host.wall();
            if let Some((pipeline, commands)) = remote::store(&self.plan.namespace, digest, l2, &entry, now) {
                self.later(Task::Write { pipeline, commands, digest });
            }
        }
    }

    /// An unsafe request changed a key's resource (RFC 9111 §4.4): it is forgotten in every tier, and a fetch that is
    /// under way is not kept.
    pub(super) fn invalidate(&mut self, digest: Digest) {
        self.counters.occurred(Occurrence::Invalidated);
        // In this order: a flight that begins in between begins without what was true before.
        self.forget(digest);
        self.taint(digest);
        if self.plan.l2.is_some() {
            let (pipeline, commands) = remote::delete(&self.plan.namespace, digest);
            self.later(Task::Write { pipeline, commands, digest });
        }
    }
}

/// Dialogues with Redis under way in one worker; beyond, writes are dropped rather than queued.
const MAX_CALLOUTS: usize = 1_024;
