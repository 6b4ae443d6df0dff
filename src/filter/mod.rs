//! One worker: Envoy's callbacks become events, the exchanges' actions become host calls.
//!
//! A [`Worker`] belongs to one root context in one VM. It keeps an [`Exchange`] for each request that L1 could not
//! answer, drives it, and carries out what it says with the flights, the tiers and the breakers. A fresh answer from
//! L1 needs none of that and is given in [`request`] straight away.
//!
//! Envoy lets only a root callback answer other streams, and only a few per callback. So whatever concerns other
//! streams than the one whose callback runs becomes a [`tasks::Task`], done from the worker's own queue in small
//! portions; whatever waits has a deadline that the tick watches.

mod bodies;
mod breakers;
pub mod bridge;
mod chance;
mod circuits;
mod flights;
mod hints;
mod hot;
mod leases;
mod lookups;
mod operator;
mod parts;
mod refreshes;
mod releases;
mod request;
mod response;
mod retyped;
mod searches;
mod slots;
mod tasks;
mod tick;
mod tiers;

use crate::config::plan::{Plan, Rule};
use crate::exchange::{Action, Context, Event, Exchange, Sender, Served, fits, reply};
use crate::flight::lease::Standing;
use crate::flight::stripe::WorkerId;
use crate::flight::{Answer, Origin};
use crate::host::{CalloutId, Flow, Host, QueueId, Role, StreamId};
use crate::http::cache_status::CacheStatus;
use crate::http::validators::Condition;
use crate::http::{Fields, Key, Reason};
use crate::store::Entry;
use crate::telemetry::{Answered, Counters};
use crate::time::{Mono, Wall};
use std::rc::Rc;

pub use tiers::prepare;

/// Everything one worker knows.
pub struct Worker<H: Host> {
    host: H,
    plan: Rc<Plan>,
    /// Opened with the first request, since only workers, not the main thread, see requests.
    queue: Option<QueueId>,
    streams: hashbrown::HashMap<StreamId, Slot, ahash::RandomState>,
    flights: flights::Flights,
    leases: leases::Leases,
    releases: releases::Lanes,
    tasks: tasks::Tasks,
    tiers: tiers::Tiers,
    hot: hot::Hot,
    retyped: retyped::Retyped,
    refreshes: refreshes::Refreshes,
    bodies: bodies::Bodies,
    chance: chance::Chance,
    circuits: circuits::Circuits,
    operator: operator::Operator,
    counters: Counters,
    next_tick: Mono,
}

/// A request under way, and what else is to be undone when it goes.
struct Slot {
    exchange: Exchange,
    deadline: Option<Mono>,
    callout: Option<CalloutId>,
    /// What the lookup under way has said of the lease already.
    standing: Standing,
    breaker: Option<usize>,
    released: Option<releases::Place>,
}

/// Whose callback is running.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The request's head arrives: it is let through by `Flow::Continue`.
    Request,
    /// The response passes, or its head is held.
    Response,
    /// Anything later: the request is paused and must be resumed.
    Later,
}

impl<H: Host> Worker<H> {
    /// A worker under a plan. Shared data must have been [`prepare`]d.
    pub fn new(host: H, plan: Rc<Plan>) -> Self {
        let seeds = [host.random(), host.random(), host.random(), host.random()];
        let [a, b, c, d] = seeds;
        let hasher = ahash::RandomState::with_seeds(a, b, c, d);
        let rules: Vec<&str> =
            plan.rules.iter().chain([&plan.default_rule]).map(|rule| rule.name.as_str()).collect();
        let counters = Counters::define(&host, &rules);
        Self {
            queue: None,
            hot: hot::Hot::new(hasher.clone()),
            retyped: retyped::Retyped::new(hasher.clone()),
            refreshes: refreshes::Refreshes::new(&host),
            bodies: bodies::Bodies::default(),
            chance: chance::Chance::new(host.random()),
            circuits: circuits::Circuits::new(hasher.clone()),
            operator: operator::Operator::default(),
            streams: hashbrown::HashMap::with_hasher(hasher),
            flights: flights::Flights::default(),
            leases: leases::Leases::new(host.random(), rules.len()),
            next_tick: Mono::default(),
            releases: releases::Lanes::default(),
            tasks: tasks::Tasks::default(),
            tiers: tiers::Tiers::new(&plan),
            counters,
            plan,
            host,
        }
    }

