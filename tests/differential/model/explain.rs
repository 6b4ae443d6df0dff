//! Where an answer came from: the origin's own words, something stored, or nobody.
//!
//! Every explanation is tried, and the best is taken: the one that breaks the fewest rules. An answer that shows the
//! origin's number (`x-serial`) can only be explained by the response with that number.

use super::conditions::{not_modified, validators_agree};
use super::directives::Odds;
use super::fields;
use super::freshness::{Freshness, freshness};
use super::message;
use super::policy;
use super::reuse::{Occasion, reuse};
use super::rules::{Breach, Rule, breach};
use super::stored::{Store, Stored};
use super::storing::Judgement;
use crate::history::{Exchange, Reply, Response, Upstream};

/// How an answer came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The origin's answer, passed on.
    Relayed,
    /// The gateway's own error, since the origin gave no answer.
    Gateway,
    /// The cache's own, since it was asked not to ask the origin.
    Refused,
    /// The origin's answer broke off, and so did this one.
    BrokenOff,
    /// Fresh from the store.
    Hit,
    /// Stale from the store, with somebody's permission.
    Stale,
    /// Stale from the store, since the origin failed.
    OnError,
    /// From the store, after the origin confirmed it.
    Validated,
    /// Made of what the origin has just given: a 304 or a part.
    Shaped,
    /// By nothing.
    Unexplained,
}

/// The best explanation, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub how: How,
    /// Place in the store.
    pub stored: Option<usize>,
    pub breaches: Vec<Breach>,
}

/// Explains the answer of `exchange`; `store` knows all that was said until its end, `new` is what it learnt in it.
pub fn explain(exchange: &Exchange, store: &Store, new: usize) -> Explanation {
    let last = exchange.upstream.last();
    let Some(answer) = &exchange.answer else {
        let broken = matches!(last.map(|upstream| &upstream.reply), Some(Reply::Cut(_)));
        let breaches = if broken { Vec::new() } else { vec![breach(Rule::Unanswered, "no whole answer")] };
        return Explanation { how: How::BrokenOff, stored: None, breaches };
    };
    let mut explanations: Vec<Explanation> =
        last.into_iter().flat_map(|last| by_origin(exchange, last, answer)).collect();
    explanations.extend(refused(exchange, answer));
    let serial = fields::only(&answer.fields, "x-serial");
    for (place, stored) in store.responses.iter().enumerate() {
        let traced = serial.is_none() || stored.serial() == serial;
        if traced && stored.request.url == exchange.request.url && exchange.request.is_retrieval() {
            explanations.push(by_store(exchange, place, stored, place >= new, answer));
        }
    }
    for explanation in &mut explanations {
        explanation.breaches.retain(|breach| !message::is_envoys_type(exchange, answer, breach));
    }
    // Of equal ones the first: an answer that may be the origin's own is not called a hit.
    let weight = |explanation: &Explanation| {
        // Another body is another response: any other explanation is better.
        let other = explanation.breaches.iter().any(|breach| breach.rule == Rule::Body);
        (other, explanation.breaches.len())
    };
    explanations.into_iter().min_by_key(weight).unwrap_or_else(|| Explanation {
        how: How::Unexplained,
        stored: None,
        breaches: vec![breach(Rule::Fabricated, format!("{} with x-serial {serial:?}", answer.status))],
    })
}

/// As the origin's words, or as what stands for its silence.
fn by_origin(exchange: &Exchange, last: &Upstream, answer: &Response) -> Option<Explanation> {
    match &last.reply {
        // It was asked about one response, and confirmed another.
        Reply::Whole(reply) if reply.status == 304 && answer.status == 502 => {
            let own = !fields::has(&answer.fields, "x-serial");
            own.then(|| Explanation { how: How::Gateway, stored: None, breaches: Vec::new() })
        }
        Reply::Whole(reply) => {
            let mut breaches = message::relayed(reply, &exchange.request, answer);
            breaches.extend(meant_for_client(exchange, last, reply));
            Some(Explanation { how: How::Relayed, stored: None, breaches })
        }
        Reply::Dropped | Reply::Cut(_) if matches!(answer.status, 502..=504) => {
            let own = !fields::has(&answer.fields, "x-serial");
            own.then(|| Explanation { how: How::Gateway, stored: None, breaches: Vec::new() })
        }
        Reply::Dropped | Reply::Cut(_) => None,
    }
}

