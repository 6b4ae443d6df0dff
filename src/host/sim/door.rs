//! The host's side of the door: what a worker of the simulated world may ask for.
//!
//! A call by a VM that has died does nothing. Before an access to what workers share, another one may run.

use super::MAX_ACTIONS;
use super::client::{ClientId, ClientRequest, End};
use super::happening::{Happening, Place};
use super::lines::Lines;
use super::process::Process;
use super::state::{Call, Callout, Deferred, Event, Phase, State, Stream, Way};
use super::world::Inner;
use crate::host::{
    CalloutId, Conflict, Host, Level, MetricId, MetricKind, QueueId, Source, StreamId, Version,
};
use crate::http::Fields;
use crate::time::{Mono, Wall, millis};
use std::rc::Weak;
use std::time::Duration;

/// One VM's host; a clone is the same host.
#[derive(Clone)]
pub struct SimHost {
    pub(super) inner: Weak<Inner>,
    pub(super) envoy: usize,
    pub(super) worker: usize,
    pub(super) vm: u64,
}

/// What unwinds a callback whose VM dies in its middle.
pub(super) struct Trap;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Own,
    Get,
    Set,
    Queue,
}

impl SimHost {
    /// Counts the call and gives the state to `act`; `T::default()` to the dead.
    fn enter<T: Default>(&self, access: Access, act: impl FnOnce(&mut State) -> T) -> T {
        let Some(inner) = self.inner.upgrade() else { return T::default() };
        if !self.is_calling(&inner) {
            return T::default();
        }
        if inner.burn(self.envoy, self.worker) {
            // Not a panic: no hook runs, and the world catches it.
            std::panic::resume_unwind(Box::new(Trap));
        }
        if access != Access::Own {
            inner.interleave(self.envoy, self.worker);
            if !self.is_calling(&inner) {
                return T::default();
            }
        }
        let mut state = inner.state.borrow_mut();
        if let Some(call) = &mut state.call {
            call.calls.all = call.calls.all.saturating_add(1);
            match access {
                Access::Get => call.calls.gets = call.calls.gets.saturating_add(1),
                Access::Set => call.calls.sets = call.calls.sets.saturating_add(1),
                Access::Own | Access::Queue => {}
            }
        }
        act(&mut state)
    }

    /// Whether it is this VM's callback that runs.
    fn is_calling(&self, inner: &Inner) -> bool {
        let mut state = inner.state.borrow_mut();
        let calling = state.call.as_ref().is_some_and(|call| call.vm == self.vm);
        if calling {
            return state.call.as_ref().is_some_and(|call| !call.dead);
        }
        if state.is_alive(self.envoy, self.worker, self.vm) {
            state.fault("the host was called by a worker that has no callback running");
        }
        false
    }

    fn process<T: Default>(&self, access: Access, act: impl FnOnce(&mut Process) -> T) -> T {
        self.enter(access, |state| state.processes.get_mut(self.envoy).map(act).unwrap_or_default())
    }

    fn stream<T: Default>(&self, stream: StreamId, act: impl FnOnce(&mut Stream) -> T) -> T {
        self.enter(Access::Own, |state| {
            let found = state.ids.get(&(self.vm, stream)).copied();
            found.and_then(|client| state.streams.get_mut(&client)).map(act).unwrap_or_default()
        })
    }

    /// Changes the head that passes; a fault if none does.
    fn head(&self, stream: StreamId, act: impl FnOnce(&mut Lines)) {
        self.enter(Access::Own, |state| {
            let Some(client) = state.ids.get(&(self.vm, stream)).copied() else { return };
            let passing = state.call.as_ref().is_some_and(|call| call.owner == Some(client));
            match state.streams.get_mut(&client).and_then(|stream| stream.head.as_mut()).filter(|_| passing) {
                Some(head) => act(head),
                None => state.fault("a response field changed while no head passed"),
            }
        });
    }

    /// The stream a reply or resumption is for, if it is still there; counts the action.
    fn target(&self, state: &mut State, stream: StreamId) -> Option<ClientId> {
        let call = state.call.as_mut()?;
        call.actions = call.actions.saturating_add(1);
        if call.actions == MAX_ACTIONS.saturating_add(1) {
            state.fault("more replies and resumptions in one callback than the VM's stack holds");
        }
        let found = state.ids.get(&(self.vm, stream)).copied();
        let target =
            found.filter(|client| state.streams.get(client).is_some_and(|s| s.phase != Phase::Ending));
        if target.is_none() {
            state.late = state.late.saturating_add(1);
        }
        target
    }
}

fn is_foreign(call: Option<&Call>, client: ClientId) -> bool {
    call.is_some_and(|call| call.owner.is_some_and(|owner| owner != client))
}

impl Host for SimHost {
    fn wall(&self) -> Wall {
        let ms = self.enter(Access::Own, |state| {
            let base = state.processes.get(self.envoy).map_or(0, |process| process.wall_base);
            base.saturating_add(millis(state.now))
        });
        Wall(ms)
    }

