//! One request's life as a state machine: events in, actions out.
//!
//! The machine knows what HTTP, the flights and the breaker say about *this* request, and nothing of how it is said:
//! whoever drives it (`filter`) carries out the [`Action`]s in order and reports back what came of them as the next
//! [`Event`]. A fresh answer from L1 never gets here; an exchange begins where L1 could not answer.
//!
//! ```text
//! Arrived ─┬─► Waiting ──┬─► Ended          (an answer that fits)
//!          │             ▼
//!          ├──────────► Asking ─► Fetching ─┬─► Copying ─► Ended
//!          │             ▲                  ├─► Relaying   (not to be shared, or not for us)
//!          └─► LookingUp ┤                  ├─► Ended      (failed, and a stale copy stands in)
//!               ▲  │     │                  └─► Refetching ─► Ended (told of another response than it asked about)
//!               │  ▼     │
//!              Awaiting ─┘                  (another Envoy fetches)
//! ```
//!
//! Every event is defined in every phase; one that cannot matter there changes nothing.

mod answer;
mod circuit;
mod copy;
mod event;
mod head;
mod lookup;
mod reply;
mod reuse;
mod validation;
mod waiting;

#[cfg(test)]
mod tests;

pub use answer::{FROM_L1, Served, marked, served, served_until};
pub use copy::Copy;
pub use event::{Action, Event, Fetched, Head, Held, Interest, Lookup, Refusal, Route, Sender, Stock};
pub use reply::{Reply, reply};
pub use reuse::{answers, fits, may_refresh};

use crate::breaker::{self, Permit};
use crate::config::plan::Rule;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::key::{Digest, Key};
use crate::http::no_vary_search::NoVarySearch;
use crate::http::{Fields, Reason, RequestHead};
use crate::store::Entry;
use crate::time::{Mono, Wall};
use std::rc::Rc;
use validation::StandIn;

/// What an exchange may know besides its own state.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The rule the request fell under.
    pub rule: &'a Rule,
    /// The time.
    pub now: Wall,
    /// Whether L2 can be asked.
    pub remote: bool,
    /// Whether a resource can be fetched anew in the background.
    pub refreshes: bool,
    /// Largest body worth copying, in bytes.
    pub max_body_bytes: usize,
}

/// One request, from the moment L1 could not answer it.
#[derive(Debug)]
pub struct Exchange {
    /// Index of its rule.
    pub rule: usize,
    /// What it is to us.
    pub interest: Interest,
    /// When it came.
    pub came: Mono,
    /// Its head.
    pub request: RequestHead,
    /// Its fields, which Envoy forgets once it is let through.
    pub fields: Fields,
    /// Why it was not answered at once.
    pub why: Reason,
    /// Where its key is in the form that an earlier response gave to the query: what that said, and the key as the
    /// request has it.
    pub searched: Option<(NoVarySearch, Key)>,
    /// Whether Redis holds something else under its key than an index of variants, which is no good to append to.
    pub replaces: bool,
    /// Whose it is.
    pub sender: Sender,
    /// With whom it flies.
    pub formation: Formation,
    /// Whether it waited in a flight: `Some(true)` if that gave it its answer.
    pub collapsed: Option<bool>,
    /// Whether a leader that it waited for was failed by the upstream.
    seen_failure: bool,
    /// Whether its fetch was detached once.
    detached: bool,
    phase: Phase,
}

/// Whose flight a request joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formation {
    /// That of all who ask for its key.
    Key,
    /// Beside the key's, which is a refresh's: with those who look whether what is stored still answers.
    Beside,
    /// With those who ask for the same variant, now that it is known what selects one.
    Variant(Digest),
}

