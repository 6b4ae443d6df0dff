//! The world as a test drives it.

use super::Config;
use super::client::{Client, ClientId, ClientRequest};
use super::door::SimHost;
use super::happening::Happening;
use super::process::Footprint;
use super::redis::{self, Mishap, Mood};
use super::rng::Rng;
use super::state::{Event, State, Way};
use super::upstream::{Asked, Script};
use crate::host::{CalloutId, QueueId, Role};
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

type Factory = dyn Fn(SimHost, usize, usize) -> Box<dyn Role>;
type Seat = RefCell<Option<Box<dyn Role>>>;
type Upstream = dyn FnMut(&Asked, &mut Rng) -> Script;

/// Some Envoys, their workers, Redis, the upstream and the clients, on one virtual clock that begins at zero.
pub struct World {
    inner: Rc<Inner>,
}

pub(super) struct Inner {
    pub me: Weak<Inner>,
    pub state: RefCell<State>,
    /// By Envoy and worker; empty where the VM is dead, or a callback is under way.
    pub roles: Vec<Vec<Seat>>,
    pub factory: Box<Factory>,
    pub upstream: RefCell<Box<Upstream>>,
}

impl World {
    /// A world whose workers are made by `factory` (given host, Envoy and worker) and whose upstream is `upstream`.
    pub fn new(
        seed: u64,
        config: Config,
        factory: impl Fn(SimHost, usize, usize) -> Box<dyn Role> + 'static,
        upstream: impl FnMut(&Asked, &mut Rng) -> Script + 'static,
    ) -> Self {
        let envoys = config.envoys;
        let workers = config.workers.saturating_add(1);
        let inner = Rc::new_cyclic(|me| Inner {
            me: me.clone(),
            state: RefCell::new(State::new(seed, config)),
            roles: (0..envoys).map(|_| (0..workers).map(|_| RefCell::new(None)).collect()).collect(),
            factory: Box::new(factory),
            upstream: RefCell::new(Box::new(upstream)),
        });
        for envoy in 0..envoys {
            inner.start_all(envoy);
            let mut state = inner.state.borrow_mut();
            let tick = state.config.tick;
            for worker in 0..workers {
                let first = state.rng.duration(Duration::ZERO, tick);
                state.schedule_tick(envoy, worker, first);
            }
        }
        Self { inner }
    }

    /// Has a client send a request at a moment.
    pub fn request(&mut self, at: Duration, request: ClientRequest) -> ClientId {
        let mut state = self.inner.state.borrow_mut();
        let id = state.enlist(request);
        state.schedule(at, Event::Arrive(id));
        id
    }

    /// Has a client go away at a moment, if its request is under way then.
    pub fn leave(&mut self, at: Duration, client: ClientId) {
        self.inner.state.borrow_mut().schedule(at, Event::Leave(client));
    }

    /// Has a worker's VM die: between two callbacks at that moment, or at the host call after so many from then on.
    /// The next request to that worker makes a new VM.
    pub fn trap(&mut self, at: Duration, envoy: usize, worker: usize, after: Option<u32>) {
        self.inner.state.borrow_mut().schedule(at, Event::Trap { envoy, worker, after });
    }

    /// Has an Envoy restart at a moment.
    pub fn restart(&mut self, at: Duration, envoy: usize) {
        self.inner.state.borrow_mut().schedule(at, Event::Restart(envoy));
    }

    /// Changes Redis' behaviour at a moment.
    pub fn redis(&mut self, at: Duration, mood: Mood) {
        self.befall(at, Mishap::Mood(mood));
    }

    /// Has something befall Redis, or a way to it, at a moment.
    pub fn befall(&mut self, at: Duration, mishap: Mishap) {
        self.inner.state.borrow_mut().schedule(at, Event::Befall(mishap));
    }

    /// Lets the next event happen; `false` if there is none.
    pub fn step(&mut self) -> bool {
        let event = self.inner.state.borrow_mut().take(None);
        let Some(event) = event else { return false };
        self.inner.dispatch(event);
        true
    }

    /// Lets all happen that is due until this moment.
    pub fn run_until(&mut self, moment: Duration) {
        while self.next_at().is_some_and(|at| at <= moment) {
            self.step();
        }
        let mut state = self.inner.state.borrow_mut();
        state.now = state.now.max(moment);
    }

