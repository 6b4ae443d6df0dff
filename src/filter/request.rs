//! A request's head arrives: which rule, which key, and is there a fresh answer in L1?
//!
//! The hot path of the whole plugin. For an answer from L1 it asks the host for the request's fields, for one shared
//! value (a remembered answer, [`super::hot`], needs its version only) and for the time; it replies, and leaves a word
//! for the access log.

use super::hot;
use super::retyped::Retyped;
use super::{At, Slot as Stream, Worker, rule};
use crate::config::plan::{Advice, Rule, Scope};
use crate::exchange::{
    Event, Exchange, FROM_L1, Held, Interest, Route, Sender, Served, answers, may_refresh, reply,
    served_until,
};
use crate::flight::lease::Standing;
use crate::host::{Flow, Host, StreamId};
use crate::http::key::{self, Key};
use crate::http::request::{Handling, Method};
use crate::http::{Digest, Fields, Reason, RequestHead};
use crate::store::l1::Slot;
use crate::store::{Entry, early, l1};
use crate::telemetry::Answered;
use crate::time::{Mono, Wall};
use std::rc::Rc;

/// A request with all that decides which way it goes.
pub(super) struct Arrival {
    pub(super) rule_index: usize,
    pub(super) request: RequestHead,
    pub(super) fields: Fields,
    pub(super) sender: Sender,
    /// Its body, where that is part of the key.
    pub(super) body: Option<Vec<u8>>,
}

/// What L1 is asked.
pub(super) struct Asked<'a> {
    pub(super) rule_index: usize,
    pub(super) key: &'a Key,
    pub(super) request: &'a RequestHead,
    pub(super) fields: &'a Fields,
    pub(super) sender: Sender,
}

/// What L1 has for a request.
enum L1 {
    /// It was answered.
    Answered,
    /// It was not, because; and this is what is held for it nevertheless.
    Not(Reason, Option<Held>),
}

impl<H: Host> Worker<H> {
    pub(super) fn arrived(&mut self, stream: StreamId, end: bool) -> Flow {
        let mut fields = self.host.request_fields(stream);
        if end && self.answer_hot(stream, &fields) {
            return Flow::Pause;
        }
        if let Some(flow) = self.operate(stream, &fields, end) {
            return flow;
        }
        let sender = self.unmark(stream, &mut fields);
        let plan = Rc::clone(&self.plan);
        let (method, authority, path) = target(&fields);
        let (rule_index, rule) = plan.rule_for(method, authority, path);
        let mut request = RequestHead::read(&fields);
        request.has_body |= !end;
        let keyed = &rule.cache.key.body.methods;
        if !end && !request.tunnel && keyed.iter().any(|keyed| keyed.as_bytes() == method) {
            return self.collect(stream, Arrival { rule_index, request, fields, sender, body: None });
        }
        self.begin(stream, Arrival { rule_index, request, fields, sender, body: None }, At::Request)
    }

    /// Decides which way a request goes, once all that decides it is there.
    pub(super) fn begin(&mut self, stream: StreamId, arrival: Arrival, at: At) -> Flow {
        let Arrival { rule_index, request, fields, sender, body } = arrival;
        let plan = Rc::clone(&self.plan);
        let rule = rule(&plan, rule_index);
        let handling = match request.handling() {
            Handling::Cacheable if !rule.cache.enabled && rule.coalesce.scope == Scope::Off => {
                Handling::Pass(Reason::Disabled)
            }
            // Not ours in any respect: neither counted nor marked.
            Handling::Pass(Reason::Tunnel) => return Flow::Continue,
            handling => handling,
        };
        let key = || match &body {
            None => key::key(&rule.cache.key, &fields),
            Some(body) => key::key(&rule.cache.key, &fields)?.with_body(target(&fields).0, &fields, body),
        };
        let (interest, why) = match handling {
            Handling::Pass(reason) => (Interest::None, reason),
            Handling::Cacheable => match key() {
                Ok(key) => (Interest::Cacheable(key), Reason::UriMiss),
                Err(reason) => (Interest::None, reason),
            },
            Handling::Invalidates => match key() {
                Ok(key) => (Interest::Invalidates(key), Reason::Method),
                Err(reason) => (Interest::None, reason),
            },
        };
        let mut interest = interest;
        let (mut why, mut held, mut searched) = (why, None, None);
        if let Interest::Cacheable(key) = &mut interest
            && !matches!(sender, Sender::Detached(_))
            && rule.cache.enabled
        {
            let ask = |worker: &mut Self, key: &Key| {
                let asked = Asked { rule_index, key, request: &request, fields: &fields, sender };
                worker.ask_l1(stream, &asked)
            };
            let mut found = ask(self, key);
            if let L1::Not(Reason::UriMiss, None) = found
                && body.is_none()
                && let Some((search, form)) = self.searched(&rule.cache.key, &fields)
            {
                searched = Some((search, std::mem::replace(key, form)));
                found = ask(self, key);
            }
            (why, held) = match found {
                L1::Answered => return Flow::Pause,
                L1::Not(why, held) => (why, held),
            };
        }
        let now = self.host.mono();
        let (route, why) = self.route(&interest, rule_index, &request, why, now);
        let mut exchange = Exchange::new(rule_index, interest, request, fields, why, held);
        exchange.searched = searched;
        exchange.sender = sender;
        exchange.came = now;
        let event = match sender {
            Sender::Detached(token) => self.adopt(stream, &mut exchange, &rule.cache.key, token),
            Sender::Client | Sender::Refresh(_) | Sender::Refetch => Event::Routed(route),
        };
        self.streams.insert(
            stream,
            Stream {
                exchange,
                deadline: None,
                callout: None,
                standing: Standing::Unasked,
                breaker: None,
                released: None,
            },
        );
        self.drive(stream, event, at)
    }

