//! What the workers of one Envoy share: data under compare-and-swap, queues, metrics.

use crate::host::{Conflict, MetricKind, Version};
use ahash::RandomState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One Envoy process.
#[derive(Debug)]
pub(super) struct Process {
    /// Counts restarts, so that what was under way for an earlier life is recognised.
    pub life: u64,
    /// Until when it is away.
    pub away_until: Duration,
    /// Added to the virtual time by its monotonic clock, in milliseconds.
    pub mono_base: u64,
    /// Its wall clock at the beginning of the world.
    pub wall_base: u64,
    /// Never gone through, so that its order is of no account.
    data: HashMap<Vec<u8>, (Vec<u8>, Version), RandomState>,
    version: u32,
    queues: BTreeMap<u32, Queue>,
    pub metrics: Vec<(String, MetricKind, i64)>,
    footprint: Footprint,
}

#[derive(Debug)]
struct Queue {
    name: String,
    /// The worker that registered last.
    reader: usize,
    messages: VecDeque<Vec<u8>>,
}

/// Memory the plugin holds in one Envoy outside its VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Keys in shared data; they can never be deleted.
    pub shared_keys: usize,
    /// Bytes of keys and values in shared data.
    pub shared_bytes: usize,
    /// Queues; they can never be deleted.
    pub queues: usize,
    /// Messages waiting in queues.
    pub messages: usize,
    /// Bytes of messages waiting in queues.
    pub message_bytes: usize,
}

impl Process {
    pub fn new(mono_base: u64, wall_base: u64) -> Self {
        Self {
            life: 1,
            away_until: Duration::ZERO,
            mono_base,
            wall_base,
            data: HashMap::with_hasher(RandomState::with_seeds(0, 0, 0, 0)),
            version: 0,
            queues: BTreeMap::new(),
            metrics: Vec::new(),
            footprint: Footprint::default(),
        }
    }

    /// The same Envoy after a restart: all gone but its wall clock.
    pub fn reborn(&self, mono_base: u64, away_until: Duration) -> Self {
        Self { life: self.life.saturating_add(1), away_until, ..Self::new(mono_base, self.wall_base) }
    }

    pub fn shared(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        self.data.get(key).cloned()
    }

    pub fn share(&mut self, key: &[u8], value: &[u8], expected: Option<Version>) -> Result<(), Conflict> {
        let old = self.data.get(key);
        if let (Some(expected), Some((_, version))) = (expected, old)
            && expected != *version
        {
            return Err(Conflict);
        }
        let freed = match old {
            Some((value, _)) => value.len(),
            None => {
                self.footprint.shared_keys = self.footprint.shared_keys.saturating_add(1);
                self.footprint.shared_bytes = self.footprint.shared_bytes.saturating_add(key.len());
                0
            }
        };
        self.footprint.shared_bytes =
            self.footprint.shared_bytes.saturating_sub(freed).saturating_add(value.len());
        self.version = self.version.checked_add(1).unwrap_or(1);
        let version = Version(self.version);
        match self.data.get_mut(key) {
            Some((held, at)) => {
                held.clear();
                held.extend_from_slice(value);
                *at = version;
            }
            None => drop(self.data.insert(key.to_vec(), (value.to_vec(), version))),
        }
        Ok(())
    }

    /// Opens a queue for `reader`; an existing one keeps its number and its messages.
    pub fn open_queue(&mut self, name: &str, reader: usize) -> u32 {
        if let Some((number, queue)) = self.queues.iter_mut().find(|(_, queue)| queue.name == name) {
            queue.reader = reader;
            return *number;
        }
        self.footprint.queues = self.footprint.queues.saturating_add(1);
        let number = u32::try_from(self.footprint.queues).unwrap_or(u32::MAX);
        self.queues.insert(number, Queue { name: name.to_owned(), reader, messages: VecDeque::new() });
        number
    }

    pub fn send(&mut self, queue: u32, message: &[u8]) -> bool {
        let Some(queue) = self.queues.get_mut(&queue) else { return false };
        queue.messages.push_back(message.to_vec());
        self.footprint.messages = self.footprint.messages.saturating_add(1);
        self.footprint.message_bytes = self.footprint.message_bytes.saturating_add(message.len());
        true
    }

    pub fn receive(&mut self, queue: u32) -> Option<Vec<u8>> {
        let message = self.queues.get_mut(&queue)?.messages.pop_front()?;
        self.footprint.messages = self.footprint.messages.saturating_sub(1);
        self.footprint.message_bytes = self.footprint.message_bytes.saturating_sub(message.len());
        Some(message)
    }

    pub fn reader(&self, queue: u32) -> Option<usize> {
        self.queues.get(&queue).map(|queue| queue.reader)
    }

    pub fn footprint(&self) -> Footprint {
        self.footprint
    }

    pub fn metric(&mut self, kind: MetricKind, name: &str) -> Option<u32> {
        if let Some(known) = self.metrics.iter().position(|(n, _, _)| n == name) {
            return u32::try_from(known).ok();
        }
        self.metrics.push((name.to_owned(), kind, 0));
        u32::try_from(self.metrics.len().saturating_sub(1)).ok()
    }

    /// Adds to a metric; the error says why Envoy would refuse or wrap.
    pub fn add(&mut self, metric: u32, amount: i64) -> Result<(), &'static str> {
        let metric = usize::try_from(metric).ok().and_then(|at| self.metrics.get_mut(at));
        let Some((_, kind, value)) = metric else { return Err("a metric that was never defined") };
        if *kind == MetricKind::Counter && amount < 0 {
            return Err("a counter made smaller");
        }
        *value = value.saturating_add(amount);
        if *value < 0 { Err("a gauge below zero, which Envoy shows as 2^64 and more") } else { Ok(()) }
    }
}
