//! A response's head has arrived: does a stale copy stand in for it, who may have it, and is it kept?
//!
//! Asked in this order, and before a byte of it is handed out (RFC 9111 §3, §4.2.4; RFC 5861 §4): whoever waits for a
//! response that is not for others is let go now, not at the end of its body.

use super::event::{Action, Head, Held, Interest};
use super::{Context, Copy, Exchange, Phase, answer, serve_all};
use crate::breaker;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::Reason;
use crate::http::storing::{self, StoringPolicy};
use crate::time::Wall;

impl Exchange {
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
            heuristic_percent: context.rule.cache.heuristic_percent,
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
        actions.extend((!failed).then_some(Action::Forget));
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
}

/// RFC 9111 §4.4: a non-error response to an unsafe request.
fn changes(status: u16) -> bool {
    (200..400).contains(&status)
}