#[derive(Debug)]
enum Phase {
    /// L1 could not answer; nothing is decided.
    Arrived { held: Option<Held> },
    /// In a flight that another request leads.
    Waiting { token: Token, place: u64 },
    /// L2 and L3 are asked, and perhaps for the fleet's lease.
    LookingUp { token: Option<Token>, held: Option<Held>, leases: bool },
    /// Leads those of this Envoy who wait until another has fetched.
    Awaiting { token: Token, held: Option<Held> },
    /// The breaker is asked.
    Asking { token: Option<Token>, held: Option<Held> },
    /// The upstream is asked.
    Fetching { token: Option<Token>, held: Option<Held>, permit: Option<Permit>, sent: Sent },
    /// The response that came confirms another than was asked about; the request is sent again.
    Refetching(StandIn),
    /// The response passes and is copied.
    Copying { token: Option<Token>, copy: Copy },
    /// The response passes.
    Relaying,
    /// Nothing more is to be done.
    Ended,
}

impl Exchange {
    /// A request that L1 could not answer; `held` is what L1 has for it nevertheless.
    pub fn new(
        rule: usize,
        interest: Interest,
        request: RequestHead,
        fields: Fields,
        why: Reason,
        held: Option<Held>,
    ) -> Self {
        Self {
            rule,
            interest,
            came: Mono::default(),
            request,
            fields,
            why,
            searched: None,
            replaces: false,
            sender: Sender::Client,
            formation: Formation::Key,
            collapsed: None,
            seen_failure: false,
            detached: false,
            phase: Phase::Arrived { held },
        }
    }

