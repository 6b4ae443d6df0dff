//! The VMs: callbacks into them, their deaths and their successors.

use super::client::{ClientId, End};
use super::door::{SimHost, Trap};
use super::happening::{Calls, Happening};
use super::state::{Call, Deferred, Event, Phase, State};
use super::world::Inner;
use crate::host::Role;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

impl Inner {
    /// Calls a role back, and then does what it asked for.
    pub fn callback<T>(
        &self,
        at: (usize, usize),
        name: &'static str,
        owner: Option<ClientId>,
        act: impl FnOnce(&mut dyn Role) -> T,
    ) -> Option<T> {
        let (result, deferred) = self.bare_callback(at, name, owner, act)?;
        self.perform(deferred);
        Some(result)
    }

    /// Calls a role back and returns what it asked for; `None` if there is no role, or it died of the call.
    pub fn bare_callback<T>(
        &self,
        at: (usize, usize),
        name: &'static str,
        owner: Option<ClientId>,
        act: impl FnOnce(&mut dyn Role) -> T,
    ) -> Option<(T, Vec<Deferred>)> {
        let cell = self.roles.get(at.0)?.get(at.1)?;
        let mut role = cell.borrow_mut().take()?;
        let (result, call) = self.within(at, name, owner, || act(role.as_mut()));
        match result {
            Ok(result) => {
                *cell.borrow_mut() = Some(role);
                Some((result, call.map(|call| call.deferred).unwrap_or_default()))
            }
            Err(()) => {
                self.bury(at);
                drop(role);
                None
            }
        }
    }

    /// Runs `act` as a callback of this worker; `Err` if the VM died in it.
    fn within<T>(
        &self,
        (envoy, worker): (usize, usize),
        name: &'static str,
        owner: Option<ClientId>,
        act: impl FnOnce() -> T,
    ) -> (Result<T, ()>, Option<Call>) {
        let suspended = {
            let mut state = self.state.borrow_mut();
            let vm = state.vm(envoy, worker).map_or(0, |vm| vm.number);
            let call = Call {
                envoy,
                worker,
                vm,
                name,
                owner,
                actions: 0,
                calls: Calls::default(),
                dead: false,
                deferred: Vec::new(),
            };
            state.call.replace(call)
        };
        let result = catch_unwind(AssertUnwindSafe(act));
        let mut state = self.state.borrow_mut();
        if let Err(payload) = &result
            && !payload.is::<Trap>()
        {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
            state.fault(&format!("a panic: {text}"));
        }
        let call = std::mem::replace(&mut state.call, suspended);
        if let Some(call) = &call {
            let client = call.owner.and_then(|owner| state.client_mut(owner));
            let stream = client.and_then(|client| {
                client.calls.add(call.calls);
                client.stream
            });
            if state.config.tell_calls {
                state.tell(Happening::Called { envoy, worker, callback: name, stream, calls: call.calls });
            }
        }
        (result.map_err(|_| ()), call)
    }

    /// Makes a VM for this worker.
    pub fn start(&self, envoy: usize, worker: usize) {
        let vm = {
            let mut state = self.state.borrow_mut();
            state.vms_made = state.vms_made.saturating_add(1);
            let number = state.vms_made;
            if let Some(vm) = state.vm_mut(envoy, worker) {
                // Numbers of streams begin anew: the successor re-uses those of the dead.
                let tick = vm.tick;
                *vm = super::state::Vm { number, alive: true, next_stream: 2, tick, ..Default::default() };
            }
            state.tell(Happening::Started { envoy, worker });
            number
        };
        let host = SimHost { inner: self.me.clone(), envoy, worker, vm };
        let (role, _) = self.within((envoy, worker), "start", None, || (self.factory)(host, envoy, worker));
        match (role, self.roles.get(envoy).and_then(|roles| roles.get(worker))) {
            (Ok(role), Some(cell)) => *cell.borrow_mut() = Some(role),
            _ => self.bury((envoy, worker)),
        }
    }

    /// Kills a VM between two callbacks.
    pub fn kill(&self, envoy: usize, worker: usize) {
        let role = self
            .roles
            .get(envoy)
            .and_then(|roles| roles.get(worker))
            .and_then(|cell| cell.borrow_mut().take());
        if role.is_some() {
            self.bury((envoy, worker));
        }
        drop(role);
    }

