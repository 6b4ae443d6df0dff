//! A request's head arrives: which rule, which key, and is there a fresh answer in L1?
//!
//! The hot path of the whole plugin. For an answer from L1 it asks the host for the request's fields, for one shared
//! value (that of a hot entry is empty, only its version counts: [`super::hot`]) and for the time; it leaves a word for
//! the access log, and replies.

use super::hot::Copy;
use super::{At, Slot as Stream, Worker, rule};
use crate::config::plan::Scope;
use crate::exchange::{Event, Exchange, Held, Interest, Route, Served, fits, served};
use crate::flight::Origin;
use crate::host::{Flow, Host, StreamId};
use crate::http::key::{self, Key};
use crate::http::request::{Handling, Method};
use crate::http::{Fields, Reason, RequestHead, vary};
use crate::store::l1::Slot;
use crate::store::{Entry, l1};
use crate::telemetry::Answered;
use std::rc::Rc;

/// What L1 has for a request.
enum L1 {
    /// It was answered.
    Answered,
    /// It was not, because; and this is what is held for it nevertheless.
    Not(Reason, Option<Held>),
}

impl<H: Host> Worker<H> {
    pub(super) fn arrived(&mut self, stream: StreamId, end: bool) -> Flow {
        let fields = self.host.request_fields(stream);
        let plan = Rc::clone(&self.plan);
        let (method, authority, path) = target(&fields);
        let (rule_index, rule) = plan.rule_for(method, authority, path);
        let request = RequestHead::read(&fields);

        let handling = match request.handling() {
            Handling::Cacheable if !end => Handling::Pass(Reason::RequestBody),
            Handling::Cacheable if !rule.cache.enabled && rule.coalesce.scope == Scope::Off => {
                Handling::Pass(Reason::Disabled)
            }
            // Not ours in any respect: neither counted nor marked.
            Handling::Pass(Reason::Tunnel) => return Flow::Continue,
            handling => handling,
        };
        let (interest, why) = match handling {
            Handling::Pass(reason) => (Interest::None, reason),
            Handling::Cacheable => match key::key(&rule.cache.key, &fields) {
                Ok(key) => (Interest::Cacheable(key), Reason::UriMiss),
                Err(reason) => (Interest::None, reason),
            },
            Handling::Invalidates => match key::key(&rule.cache.key, &fields) {
                Ok(key) => (Interest::Invalidates(key), Reason::Method),
                Err(reason) => (Interest::None, reason),
            },
        };
        let (why, held) = match &interest {
            Interest::Cacheable(key) if rule.cache.enabled => {
                match self.ask_l1(stream, rule_index, key, &request, &fields) {
                    L1::Answered => return Flow::Pause,
                    L1::Not(why, held) => (why, held),
                }
            }
            _ => (why, None),
        };
        let (route, why) = self.route(&interest, rule_index, &request, why);
        let exchange = Exchange::new(rule_index, interest, request, fields, why, held);
        self.streams.insert(stream, Stream { exchange, deadline: None, callout: None, breaker: None });
        self.drive(stream, Event::Routed(route), At::Request)
    }

    /// Asks the worker's own copies, then L1.
    fn ask_l1(
        &mut self,
        stream: StreamId,
        rule_index: usize,
        key: &Key,
        request: &RequestHead,
        fields: &Fields,
    ) -> L1 {
        if let Some(copy) = self.hot.copy(key.bytes()) {
            let same =
                self.host.shared(&copy.version_key).is_some_and(|(_, version)| version == copy.version);
            let value = Rc::clone(&copy.value);
            if same {
                return self.answer(stream, rule_index, key, request, fields, &value);
            }
            self.hot.remove(key.bytes());
        }
        let slot = self.tiers.geometry.slot(key.digest());
        let Some((value, _)) = self.host.shared(&slot.key()) else { return L1::Not(Reason::UriMiss, None) };
        let answer = self.answer(stream, rule_index, key, request, fields, &value);
        if matches!(answer, L1::Answered) {
            self.warm(key, slot);
        }
        answer
    }

    /// Copies a slot that was just hit. Its version is read before its value, so that a change between the two makes
    /// the copy useless rather than wrong.
    fn warm(&mut self, key: &Key, slot: Slot) {
        let version_key = slot.version_key();
        if let Some((_, version)) = self.host.shared(&version_key)
            && let Some((value, _)) = self.host.shared(&slot.key())
        {
            self.hot.insert(key.bytes(), Copy { version_key, version, value: Rc::new(value) });
        }
    }

    /// Answers from a slot's value, if it is the request's, permitted, selected and fresh.
    fn answer(
        &mut self,
        stream: StreamId,
        rule_index: usize,
        key: &Key,
        request: &RequestHead,
        fields: &Fields,
        value: &[u8],
    ) -> L1 {
        let Some((kept_until, bytes)) = l1::unwrap(value) else { return L1::Not(Reason::UriMiss, None) };
        let Some(entry) = Entry::read(bytes) else { return L1::Not(Reason::UriMiss, None) };
        if !fits(&entry, key, request, fields) {
            let other = entry.key == key.bytes() && !vary::matches(entry.selecting, fields);
            return L1::Not(if other { Reason::VaryMiss } else { Reason::UriMiss }, None);
        }
        let now = self.host.wall();
        let fresh = entry.is_fresh(now);
        if !fresh || (now >= kept_until && self.tiers.can_ask()) {
            let why = if fresh { Reason::UriMiss } else { Reason::Stale };
            return L1::Not(why, Some(Rc::new(bytes.to_vec())));
        }
        self.account(stream, rule_index, Answered::HitL1);
        let how = Served { origin: Origin::L1, collapsed: false, why: Reason::UriMiss };
        let reply = served(&entry, how, now);
        self.host.reply(stream, entry.meta.status, &reply, entry.body);
        L1::Answered
    }

    fn route(
        &mut self,
        interest: &Interest,
        rule_index: usize,
        request: &RequestHead,
        why: Reason,
    ) -> (Route, Reason) {
        let Interest::Cacheable(key) = interest else { return (Route::Upstream, why) };
        let concerns = super::flights::concerns(request);
        if self.flights.remembered.is_marked(key.digest(), concerns, self.host.mono())
            && !request.directives.only_if_cached
        {
            return (Route::Upstream, Reason::Uncacheable);
        }
        let rule = rule(&self.plan, rule_index);
        let flies = request.method == Method::Get && rule.coalesce.scope != Scope::Off;
        if flies {
            return (Route::Flight, why);
        }
        (if rule.cache.enabled { Route::Lookup } else { Route::Upstream }, why)
    }
}

/// Method, authority and path; pseudo fields stand first, so this is short.
fn target(fields: &Fields) -> (&[u8], &[u8], &[u8]) {
    let (mut method, mut authority, mut path) = (&b""[..], &b""[..], &b""[..]);
    for (name, value) in fields.iter().take_while(|(name, _)| name.starts_with(b":")) {
        match name {
            b":method" => method = value,
            b":authority" => authority = value,
            b":path" => path = value,
            _ => {}
        }
    }
    (method, authority, path)
}
