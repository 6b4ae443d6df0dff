//! What a request does when the circuit to its upstream is not closed.
//!
//! What is stored stands in, stale or not, as far as `stale_if_error` lets it; then the rule's own answer; then 503. While
//! the circuit probes whether the upstream is back, whoever has something stale to live on does not pay for that: it is
//! answered at once, and the probe is a request in the background. And those who wait for a fetch under which the circuit
//! opens are not made to wait for its end: if there is something stale for them, they get it.

use super::event::{Action, Held, Refusal, Sender, Stock};
use super::{Context, Exchange, Phase, Sent, answer, received_at, serve_all};
use crate::breaker::Permit;
use crate::config::plan::Fallback;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::Reason;

impl Exchange {
    /// The breaker does not let it pass.
    pub(super) fn refused(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        refusal: Refusal,
        context: &Context<'_>,
    ) -> Vec<Action> {
        let Refusal { why, retry_after, stock } = refusal;
        self.why = why;
        let own = context.rule.breaker.answer.as_ref();
        let refusal = answer::refusal(self.key(), why, retry_after, own, context.now);
        match self.stale(held, stock, context) {
            Some(entry) => self.stand_in(token, Origin::StaleOnOpen, entry, refusal),
            None => serve_all(token, refusal),
        }
    }

    /// The breaker might let it pass, to see whether the upstream is back.
    pub(super) fn offered(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        stock: Stock,
        context: &Context<'_>,
    ) -> Vec<Action> {
        let stale = self.stale(held.clone(), stock, context);
        let Some(entry) = stale.filter(|_| context.refreshes && self.sender == Sender::Client) else {
            self.phase = Phase::Asking { token, held };
            return vec![Action::Probe];
        };
        self.why = Reason::BreakerOpen;
        let known = received_at(&entry).unwrap_or_default();
        let mut actions = serve_all(token, Answer::new(Origin::StaleOnOpen, entry));
        // Behind the end of the flight, which the refresh is to lead.
        actions.push(Action::Invite(known));
        actions
    }

    /// The circuit opens while the upstream is asked.
    pub(super) fn opened(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        permit: Option<Permit>,
        sent: Sent,
        stock: Stock,
        context: &Context<'_>,
    ) -> Vec<Action> {
        let stale = token.and_then(|token| Some((token, self.stale(held.clone(), stock, context)?)));
        let token = token.filter(|_| stale.is_none());
        self.phase = Phase::Fetching { token, held, permit, sent };
        let told = stale.map(|(token, entry)| {
            Action::End(token, Outcome::Answer(Answer::new(Origin::StaleOnOpen, entry)))
        });
        told.into_iter().collect()
    }

    fn stale(&self, held: Option<Held>, stock: Stock, context: &Context<'_>) -> Option<Held> {
        let stale = held.or(stock.in_l1).filter(|_| context.rule.breaker.fallback == Fallback::Stale);
        stale.and_then(|held| self.usable_on_error(held, stock.changed_at, context.now))
    }
}
