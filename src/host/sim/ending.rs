//! How one stream ends: answered, cut, left by its client, or given up.

use super::client::{ClientId, End};
use super::course::is_head;
use super::happening::{Happening, Stop};
use super::lines::Lines;
use super::state::{Event, Phase, State};
use super::world::Inner;
use crate::host::{CalloutId, Source};

impl Inner {
    /// What is held has outlived Envoy's patience.
    pub fn idle(&self, client: ClientId) {
        let (phase, alive) = {
            let state = self.state.borrow();
            let Some(stream) = state.streams.get(&client) else { return };
            (stream.phase, state.is_alive(stream.envoy, stream.worker, stream.vm))
        };
        let head = Lines::default().with(":status", "504");
        match (phase, alive) {
            (Phase::Paused, true) => self.respond(client, Source::Local, head, b"stream timeout".to_vec()),
            (Phase::Held, true) => {
                self.give(client, head, b"stream timeout");
                self.finish(client, End::Complete);
            }
            (Phase::Paused | Phase::Held, false) => self.fail(client),
            _ => {}
        }
    }

    /// The client goes away.
    pub fn leave(&self, client: ClientId) {
        let live = self.state.borrow().streams.contains_key(&client);
        if live {
            self.finish(client, End::Left);
        }
    }

    /// Envoy ends a stream whose VM is no more: 503, or a cut where the response has begun.
    pub fn fail(&self, client: ClientId) {
        let begun = self.state.borrow().client(client).is_some_and(|client| client.head.is_some());
        if begun {
            return self.finish(client, End::Cut);
        }
        self.give(client, Lines::default().with(":status", "503"), b"");
        self.finish(client, End::Complete);
    }

    pub(super) fn give(&self, client: ClientId, head: Lines, body: &[u8]) {
        let mut state = self.state.borrow_mut();
        if let Some(client) = state.client_mut(client) {
            let without_body = is_head(&client.request.fields);
            client.body = if without_body { Vec::new() } else { body.to_vec() };
            client.head = Some(head);
        }
        state.tell(Happening::Headed(client));
    }

    pub(super) fn stop(&self, state: &mut State, client: ClientId, stop: Stop) {
        if let Some(serial) = state.streams.get_mut(&client).and_then(|stream| stream.serial.take()) {
            state.tell(Happening::Stopped { serial, stop });
        }
    }

    /// The stream is over; the plugin hears of it if its VM lives.
    pub(super) fn finish(&self, client: ClientId, end: End) {
        let stream = {
            let mut state = self.state.borrow_mut();
            self.stop(&mut state, client, Stop::Abandoned);
            for callout in state.callouts.values_mut().filter(|callout| callout.owner == Some(client)) {
                callout.cancelled = true;
            }
            let found = state.streams.get_mut(&client).map(|stream| {
                stream.phase = Phase::Ending;
                (stream.envoy, stream.worker, stream.vm, stream.id)
            });
            found.filter(|(envoy, worker, vm, _)| state.is_alive(*envoy, *worker, *vm))
        };
        if let Some((envoy, worker, _, id)) = stream {
            self.callback((envoy, worker), "on_gone", Some(client), |role| role.on_gone(id));
        }
        self.close(&mut self.state.borrow_mut(), client, end);
    }

    /// Strikes a stream off and tells how it ended.
    pub fn close(&self, state: &mut State, client: ClientId, end: End) {
        self.stop(state, client, Stop::Abandoned);
        state.release(client);
        if let Some(stream) = state.streams.remove(&client) {
            state.ids.remove(&(stream.vm, stream.id));
        }
        let now = state.now;
        let Some(record) = state.client_mut(client).filter(|record| record.ended.is_none()) else { return };
        record.ended = Some((now, end));
        let answered = (record.status() == Some(200) && end == End::Complete).then(Vec::new);
        let fetch = record.fetch;
        state.tell(Happening::Ended(client));
        if let Some(CalloutId(callout)) = fetch {
            let way = state.inner_way();
            state.schedule_in(way, Event::Answered(callout, answered));
        }
    }
}
