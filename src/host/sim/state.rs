//! Everything in the world but the roles themselves: the agenda, the streams, the callback under way.

use super::client::{Client, ClientId, ClientRequest};
use super::happening::{Calls, Happening, Place};
use super::lines::Lines;
use super::process::Process;
use super::redis::{Mishap, Redis};
use super::rng::Rng;
use super::upstream::Script;
use super::{Config, Footprint};
use crate::host::{Source, StreamId};
use crate::time::millis;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) struct State {
    pub config: Config,
    pub rng: Rng,
    pub now: Duration,
    pub agenda: BTreeMap<Key, Event>,
    scheduled: u64,
    /// Events on the agenda that are not ticks.
    pub pending: usize,
    pub processes: Vec<Process>,
    pub vms: Vec<Vec<Vm>>,
    pub vms_made: u64,
    pub clients: Vec<Client>,
    pub streams: BTreeMap<ClientId, Stream>,
    pub ids: BTreeMap<(u64, StreamId), ClientId>,
    pub serials: u64,
    pub callouts: BTreeMap<u32, Callout>,
    pub callouts_made: u32,
    pub redis: Redis,
    /// The callback that runs; those suspended lie on the stack.
    pub call: Option<Call>,
    pub faults: Vec<String>,
    pub happenings: Vec<Happening>,
    /// Replies and resumptions that met no stream any more.
    pub late: u64,
    pub trace: VecDeque<String>,
}

/// What the agenda holds.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Arrive(ClientId),
    Leave(ClientId),
    Head(ClientId),
    Piece(ClientId),
    Idle(ClientId),
    Tick { envoy: usize, worker: usize },
    Ready { envoy: usize, life: u64, queue: u32 },
    Reach(u32),
    Answered(u32, Option<Vec<u8>>),
    Trap { envoy: usize, worker: usize, after: Option<u32> },
    Restart(usize),
    Return(usize, u64),
    Befall(Mishap),
}

/// One worker's virtual machine, as far as it is not the role itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Vm {
    /// Unlike any other VM's in this world.
    pub number: u64,
    pub alive: bool,
    pub next_stream: u32,
    pub reload_at: Duration,
    /// It dies at so many host calls from now.
    pub fuse: Option<u32>,
    /// Where its next tick stands on the agenda.
    pub tick: Option<Key>,
    /// From one tick to the next, where it asked for that.
    pub interval: Option<Duration>,
}

/// The plugin's view of one request.
#[derive(Debug)]
pub(super) struct Stream {
    pub envoy: usize,
    pub worker: usize,
    pub vm: u64,
    pub id: StreamId,
    pub request: Lines,
    pub phase: Phase,
    pub serial: Option<u64>,
    pub script: Option<Script>,
    pub source: Source,
    /// The response's fields while its head passes.
    pub head: Option<Lines>,
    /// The piece of the body that passes.
    pub piece: Vec<u8>,
    /// Pieces to come; `None` is a broken connection.
    pub pieces: VecDeque<Option<(Vec<u8>, bool)>>,
    /// The reply that takes the place of the response whose head passes.
    pub instead: Option<(Lines, Vec<u8>)>,
    /// Where the end of Envoy's patience stands on the agenda, while the stream is held.
    pub idle: Option<Key>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// `on_request` runs.
    Arriving,
    Paused,
    /// Resumed or replied to, and the callback has not returned yet.
    Settled,
    /// Let through; no response yet.
    Upstream,
    /// The head of a response has come.
    Responding,
    /// It is held, and with it the whole response.
    Held,
    Ending,
}

#[derive(Debug)]
pub(super) struct Callout {
    pub envoy: usize,
    pub worker: usize,
    pub vm: u64,
    pub owner: Option<ClientId>,
    pub way: Way,
    /// Its owner is gone; it may arrive all the same.
    pub cancelled: bool,
    /// Where its timeout stands on the agenda.
    pub ends: Key,
}

