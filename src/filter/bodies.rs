//! Requests that are told apart by their bodies: QUERY, and POST where a rule says so.
//!
//! Such a request is held until its body is there, for the body is part of its key; Envoy buffers it meanwhile. Only so
//! much is waited for, and only for so long: a larger or later body lets the request pass, as if no rule named its
//! method. (Without `allow_on_headers_stop_iteration` in its `PluginConfig`, Envoy shows no body of a request that is
//! held, and each would wait until then.)

use super::request::Arrival;
use super::tasks::Task;
use super::{At, Worker, rule};
use crate::host::{Flow, Host, StreamId};
use crate::http::request::{Method, is_safe};
use crate::time::Mono;
use std::collections::BTreeMap;

/// What one worker waits for.
#[derive(Default)]
pub(super) struct Bodies {
    awaited: BTreeMap<StreamId, Awaited>,
}

struct Awaited {
    until: Mono,
    /// How much of the body is there.
    len: usize,
    arrival: Arrival,
}

impl Bodies {
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.awaited.remove(&stream);
    }
}

impl<H: Host> Worker<H> {
    /// Holds a request until its body is there.
    pub(super) fn collect(&mut self, stream: StreamId, arrival: Arrival) -> Flow {
        let patience = rule(&self.plan, arrival.rule_index).coalesce.wait_timeout;
        let until = self.host.mono().after(patience);
        self.bodies.awaited.insert(stream, Awaited { until, len: 0, arrival });
        Flow::Pause
    }

    pub(super) fn body_came(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        let Some(awaited) = self.bodies.awaited.get_mut(&stream) else { return Flow::Continue };
        awaited.len = len;
        let most = rule(&self.plan, awaited.arrival.rule_index).cache.key.body.max_bytes;
        let too_large = u64::try_from(len).map_or(true, |len| len > most);
        if !end && !too_large {
            return Flow::Pause;
        }
        let Some(Awaited { mut arrival, .. }) = self.bodies.awaited.remove(&stream) else {
            return Flow::Continue;
        };
        if !too_large {
            arrival.body = Some(self.host.request_body(stream, len));
            // With its body in the key it is to the cache what GET is.
            arrival.request.method = Method::Get;
            arrival.request.has_body = false;
            // But for its conditions, if it is not a safe one: 412 is for the upstream to say (RFC 9110 §13.1.2).
            arrival.request.precondition |= arrival.request.conditional && !is_safe(&arrival.fields);
        }
        self.begin(stream, arrival, At::Request)
    }

    /// Trailers came: the body has ended before them.
    pub(super) fn body_ended(&mut self, stream: StreamId) -> Flow {
        let len = self.bodies.awaited.get(&stream).map_or(0, |awaited| awaited.len);
        self.body_came(stream, len, true)
    }

    /// On the tick: lets go on whose bodies do not come, a few at a time, for some of them may be refused.
    pub(super) fn give_up_bodies(&mut self, now: Mono) {
        if self.bodies.awaited.values().any(|awaited| now >= awaited.until) {
            self.later(Task::GiveUpBodies);
        }
    }

    /// In a root callback: lets go on one whose body did not come; whether there was one.
    pub(super) fn give_up_body(&mut self, now: Mono) -> bool {
        let late = self.bodies.awaited.iter().find(|(_, awaited)| now >= awaited.until).map(|(id, _)| *id);
        let Some(stream) = late else { return false };
        if let Some(Awaited { arrival, .. }) = self.bodies.awaited.remove(&stream) {
            self.begin(stream, arrival, At::Later);
        }
        true
    }
}
