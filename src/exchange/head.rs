//! A response's head has arrived: does a stale copy stand in for it, who may have it, and is it kept?
//!
//! Asked in this order, and before a byte of it is handed out (RFC 9111 §3, §4.2.4; RFC 5861 §4): whoever waits for a
//! response that is not for others is let go now, not at the end of its body.

use super::event::{Action, Head, Held, Interest};
use super::{Context, Copy, Exchange, Phase, Sent, answer};
use crate::breaker;
use crate::flight::{Origin, Outcome, Token};
use crate::http::freshness::stated_lifetime;
use crate::http::key::{self, Key};
use crate::http::request::Method;
use crate::http::storing::{self, Lifetime};
use crate::http::{Reason, RequestHead, reference};
use std::time::Duration;

impl Exchange {
    pub(super) fn responded(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        sent: Sent,
        head: Head,
        context: &Context<'_>,
        actions: &mut Vec<Action>,
    ) {
        let failed = head.outcome.is_failure();
        if head.response.status == 304
            && sent.validates
            && let Some(held) = &held
        {
            self.confirmed(token, held, sent, &head, context, actions);
            return;
        }
        if let Some(held) = held.as_ref().filter(|_| self.request.method == Method::Head) {
            actions.extend(self.told_by_head(held, sent, &head, context));
        }
        let stand_in =
            held.filter(|_| failed).and_then(|held| self.usable_on_error(held, head.changed_at, context.now));
        if let Some(entry) = stand_in {
            self.why = Reason::UpstreamFailed;
            let status = head.response.status;
            let failure = answer::failed(self.key(), status, context.now);
            actions.extend(self.stand_in(token, Origin::StaleOnError(status), entry, failure));
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
            let lifetime = match &self.interest {
                Interest::Invalidates(key) if changes(head.response.status) => {
                    let kept = self.representation(key, &head, sent, context);
                    actions.push(Action::Invalidate(context.now, self.changed(key, &head, context)));
                    kept
                }
                _ => None,
            };
            actions.push(Action::Relay { stored: lifetime.is_some(), reason: None });
            if lifetime.is_some() {
                // What comes after the change that it reports is not out of date by it.
                let true_at = context.now.after(Duration::from_millis(1));
                let copy = Copy::begin(&head, &self.fields, &context.rule.cache, lifetime, true_at, true_at);
                self.phase = Phase::Copying { token: None, copy };
            }
            return;
        };
        let policy = &context.rule.cache.storing;
        let verdict =
            storing::judge(&self.request, &head.response, key.is_partitioned(), policy, sent.at, context.now);
        let too_large = head
            .response
            .content_length
            .is_some_and(|len| usize::try_from(len).map_or(true, |len| len > context.max_body_bytes));
        let other = (!self.is_as_searched(&head.fields)).then_some(Reason::VaryMiss);
        let refusal = verdict.share.err().or(other).or(too_large.then_some(Reason::TooLarge));
        let mut token = token;
        if let Some(reason) = refusal {
            let failure = failed.then_some(head.response.status);
            actions.extend(self.release(token.take(), failure, reason, context));
            if failed || too_large || verdict.store.is_err() || !context.rule.cache.enabled {
                actions.push(Action::Relay { stored: false, reason: Some(reason) });
                return;
            }
        }
        let store = if !context.rule.cache.enabled {
            Err(Reason::Disabled)
        } else if failed
            && stated_lifetime(&head.response, context.now).is_none()
            && policy.by_status(head.response.status).is_none()
            && !head.response.directives.public
        {
            // A failure is kept only for as long as the upstream itself says so, or the rule.
            Err(Reason::UpstreamFailed)
        } else {
            // A whole that says otherwise of the query goes under its own, a part nowhere.
            verdict.store.and_then(|lifetime| match other {
                Some(other) if head.response.status == 206 => Err(other),
                _ => Ok(lifetime),
            })
        };
        actions.extend((!failed && refusal.is_none()).then_some(Action::Forget));
        if failed && store.is_err() && !self.seen_failure {
            // That may have been chance: another tries, before all are told so.
            let outcome = Outcome::Failed(head.response.status);
            actions.extend(token.take().map(|token| Action::End(token, outcome)));
        }
        actions
            .push(Action::Relay { stored: store.is_ok(), reason: store.as_ref().err().copied().or(refusal) });
        if token.is_some() || store.is_ok() {
            let copy =
                Copy::begin(&head, &self.fields, &context.rule.cache, store.ok(), sent.at, context.now);
            self.phase = Phase::Copying { token, copy };
        }
    }

    /// What a write that succeeded made untrue (RFC 9111 §4.4): its own resource, and those that the response names
    /// in Location and Content-Location.
    fn changed(&self, own: &Key, head: &Head, context: &Context<'_>) -> Vec<Key> {
        let named = [&b"location"[..], b"content-location"].into_iter().filter_map(|name| {
            let target = reference::same_origin(head.fields.get(name)?, &self.fields)?;
            key::key_at(&context.rule.cache.key, &self.fields, &target).ok()
        });
        let mut keys = vec![own.clone()];
        keys.extend(named);
        keys.dedup();
        keys
    }

    /// How long the response to a POST serves as one to GET: it must say that it is one, and for how long (RFC 9110
    /// §9.3.3).
    fn representation(&self, key: &Key, head: &Head, sent: Sent, context: &Context<'_>) -> Option<Lifetime> {
        let is_post = self.fields.get(b":method") == Some(b"POST");
        let named = reference::same_origin(head.fields.get(b"content-location")?, &self.fields)?;
        let is_own = self.fields.get(b":path") == Some(&named[..]) && head.response.status == 200;
        if !(is_post && is_own && context.rule.cache.enabled) {
            return None;
        }
        stated_lifetime(&head.response, context.now)?;
        let request = RequestHead { method: Method::Get, has_body: false, ..self.request };
        let policy = &context.rule.cache.storing;
        let partitioned = key.is_partitioned();
        let verdict = storing::judge(&request, &head.response, partitioned, policy, sent.at, context.now);
        verdict.share.and(verdict.store).ok()
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
            Some(status) if self.seen_failure => {
                Outcome::Answer(answer::failed(self.key(), status, context.now))
            }
            Some(status) => Outcome::Failed(status),
            None => Outcome::Alone(reason),
        };
        // A HEAD or a part is never shared: that says nothing about a GET of the whole. Nor does one query about another.
        let learnt =
            failure.is_none() && !matches!(reason, Reason::Method | Reason::Range | Reason::VaryMiss);
        let remember = learnt.then_some(Action::Remember(reason));
        remember.into_iter().chain(token.map(|token| Action::End(token, outcome))).collect()
    }
}

/// RFC 9111 §4.4: a non-error response to an unsafe request.
fn changes(status: u16) -> bool {
    (200..400).contains(&status)
}
