//! Coalescing: who fetches, who waits, and what the waiters are told.
//!
//! A *flight* is one fetch for one key. Its *leader* is the request that fetches; everyone else with the same key is
//! a *waiter* of the flight. Within a worker the waiters sit in a [`table`]; between the workers of one Envoy the
//! flight stands in a [`stripe`] of shared data, in which each worker with waiters is marked once, and a finished
//! leader tells each marked worker by one [`message`]. Keys that proved uncacheable are [`remembered`], so that nobody
//! waits for what cannot be shared. Those who waited for it in vain go all at once, or by turns ([`release`]).
//!
//! Before the first answer nobody knows whether responses vary. Waiters for whom the leader's is of another variant fly
//! once more, in each worker with those who ask for the same.
//!
//! Between Envoys a [`lease`] in Redis says whose leader fetches, and what is not stored is [`left`] for those who wait.
//!
//! A flight ends in one of five [`Outcome`]s, and each says what its waiters do.

pub mod lease;
pub mod left;
pub mod message;
pub mod release;
pub mod remembered;
pub mod stripe;
pub mod table;

use crate::http::Reason;
use crate::time::Mono;
use std::rc::Rc;

/// One fetch for one key; unique in the process: the leader's worker in the upper half, its count in the lower, and in
/// that what leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// The token of a worker's flight of this number, which a refresh leads or a client.
    pub fn new(worker: u32, count: u32, by_refresh: bool) -> Self {
        let count = u64::from(count) & (BY_REFRESH - 1);
        Self(u64::from(worker) << 32 | count | if by_refresh { BY_REFRESH } else { 0 })
    }

    /// Whether a refresh led the flight when it began. Nobody who can be answered meanwhile waits for that.
    pub fn is_by_refresh(self) -> bool {
        self.0 & BY_REFRESH != 0
    }
}

/// The highest bit of the count.
const BY_REFRESH: u64 = 1 << 31;

/// How a flight ended, and so what its waiters do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is an answer that may be shared: each waiter takes it if it fits its own request.
    Answer(Answer),
    /// The answer may not be shared: all waiters go to the upstream, at once and in parallel unless their rule says
    /// otherwise; only what was refused
    /// for the leader's `Authorization` lets those without wait for one of them.
    Alone(Reason),
    /// The upstream failed the leader, with this status. That may have been chance: the waiters compete for the lead once
    /// more, and what the next one gets counts.
    Failed(u16),
    /// The leader is gone without an answer: the waiters compete for the lead.
    Lost,
}

/// An answer to be handed to waiters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where the leader had it from.
    pub origin: Origin,
    /// The encoded entry.
    pub entry: Rc<Vec<u8>>,
    /// If it is not fresh: whom it is for, those who came before this. `None`: everybody who waits.
    pub came_before: Option<Mono>,
}

impl Answer {
    /// An answer for everybody who waits.
    pub fn new(origin: Origin, entry: Rc<Vec<u8>>) -> Self {
        Self { origin, entry, came_before: None }
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Straight from the upstream.
    Upstream,
    /// From the store, after the upstream confirmed it.
    Revalidated {
        /// Whether it was stored anew.
        stored: bool,
    },
    /// From L1, kept past its `l1.ttl` because Redis could not be asked.
    L1,
    /// From L2.
    L2,
    /// From L3.
    L3,
    /// A stale copy, in place of the upstream's failure, whose status this is.
    StaleOnError(u16),
    /// A stale copy, because the circuit is open.
    StaleOnOpen,
    /// The plugin's own refusal: the circuit is open and there is no copy, or as many wait as may.
    Refused,
    /// The plugin's own word for an answer of the upstream that is not to be passed on, with this status: a failure,
    /// or a 304 about another response.
    Failed(u16),
}