    /// Answers a plain request from what the worker remembers, if that is still what L1 holds.
    fn answer_hot(&mut self, stream: StreamId, fields: &Fields) -> bool {
        let Some(target) = hot::plain_target(fields) else { return false };
        let Some(answer) = self.hot.answer(&target) else { return false };
        if self.host.shared(&answer.version_key).is_none_or(|(_, version)| version != answer.version) {
            self.hot.forget(&target);
            return false;
        }
        let now = self.host.wall();
        let how = from_l1(rule(&self.plan, answer.rule));
        let value = Rc::clone(&answer.value);
        let fresh = |entry: &Entry<'_>| entry.is_fresh(now);
        let Some(entry) = kept(&value, now, self.tiers.can_ask(), fresh) else { return false };
        if now >= answer.reply_until {
            (answer.reply, answer.reply_until) = served_until(&entry, how, now);
            answer.is_retyped = Retyped::concerns(&answer.reply, entry.body);
        }
        self.host.reply(stream, entry.meta.status, &answer.reply, entry.body);
        if answer.is_retyped {
            self.retyped.note(stream, &answer.reply, entry.body);
        }
        let rule_index = answer.rule;
        self.account(stream, rule_index, Sender::Client, Answered::HitL1);
        self.refresh_early(stream, rule_index, &entry, fields, now);
        true
    }

    /// Asks L1.
    fn ask_l1(&mut self, stream: StreamId, asked: &Asked<'_>) -> L1 {
        let Asked { rule_index, key, request, fields, sender } = *asked;
        let value = match self.find(key, request, fields) {
            Ok(value) => value,
            Err(_) if request.range && self.answer_part(stream, asked) => return L1::Answered,
            Err(why) => return L1::Not(why, None),
        };
        let read = l1::unwrap(&value).and_then(|(_, bytes)| Some((Entry::read(bytes)?, bytes)));
        let Some((entry, bytes)) = read else { return L1::Not(Reason::UriMiss, None) };
        let now = self.host.wall();
        let advice = rule(&self.plan, rule_index).cache.request_directives;
        let refreshes = sender == Sender::Client && self.can_refresh(fields);
        let may_answer = |entry: &Entry<'_>| {
            !sender.is_refresh()
                && (answers(entry, request, advice, now)
                    || refreshes && may_refresh(entry, request, advice, now))
        };
        if kept(&value, now, self.tiers.can_ask(), may_answer).is_none() {
            let why = match advice {
                _ if !entry.is_fresh(now) => Reason::Stale,
                Advice::Honor if !answers(&entry, request, advice, now) => Reason::RequestDirectives,
                Advice::Honor | Advice::Ignore => Reason::UriMiss,
            };
            return L1::Not(why, Some(Rc::new(bytes.to_vec())));
        }
        self.account(stream, rule_index, sender, Answered::HitL1);
        let how = from_l1(rule(&self.plan, rule_index));
        let reply = reply(&entry, how, request, fields, now);
        self.answer(stream, reply.status, &reply.fields, &reply.body, At::Request);
        if !entry.is_fresh(now) && entry.is_within_refresh(now) {
            self.refresh(stream, rule_index, (key.digest(), entry.meta.received_at), fields);
        } else {
            self.refresh_early(stream, rule_index, &entry, fields, now);
        }
        if entry.selecting.is_empty() {
            self.remember_hot(rule_index, key, fields, self.tiers.geometry.slot(key.digest()));
        }
        L1::Answered
    }

    /// Has what will be stale soon fetched anew, by chance (`store::early`).
    fn refresh_early(
        &mut self,
        stream: StreamId,
        rule_index: usize,
        entry: &Entry<'_>,
        fields: &Fields,
        now: Wall,
    ) {
        let beta = rule(&self.plan, rule_index).cache.early_refresh;
        if beta > 0.0 && self.can_refresh(fields) && early::is_due(entry, beta, self.chance.bits(), now) {
            let digest = Digest::first_of(&blake3::hash(entry.key));
            self.refresh(stream, rule_index, (digest, entry.meta.received_at), fields);
        }
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
        now: Mono,
    ) -> (Route, Reason) {
        let Interest::Cacheable(key) = interest else { return (Route::Upstream, why) };
        let concerns = super::flights::concerns(request);
        if self.flights.remembered.is_marked(key.digest(), concerns, now)
            && !request.directives.only_if_cached
        {
            return (Route::Upstream, Reason::Uncacheable);
        }
        let rule = rule(&self.plan, rule_index);
        // A part is not what those who want the whole can wait for, nor a late answer what a client takes that asks for
        // a fresh one.
        let own_wish = rule.cache.request_directives == Advice::Honor && request.directives.asks_fresher();
        let flies =
            request.method == Method::Get && !request.range && !own_wish && rule.coalesce.scope != Scope::Off;
        if flies {
            return (Route::Flight, why);
        }
        (if rule.cache.enabled { Route::Lookup } else { Route::Upstream }, why)
    }
}

/// The entry in a slot's value, if it answers by itself: it may, and either was put there less than `l1.ttl` ago or no
/// tier behind can be asked.
fn kept(
    value: &[u8],
    now: Wall,
    can_ask: bool,
    may_answer: impl Fn(&Entry<'_>) -> bool,
) -> Option<Entry<'_>> {
    let (kept_until, bytes) = l1::unwrap(value)?;
    Entry::read(bytes).filter(|entry| may_answer(entry) && (now < kept_until || !can_ask))
}

/// How an answer from L1 came about, for its Cache-Status.
pub(super) fn from_l1(rule: &Rule) -> Served {
    Served { tells_key: rule.cache.tell_key, ..FROM_L1 }
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