    fn mono(&self) -> Mono {
        let ms = self.enter(Access::Own, |state| {
            let base = state.processes.get(self.envoy).map_or(0, |process| process.mono_base);
            base.saturating_add(millis(state.now))
        });
        Mono(ms)
    }

    fn random(&self) -> u64 {
        self.enter(Access::Own, |state| state.rng.bits())
    }

    fn request_fields(&self, stream: StreamId) -> Fields {
        self.stream(stream, |stream| match stream.phase {
            Phase::Arriving | Phase::Paused => stream.request.to_fields(),
            Phase::Settled | Phase::Upstream | Phase::Responding | Phase::Held | Phase::Ending => {
                Fields::new()
            }
        })
    }

    fn request_body(&self, _: StreamId, _: usize) -> Vec<u8> {
        Vec::new()
    }

    fn set_request_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>) {
        self.enter(Access::Own, |state| {
            let Some(client) = state.ids.get(&(self.vm, stream)).copied() else { return };
            match state.streams.get_mut(&client) {
                Some(stream) if matches!(stream.phase, Phase::Arriving | Phase::Paused) => {
                    stream.request.set(name, value);
                }
                _ => state.fault("a request field changed after the request was let through"),
            }
        });
    }

    fn response_fields(&self, stream: StreamId) -> Fields {
        self.stream(stream, |stream| stream.head.as_ref().map(Lines::to_fields).unwrap_or_default())
    }

    fn set_response_field(&self, stream: StreamId, name: &str, value: Option<&[u8]>) {
        self.head(stream, |head| head.set(name, value));
    }

    fn add_response_field(&self, stream: StreamId, name: &str, value: &[u8]) {
        self.head(stream, |head| head.add(name, value));
    }

    fn response_piece(&self, stream: StreamId, len: usize) -> Vec<u8> {
        self.stream(stream, |stream| {
            stream.piece.get(..len.min(stream.piece.len())).unwrap_or_default().to_vec()
        })
    }

    fn response_source(&self, stream: StreamId) -> Source {
        self.stream(stream, |stream| Some(stream.source)).unwrap_or(Source::Local)
    }

    fn upstream_cluster(&self, stream: StreamId) -> Vec<u8> {
        self.stream(stream, |_| b"origin".to_vec())
    }

    fn annotate(&self, stream: StreamId, name: &str, value: &str) {
        self.enter(Access::Own, |state| {
            let client = state.ids.get(&(self.vm, stream)).copied();
            if let Some(client) = client.and_then(|client| state.client_mut(client)) {
                client.annotations.insert(name.to_owned(), value.to_owned());
            }
        });
    }

    fn reply(&self, stream: StreamId, status: u16, fields: &Fields, body: &[u8]) {
        self.enter(Access::Own, |state| {
            let Some(client) = self.target(state, stream) else { return };
            if is_foreign(state.call.as_ref(), client) {
                return state
                    .fault("another stream replied to from a stream's callback, which stalls that one");
            }
            let mut head = Lines::default().with(":status", &status.to_string());
            for (name, value) in fields.iter() {
                head.add(&String::from_utf8_lossy(name), value);
            }
            // Envoy states a type for what has none, and none for what is empty.
            match head.get("content-type") {
                None if !body.is_empty() => head.add("content-type", b"text/plain"),
                Some(_) if body.is_empty() => head.set("content-type", None),
                Some(_) | None => {}
            }
            let Some(target) = state.streams.get_mut(&client) else { return };
            match target.phase {
                Phase::Arriving | Phase::Paused => {
                    target.phase = Phase::Settled;
                    if let Some(call) = &mut state.call {
                        call.deferred.push(Deferred::Reply(client, head, body.to_vec()));
                    }
                }
                Phase::Responding
                    if target.head.is_some() && target.source != Source::Own && target.instead.is_none() =>
                {
                    target.instead = Some((head, body.to_vec()));
                }
                Phase::Held => {
                    target.phase = Phase::Settled;
                    if let Some(call) = &mut state.call {
                        call.deferred.push(Deferred::Instead(client, head, body.to_vec()));
                    }
                }
                phase => state.fault(&format!("a reply to a stream that takes none any more: {phase:?}")),
            }
        });
    }

    fn resume(&self, stream: StreamId) {
        self.enter(Access::Own, |state| {
            let Some(client) = self.target(state, stream) else { return };
            let Some(target) = state.streams.get_mut(&client) else { return };
            if target.phase != Phase::Paused {
                let phase = target.phase;
                return state.fault(&format!("a stream resumed that is not paused: {phase:?}"));
            }
            target.phase = Phase::Settled;
            if let Some(call) = &mut state.call {
                call.deferred.push(Deferred::Resume(client));
            }
        });
    }

    fn shared(&self, key: &[u8]) -> Option<(Vec<u8>, Version)> {
        self.process(Access::Get, |process| process.shared(key))
    }

    fn share(&self, key: &[u8], value: &[u8], expected: Option<Version>) -> Result<(), Conflict> {
        let done = self.process(Access::Set, |process| Some(process.share(key, value, expected)));
        if done == Some(Ok(())) {
            self.mark(Place::Shared, value);
        }
        done.unwrap_or(Ok(()))
    }

    fn open_queue(&self, name: &str) -> Option<QueueId> {
        self.process(Access::Queue, |process| Some(QueueId(process.open_queue(name, self.worker))))
    }

    fn send(&self, queue: QueueId, message: &[u8]) -> bool {
        let sent =
            self.process(Access::Queue, |process| process.send(queue.0, message).then_some(process.life));
        let Some(life) = sent else { return false };
        self.mark(Place::Queue, message);
        if let Some(inner) = self.inner.upgrade() {
            let mut state = inner.state.borrow_mut();
            let longest = state.config.queue_delay;
            let delay = state.rng.duration(Duration::from_micros(30).min(longest), longest);
            state.schedule_in(delay, Event::Ready { envoy: self.envoy, life, queue: queue.0 });
        }
        true
    }

    fn receive(&self, queue: QueueId) -> Option<Vec<u8>> {
        self.process(Access::Queue, |process| process.receive(queue.0))
    }

    fn tick_every(&self, interval: Duration) {
        let (envoy, worker) = (self.envoy, self.worker);
        self.enter(Access::Own, |state| {
            if state.call.as_ref().is_some_and(|call| call.name == "on_tick") {
                state.fault("the tick was changed from within");
            }
            if let Some(vm) = state.vm_mut(envoy, worker) {
                vm.interval = Some(interval);
            }
            state.schedule_tick(envoy, worker, interval);
        });
    }

    fn call(&self, cluster: &str, body: &[u8], timeout: Duration) -> Option<CalloutId> {
        let made = self.enter(Access::Own, |state| {
            if cluster != state.config.redis_cluster {
                return None;
            }
            let owner = state.call.as_ref().and_then(|call| call.owner);
            let id = self.begin(state, owner, Way::Redis(body.to_vec()), timeout);
            let way = state.redis.mood(self.envoy).way(&mut state.rng);
            state.schedule_in(way, Event::Reach(id.0));
            Some(id)
        });
        if made.is_some() {
            self.mark(Place::Redis, body);
        }
        made
    }

    fn fetch(&self, cluster: &str, fields: &Fields, timeout: Duration) -> Option<CalloutId> {
        self.enter(Access::Own, |state| {
            let is_text = fields.iter().all(|(_, value)| std::str::from_utf8(value).is_ok());
            if cluster != state.config.refresh_cluster || !is_text {
                return None;
            }
            if state.call.as_ref().is_some_and(|call| call.owner.is_some()) {
                state
                    .fault("a fetch from a stream's callback, which nobody hears of once the stream is over");
            }
            let fields = Lines::of(fields);
            let request =
                ClientRequest { envoy: self.envoy, worker: self.worker, fields, ..ClientRequest::default() };
            let inner = state.enlist(request);
            let id = self.begin(state, None, Way::Back(inner), timeout);
            if let Some(client) = state.client_mut(inner) {
                client.fetch = Some(id);
            }
            let way = state.inner_way();
            state.schedule_in(way, Event::Arrive(inner));
            Some(id)
        })
    }

    fn fetched(&self, callout: CalloutId, most: usize) -> Option<(Fields, Vec<u8>)> {
        self.enter(Access::Own, |state| {
            let fetched = state.clients.iter().find(|client| client.fetch == Some(callout))?;
            let (_, End::Complete) = fetched.ended? else { return None };
            let fits = fetched.body.len() <= most;
            Some((fetched.head.as_ref()?.to_fields(), fetched.body.clone())).filter(|_| fits)
        })
    }

    fn metric(&self, kind: MetricKind, name: &str) -> Option<MetricId> {
        self.process(Access::Own, |process| process.metric(kind, name).map(MetricId))
    }

    fn add(&self, metric: MetricId, amount: i64) {
        if let Some(Err(why)) = self.process(Access::Own, |process| Some(process.add(metric.0, amount))) {
            self.with_state(|state| state.fault(why));
        }
    }

    fn log(&self, level: Level, line: &str) {
        self.enter(Access::Own, |state| {
            state.note(|| format!("log {}.{} {level:?}: {line}", self.envoy, self.worker));
            if level >= Level::Warn {
                state.tell(Happening::Logged { envoy: self.envoy, line: line.to_owned() });
            }
        });
    }
}

impl SimHost {
    /// Puts a callout under way; it ends with its timeout at the latest.
    fn begin(&self, state: &mut State, owner: Option<ClientId>, way: Way, timeout: Duration) -> CalloutId {
        state.callouts_made = state.callouts_made.saturating_add(1);
        let id = state.callouts_made;
        let ends = state.schedule_in(timeout, Event::Answered(id, None));
        let (envoy, worker, vm) = (self.envoy, self.worker, self.vm);
        state.callouts.insert(id, Callout { envoy, worker, vm, owner, way, cancelled: false, ends });
        CalloutId(id)
    }

    fn mark(&self, place: Place, bytes: &[u8]) {
        self.with_state(|state| state.look_for_marker(self.envoy, place, bytes));
    }

    fn with_state(&self, act: impl FnOnce(&mut State)) {
        if let Some(inner) = self.inner.upgrade() {
            act(&mut inner.state.borrow_mut());
        }
    }
}
