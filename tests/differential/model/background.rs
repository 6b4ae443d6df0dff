//! What is fetched in the background (RFC 5861 §3): a stale response answers at once, and the origin is asked meanwhile.
//!
//! Seen from outside, the origin is asked in an exchange whose answer does not come from it. The two are told apart
//! here: the exchange as the client had it, and the refresh as if somebody else had asked, at some time thereafter.

use super::fields;
use super::stored::{Store, Stored};
use super::targeted::readings;
use crate::history::{Exchange, Ms, Request};

/// How long a refresh may take.
const LONGEST: Ms = 3_000;

/// The exchange without its refresh, and the refresh, if the answer is one that may be given meanwhile.
pub fn apart(exchange: &Exchange, store: &Store) -> (Exchange, Option<Exchange>) {
    let Some(answer) = &exchange.answer else { return (exchange.clone(), None) };
    let serial = fields::only(&answer.fields, "x-serial");
    let may_wait = |stored: &&Stored| {
        let known = readings(&stored.response.fields);
        stored.request.url == exchange.request.url
            && (serial.is_none() || stored.serial() == serial)
            && known.iter().any(|reading| reading.directives.stale_while_revalidate.is_some())
    };
    let status = fields::value(&answer.fields, "cache-status").unwrap_or_default();
    let hit = status.rsplit(',').next().is_some_and(|own| own.contains("; hit"));
    let apart =
        hit && exchange.request.is_retrieval() && store.responses.iter().any(|stored| may_wait(&stored));
    if exchange.upstream.is_empty() || !apart {
        return (exchange.clone(), None);
    }
    let foreground = Exchange { upstream: Vec::new(), ..exchange.clone() };
    // What is fetched is all of it, whatever part or confirmation the client asked for.
    let request = Request { method: "GET".to_owned(), ..exchange.request.clone() };
    let replied =
        exchange.upstream.iter().map(|upstream| upstream.replied).max().unwrap_or(exchange.answered);
    let refresh = Exchange {
        request,
        answered: replied.max(exchange.answered) + LONGEST,
        answer: None,
        ..exchange.clone()
    };
    (foreground, Some(refresh))
}