    /// Counts a fuse down; true if the VM dies of this call.
    pub fn burn(&self, envoy: usize, worker: usize) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(vm) = state.vm_mut(envoy, worker) else { return false };
        let Some(left) = vm.fuse else { return false };
        vm.fuse = left.checked_sub(1);
        if left > 0 {
            return false;
        }
        vm.alive = false;
        if let Some(call) = &mut state.call {
            call.dead = true;
        }
        true
    }

    /// What Envoy does with the streams of a VM that died.
    fn bury(&self, (envoy, worker): (usize, usize)) {
        let lost: Vec<(ClientId, Phase)> = {
            let mut state = self.state.borrow_mut();
            let reload_at = state.now.saturating_add(state.config.reload_backoff);
            let Some(vm) = state.vm_mut(envoy, worker) else { return };
            let number = vm.number;
            vm.alive = false;
            vm.fuse = None;
            vm.reload_at = reload_at;
            state.tell(Happening::Trapped { envoy, worker });
            for callout in state.callouts.values_mut().filter(|callout| callout.vm == number) {
                callout.cancelled = true;
            }
            let mine = state.streams.iter_mut().filter(|(_, stream)| stream.vm == number);
            let lost: Vec<_> = mine.map(|(client, stream)| (*client, stream.phase)).collect();
            for (client, phase) in &lost {
                if let Some(client) = state.client_mut(*client) {
                    client.vm_died = true;
                }
                if *phase == Phase::Settled {
                    // Its reply or resumption died with the VM.
                    state.hold(*client);
                    if let Some(stream) = state.streams.get_mut(client) {
                        stream.phase = Phase::Paused;
                    }
                }
            }
            lost
        };
        for (client, phase) in lost {
            match phase {
                Phase::Arriving | Phase::Responding => self.fail(client),
                // They hang, or get their 503 when the answer comes.
                Phase::Paused | Phase::Settled | Phase::Upstream | Phase::Held | Phase::Ending => {}
            }
        }
    }

    /// An Envoy ends, and all it held with it.
    pub fn restart(&self, envoy: usize) {
        let workers = {
            let mut state = self.state.borrow_mut();
            state.tell(Happening::Restarted { envoy });
            let back = state.now.saturating_add(state.config.restart);
            let mono = state.rng.below(1_000_000);
            let Some(process) = state.processes.get_mut(envoy) else { return };
            *process = process.reborn(mono, back);
            let life = process.life;
            state.schedule(back, Event::Return(envoy, life));
            for vm in state.vms.get_mut(envoy).into_iter().flatten() {
                vm.alive = false;
            }
            for callout in state.callouts.values_mut().filter(|callout| callout.envoy == envoy) {
                callout.cancelled = true;
            }
            let mine = state.streams.iter().filter(|(_, stream)| stream.envoy == envoy);
            for client in mine.map(|(client, _)| *client).collect::<Vec<_>>() {
                if let Some(client) = state.client_mut(client) {
                    client.vm_died = true;
                }
                self.close(&mut state, client, End::Cut);
            }
            self.roles.get(envoy)
        };
        for cell in workers.into_iter().flatten() {
            // Dropped when nothing is borrowed: it may call its host, which does nothing then.
            let role = cell.borrow_mut().take();
            drop(role);
        }
    }

    /// Lets another worker of this Envoy run before a suspended callback goes on.
    pub fn interleave(&self, envoy: usize, worker: usize) {
        let event = {
            let mut state = self.state.borrow_mut();
            let chance = state.config.interleave;
            if chance == 0 || !state.rng.chance(chance) {
                return;
            }
            let latest = (state.now.saturating_add(REACH), u64::MAX, u64::MAX);
            let near = state.agenda.range(..=latest).take(LOOKAHEAD);
            let found = near.map(|(key, event)| (*key, state.home(event))).find_map(|(key, home)| {
                let home = home.filter(|home| home.0 == envoy && home.1 != worker)?;
                self.is_ready(home).then_some(key)
            });
            let Some(key) = found else { return };
            state.take(Some(key))
        };
        if let Some(event) = event {
            self.state.borrow_mut().note(|| format!("meanwhile, while {envoy}.{worker} is at it:"));
            self.dispatch(event);
        }
    }

    /// Whether this worker has a VM, and no callback suspended.
    fn is_ready(&self, (envoy, worker): (usize, usize)) -> bool {
        let cell = self.roles.get(envoy).and_then(|roles| roles.get(worker));
        cell.is_some_and(|cell| cell.borrow().is_some())
    }
}

/// How far ahead of its time an event of another worker may happen within a callback.
const REACH: Duration = Duration::from_millis(1);
/// How many events are looked at for one.
const LOOKAHEAD: usize = 16;

impl State {
    /// Puts a worker's next tick on the agenda, in place of the one that stands there.
    pub fn schedule_tick(&mut self, envoy: usize, worker: usize, delay: Duration) {
        if let Some(tick) = self.vm_mut(envoy, worker).and_then(|vm| vm.tick.take()) {
            self.agenda.remove(&tick);
        }
        let key = self.schedule_in(delay, Event::Tick { envoy, worker });
        if let Some(vm) = self.vm_mut(envoy, worker) {
            vm.tick = Some(key);
        }
    }
}
