//! A request's head arrives: which rule, which key, and is there a fresh answer in L1?
//!
//! The hot path of the whole plugin. For an answer from L1 it asks the host for the request's fields, for one shared
//! value (a remembered answer, [`super::hot`], needs its version only) and for the time; it replies, and leaves a word
//! for the access log.

use super::hot;
use super::{At, Slot as Stream, Worker, rule};
use crate::config::plan::Scope;
use crate::exchange::{Event, Exchange, Held, Interest, Route, Served, fits, served, served_until};
use crate::flight::Origin;
use crate::host::{Flow, Host, StreamId};
use crate::http::key::{self, Key};
use crate::http::request::{Handling, Method};
use crate::http::{Fields, Reason, RequestHead, vary};
use crate::store::l1::Slot;
use crate::store::{Entry, l1};
use crate::telemetry::Answered;
use crate::time::Wall;
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
        if end && hot::plain_target(&fields).is_some_and(|target| self.answer_hot(stream, &target)) {
            return Flow::Pause;
        }
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

    /// Answers a plain request from what the worker remembers, if that is still what L1 holds.
    fn answer_hot(&mut self, stream: StreamId, target: &hot::Target<'_>) -> bool {
        let Some(answer) = self.hot.answer(target) else { return false };
        if self.host.shared(&answer.version_key).is_none_or(|(_, version)| version != answer.version) {
            self.hot.forget(target);
            return false;
        }
        let now = self.host.wall();
        let value = Rc::clone(&answer.value);
        let Some(entry) = kept(&value, now, self.tiers.can_ask()) else { return false };
        if now >= answer.reply_until {
            (answer.reply, answer.reply_until) = served_until(&entry, FROM_L1, now);
        }
        self.host.reply(stream, entry.meta.status, &answer.reply, entry.body);
        let rule = answer.rule;
        self.account(stream, rule, Answered::HitL1);
        true
    }

    /// Asks L1.
    fn ask_l1(
        &mut self,
        stream: StreamId,
        rule_index: usize,
        key: &Key,
        request: &RequestHead,
        fields: &Fields,
    ) -> L1 {
        let slot = self.tiers.geometry.slot(key.digest());
        let value = self.host.shared(&slot.key());
        let read = value.as_ref().and_then(|(value, _)| l1::unwrap(value));
        let Some((entry, bytes)) = read.and_then(|(_, bytes)| Some((Entry::read(bytes)?, bytes))) else {
            return L1::Not(Reason::UriMiss, None);
        };
        if !fits(&entry, key, request, fields) {
            let other = entry.key == key.bytes() && !vary::matches(entry.selecting, fields);
            return L1::Not(if other { Reason::VaryMiss } else { Reason::UriMiss }, None);
        }
        let now = self.host.wall();
        if value.as_ref().and_then(|(value, _)| kept(value, now, self.tiers.can_ask())).is_none() {
            let why = if entry.is_fresh(now) { Reason::UriMiss } else { Reason::Stale };
            return L1::Not(why, Some(Rc::new(bytes.to_vec())));
        }
        self.account(stream, rule_index, Answered::HitL1);
        let reply = served(&entry, FROM_L1, now);
        self.host.reply(stream, entry.meta.status, &reply, entry.body);
        if entry.selecting.is_empty() {
            self.remember_hot(rule_index, key, fields, slot);
        }
        L1::Answered
    }

    /// Remembers the answer to a plain request. The version is read before the value, so that a change between the
    /// two makes what is remembered useless rather than wrong.
    fn remember_hot(&mut self, rule_index: usize, key: &Key, fields: &Fields, slot: Slot) {
        let spec = &rule(&self.plan, rule_index).cache.key;
        let by_target_alone = spec.identity.is_none() && spec.headers.is_empty() && spec.cookies.is_empty();
        let Some(target) = hot::plain_target(fields).filter(|_| by_target_alone) else { return };
        let version_key = slot.version_key();
        if let Some((_, version)) = self.host.shared(&version_key)
            && let Some((value, _)) = self.host.shared(&slot.key())
            && l1::unwrap(&value)
                .and_then(|(_, bytes)| Entry::read(bytes))
                .is_some_and(|entry| entry.key == key.bytes() && entry.selecting.is_empty())
        {
            self.hot.remember(&target, rule_index, version_key, version, value);
        }
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

/// The entry in a slot's value, if it answers by itself: it is fresh, and either was put there less than `l1.ttl` ago
/// or no tier behind can be asked.
fn kept(value: &[u8], now: Wall, can_ask: bool) -> Option<Entry<'_>> {
    let (kept_until, bytes) = l1::unwrap(value)?;
    Entry::read(bytes).filter(|entry| entry.is_fresh(now) && (now < kept_until || !can_ask))
}

const FROM_L1: Served = Served { origin: Origin::L1, collapsed: false, why: Reason::UriMiss };

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
