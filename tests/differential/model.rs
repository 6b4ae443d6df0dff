//! A slow and literal model of RFC 9111, to judge what a cache did.
//!
//! It is written from the RFC alone and shares nothing with the plugin. It does not predict an answer, for a cache has
//! choices: given all that the client, the cache and the origin said, it asks whether the answer is one that the RFC
//! and Breakwater's own promises (`policy`) allow. Two questions, apart:
//!
//! - Is the answer *allowed*? There must be an explanation (`explain`): the origin's own words, or a stored response
//!   that may be used (`reuse`) and is what was sent (`message`).
//! - Was something *missed*? The origin was asked, or more was sent than needed, though a stored response would have
//!   done that Breakwater has promised to use (`missed`).
//!
//! What is refreshed in the background (`background`) is no part of the exchange that caused it.
//!
//! Nobody can say at what moment within an exchange the cache looked at the clock, and some fields can be read in more
//! than one way. So ages and lifetimes lie between bounds, and a verdict falls only where all of it agrees.

pub mod background;
pub mod conditions;
pub mod dates;
pub mod directives;
pub mod explain;
pub mod fields;
pub mod forwarding;
pub mod freshness;
pub mod message;
pub mod missed;
pub mod policy;
pub mod ranges;
pub mod reuse;
pub mod rules;
pub mod selecting;
pub mod stored;
pub mod storing;
pub mod targeted;
#[cfg(test)]
mod tests;
pub mod update;

use crate::history::Exchange;
use explain::{How, explain};
pub use rules::{Breach, Kind, Rule};
use stored::Store;

/// What is said of one exchange.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub how: How,
    pub breaches: Vec<Breach>,
}

/// Judges a sequence, exchange by exchange.
pub fn judge(history: &[Exchange]) -> Vec<Verdict> {
    let mut store = Store::default();
    let mut verdicts = Vec::new();
    for (number, exchange) in history.iter().enumerate() {
        let (exchange, refresh) = background::apart(exchange, &store);
        let exchange = &exchange;
        let before = store.clone();
        let new = store.learn(number, exchange);
        let explanation = explain(exchange, &store, new);
        let mut breaches = explanation.breaches.clone();
        breaches.extend(forwarding::forwarding(exchange, &before));
        breaches.extend(missed::asked_in_vain(exchange));
        breaches.extend(forwarding::cache_status(exchange));
        breaches.extend(missed::missed(exchange, &before, &store, &explanation));
        if let Some(refresh) = refresh {
            breaches.extend(forwarding::refreshing(&refresh, &store));
            store.learn_in_background(number, &refresh);
        }
        verdicts.push(Verdict { how: explanation.how, breaches });
    }
    verdicts
}
