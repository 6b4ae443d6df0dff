//! The course of one stream, from its arrival to its end.

use super::client::{ClientId, End};
use super::happening::{Happening, Stop};
use super::lines::Lines;
use super::rng::Rng;
use super::state::{Deferred, Event, Phase, Stream};
use super::upstream::{self, Answer, Asked, Outcome};
use super::world::Inner;
use crate::host::{Flow, Source, StreamId};
use std::collections::VecDeque;

impl Inner {
    /// A request's head reaches its worker.
    pub fn arrive(&self, id: ClientId) {
        let Some((at, end, denied)) = self.receive(id) else { return };
        if !self.is_started(at) && !self.reload(at) {
            return self.fail(id);
        }
        let Some(stream) = self.open(id, at) else { return };
        if denied {
            self.give(id, Lines::default().with(":status", "403"), b"");
            return self.finish(id, End::Complete);
        }
        let called = self.bare_callback(at, "on_request", Some(id), |role| role.on_request(stream, end));
        let Some((flow, deferred)) = called else { return };
        let goes_on = {
            let mut state = self.state.borrow_mut();
            match state.streams.get_mut(&id) {
                Some(stream) if stream.phase == Phase::Arriving && flow == Flow::Pause => {
                    stream.phase = Phase::Paused;
                    state.hold(id);
                    false
                }
                Some(stream) => stream.phase == Phase::Arriving,
                None => false,
            }
        };
        if goes_on {
            self.let_through(id);
        }
        self.perform(deferred);
    }

    fn receive(&self, id: ClientId) -> Option<((usize, usize), bool, bool)> {
        let mut state = self.state.borrow_mut();
        let now = state.now;
        let client = state.client_mut(id).filter(|client| client.ended.is_none())?;
        client.began = now;
        let at = (client.request.envoy, client.request.worker);
        let (end, denied) = (!client.request.body, client.request.denied);
        state.tell(Happening::Began(id));
        if state.processes.get(at.0).is_none_or(|process| now < process.away_until) {
            self.close(&mut state, id, End::Cut);
            return None;
        }
        Some((at, end, denied))
    }

    fn is_started(&self, at: (usize, usize)) -> bool {
        self.state.borrow().vm(at.0, at.1).is_some_and(|vm| vm.alive)
    }

    fn reload(&self, at: (usize, usize)) -> bool {
        let state = self.state.borrow();
        let due = state.vm(at.0, at.1).is_some_and(|vm| state.now >= vm.reload_at);
        drop(state);
        if due {
            self.start(at.0, at.1);
        }
        self.is_started(at)
    }

    fn open(&self, client: ClientId, at: (usize, usize)) -> Option<StreamId> {
        let mut state = self.state.borrow_mut();
        let vm = state.vm_mut(at.0, at.1)?;
        let (number, id) = (vm.number, StreamId(vm.next_stream));
        vm.next_stream = vm.next_stream.saturating_add(1);
        let record = state.client_mut(client)?;
        record.stream = Some(id);
        let stream = Stream {
            envoy: at.0,
            worker: at.1,
            vm: number,
            id,
            request: record.request.fields.clone(),
            phase: Phase::Arriving,
            serial: None,
            script: None,
            source: Source::Local,
            head: None,
            piece: Vec::new(),
            pieces: VecDeque::new(),
            instead: None,
            idle: None,
        };
        state.streams.insert(client, stream);
        state.ids.insert((number, id), client);
        Some(id)
    }

    /// Does what a callback left to be done, in its order.
    pub fn perform(&self, deferred: Vec<Deferred>) {
        for action in deferred {
            let (Deferred::Reply(client, ..) | Deferred::Instead(client, ..) | Deferred::Resume(client)) =
                &action;
            let client = *client;
            let due = {
                let state = self.state.borrow();
                state.streams.get(&client).is_some_and(|stream| {
                    stream.phase == Phase::Settled && state.is_alive(stream.envoy, stream.worker, stream.vm)
                })
            };
            match action {
                Deferred::Reply(_, head, body) if due => self.respond(client, Source::Own, head, body),
                Deferred::Instead(_, head, body) if due => {
                    self.give(client, head, &body);
                    self.finish(client, End::Complete);
                }
                Deferred::Resume(_) if due => self.let_through(client),
                // Its VM died meanwhile.
                Deferred::Reply(..) | Deferred::Instead(..) | Deferred::Resume(_) => {}
            }
        }
    }