    /// Takes an event; says what is to be done, in order.
    pub fn on(&mut self, event: Event, context: &Context<'_>) -> Vec<Action> {
        match (std::mem::replace(&mut self.phase, Phase::Ended), event) {
            // ## Arrived => Arrived | LookingUp | Asking
            (Phase::Arrived { held }, Event::Routed(Route::Flight)) => {
                self.phase = Phase::Arrived { held };
                vec![Action::Join]
            }
            (Phase::Arrived { held }, Event::Routed(Route::Lookup)) => self.look_up(None, held, context),
            (Phase::Arrived { held }, Event::Routed(Route::Upstream)) => self.ask(None, held, context),
            // ## Arrived => LookingUp | Asking: the lead is ours
            (Phase::Arrived { held }, Event::Led(token, fresh)) => self.lead(token, held, fresh, context),
            // ## Arrived => Waiting
            (Phase::Arrived { .. }, Event::Watching(token, place)) if self.sender.is_refresh() => {
                // It is being fetched already.
                vec![Action::Leave(token, place), Action::Serve(answer::needless(self.key(), context.now))]
            }
            // ## Arrived => Arrived: a refresh holds up nobody who can be answered meanwhile
            (Phase::Arrived { held: Some(held) }, Event::Watching(token, place))
                if self.steps_aside(token, &held, context) =>
            {
                self.formation = Formation::Beside;
                self.phase = Phase::Arrived { held: Some(held) };
                vec![Action::Leave(token, place), Action::Join]
            }
            (Phase::Arrived { .. }, Event::Watching(token, place)) => {
                self.phase = Phase::Waiting { token, place };
                vec![Action::Park]
            }
            // ## Arrived => Ended: what it asks for is being fetched, and as many wait for that as may
            // or the flight that it was to lead is over
            (Phase::Arrived { .. }, Event::Apart(reason))
                if matches!(self.sender, Sender::Detached(_))
                    || reason == Reason::TooManyWaiters && self.sender.is_refresh() =>
            {
                vec![Action::Serve(answer::needless(self.key(), context.now))]
            }
            (Phase::Arrived { .. }, Event::Apart(Reason::TooManyWaiters)) if self.is_turned_away(context) => {
                self.why = Reason::TooManyWaiters;
                vec![Action::Serve(answer::crowded(self.key(), context.now))]
            }
            // ## Arrived => Asking: no place in a flight
            (Phase::Arrived { held }, Event::Apart(reason)) => {
                self.why = reason;
                self.collapsed = Some(false);
                self.ask(None, held, context)
            }

            // ## Waiting => Ended | Asking | Arrived
            (Phase::Waiting { .. }, Event::Ended(outcome)) => self.told(outcome, context),
            // ## Waiting => LookingUp | Asking: the leader is lost, and this one takes its place
            (Phase::Waiting { .. }, Event::Led(token, fresh)) => self.lead(token, None, fresh, context),
            // ## Waiting => Asking: waited long enough
            (Phase::Waiting { token, place }, Event::TimedOut) => {
                self.why = Reason::WaitTimeout;
                self.collapsed = Some(false);
                let mut actions = vec![Action::Leave(token, place)];
                actions.extend(self.ask(None, None, context));
                actions
            }
            (Phase::Waiting { token, place }, Event::Gone) => vec![Action::Leave(token, place)],

            // ## LookingUp => Ended | Asking | Awaiting | LookingUp
            (Phase::LookingUp { token, held, leases }, Event::Found(lookup, standing)) => {
                self.found(token, held, lookup, (leases, standing), context)
            }
            // ## Awaiting => LookingUp
            (Phase::Awaiting { token, held }, Event::Again) => self.look_for_lease(token, held),
            // ## Awaiting => Asking: waited long enough
            (Phase::Awaiting { token, held }, Event::TimedOut) => {
                self.why = Reason::WaitTimeout;
                self.collapsed = Some(false);
                self.ask(Some(token), held, context)
            }
            (Phase::Awaiting { token, .. }, Event::Gone) => vec![Action::Vacate(token)],

            // ## Asking => Fetching
            (Phase::Asking { token, held }, Event::Admitted(permit)) => {
                let condition = held.as_ref().and_then(|held| self.condition(held, context));
                let sent = Sent { at: context.now, validates: condition.is_some() };
                self.phase = Phase::Fetching { token, held, permit, sent };
                vec![Action::Forward(condition)]
            }
            // ## Asking => Ended: the circuit is open
            (Phase::Asking { token, held }, Event::Refused(refusal)) => {
                self.refused(token, held, refusal, context)
            }
            // ## Asking => Ended | Asking: the circuit is half-open
            (Phase::Asking { token, held }, Event::Offered(stock)) => {
                self.offered(token, held, stock, context)
            }
            // ## Fetching => Fetching: the circuit opens
            (Phase::Fetching { token, held, permit, sent }, Event::Opened(stock)) => {
                self.opened(token, held, permit, sent, stock, context)
            }

            // ## Fetching => Relaying | Copying | Ended
            (Phase::Fetching { token, held, permit, sent }, Event::Head(head)) => {
                let mut actions = Vec::new();
                if let Some(permit) = permit {
                    actions.push(Action::Record(permit, head.outcome));
                }
                self.responded(token, held, sent, head, context, &mut actions);
                actions
            }
            (Phase::Fetching { token, permit, .. }, Event::Gone) => {
                let record = permit.map(|permit| Action::Record(permit, breaker::Outcome::Abandoned));
                record.into_iter().chain(token.map(Action::Vacate)).collect()
            }

            // ## Refetching => Ended
            (Phase::Refetching(stand_in), Event::Refetched(fetched)) => {
                vec![self.refetched(fetched, stand_in, context)]
            }

            // ## Copying => Copying | Relaying
            (Phase::Copying { token, mut copy }, Event::Piece(piece)) => {
                if copy.add(&piece, context.max_body_bytes) {
                    self.phase = Phase::Copying { token, copy };
                    return Vec::new();
                }
                self.phase = Phase::Relaying;
                let failed = context.rule.breaker.failure_statuses.is_failure(copy.status());
                self.release(token, failed.then(|| copy.status()), Reason::TooLarge, context)
            }
            // ## Copying => Ended: the response is complete
            (Phase::Copying { token, copy }, Event::Complete) => {
                let (keep, requested_at, status) = (copy.is_kept(), copy.requested_at(), copy.status());
                let entry: Held = Rc::new(copy.into_entry(self.key()));
                let mut actions = Vec::new();
                if keep {
                    actions.push(match status {
                        206 => Action::KeepPart(requested_at, Rc::clone(&entry)),
                        _ => Action::Keep(requested_at, Rc::clone(&entry)),
                    });
                }
                let answer = Answer::new(Origin::Upstream, entry);
                actions.extend(token.map(|token| Action::End(token, Outcome::Answer(answer))));
                actions
            }

            // ## any phase that leads => Ended: the client is gone, or the response broke off
            (
                Phase::LookingUp { token, .. } | Phase::Asking { token, .. } | Phase::Copying { token, .. },
                Event::Gone,
            ) => token.map(Action::Vacate).into_iter().collect(),

            (Phase::Arrived { .. } | Phase::Refetching(_) | Phase::Relaying | Phase::Ended, Event::Gone) => {
                Vec::new()
            }
            // ## anything else stays as it is
            (phase, _) => {
                self.phase = phase;
                Vec::new()
            }
        }
    }