    /// Lets all happen until only ticks are left.
    pub fn run_until_idle(&mut self) {
        while !self.is_idle() && self.step() {}
    }

    /// Whether nothing but ticks is to come.
    pub fn is_idle(&self) -> bool {
        self.inner.state.borrow().pending == 0
    }

    /// When the next event is due.
    pub fn next_at(&self) -> Option<Duration> {
        self.inner.state.borrow().agenda.first_key_value().map(|(key, _)| key.0)
    }

    /// The virtual time.
    pub fn now(&self) -> Duration {
        self.inner.state.borrow().now
    }

    /// The record of a client.
    pub fn client(&self, client: ClientId) -> Option<Client> {
        self.inner.state.borrow().client(client).cloned()
    }

    /// Looks at the record of a client without copying it.
    pub fn with_client<T>(&self, client: ClientId, look: impl FnOnce(&Client) -> T) -> Option<T> {
        self.inner.state.borrow().client(client).map(look)
    }

    /// What happened since the last call.
    pub fn happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.inner.state.borrow_mut().happenings)
    }

    /// What Envoy would have punished, so far: a sound plugin leaves this empty.
    pub fn faults(&self) -> Vec<String> {
        self.inner.state.borrow().faults.clone()
    }

    /// Whether there is a fault.
    pub fn is_faulty(&self) -> bool {
        !self.inner.state.borrow().faults.is_empty()
    }

    /// Replies and resumptions so far that met no stream any more: allowed, and done nothing.
    pub fn late_actions(&self) -> u64 {
        self.inner.state.borrow().late
    }

    /// The memory the plugin holds in an Envoy outside its VMs.
    pub fn footprint(&self, envoy: usize) -> Footprint {
        self.inner.state.borrow().footprint(envoy)
    }

    /// A value in an Envoy's shared data.
    pub fn shared_value(&self, envoy: usize, key: &[u8]) -> Option<Vec<u8>> {
        self.inner.state.borrow().processes.get(envoy)?.shared(key).map(|(value, _)| value)
    }

    /// A metric of an Envoy, by name; `None` if it was never defined.
    pub fn metric(&self, envoy: usize, name: &str) -> Option<i64> {
        let state = self.inner.state.borrow();
        let metrics = &state.processes.get(envoy)?.metrics;
        metrics.iter().find_map(|(n, _, value)| (n == name).then_some(*value))
    }

    /// All metrics of an Envoy, in the order of their definition.
    pub fn metrics(&self, envoy: usize) -> Vec<(String, i64)> {
        let state = self.inner.state.borrow();
        let metrics =
            state.processes.get(envoy).map(|process| process.metrics.as_slice()).unwrap_or_default();
        metrics.iter().map(|(name, _, value)| (name.clone(), *value)).collect()
    }

    /// The keys Redis holds now.
    pub fn redis_keys(&self) -> Vec<Vec<u8>> {
        let state = self.inner.state.borrow();
        state.redis.copy().keys(state.now).map(|(key, _)| key.to_vec()).collect()
    }

    /// For how much longer Redis holds a value, if it does; `None` for ever.
    pub fn redis_lasts(&self, key: &[u8]) -> Option<Option<Duration>> {
        let state = self.inner.state.borrow();
        let mut keys = state.redis.copy().keys(state.now);
        let (_, end) = keys.find(|(held, _)| *held == key)?;
        Some(end.map(|end| end.saturating_sub(state.now)))
    }

    /// A value Redis holds now.
    pub fn redis_value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let state = self.inner.state.borrow();
        state.redis.copy().value(key, state.now).map(<[u8]>::to_vec)
    }

    /// What happened, line by line, with the plugin's log ([`Config::trace`]).
    pub fn trace(&self) -> Vec<String> {
        self.inner.state.borrow().trace.iter().cloned().collect()
    }
}

impl Inner {
    /// The main thread's VM first, then the workers' in any order.
    fn start_all(&self, envoy: usize) {
        let mut workers: Vec<usize> = {
            let mut state = self.state.borrow_mut();
            let mut order: Vec<_> =
                (0..state.config.workers).map(|worker| (state.rng.bits(), worker)).collect();
            order.sort_unstable();
            order.into_iter().map(|(_, worker)| worker).collect()
        };
        workers.insert(0, workers.len());
        for worker in workers {
            // A request may have come before, and have had one made.
            let alive = self.state.borrow().vm(envoy, worker).is_some_and(|vm| vm.alive);
            if !alive {
                self.start(envoy, worker);
            }
        }
    }

