//! The longer steps of the machine: what an entry that was found, an ended flight or a response's head leads to.
//!
//! The order of the questions is always the same: may this client have it (permission, then selection), is it the
//! newest there is, and is it fresh?

use super::{Action, Context, Copy, Event, Exchange, Head, Held, Interest, Lookup, Phase, Route, answer};
use crate::breaker;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::Reason;
use crate::http::storing::{self, StoringPolicy};
use crate::store::Entry;
use crate::time::Wall;
use std::rc::Rc;

impl Exchange {
    pub(super) fn lead(
        &mut self,
        token: Token,
        held: Option<Held>,
        fresh: Option<Held>,
        context: &Context<'_>,
    ) -> Vec<Action> {
        match fresh {
            Some(entry) => self.found(Some(token), held, Lookup::Found(entry, Origin::L1), context),
            None => self.look_up(Some(token), held, context),
        }
    }

    pub(super) fn look_up(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        context: &Context<'_>,
    ) -> Vec<Action> {
        if !context.remote {
            return self.found(token, held, Lookup::Unavailable, context);
        }
        self.phase = Phase::LookingUp { token, held };
        vec![Action::LookUp]
    }

    pub(super) fn found(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        lookup: Lookup,
        context: &Context<'_>,
    ) -> Vec<Action> {
        let (found, origin) = match lookup {
            Lookup::Found(entry, origin) => (Some(entry), origin),
            Lookup::Nothing => (None, Origin::L1),
            // Nobody behind L1 can be asked: what L1 holds counts for as long as HTTP lets it.
            Lookup::Unavailable => (held.clone(), Origin::L1),
        };
        // Of two that fit, the response received last counts, fresh or not (RFC 9111 §4).
        let (found, origin) = match (found, &held) {
            (Some(found), Some(held))
                if received_at(&found).is_some_and(|found| received_at(held) > Some(found)) =>
            {
                (Some(Rc::clone(held)), Origin::L1)
            }
            (found, _) => (found, origin),
        };
        let fits = found.and_then(|held| {
            let entry = Entry::read(&held)?;
            if self.fits(&entry) {
                return Some((entry.is_fresh(context.now), Rc::clone(&held)));
            }
            self.why = Reason::VaryMiss;
            None
        });
        let held = match fits {
            Some((true, entry)) => {
                let mut actions = Vec::new();
                if origin != Origin::L1 {
                    actions.push(Action::Fill(Rc::clone(&entry)));
                }
                actions.extend(serve_all(token, Answer { origin, entry }));
                return actions;
            }
            Some((false, entry)) => {
                self.why = Reason::Stale;
                Some(entry)
            }
            None => held,
        };
        if self.request.directives.only_if_cached {
            self.why = Reason::OnlyIfCached;
            // Only this client asked not to go further: the others compete for the lead.
            return std::iter::once(Action::Serve(answer::not_cached(self.key(), context.now)))
                .chain(token.map(Action::Vacate))
                .collect();
        }
        self.ask(token, held)
    }

    pub(super) fn ask(&mut self, token: Option<Token>, held: Option<Held>) -> Vec<Action> {
        self.phase = Phase::Asking { token, held };
        vec![Action::Admit]
    }

    pub(super) fn told(&mut self, outcome: Outcome, context: &Context<'_>) -> Vec<Action> {
        self.collapsed = Some(false);
        match outcome {
            Outcome::Answer(answer) => {
                let Some(entry) = Entry::read(&answer.entry) else { return self.ask(None, None) };
                if self.fits(&entry) {
                    self.collapsed = Some(true);
                    self.why = match answer.origin {
                        Origin::StaleOnOpen | Origin::Refused => Reason::BreakerOpen,
                        Origin::StaleOnError(_) | Origin::Failed => Reason::UpstreamFailed,
                        Origin::Upstream | Origin::L1 | Origin::L2 | Origin::L3 => self.why,
                    };
                    return vec![Action::Serve(answer)];
                }
                if answer.origin == Origin::Upstream && breaker::is_failure(entry.meta.status) {
                    let status = entry.meta.status;
                    return self
                        .told(Outcome::Answer(answer::failed(self.key(), status, context.now)), context);
                }
                self.why = Reason::VaryMiss;
                self.ask(None, None)
            }
            // What was refused for the leader's Authorization is not refused to those without.
            Outcome::Alone(Reason::Authorization) if !self.request.authorization => self.join_again(context),
            Outcome::Alone(reason) => {
                self.why = reason;
                self.ask(None, None)
            }
            Outcome::Lost => self.join_again(context),
        }
    }

