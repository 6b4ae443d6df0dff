//! What a waiter does when its flight has ended: it takes the answer, goes alone, or competes for the lead.

use super::{Action, Context, Event, Exchange, Formation, Held, Phase, Route, Sender, answer, serve_all};
use crate::config::plan::Overflow;
use crate::flight::{Origin, Outcome, Token};
use crate::http::key::Digest;
use crate::http::{Reason, vary};
use crate::store::{Entry, variants};
use crate::time::Wall;

impl Exchange {
    pub(super) fn told(&mut self, outcome: Outcome, context: &Context<'_>) -> Vec<Action> {
        self.collapsed = Some(false);
        match outcome {
            Outcome::Answer(answer) => {
                let Some(entry) = Entry::read(&answer.entry) else { return self.ask(None, None, context) };
                let is_late = answer.came_before.is_some_and(|before| self.came >= before);
                if is_late && !entry.is_fresh(context.now) {
                    return self.join_again(context);
                }
                if self.fits(&entry) {
                    self.takes(answer.origin);
                    return vec![Action::Serve(answer)];
                }
                let failures = &context.rule.breaker.failure_statuses;
                if answer.origin == Origin::Upstream && failures.is_failure(entry.meta.status) {
                    let status = entry.meta.status;
                    return self
                        .told(Outcome::Answer(answer::failed(self.key(), status, context.now)), context);
                }
                self.why = Reason::VaryMiss;
                match self.own_variant(&entry) {
                    Some(variant) if !matches!(self.formation, Formation::Variant(_)) => {
                        self.formation = Formation::Variant(variant);
                        self.rejoin(context)
                    }
                    // Nor does it fit those who were to get the same.
                    _ => self.ask(None, None, context),
                }
            }
            Outcome::Alone(reason) if self.is_unconcerned(reason) => self.join_again(context),
            Outcome::Alone(reason) => {
                self.why = reason;
                self.ask(None, None, context)
            }
            Outcome::Failed(status) if self.seen_failure => {
                self.told(Outcome::Answer(answer::failed(self.key(), status, context.now)), context)
            }
            Outcome::Failed(_) => {
                self.seen_failure = true;
                self.join_again(context)
            }
            Outcome::Lost => self.join_again(context),
        }
    }

    /// Another Envoy's flight, which the leader of this one waited for, ended: what it was told holds for all who wait
    /// with it.
    pub(super) fn told_by_fleet(
        &mut self,
        token: Token,
        held: Option<Held>,
        outcome: Outcome,
        context: &Context<'_>,
    ) -> Vec<Action> {
        match outcome {
            Outcome::Answer(answer) if Entry::read(&answer.entry).is_some_and(|entry| self.fits(&entry)) => {
                self.takes(answer.origin);
                serve_all(Some(token), answer)
            }
            Outcome::Alone(reason) if !self.is_unconcerned(reason) => {
                self.collapsed = Some(false);
                self.why = reason;
                let mut actions = vec![Action::Remember(reason), Action::End(token, Outcome::Alone(reason))];
                actions.extend(self.ask(None, held, context));
                actions
            }
            Outcome::Failed(status) => {
                let failure = answer::failed(self.key(), status, context.now);
                // What was held and is not true any more has been dropped.
                let stale = held.and_then(|held| self.usable_on_error(held, Wall::default(), context.now));
                if let Some(entry) = stale {
                    self.takes(Origin::StaleOnError(status));
                    return self.stand_in(Some(token), Origin::StaleOnError(status), entry, failure);
                }
                if self.seen_failure {
                    self.takes(failure.origin);
                    return serve_all(Some(token), failure);
                }
                self.seen_failure = true;
                let mut actions = vec![Action::End(token, outcome)];
                actions.extend(self.rejoin(context));
                actions
            }
            // That was nothing for this one.
            Outcome::Answer(_) | Outcome::Alone(_) | Outcome::Lost => self.look_for_lease(token, held),
        }
    }

    /// Another's answer is its own.
    fn takes(&mut self, origin: Origin) {
        self.collapsed = Some(true);
        self.why = match origin {
            Origin::StaleOnOpen | Origin::Refused => Reason::BreakerOpen,
            Origin::StaleOnError(_) | Origin::Failed(_) => Reason::UpstreamFailed,
            Origin::Upstream | Origin::Revalidated { .. } | Origin::L1 | Origin::L2 | Origin::L3 => self.why,
        };
    }

    /// Whether one that finds no place to wait is refused. Who asks not to be sent to the upstream has an answer already.
    pub(super) fn is_turned_away(&self, context: &Context<'_>) -> bool {
        let refuses = context.rule.coalesce.overflow == Overflow::Refuse;
        // What stands in for a client has been let in as that.
        refuses && self.sender == Sender::Client && !self.request.directives.only_if_cached
    }

    /// Whether a refusal to share is not one to it: what was refused for the leader's Authorization is not to those
    /// without.
    pub fn is_unconcerned(&self, reason: Reason) -> bool {
        reason == Reason::Authorization && !self.request.authorization
    }

    /// Whether a client leaves a refresh's flight: L1 holds what may answer it, if Redis says so too.
    pub(super) fn steps_aside(&self, token: Token, held: &Held, context: &Context<'_>) -> bool {
        let Some(entry) = Entry::read(held).filter(|entry| self.fits(entry)) else { return false };
        let may_answer = self.answers(&entry, context) || self.may_refresh(held, context);
        self.sender == Sender::Client
            && token.is_by_refresh()
            && self.formation == Formation::Key
            && may_answer
    }

    /// What is stored may not answer: all who looked wait for the refresh.
    pub(super) fn step_back(&mut self, token: Token, context: &Context<'_>) -> Vec<Action> {
        let mut actions = vec![Action::End(token, Outcome::Lost)];
        actions.extend(self.join_again(context));
        actions
    }

    /// The variant that a request asks for, where another one was the leader's.
    fn own_variant(&self, other: &Entry<'_>) -> Option<Digest> {
        let key = self.key().filter(|key| other.key == key.bytes())?;
        let own = vary::reselected(other.selecting, &self.fields)?;
        (own != other.selecting).then(|| variants::digest(key.bytes(), &own))
    }

    pub(super) fn join_again(&mut self, context: &Context<'_>) -> Vec<Action> {
        if self.formation == Formation::Beside {
            self.formation = Formation::Key;
        }
        self.rejoin(context)
    }

    fn rejoin(&mut self, context: &Context<'_>) -> Vec<Action> {
        self.collapsed = None;
        self.phase = Phase::Arrived { held: None };
        self.on(Event::Routed(Route::Flight), context)
    }
}