/// Where a callout leads.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// To Redis, with this pipeline.
    Redis(Vec<u8>),
    /// Back to the worker, as this request.
    Back(ClientId),
}

/// A place on the agenda.
pub(super) type Key = (Duration, u64, u64);

/// A callback under way.
#[derive(Debug)]
pub(super) struct Call {
    pub envoy: usize,
    pub worker: usize,
    pub vm: u64,
    pub name: &'static str,
    /// Whose callback it is; `None`: the root's.
    pub owner: Option<ClientId>,
    pub actions: u32,
    pub calls: Calls,
    /// Its VM just died; nothing it does counts any more.
    pub dead: bool,
    pub deferred: Vec<Deferred>,
}

/// What Envoy does once the callback has returned.
#[derive(Debug)]
pub(super) enum Deferred {
    Reply(ClientId, Lines, Vec<u8>),
    /// In place of a response that was held: straight to the client.
    Instead(ClientId, Lines, Vec<u8>),
    Resume(ClientId),
}

impl State {
    pub fn new(seed: u64, config: Config) -> Self {
        let mut rng = Rng::new(seed);
        let processes = (0..config.envoys)
            .map(|_| {
                let skew = rng.duration(Duration::ZERO, config.wall_skew);
                Process::new(rng.below(1_000_000), WALL.saturating_add(millis(skew)))
            })
            .collect();
        let vms = vec![vec![Vm::default(); config.workers.saturating_add(1)]; config.envoys];
        Self {
            redis: Redis::new(config.redis.clone()),
            config,
            rng,
            now: Duration::ZERO,
            agenda: BTreeMap::new(),
            scheduled: 0,
            pending: 0,
            processes,
            vms,
            vms_made: 0,
            clients: Vec::new(),
            streams: BTreeMap::new(),
            ids: BTreeMap::new(),
            serials: 0,
            callouts: BTreeMap::new(),
            callouts_made: 0,
            call: None,
            faults: Vec::new(),
            happenings: Vec::new(),
            late: 0,
            trace: VecDeque::new(),
        }
    }

    /// Puts an event on the agenda; those of one moment come in random order.
    pub fn schedule(&mut self, at: Duration, event: Event) -> Key {
        self.scheduled = self.scheduled.saturating_add(1);
        if !matches!(event, Event::Tick { .. }) {
            self.pending = self.pending.saturating_add(1);
        }
        let key = (at.max(self.now), self.rng.bits(), self.scheduled);
        self.agenda.insert(key, event);
        key
    }