    fn join_again(&mut self, context: &Context<'_>) -> Vec<Action> {
        self.collapsed = None;
        self.phase = Phase::Arrived { held: None };
        self.on(Event::Routed(Route::Flight), context)
    }

    pub(super) fn responded(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        requested_at: Wall,
        head: Head,
        context: &Context<'_>,
        actions: &mut Vec<Action>,
    ) {
        let failed = matches!(head.outcome, breaker::Outcome::Failure);
        let stand_in = held.filter(|_| failed).and_then(|held| self.usable_on_error(held, context.now));
        if let Some(entry) = stand_in {
            self.why = Reason::UpstreamFailed;
            let origin = Origin::StaleOnError(head.response.status);
            actions.extend(serve_all(token, Answer { origin, entry }));
            return;
        }
        self.phase = Phase::Relaying;
        if head.outcome == breaker::Outcome::Abandoned {
            // Said to this client by a filter on the way, not by the upstream: the next one may be let through.
            actions.extend(token.map(Action::Vacate));
            actions.push(Action::Relay { stored: false, reason: None });
            return;
        }
        let Interest::Cacheable(key) = &self.interest else {
            if matches!(self.interest, Interest::Invalidates(_)) && changes(head.response.status) {
                actions.push(Action::Invalidate);
            }
            actions.push(Action::Relay { stored: false, reason: None });
            return;
        };
        let policy = StoringPolicy {
            default_ttl: context.rule.cache.default_ttl,
            stale_if_error: context.rule.cache.stale_if_error,
        };
        let verdict = storing::judge(
            &self.request,
            &head.response,
            key.is_partitioned(),
            &policy,
            requested_at,
            context.now,
        );
        let too_large = head
            .response
            .content_length
            .is_some_and(|len| usize::try_from(len).map_or(true, |len| len > context.max_body_bytes));
        let refusal = verdict.share.err().or(too_large.then_some(Reason::TooLarge));
        if let Some(reason) = refusal {
            let failure = failed.then_some(head.response.status);
            actions.extend(self.release(token, failure, reason, context));
            actions.push(Action::Relay { stored: false, reason: Some(reason) });
            return;
        }
        let store = if !context.rule.cache.enabled {
            Err(Reason::Disabled)
        } else if failed {
            Err(Reason::UpstreamFailed)
        } else {
            verdict.store
        };
        actions.push(Action::Forget);
        actions.push(Action::Relay { stored: store.is_ok(), reason: store.as_ref().err().copied() });
        if token.is_some() || store.is_ok() {
            let copy = Copy::begin(&head, &self.fields, store.ok(), requested_at, context.now);
            self.phase = Phase::Copying { token, copy };
        }
    }

    /// Lets the waiters go, because this answer is not for them: to the upstream, and their likes henceforth too. Not
    /// so after a failure. The upstream would not bear the wave, and nothing was learnt of what it answers when well.
    pub(super) fn release(
        &self,
        token: Option<Token>,
        failure: Option<u16>,
        reason: Reason,
        context: &Context<'_>,
    ) -> Vec<Action> {
        let outcome = match failure {
            Some(status) => Outcome::Answer(answer::failed(self.key(), status, context.now)),
            None => Outcome::Alone(reason),
        };
        // A HEAD is never shared: that says nothing about a GET.
        let learnt = failure.is_none() && reason != Reason::Method;
        let remember = learnt.then_some(Action::Remember(reason));
        remember.into_iter().chain(token.map(|token| Action::End(token, outcome))).collect()
    }

    pub(super) fn usable_on_error(&self, held: Held, now: Wall) -> Option<Held> {
        let entry = Entry::read(&held)?;
        (entry.is_usable_on_error(now) && self.fits(&entry)).then_some(Rc::clone(&held))
    }
}

pub(super) fn serve_all(token: Option<Token>, answer: Answer) -> Vec<Action> {
    let end = token.map(|token| Action::End(token, Outcome::Answer(answer.clone())));
    std::iter::once(Action::Serve(answer)).chain(end).collect()
}

pub(super) fn received_at(held: &Held) -> Option<Wall> {
    Entry::read(held).map(|entry| entry.meta.received_at)
}

/// RFC 9111 §4.4: a non-error response to an unsafe request.
fn changes(status: u16) -> bool {
    (200..400).contains(&status)
}
