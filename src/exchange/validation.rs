//! The upstream confirmed a stored response with 304 (RFC 9111 §4.3.3, §4.3.4).
//!
//! The stored fields are brought up to date, and the result is judged like a new response: whatever the 304 says about
//! sharing and keeping binds from now on, also for those who wait.
//!
//! A 304 that is about another response than the one asked about confirms nothing (§4.3.4). The client cannot be told
//! so, and its request is gone: it is sent again, for all of the response, and whoever waits asks anew. Where no way
//! leads back to the plugin, the stored response answers if it may stand in for a failure.

use super::event::{Action, Fetched, Head, Held, Sender};
use super::{Context, Exchange, Phase, Sent, answer, copy, serve_all};
use crate::breaker;
use crate::flight::{Answer, Origin, Token};
use crate::http::request::Method;
use crate::http::storing::SetCookie;
use crate::http::{Fields, Key, Reason, RequestHead, ResponseHead, Verdict, storing, update, validators};
use crate::store::Entry;
use crate::time::Wall;
use std::rc::Rc;
use std::time::Duration;

/// What answers if nothing better comes.
#[derive(Debug)]
pub(super) struct StandIn {
    held: Held,
    /// What was received up to then may not stand in.
    changed_at: Wall,
}

impl Exchange {
    pub(super) fn confirmed(
        &mut self,
        token: Option<Token>,
        held: &Held,
        sent: Sent,
        head: &Head,
        context: &Context<'_>,
        actions: &mut Vec<Action>,
    ) {
        self.phase = Phase::Ended;
        let about = Entry::read(held).filter(|entry| validators::selects(entry.fields, &head.fields));
        let Some(entry) = about else {
            // Asked about again it would be answered so again. What was asked for since may well be true.
            actions.push(Action::Discard(sent.at.before(Duration::from_millis(1))));
            actions.extend(token.map(Action::Vacate));
            let stand_in = StandIn { held: Rc::clone(held), changed_at: head.changed_at };
            let repeatable = context.refreshes && !self.request.has_body;
            if repeatable && self.sender == Sender::Client {
                self.phase = Phase::Refetching(stand_in);
                actions.push(Action::Refetch);
            } else {
                actions.push(self.refetched(None, stand_in, context));
            }
            return;
        };
        let (fields, response) = brought_up_to_date(&entry, head, context);
        // A cookie is for this client, and no part of what is stored.
        let cookies = head.fields.iter().filter(|(name, _)| *name == b"set-cookie");
        let fields = if response.set_cookie && context.rule.cache.storing.set_cookie == SetCookie::Refuse {
            Fields::of(fields.iter().chain(cookies).collect::<Vec<_>>())
        } else {
            fields
        };
        let (verdict, updated) = self.rejudged(&entry, &fields, &response, sent, context);
        actions.push(match verdict.store {
            Ok(_) => Action::Keep(sent.at, Rc::clone(&updated)),
            // The permission under which it was stored is taken back.
            Err(_) => Action::Discard(context.now),
        });
        let origin = Origin::Revalidated { stored: verdict.store.is_ok() };
        let answer = Answer::new(origin, updated);
        let other = if self.is_as_searched(&fields) { Ok(()) } else { Err(Reason::VaryMiss) };
        match verdict.share.and(other) {
            Ok(()) => {
                actions.push(Action::Forget);
                actions.extend(serve_all(token, answer));
            }
            Err(reason) => {
                actions.extend(self.release(token, None, reason, context));
                actions.push(Action::Serve(answer));
            }
        }
    }
}