    /// Feeds an event to a stream's exchange and carries out what follows, until nothing does.
    fn drive(&mut self, stream: StreamId, event: Event, at: At) -> Flow {
        let Some(mut slot) = self.streams.remove(&stream) else { return Flow::Continue };
        let plan = Rc::clone(&self.plan);
        let rule = rule(&plan, slot.exchange.rule);
        let mut flow = Flow::Continue;
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let context = Context {
                rule,
                now: self.host.wall(),
                remote: self.tiers.can_ask(),
                refreshes: self.can_refresh(&slot.exchange.fields),
                max_body_bytes: self.tiers.max_body_bytes(),
            };
            for action in slot.exchange.on(event, &context) {
                if let Some(event) = self.carry_out(stream, &mut slot, rule, action, at, &mut flow) {
                    next = Some(event);
                }
            }
        }
        if !slot.exchange.is_waiting() {
            self.flights.forget_deadline(stream, slot.deadline);
        }
        self.settle_release(&mut slot);
        if !slot.exchange.is_over() {
            self.streams.insert(stream, slot);
        } else if let Some(callout) = slot.callout {
            self.tiers.callouts.remove(&callout);
        }
        flow
    }

    /// Carries out one action; returns the event it leads to at once.
    fn carry_out(
        &mut self,
        stream: StreamId,
        slot: &mut Slot,
        rule: &Rule,
        action: Action,
        at: At,
        flow: &mut Flow,
    ) -> Option<Event> {
        match action {
            Action::Join => return self.join(stream, slot, rule),
            Action::LookUp(token) => {
                *flow = Flow::Pause;
                return self.look_up(stream, slot, token);
            }
            Action::Detach(token) => return self.detach(stream, slot, rule, token),
            Action::AwaitLease(token) => self.await_lease(stream, slot, rule, token),
            Action::Admit => return Some(self.admit(stream, slot, rule)),
            Action::Probe => return Some(self.probe(stream, slot, rule)),
            Action::Forward(condition) => {
                self.forward(stream, slot, condition.as_ref(), at);
                *flow = Flow::Continue;
            }
            Action::Park => *flow = Flow::Pause,
            Action::Serve(answer) => {
                *flow = Flow::Pause;
                self.serve(stream, &slot.exchange, &answer, at);
            }
            Action::Relay { stored, reason } => self.relay(stream, &slot.exchange, rule, stored, reason),
            Action::Fill(entry) => {
                let requested_at = Entry::read(&entry)?.requested_at();
                let digest = slot.exchange.key()?.digest();
                self.fill(requested_at, digest, &entry, rule.cache.max_variants);
            }
            Action::Keep(requested_at, entry) => {
                let own = slot.exchange.key()?.clone();
                let rekeyed = self.rekeyed(slot, &rule.cache.key, &Entry::read(&entry)?);
                // The slot that is written has a mark of its own.
                let is_marked_elsewhere = rekeyed.is_some() || own.resource().is_some();
                if is_marked_elsewhere && requested_at <= self.changed_at(&own) {
                    return None;
                }
                let (key, entry) = rekeyed.unwrap_or((own, Rc::clone(&entry)));
                let replaces = slot.exchange.replaces;
                self.keep(requested_at, key.digest(), &entry, rule.cache.max_variants, replaces);
            }
            Action::KeepPart(requested_at, entry) => {
                let key = slot.exchange.key()?.clone();
                self.keep_part(requested_at, &key, &entry, rule);
            }
            Action::End(token, outcome) => {
                self.learn(slot.exchange.rule, token, &outcome);
                if self.end_flight(token, outcome) {
                    self.forget(self.host.wall(), slot.exchange.key()?.digest());
                }
            }
            Action::Discard(at) => self.discard(at, slot.exchange.key()?.digest()),
            Action::Refresh(known) | Action::Invite(known) => self.refresh_for(stream, slot, known),
            Action::Refetch => {
                *flow = Flow::Pause;
                self.refetch(stream, &slot.exchange.fields);
            }
            Action::Hand(fetched) => self.hand(stream, &slot.exchange, &fetched),
            Action::Vacate(token) => self.vacate(token),
            Action::Leave(token, place) => self.flights.table.leave(token, place),
            Action::Record(permit, outcome) => self.record(stream, slot.breaker, permit, outcome),
            Action::Remember(reason) => self.remember(slot.exchange.key()?.digest(), reason),
            Action::Forget => {
                let digest = slot.exchange.key()?.digest();
                self.flights.remembered.clear(digest, flights::concerns(&slot.exchange.request));
            }
            Action::Invalidate(at, keys) => {
                keys.iter().for_each(|key| self.invalidate(at, key.digest()));
                // What is kept for its query in another form is no longer true either.
                if let Some((_, form)) = self.searched(&rule.cache.key, &slot.exchange.fields) {
                    self.invalidate(at, form.digest());
                }
            }
        }
        None
    }

    /// Lets a request through. A request whose answer may be copied asks on behalf of all: with the condition of what
    /// is stored, since its own would bring a 304 that nobody else can use.
    fn forward(&mut self, stream: StreamId, slot: &Slot, condition: Option<&Condition>, at: At) {
        let own = slot.exchange.is_cacheable() && slot.exchange.request.conditional;
        let etag = condition.and_then(|condition| condition.if_none_match.as_deref());
        let date = condition.and_then(|condition| condition.if_modified_since.as_deref());
        for (name, value) in [("if-none-match", etag), ("if-modified-since", date)] {
            if own || value.is_some() {
                self.host.set_request_field(stream, name, value);
            }
        }
        if at != At::Request {
            self.host.resume(stream);
        }
    }

    fn serve(&mut self, stream: StreamId, exchange: &Exchange, answer: &Answer, at: At) {
        let now = self.host.wall();
        let how = Served {
            origin: answer.origin,
            collapsed: exchange.collapsed == Some(true),
            why: exchange.why,
            tells_key: rule(&self.plan, exchange.rule).cache.tell_key,
        };
        let answered = match answer.origin {
            _ if how.collapsed => Answered::Collapsed,
            Origin::L1 => Answered::HitL1,
            Origin::L2 => Answered::HitL2,
            Origin::L3 => Answered::HitL3,
            Origin::Upstream => Answered::Miss,
            Origin::Revalidated { .. } => Answered::Revalidated,
            Origin::StaleOnError(_) | Origin::StaleOnOpen => Answered::Stale,
            Origin::Refused | Origin::Failed(_) => Answered::Refused,
        };
        if matches!(
            answer.origin,
            Origin::StaleOnError(_) | Origin::StaleOnOpen | Origin::Refused | Origin::Failed(_)
        ) {
            self.counters.because(exchange.rule, exchange.why);
        }
        self.account(stream, exchange.rule, exchange.sender, answered);
        // Entries in memory were read before; one that is not whole would be a defect, answered as such.
        match Entry::read(&answer.entry) {
            Some(entry) => {
                let reply = reply(&entry, how, &exchange.request, &exchange.fields, now);
                self.answer(stream, reply.status, &reply.fields, &reply.body, at);
            }
            None => self.answer(stream, 502, &Fields::new(), b"", at),
        }
    }

    fn relay(
        &mut self,
        stream: StreamId,
        exchange: &Exchange,
        rule: &Rule,
        stored: bool,
        reason: Option<Reason>,
    ) {
        let asked = exchange.is_cacheable();
        let went_alone = exchange.collapsed == Some(false);
        let detail = reason.filter(|_| asked).or((!asked || went_alone).then_some(exchange.why));
        let explains =
            detail.filter(|detail| *detail != exchange.why || !asked || exchange.collapsed.is_some());
        let status = CacheStatus {
            fwd: Some(exchange.why.fwd()),
            stored,
            collapsed: exchange.collapsed,
            key: exchange.key().filter(|_| rule.cache.tell_key).map(Key::digest),
            detail: explains.map(Reason::word),
            ..CacheStatus::default()
        };
        let mut text = Vec::with_capacity(64);
        status.write(&mut text);
        self.host.add_response_field(stream, "cache-status", &text);
        if let Some(reason) = detail {
            self.counters.because(exchange.rule, reason);
        }
        let passed = !asked || (!rule.cache.enabled && exchange.collapsed.is_none());
        let answered = if passed { Answered::Pass } else { Answered::Miss };
        self.account(stream, exchange.rule, exchange.sender, answered);
    }

    fn account(&mut self, stream: StreamId, rule_index: usize, sender: Sender, answered: Answered) {
        // What the plugin sends itself is no client's request.
        if sender == Sender::Client {
            self.counters.answered(rule_index, answered);
        }
        self.host.annotate(stream, "outcome", answered.word());
        // Without a rule of the operator's there is no name to tell, and on the hot path each word costs.
        if let Some(rule) = self.plan.rules.get(rule_index) {
            self.host.annotate(stream, "rule", &rule.name);
        }
    }

    fn me(&mut self) -> Option<WorkerId> {
        if self.queue.is_none() {
            let name = format!("breakwater/{:016x}{:016x}", self.host.random(), self.host.random());
            self.queue = self.host.open_queue(&name);
            self.queue.into_iter().for_each(|queue| self.enlist(queue));
        }
        self.queue.map(|queue| WorkerId(queue.0))
    }
}

