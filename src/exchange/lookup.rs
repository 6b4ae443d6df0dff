//! What L1, L2 and L3 hold for a request: does it answer, and if not, what is it good for?
//!
//! Of two that fit, the one received last counts (RFC 9111 §4). It answers if it is fresh, or if it may be served while
//! it is refreshed (RFC 5861 §3); else it goes to the upstream with the request, to be validated or to stand in.

use super::event::{Action, Held, Lookup};
use super::{Context, Exchange, Formation, Phase, answer, received_at, serve_all};
use crate::config::plan::Scope;
use crate::flight::lease::Standing;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::Reason;
use crate::store::Entry;
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
            Some(entry) => {
                let found = Lookup::Found(entry, Origin::L1);
                self.found(Some(token), held, found, (false, Standing::Unasked), context)
            }
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
            return self.found(token, held, Lookup::Unavailable, (false, Standing::Unasked), context);
        }
        match token.filter(|_| self.takes_lease(held.as_ref(), context)) {
            Some(token) => self.look_for_lease(token, held),
            None => {
                self.phase = Phase::LookingUp { token, held, leases: false };
                vec![Action::LookUp(None)]
            }
        }
    }

    pub(super) fn look_for_lease(&mut self, token: Token, held: Option<Held>) -> Vec<Action> {
        self.phase = Phase::LookingUp { token: Some(token), held, leases: true };
        vec![Action::LookUp(Some(token))]
    }

    /// Whether the lease is asked for along with the entry. Not where the entry is most likely there: L1 held it a
    /// moment ago, and it is fresh still.
    fn takes_lease(&self, held: Option<&Held>, context: &Context<'_>) -> bool {
        let is_there = || {
            let held = held.and_then(|held| Entry::read(held));
            held.is_some_and(|entry| self.fits(&entry) && self.answers(&entry, context))
        };
        self.is_of_fleet(context) && !is_there()
    }

    /// Whether those of other Envoys are to be waited for. Who looks beside a refresh fetches nothing.
    fn is_of_fleet(&self, context: &Context<'_>) -> bool {
        context.remote && context.rule.coalesce.scope == Scope::Fleet && self.formation != Formation::Beside
    }

    pub(super) fn found(
        &mut self,
        token: Option<Token>,
        held: Option<Held>,
        lookup: Lookup,
        (leases, standing): (bool, Standing),
        context: &Context<'_>,
    ) -> Vec<Action> {
        let can_ask = lookup != Lookup::Unavailable;
        let (found, origin) = match lookup {
            Lookup::Found(entry, origin) => (Some(entry), origin),
            Lookup::Nothing => (None, Origin::L1),
            Lookup::OtherVariants => {
                self.why = Reason::VaryMiss;
                (None, Origin::L1)
            }
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
                return Some((self.answers(&entry, context), Rc::clone(&held)));
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
                actions.extend(serve_all(token, Answer::new(origin, entry)));
                return actions;
            }
            Some((false, entry)) if self.may_refresh(&entry, context) => {
                let known = received_at(&entry).unwrap_or_default();
                // Beside a refresh there is no need for another.
                let mut actions: Vec<Action> = (self.formation != Formation::Beside)
                    .then_some(Action::Refresh(known))
                    .into_iter()
                    .collect();
                if origin != Origin::L1 {
                    actions.push(Action::Fill(Rc::clone(&entry)));
                }
                actions.extend(serve_all(token, Answer::new(origin, entry)));
                return actions;
            }
            Some((false, entry)) => {
                self.why = self.unused(&entry, context);
                Some(entry)
            }
            None => held,
        };
        match token {
            Some(token) if self.formation == Formation::Beside => self.step_back(token, context),
            Some(token) if !leases && can_ask && self.is_of_fleet(context) => {
                self.look_for_lease(token, held)
            }
            Some(token) => self.led_by_fleet(token, held, standing, context),
            None => self.ask(None, held, context),
        }
    }

    /// Nothing stored answers: who fetches?
    fn led_by_fleet(
        &mut self,
        token: Token,
        held: Option<Held>,
        standing: Standing,
        context: &Context<'_>,
    ) -> Vec<Action> {
        match standing {
            Standing::Unasked | Standing::Ours => self.ask(Some(token), held, context),
            Standing::Elsewhere if self.sender.is_refresh() => {
                // It is being fetched already.
                let needless = Action::Serve(answer::needless(self.key(), context.now));
                vec![needless, Action::End(token, Outcome::Lost)]
            }
            Standing::Elsewhere => {
                self.phase = Phase::Awaiting { token, held };
                vec![Action::AwaitLease(token)]
            }
            Standing::Ended(outcome) => self.told_by_fleet(token, held, outcome, context),
        }
    }
}