impl Exchange {
    /// The request was sent again, or could not be.
    pub(super) fn refetched(
        &mut self,
        fetched: Option<Fetched>,
        stand_in: StandIn,
        context: &Context<'_>,
    ) -> Action {
        let status = fetched.as_ref().map_or(304, |fetched| fetched.status);
        let failures = &context.rule.breaker.failure_statuses;
        let failed = fetched.as_ref().is_none_or(|fetched| failures.is_failure(fetched.status));
        let StandIn { held, changed_at } = stand_in;
        // A refresh is there to find a fresher one, and nobody waits for it.
        let may_stand_in = failed && !self.sender.is_refresh();
        let stale = self.usable_on_error(held, changed_at, context.now).filter(|_| may_stand_in);
        match (stale, fetched) {
            (None, Some(fetched)) => Action::Hand(fetched),
            (stale, _) => {
                self.why = Reason::UpstreamFailed;
                Action::Serve(match stale {
                    Some(entry) => Answer::new(Origin::StaleOnError(status), entry),
                    None => answer::confused(self.key(), context.now),
                })
            }
        }
    }

    /// What the answer to HEAD says of the response that is stored for GET (RFC 9111 §4.3.5): its fields bring that up
    /// to date, or show that it is not what the upstream has now.
    pub(super) fn told_by_head(
        &self,
        held: &Held,
        sent: Sent,
        head: &Head,
        context: &Context<'_>,
    ) -> Option<Action> {
        let entry = Entry::read(held).filter(|entry| entry.meta.status == 200 && self.fits(entry))?;
        if head.response.status != 200 || head.outcome != breaker::Outcome::Success {
            return None;
        }
        let length = head.response.content_length;
        let same_length = length.is_none_or(|length| usize::try_from(length) == Ok(entry.body.len()));
        if !same_length || !validators::selects(entry.fields, &head.fields) {
            return (!same_length || entry.condition().is_some()).then_some(Action::Discard(context.now));
        }
        let (fields, response) = brought_up_to_date(&entry, head, context);
        let (verdict, updated) = self.rejudged(&entry, &fields, &response, sent, context);
        Some(if verdict.store.is_ok() {
            Action::Keep(sent.at, updated)
        } else {
            Action::Discard(context.now)
        })
    }

    /// A stored response with its fields brought up to date, judged like a new one. It answered a GET, whatever
    /// confirms it now.
    fn rejudged(
        &self,
        entry: &Entry<'_>,
        fields: &Fields,
        response: &ResponseHead,
        sent: Sent,
        context: &Context<'_>,
    ) -> (Verdict, Held) {
        let request = RequestHead { method: Method::Get, ..self.request };
        let partitioned = self.key().is_some_and(Key::is_partitioned);
        let policy = &context.rule.cache.storing;
        let verdict = storing::judge(&request, response, partitioned, policy, sent.at, context.now);
        let updated = Entry {
            meta: copy::meta(response, verdict.store.as_ref().ok().copied(), sent.at, context.now),
            key: entry.key,
            selecting: &response.vary.selecting_fields(&self.fields),
            tags: &copy::stored_tags(fields, &context.rule.cache.tags),
            fields: fields.as_block(),
            body: entry.body,
        };
        (verdict, Rc::new(updated.encode()))
    }
}

/// A stored response's fields with those that came, and what they say of it as if it had come whole.
fn brought_up_to_date(entry: &Entry<'_>, head: &Head, context: &Context<'_>) -> (Fields, ResponseHead) {
    let fields = update::updated(entry.fields, &head.fields);
    let response = as_response(entry, &fields, head, context);
    (fields, response)
}

/// The response as if it had come whole with the 304.
fn as_response(entry: &Entry<'_>, fields: &Fields, head: &Head, context: &Context<'_>) -> ResponseHead {
    let mut status = itoa::Buffer::new();
    let status = status.format(entry.meta.status).as_bytes();
    let age = head.fields.get(b"age").map(|age| (&b"age"[..], age));
    let cookies = head.fields.iter().filter(|(name, _)| *name == b"set-cookie");
    let all: Vec<(&[u8], &[u8])> =
        [(&b":status"[..], status)].into_iter().chain(age).chain(fields.iter()).chain(cookies).collect();
    ResponseHead::read_for(&context.rule.cache.targeted, &Fields::of(all), context.now)
}