impl<H: Host> Role for Worker<H> {
    fn on_tick(&mut self) {
        self.tick();
    }

    fn on_message(&mut self, queue: QueueId) {
        self.message(queue);
    }

    fn on_callout(&mut self, callout: CalloutId, answer: Option<Vec<u8>>) {
        self.called_back(callout, answer.as_deref());
        self.keep_pace();
    }

    fn on_request(&mut self, stream: StreamId, end: bool) -> Flow {
        self.arrived(stream, end)
    }

    fn on_request_body(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        self.command_came(stream, len, end).unwrap_or_else(|| self.body_came(stream, len, end))
    }

    fn on_request_trailers(&mut self, stream: StreamId) -> Flow {
        self.command_ended(stream).unwrap_or_else(|| self.body_ended(stream))
    }

    fn on_response(&mut self, stream: StreamId, end: bool) -> Flow {
        self.responded(stream, end)
    }

    fn on_response_body(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        self.passed(stream, len, end)
    }

    fn on_gone(&mut self, stream: StreamId) {
        self.bodies.forget(stream);
        self.operator.forget(stream);
        self.passed_by(stream);
        self.retyped.take(stream);
        self.drive(stream, Event::Gone, At::Response);
    }
}

/// The rule at an index; past the operator's rules stands the default one.
fn rule(plan: &Plan, index: usize) -> &Rule {
    plan.rules.get(index).unwrap_or(&plan.default_rule)
}

/// Until when L1 answers by itself.
fn kept_until(plan: &Plan, now: Wall) -> Wall {
    now.after(plan.l1.ttl)
}