/// A 304, 206 or 416 answers a question: it must have been the client's.
fn meant_for_client(exchange: &Exchange, last: &Upstream, reply: &Response) -> Option<Breach> {
    let asked = |name: &str| fields::has(&exchange.request.fields, name);
    let as_asked = |name: &str| {
        fields::value(&exchange.request.fields, name) == fields::value(&last.request.fields, name)
    };
    match reply.status {
        304 if !asked("if-none-match") && !asked("if-modified-since") => {
            Some(breach(Rule::NotModifiedUnasked, "the request had no condition"))
        }
        304 if !as_asked("if-none-match") || !as_asked("if-modified-since") => {
            // The cache asked something else: does the answer hold for the client's question too?
            let stand_in = Stored {
                request: exchange.request.clone(),
                response: Response { status: 200, ..reply.clone() },
                former: Vec::new(),
                requested: exchange.now(),
                received: exchange.now(),
                part: None,
                judgement: Judgement::Open,
                confirming: Vec::new(),
                undated: false,
                updated: false,
                replaced: Odds::No,
                exchange: 0,
            };
            let holds = not_modified(&exchange.request.fields, &stand_in, exchange.answered);
            (holds == Odds::No).then(|| breach(Rule::NotModified, "the origin confirmed another response"))
        }
        206 | 416 if !as_asked("range") || !as_asked("if-range") => {
            Some(breach(Rule::Partial, "the origin was asked for another part"))
        }
        _ => None,
    }
}

/// RFC 9111 §5.2.1.7.
fn refused(exchange: &Exchange, answer: &Response) -> Option<Explanation> {
    let asked = super::directives::Directives::of(&exchange.request.fields).only_if_cached > Odds::No;
    let own = answer.status == 504 && !fields::has(&answer.fields, "x-serial");
    (asked && own && exchange.upstream.is_empty()).then(|| Explanation {
        how: How::Refused,
        stored: None,
        breaches: Vec::new(),
    })
}

fn by_store(
    exchange: &Exchange,
    place: usize,
    stored: &Stored,
    is_new: bool,
    answer: &Response,
) -> Explanation {
    let now = exchange.now();
    let occasion = if is_new { Occasion::Current } else { occasion(exchange, stored) };
    let mut breaches = Vec::new();
    if let Judgement::Forbidden(rule) = reuse(stored, &exchange.request, now, occasion) {
        breaches.push(breach(rule, stored.told(exchange.now())));
    }
    if is_new && stored.judgement == Judgement::Forbidden(Rule::Incomplete) {
        breaches.push(breach(Rule::Incomplete, stored.told(exchange.now())));
    }
    breaches.extend(message::from_store(stored, &exchange.request, now, occasion, answer));
    let how = match (is_new, stored.updated, freshness(stored, now)) {
        (true, true, _) => How::Validated,
        (true, false, _) => How::Shaped,
        (false, _, Freshness::Fresh | Freshness::Near) => How::Hit,
        (false, ..) if occasion == Occasion::Alone => How::Stale,
        (false, ..) => How::OnError,
    };
    Explanation { how, stored: Some(place), breaches }
}

/// What the origin's last word means for what is stored.
fn occasion(exchange: &Exchange, stored: &Stored) -> Occasion {
    match exchange.upstream.last().map(|upstream| &upstream.reply) {
        Some(Reply::Dropped | Reply::Cut(_)) => Occasion::Disconnected,
        Some(Reply::Whole(reply)) if policy::is_failure(reply.status) => Occasion::Error,
        // A 304 about something else is no answer: the gateway's 502.
        Some(Reply::Whole(reply)) if reply.status == 304 => {
            match validators_agree(&stored.response.fields, &reply.fields) {
                Odds::Yes => Occasion::Alone,
                _ => Occasion::Error,
            }
        }
        Some(Reply::Whole(_)) | None => Occasion::Alone,
    }
}