    /// Takes off the agenda what shall not happen, if it has not.
    pub fn withdraw(&mut self, key: Key) {
        if self.agenda.remove(&key).is_some() {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    /// From now on Envoy waits for the plugin to let a stream go, and not for ever.
    pub fn hold(&mut self, client: ClientId) {
        self.release(client);
        let idle = self.schedule_in(self.config.stream_idle_timeout, Event::Idle(client));
        if let Some(stream) = self.streams.get_mut(&client) {
            stream.idle = Some(idle);
        }
    }

    /// A stream is held no longer.
    pub fn release(&mut self, client: ClientId) {
        if let Some(idle) = self.streams.get_mut(&client).and_then(|stream| stream.idle.take()) {
            self.withdraw(idle);
        }
    }

    /// Puts an event on the agenda, `delay` from now.
    pub fn schedule_in(&mut self, delay: Duration, event: Event) -> Key {
        self.schedule(self.now.saturating_add(delay), event)
    }

    /// How long it takes from a worker to its own internal listener, or back.
    pub fn inner_way(&mut self) -> Duration {
        self.rng.duration(Duration::from_micros(50), Duration::from_millis(1))
    }

    /// Takes the next event, or the one under `key`.
    pub fn take(&mut self, key: Option<Key>) -> Option<Event> {
        let key = key.or_else(|| self.agenda.first_key_value().map(|(key, _)| *key))?;
        let event = self.agenda.remove(&key)?;
        if !matches!(event, Event::Tick { .. }) {
            self.pending = self.pending.saturating_sub(1);
        }
        self.now = self.now.max(key.0);
        Some(event)
    }

    /// The worker whose event this is, if it is one worker's alone.
    pub fn home(&self, event: &Event) -> Option<(usize, usize)> {
        match event {
            Event::Arrive(client) | Event::Leave(client) => {
                let client = self.client(*client)?;
                Some((client.request.envoy, client.request.worker))
            }
            Event::Head(client) | Event::Piece(client) | Event::Idle(client) => {
                self.streams.get(client).map(|stream| (stream.envoy, stream.worker))
            }
            Event::Tick { envoy, worker } | Event::Trap { envoy, worker, .. } => Some((*envoy, *worker)),
            Event::Ready { envoy, queue, .. } => Some((*envoy, self.processes.get(*envoy)?.reader(*queue)?)),
            Event::Answered(callout, _) => {
                self.callouts.get(callout).map(|callout| (callout.envoy, callout.worker))
            }
            Event::Reach(_) | Event::Restart(_) | Event::Return(..) | Event::Befall(_) => None,
        }
    }

    pub fn client(&self, client: ClientId) -> Option<&Client> {
        self.clients.get(usize::try_from(client.0).ok()?)
    }

    pub fn client_mut(&mut self, client: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(usize::try_from(client.0).ok()?)
    }

    pub fn enlist(&mut self, request: ClientRequest) -> ClientId {
        let id = ClientId(u64::try_from(self.clients.len()).unwrap_or(u64::MAX));
        self.clients.push(Client::new(id, request));
        id
    }

    pub fn vm(&self, envoy: usize, worker: usize) -> Option<&Vm> {
        self.vms.get(envoy)?.get(worker)
    }

    pub fn vm_mut(&mut self, envoy: usize, worker: usize) -> Option<&mut Vm> {
        self.vms.get_mut(envoy)?.get_mut(worker)
    }

    pub fn is_alive(&self, envoy: usize, worker: usize, vm: u64) -> bool {
        self.vm(envoy, worker).is_some_and(|found| found.alive && found.number == vm)
    }

    pub fn footprint(&self, envoy: usize) -> Footprint {
        self.processes.get(envoy).map(Process::footprint).unwrap_or_default()
    }

    /// Something Envoy would punish; fails the run.
    pub fn fault(&mut self, what: &str) {
        let place = match &self.call {
            Some(call) => format!("{} on worker {}.{}", call.name, call.envoy, call.worker),
            None => "outside of any callback".to_owned(),
        };
        let line = format!("{what} ({place}, at {:?})", self.now);
        self.note(|| format!("FAULT {line}"));
        self.faults.push(line);
    }

    pub fn tell(&mut self, happening: Happening) {
        self.note(|| format!("{happening:?}"));
        self.happenings.push(happening);
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.config.trace {
            let line = format!("{:>12.3} {}", self.now.as_secs_f64() * 1000.0, line());
            self.trace.push_back(line);
        }
    }

    /// Tells which marked bodies lie in `bytes`, written by `envoy`.
    pub fn look_for_marker(&mut self, envoy: usize, place: Place, bytes: &[u8]) {
        let marker = std::mem::take(&mut self.config.marker);
        if let Some(first) = marker.first() {
            let mut rest = bytes;
            while let Some(at) = rest.iter().position(|byte| byte == first) {
                rest = rest.get(at..).unwrap_or_default();
                if let Some(behind) = rest.strip_prefix(marker.as_slice()) {
                    let digits = behind.iter().take_while(|byte| byte.is_ascii_digit());
                    let serial = digits.fold(0_u64, |n, d| {
                        n.saturating_mul(10).saturating_add(u64::from(d.saturating_sub(b'0')))
                    });
                    self.tell(Happening::Kept { envoy, place, serial });
                }
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        self.config.marker = marker;
    }
}

/// The wall clock at the beginning of the world: 1 January 2026.
const WALL: u64 = 1_767_225_600_000;