    /// The key, if the request has one.
    pub fn key(&self) -> Option<&Key> {
        match &self.interest {
            Interest::Cacheable(key) | Interest::Invalidates(key) => Some(key),
            Interest::None => None,
        }
    }

    /// What L1 held was received before its resource changed: it is not true any more.
    pub fn drop_outdated(&mut self, changed_at: Wall) {
        if let Phase::Arrived { held } | Phase::LookingUp { held, .. } | Phase::Awaiting { held, .. } =
            &mut self.phase
        {
            held.take_if(|held| Entry::read(held).is_none_or(|entry| entry.requested_at() <= changed_at));
        }
    }

    /// Whether nothing more is to be done for the request.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended | Phase::Relaying)
    }

    /// Whether the exchange waits for another's fetch.
    pub fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting { .. } | Phase::Awaiting { .. })
    }

    /// Whether the upstream is asked, and no head has come.
    pub fn is_fetching(&self) -> bool {
        matches!(self.phase, Phase::Fetching { .. })
    }

    /// Whether others may wait for the upstream's answer to it.
    pub fn leads_a_fetch(&self) -> bool {
        matches!(self.phase, Phase::Fetching { token: Some(_), .. })
    }

    /// Whether the request's answer may be copied, so that its own conditions must not reach the upstream.
    pub fn is_cacheable(&self) -> bool {
        matches!(self.interest, Interest::Cacheable(_))
    }

    /// Turns to the upstream, unless the client asked not to (RFC 9111 §5.2.1.7): then the others compete for the lead.
    fn ask(&mut self, token: Option<Token>, held: Option<Held>, context: &Context<'_>) -> Vec<Action> {
        if self.request.directives.only_if_cached {
            self.why = Reason::OnlyIfCached;
            let refusal = Action::Serve(answer::not_cached(self.key(), context.now));
            return std::iter::once(refusal).chain(token.map(Action::Vacate)).collect();
        }
        if let Some(token) = token.filter(|_| self.detaches(context)) {
            self.detached = true;
            self.phase = Phase::Arrived { held: None };
            return vec![Action::Detach(token)];
        }
        self.phase = Phase::Asking { token, held };
        vec![Action::Admit]
    }

    /// Whether the fetch is to go on whatever becomes of this client. Once: if that fails, it fetches itself.
    fn detaches(&self, context: &Context<'_>) -> bool {
        let repeatable = context.refreshes && !self.request.has_body;
        context.rule.coalesce.detach && repeatable && self.sender == Sender::Client && !self.detached
    }
}

/// How a request was sent to the upstream.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Wall,
    /// Whether it asks if the stored response still holds.
    validates: bool,
}

fn serve_all(token: Option<Token>, answer: Answer) -> Vec<Action> {
    let end = token.map(|token| Action::End(token, Outcome::Answer(answer.clone())));
    std::iter::once(Action::Serve(answer)).chain(end).collect()
}

fn received_at(held: &Held) -> Option<Wall> {
    Entry::read(held).map(|entry| entry.meta.received_at)
}