    fn let_through(&self, client: ClientId) {
        let (asked, mut rng) = {
            let mut state = self.state.borrow_mut();
            state.serials = state.serials.saturating_add(1);
            state.release(client);
            let (serial, at) = (state.serials, state.now);
            let Some(stream) = state.streams.get_mut(&client) else { return };
            stream.phase = Phase::Upstream;
            stream.serial = Some(serial);
            let (envoy, worker, fields) = (stream.envoy, stream.worker, stream.request.clone());
            if let Some(client) = state.client_mut(client) {
                client.serials.push(serial);
            }
            let asked = Asked { serial, client, envoy, worker, at, fields };
            state.tell(Happening::Asked(asked.clone()));
            (asked, Rng::new(state.rng.bits()))
        };
        let script = (self.upstream.borrow_mut())(&asked, &mut rng);
        let mut state = self.state.borrow_mut();
        state.schedule_in(script.wait, Event::Head(client));
        if let Some(stream) = state.streams.get_mut(&client) {
            stream.script = Some(script);
        }
    }

    /// What the upstream, or Envoy for it, has to say arrives.
    pub fn head(&self, client: ClientId) {
        let outcome = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(&client).filter(|s| s.phase == Phase::Upstream) else {
                return;
            };
            let (at, vm) = ((stream.envoy, stream.worker), stream.vm);
            let Some(script) = stream.script.take() else { return };
            if !state.is_alive(at.0, at.1, vm) {
                drop(state);
                return self.fail(client);
            }
            script.outcome
        };
        let failure = |status: &str| Lines::default().with(":status", status);
        match outcome {
            Outcome::Answer(answer) => self.answer(client, answer),
            Outcome::Reset => self.instead_of_upstream(client, Source::UpstreamFailure, failure("503")),
            Outcome::Timeout => self.instead_of_upstream(client, Source::UpstreamFailure, failure("504")),
            Outcome::Local(status) => {
                self.instead_of_upstream(client, Source::Local, failure(&status.to_string()))
            }
        }
    }

    fn instead_of_upstream(&self, client: ClientId, source: Source, head: Lines) {
        self.stop(&mut self.state.borrow_mut(), client, Stop::Failed);
        self.respond(client, source, head, b"upstream connect error".to_vec());
    }

    fn answer(&self, client: ClientId, answer: Answer) {
        let end = {
            let mut state = self.state.borrow_mut();
            let mut rng = Rng::new(state.rng.bits());
            let Some(stream) = state.streams.get_mut(&client) else { return };
            let without_body = is_head(&stream.request) || answer.fields.get(":status") == Some(b"304");
            let body = if without_body { &[][..] } else { answer.body.as_slice() };
            let cut = answer.cut.filter(|_| !without_body);
            let end = without_body || (body.is_empty() && cut.is_none() && rng.chance(500));
            if !end {
                stream.pieces = upstream::pieces(body, cut, &mut rng);
            }
            let serial = stream.serial.unwrap_or(0);
            state.tell(Happening::Heading { serial });
            end
        };
        if end {
            self.stop(&mut self.state.borrow_mut(), client, Stop::Complete);
        }
        if self.show_head(client, Source::Upstream, answer.fields, end) && !end {
            let mut state = self.state.borrow_mut();
            let gap = state.rng.duration(std::time::Duration::ZERO, answer.gap);
            state.schedule_in(gap, Event::Piece(client));
            if let Some(stream) = state.streams.get_mut(&client) {
                // Kept for the pauses between the pieces to come.
                stream.script = Some(super::Script { wait: answer.gap, outcome: Outcome::Reset });
            }
        }
    }

    /// A response that is there at once and as a whole: a local reply, whoever made it.
    pub fn respond(&self, client: ClientId, source: Source, head: Lines, body: Vec<u8>) {
        let end = {
            let state = self.state.borrow();
            let Some(stream) = state.streams.get(&client) else { return };
            body.is_empty() || is_head(&stream.request)
        };
        if self.show_head(client, source, head, end) && !end {
            self.show_piece(client, body, true);
        }
    }

    /// Shows a response's head to the plugin, then to the client; true if the response goes on.
    fn show_head(&self, client: ClientId, source: Source, head: Lines, end: bool) -> bool {
        let (at, id) = {
            let mut state = self.state.borrow_mut();
            state.release(client);
            let Some(stream) = state.streams.get_mut(&client) else { return false };
            stream.phase = Phase::Responding;
            stream.source = source;
            stream.head = Some(head);
            ((stream.envoy, stream.worker), stream.id)
        };
        let Some(flow) = self.callback(at, "on_response", Some(client), |role| role.on_response(id, end))
        else {
            return false;
        };
        let (head, instead) = {
            let mut state = self.state.borrow_mut();
            // Behind a reply in its place, Envoy stops the head itself, whatever the callback says.
            let replaced = state.streams.get(&client).is_some_and(|stream| stream.instead.is_some());
            let held = flow == Flow::Pause && !replaced;
            if held && !end {
                state.fault("a response's head was held, and its body overflows the buffer");
            }
            if held && let Some(stream) = state.streams.get_mut(&client) {
                stream.phase = Phase::Held;
                state.hold(client);
                return false;
            }
            let Some(stream) = state.streams.get_mut(&client) else { return false };
            (stream.head.take().unwrap_or_default(), stream.instead.take())
        };
        if let Some((head, body)) = instead {
            self.stop(&mut self.state.borrow_mut(), client, Stop::Abandoned);
            self.give(client, head, &body);
            self.finish(client, End::Complete);
            return false;
        }
        self.give(client, head, b"");
        if end {
            self.finish(client, End::Complete);
        }
        true
    }

    /// The next piece of the upstream's body, or its connection's end.
    pub fn piece(&self, client: ClientId) {
        let piece = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(&client) else { return };
            stream.pieces.pop_front()
        };
        let Some(piece) = piece else { return };
        let Some((bytes, end)) = piece else {
            self.stop(&mut self.state.borrow_mut(), client, Stop::Cut);
            return self.finish(client, End::Cut);
        };
        if end {
            self.stop(&mut self.state.borrow_mut(), client, Stop::Complete);
        }
        if self.show_piece(client, bytes, end) && !end {
            let mut state = self.state.borrow_mut();
            let longest =
                state.streams.get(&client).and_then(|s| s.script.as_ref()).map(|script| script.wait);
            let gap = state.rng.duration(std::time::Duration::ZERO, longest.unwrap_or_default());
            state.schedule_in(gap, Event::Piece(client));
        }
    }

    fn show_piece(&self, client: ClientId, bytes: Vec<u8>, end: bool) -> bool {
        let len = bytes.len();
        let (at, id) = {
            let mut state = self.state.borrow_mut();
            let Some(stream) = state.streams.get_mut(&client) else { return false };
            stream.piece = bytes;
            ((stream.envoy, stream.worker), stream.id)
        };
        let called =
            self.callback(at, "on_response_body", Some(client), |role| role.on_response_body(id, len, end));
        let Some(flow) = called else { return false };
        {
            let mut state = self.state.borrow_mut();
            if flow == Flow::Pause {
                state.fault("a response's body was held, and overflows the buffer");
            }
            let Some(stream) = state.streams.get_mut(&client) else { return false };
            let bytes = std::mem::take(&mut stream.piece);
            if let Some(client) = state.client_mut(client) {
                client.body.extend_from_slice(&bytes);
            }
        }
        if end {
            self.finish(client, End::Complete);
        }
        true
    }
}

pub(super) fn is_head(request: &Lines) -> bool {
    request.get(":method") == Some(b"HEAD")
}
