//! What was promised and not used: the origin was asked, or more was sent, though the store had the answer.

use super::conditions::{Tag, if_range, not_modified};
use super::dates;
use super::directives::{Directives, Odds};
use super::explain::{Explanation, How};
use super::fields;
use super::freshness::{Freshness, freshness};
use super::policy;
use super::ranges::{Asked, asked};
use super::reuse::{Occasion, reuse};
use super::rules::{Breach, Rule, breach};
use super::selecting::selects;
use super::stored::{Store, Stored};
use super::storing::{Judgement, is_ordinary};
use crate::history::{Exchange, Response};

/// What was missed in `exchange`; `before` is the store as it was, `store` as it is, `explanation` that of the answer.
pub fn missed(exchange: &Exchange, before: &Store, store: &Store, explanation: &Explanation) -> Vec<Breach> {
    if is_ordinary(&exchange.request) < Odds::Yes {
        return Vec::new();
    }
    let ready = |occasion| {
        let held = before.responses.iter().filter(|stored| is_held(stored, exchange));
        held.filter(move |stored| {
            reuse(stored, &exchange.request, exchange.now(), occasion) == Judgement::Expected
        })
    };
    let was_asked = !exchange.upstream.is_empty();
    if let Some(stored) = ready(Occasion::Alone).find(|stored| was_asked && stored.was_fresh()) {
        let fresh = freshness(stored, exchange.now()) == Freshness::Fresh;
        let rule = if fresh { Rule::MissedReuse } else { Rule::MissedMaxStale };
        return vec![breach(rule, stored.told(exchange.now()))];
    }
    if let Some(breach) = validation(exchange, before) {
        return vec![breach];
    }
    let failed = exchange.answer.as_ref().is_none_or(|answer| policy::is_failure(answer.status));
    if failed && matches!(explanation.how, How::Relayed | How::Gateway) {
        let kept = ready(Occasion::Error).find(|stored| stored.was_fresh());
        return kept
            .map(|stored| breach(Rule::MissedStale, stored.told(exchange.now())))
            .into_iter()
            .collect();
    }
    let stored = explanation.stored.map(|place| &store.responses[place]);
    match (stored, &exchange.answer, explanation.how) {
        (Some(stored), Some(answer), How::Hit | How::Validated) if stored.part.is_none() => {
            shape(exchange, stored, answer)
        }
        _ => Vec::new(),
    }
}

/// A whole response to a GET of this URL.
fn is_held(stored: &Stored, exchange: &Exchange) -> bool {
    stored.request.url == exchange.request.url && stored.request.method == "GET" && stored.part.is_none()
}

/// §4.3.1: what is stale, or must not be used unasked, is asked about.
fn validation(exchange: &Exchange, before: &Store) -> Option<Breach> {
    let first = exchange.upstream.first()?;
    let conditional =
        ["if-none-match", "if-modified-since"].iter().any(|name| fields::has(&first.request.fields, name));
    let whole = exchange.request.method == "GET" && !fields::has(&exchange.request.fields, "range");
    if conditional || !whole {
        return None;
    }
    let known = before.responses.iter().filter(|stored| is_held(stored, exchange)).find(|stored| {
        let authorized = fields::has(&exchange.request.fields, "authorization")
            || fields::has(&stored.request.fields, "authorization");
        stored.judgement == Judgement::Expected
            // README: failures are kept only for as long as they say.
            && !policy::is_failure(stored.response.status)
            && stored.replaced == Odds::No
            && selects(stored, &exchange.request.fields) == Odds::Yes
            && !authorized
            && has_validator(stored, exchange)
    })?;
    Some(breach(Rule::MissedValidation, known.told(exchange.now())))
}

fn has_validator(stored: &Stored, exchange: &Exchange) -> bool {
    let response = &stored.response.fields;
    let tag = fields::only(response, "etag").and_then(|tag| Tag::read(&tag));
    let changed =
        fields::only(response, "last-modified").and_then(|date| dates::date(&date, exchange.answered));
    tag.is_some() || changed.is_some_and(|(_, odds)| odds == Odds::Yes)
}

/// The client has it, or wants a part of it, and got all of it.
fn shape(exchange: &Exchange, stored: &Stored, answer: &Response) -> Vec<Breach> {
    let request = &exchange.request;
    if answer.status != 200 {
        return Vec::new();
    }
    if not_modified(&request.fields, stored, exchange.answered) == Odds::Yes {
        return vec![breach(Rule::MissedNotModified, stored.told(exchange.now()))];
    }
    let holds = if_range(&request.fields, &stored.response.fields, exchange.answered);
    let one = matches!(asked(&request.fields), Asked::Sound(specs) if specs.len() == 1);
    // Breakwater says so of ranges that can be satisfied; of an empty representation none can.
    if request.method == "GET" && one && holds == Odds::Yes && !stored.response.body.is_empty() {
        return vec![breach(Rule::MissedPart, stored.told(exchange.now()))];
    }
    Vec::new()
}

/// README: only-if-cached is honoured.
pub fn asked_in_vain(exchange: &Exchange) -> Option<Breach> {
    let odds = Directives::of(&exchange.request.fields).only_if_cached;
    let asked =
        is_ordinary(&exchange.request) == Odds::Yes && odds == Odds::Yes && !exchange.upstream.is_empty();
    asked.then(|| breach(Rule::OnlyIfCached, "the origin saw the request"))
}
