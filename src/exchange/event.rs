//! The words between the machine and its driver.

use crate::breaker::{self, Permit};
use crate::flight::lease::Standing;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::key::Key;
use crate::http::validators::Condition;
use crate::http::{Fields, Reason, ResponseHead};
use crate::time::Wall;
use std::rc::Rc;
use std::time::Duration;

/// An encoded entry held in memory.
pub type Held = Rc<Vec<u8>>;

/// What a request is to the cache.
#[derive(Clone, Debug, PartialEq)]
pub enum Interest {
    /// Its answer may be stored and shared under this key.
    Cacheable(Key),
    /// If it succeeds, what is stored under this key is no longer true.
    Invalidates(Key),
    /// Nothing.
    None,
}

/// Whose a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A client's.
    Client,
    /// The plugin's, to have fetched anew what a client got stale: nobody waits for its answer. What it is to replace
    /// was received at this time.
    Refresh(Wall),
    /// The plugin's, to lead this flight in place of a client, which waits in it.
    Detached(Token),
    /// The plugin's, in place of a client's whose own asked about a stored response and was told of another.
    Refetch,
}

impl Sender {
    /// Whether nobody waits for the answer.
    pub fn is_refresh(self) -> bool {
        matches!(self, Self::Refresh(_))
    }
}

/// What a [`Sender::Refetch`] brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// All its fields.
    pub fields: Fields,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Which way a request takes from L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Into a flight.
    Flight,
    /// To L2 and L3, without a flight.
    Lookup,
    /// To the upstream.
    Upstream,
}

/// What L2 and L3 said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// An entry, fresh or not, of the better tier.
    Found(Held, Origin),
    /// Neither has one.
    Nothing,
    /// There are some for other request fields only.
    OtherVariants,
    /// They could not be asked.
    Unavailable,
}

/// What may stand in for an upstream that is not asked.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// What L1 holds.
    pub in_l1: Option<Held>,
    /// What was received up to then may not stand in.
    pub changed_at: Wall,
}

/// What the breaker said.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The reason.
    pub why: Reason,
    /// When to come again.
    pub retry_after: Duration,
    /// What there is instead.
    pub stock: Stock,
}

/// A response's head, read.
#[derive(Clone, Debug)]
pub struct Head {
    /// What it says about caching.
    pub response: ResponseHead,
    /// All its fields.
    pub fields: Fields,
    /// What it says about the upstream.
    pub outcome: breaker::Outcome,
    /// Of a failure: what was received up to then may not stand in for it.
    pub changed_at: Wall,
}

/// What happened to a request.
#[derive(Debug)]
pub enum Event {
    /// Which way it takes is decided.
    Routed(Route),
    /// It leads a flight; a fresh entry that appeared in L1 while it joined comes along.
    Led(Token, Option<Held>),
    /// It waits in a flight, at this place.
    Watching(Token, u64),
    /// It found no place in a flight.
    Apart(Reason),
    /// L2 and L3 answered, or not, and said this of the lease.
    Found(Lookup, Standing),
    /// It is time to look again.
    Again,
    /// The breaker lets it pass, or there is none.
    Admitted(Option<Permit>),
    /// The breaker does not let it pass.
    Refused(Refusal),
    /// The breaker might let it pass as a probe, if nothing can answer it meanwhile.
    Offered(Stock),
    /// The circuit has opened since it was let pass, or was half-open then: who waits for it need not.
    Opened(Stock),
    /// The response's head arrived.
    Head(Head),
    /// A piece of the response's body passed.
    Piece(Vec<u8>),
    /// The response is complete.
    Complete,
    /// The request was sent again, and this is the answer, if one came.
    Refetched(Option<Fetched>),
    /// The flight it waits in ended.
    Ended(Outcome),
    /// It has waited for as long as it may.
    TimedOut,
    /// Its stream is over.
    Gone,
}

/// What is to be done for a request.
#[derive(Debug)]
pub enum Action {
    /// Join the key's flight, or lead it: answer with `Led`, `Watching` or `Apart`.
    Join,
    /// Ask L2 and L3, and for the fleet's lease for this flight: answer with `Found`.
    LookUp(Option<Token>),
    /// Have the flight led by a request of the plugin's own, and wait in it: answer with `Watching` or `Apart`.
    Detach(Token),
    /// Another Envoy fetches: answer with `Again` when it is time to look again, and `TimedOut` at the deadline.
    AwaitLease(Token),
    /// Ask the breaker: answer with `Admitted`, `Refused` or `Offered`.
    Admit,
    /// Ask the breaker for a probe's place: answer with `Admitted` or `Refused`.
    Probe,
    /// Have the resource fetched anew in the background as a probe, if the breaker has a place; what is stored was received
    /// then.
    Invite(Wall),
    /// Let the request through to the upstream, which is to say whether a stored response still holds, if there is one.
    Forward(Option<Condition>),
    /// Keep the request where it is.
    Park,
    /// Answer the client.
    Serve(Answer),
    /// Let the response's head pass, with a word on whether it is stored and why not.
    Relay {
        /// Whether a copy is made to be stored.
        stored: bool,
        /// Why it is not stored.
        reason: Option<Reason>,
    },
    /// Put an entry from a farther tier into L1.
    Fill(Held),
    /// Take what is stored under the key out of all tiers, and believe nothing that was asked for up to this time.
    Discard(Wall),
    /// Store a complete response that was asked for at this time in all tiers.
    Keep(Wall, Held),
    /// Store a part of a response that was asked for at this time.
    KeepPart(Wall, Held),
    /// End the flight and tell the waiters.
    End(Token, Outcome),
    /// Have the resource fetched anew in the background, unless what is stored was received after this time.
    Refresh(Wall),
    /// Hold the response and send the client's request again: answer with `Refetched`.
    Refetch,
    /// Answer the client with what that brought.
    Hand(Fetched),
    /// The flight's leader is lost.
    Vacate(Token),
    /// A waiter leaves its place.
    Leave(Token, u64),
    /// Tell the breaker what became of its permit.
    Record(Permit, breaker::Outcome),
    /// The key proved uncacheable, for this reason.
    Remember(Reason),
    /// The key proved cacheable.
    Forget,
    /// What is stored under these keys, and was true at this time, is no longer.
    Invalidate(Wall, Vec<Key>),
}