    pub fn dispatch(&self, event: Event) {
        match event {
            Event::Arrive(client) => self.arrive(client),
            Event::Leave(client) => self.leave(client),
            Event::Head(client) => self.head(client),
            Event::Piece(client) => self.piece(client),
            Event::Idle(client) => self.idle(client),
            Event::Tick { envoy, worker } => {
                {
                    let mut state = self.state.borrow_mut();
                    let interval = state.vm(envoy, worker).and_then(|vm| vm.interval);
                    let interval = interval.unwrap_or(state.config.tick);
                    state.schedule_tick(envoy, worker, interval);
                }
                self.callback((envoy, worker), "on_tick", None, |role| role.on_tick());
            }
            Event::Ready { envoy, life, queue } => self.ready(envoy, life, queue),
            Event::Reach(callout) => self.reach(callout),
            Event::Answered(callout, answer) => self.answered(callout, answer),
            Event::Trap { envoy, worker, after: None } => self.kill(envoy, worker),
            Event::Trap { envoy, worker, after } => {
                if let Some(vm) = self.state.borrow_mut().vm_mut(envoy, worker).filter(|vm| vm.alive) {
                    vm.fuse = after;
                }
            }
            Event::Restart(envoy) => self.restart(envoy),
            Event::Return(envoy, life) => {
                let current =
                    self.state.borrow().processes.get(envoy).is_some_and(|process| process.life == life);
                if current {
                    self.start_all(envoy);
                }
            }
            Event::Befall(mishap) => {
                let mut state = self.state.borrow_mut();
                state.note(|| format!("Redis: {mishap:?}"));
                let now = state.now;
                state.redis.befall(mishap, now);
            }
        }
    }

    /// A message waits: its reader is told, once. A dead VM is not, and the message stays.
    fn ready(&self, envoy: usize, life: u64, queue: u32) {
        let reader = {
            let state = self.state.borrow();
            let process = state.processes.get(envoy).filter(|process| process.life == life);
            process.and_then(|process| process.reader(queue))
        };
        if let Some(worker) = reader {
            self.callback((envoy, worker), "on_message", None, |role| role.on_message(QueueId(queue)));
        }
    }

    /// A pipeline reaches Redis, or what stands in its place.
    fn reach(&self, callout: u32) {
        let mut state = self.state.borrow_mut();
        let Some(found) = state.callouts.get_mut(&callout) else { return };
        let Way::Redis(body) = &mut found.way else { return };
        let (envoy, body) = (found.envoy, std::mem::take(body));
        let mut rng = Rng::new(state.rng.bits());
        let now = state.now;
        let answer = state.redis.answer(envoy, &body, now, &mut rng);
        state.note(|| {
            let said = answer.as_ref().map(|answer| answer.as_deref().map(redis::short));
            format!("Redis, to {envoy}: {} -> {said:?}", redis::short(&body))
        });
        match answer {
            Ok(Some(answer)) => {
                let way = state.redis.mood(envoy).way(&mut rng);
                state.schedule_in(way, Event::Answered(callout, Some(answer)));
            }
            Ok(None) => {}
            Err(why) => state.fault(&format!("a callout that is no pipeline of commands: {why}")),
        }
    }

    /// A callout's answer or its timeout, whichever comes first.
    fn answered(&self, callout: u32, answer: Option<Vec<u8>>) {
        let found = {
            let mut state = self.state.borrow_mut();
            let Some(found) = state.callouts.remove(&callout) else { return };
            state.withdraw(found.ends);
            if let Way::Back(inner) = found.way
                && state.streams.contains_key(&inner)
            {
                // Envoy waits no longer, and resets it.
                let way = state.inner_way();
                state.schedule_in(way, Event::Leave(inner));
            }
            found
        };
        if found.cancelled {
            return;
        }
        if self.state.borrow().is_alive(found.envoy, found.worker, found.vm) {
            let at = (found.envoy, found.worker);
            self.callback(at, "on_callout", found.owner, |role| role.on_callout(CalloutId(callout), answer));
        }
    }
}
