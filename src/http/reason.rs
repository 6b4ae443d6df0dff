//! Every "no" has a reason, and one word for it.
//!
//! The word is what an operator meets everywhere: as `detail` in Cache-Status, as metric label, in logs.

/// Why a request was not answered from the store, or a response not shared or kept, or a fallback was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    // ## The request is not for the cache.
    /// The rule switches caching and coalescing off.
    Disabled,
    /// Neither GET nor HEAD.
    Method,
    /// The request carries a body.
    RequestBody,
    /// An upgrade, CONNECT or gRPC call.
    Tunnel,
    /// The upstream sent the part of the response that was asked for.
    Range,
    /// If-Match or If-Unmodified-Since, which the upstream alone can judge.
    Precondition,
    /// The client's `Cache-Control: no-store`.
    RequestNoStore,
    /// The client asked for a fresher response than is stored, and the rule honours that.
    RequestDirectives,
    /// The client's `Cache-Control: only-if-cached`, and nothing is stored.
    OnlyIfCached,
    /// The key would be longer than is allowed.
    KeyTooLong,

    // ## Nothing usable is stored.
    /// Nothing is stored under this key.
    UriMiss,
    /// What is stored was selected by other request fields (Vary).
    VaryMiss,
    /// What is stored is no longer fresh.
    Stale,

    // ## The response may not be shared or kept.
    /// `Cache-Control: no-store`.
    NoStore,
    /// `Cache-Control: private`, and the key does not partition by caller.
    Private,
    /// `Cache-Control: no-cache`: not to be reused without asking.
    NoCache,
    /// The response sets a cookie.
    SetCookie,
    /// The request was authorized and the response does not permit sharing.
    Authorization,
    /// `Vary: *`.
    VaryStar,
    /// A partial or not-modified response, or a status that is not understood.
    Status,
    /// The response states no lifetime, and the rule gives none.
    NoLifetime,
    /// The lifetime is over on arrival.
    Expired,
    /// A stream of events, which has no end to wait for.
    EventStream,
    /// The response is larger than any tier takes.
    TooLarge,

    // ## Waiting came to nothing.
    /// The key was uncacheable a moment ago, so nobody waits for it.
    Uncacheable,
    /// The wait took longer than `coalesce.wait_timeout`.
    WaitTimeout,
    /// As many wait already as `coalesce.max_waiters` or `max_waiters` allows.
    TooManyWaiters,

    // ## The upstream is failing.
    /// The upstream answered with an error, or not at all.
    UpstreamFailed,
    /// The circuit to the upstream is open.
    BreakerOpen,
    /// The circuit sheds a share of the requests, and this one is in it.
    Shed,
    /// An operator has opened the circuit.
    BreakerForced,
}

impl Reason {
    /// All reasons, for metrics that are defined ahead.
    pub const ALL: [Self; 31] = [
        Self::Disabled,
        Self::Method,
        Self::RequestBody,
        Self::Tunnel,
        Self::Range,
        Self::Precondition,
        Self::RequestNoStore,
        Self::RequestDirectives,
        Self::OnlyIfCached,
        Self::KeyTooLong,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Stale,
        Self::NoStore,
        Self::Private,
        Self::NoCache,
        Self::SetCookie,
        Self::Authorization,
        Self::VaryStar,
        Self::Status,
        Self::NoLifetime,
        Self::Expired,
        Self::EventStream,
        Self::TooLarge,
        Self::Uncacheable,
        Self::WaitTimeout,
        Self::TooManyWaiters,
        Self::UpstreamFailed,
        Self::BreakerOpen,
        Self::Shed,
        Self::BreakerForced,
    ];

    /// The word; a token of RFC 8941, lower case with hyphens.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Method => "method",
            Self::RequestBody => "request-body",
            Self::Tunnel => "tunnel",
            Self::Range => "range",
            Self::Precondition => "precondition",
            Self::RequestNoStore => "request-no-store",
            Self::RequestDirectives => "request-directives",
            Self::OnlyIfCached => "only-if-cached",
            Self::KeyTooLong => "key-too-long",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::SetCookie => "set-cookie",
            Self::Authorization => "authorization",
            Self::VaryStar => "vary-star",
            Self::Status => "status",
            Self::NoLifetime => "no-lifetime",
            Self::Expired => "expired",
            Self::EventStream => "event-stream",
            Self::TooLarge => "too-large",
            Self::Uncacheable => "uncacheable",
            Self::WaitTimeout => "wait-timeout",
            Self::TooManyWaiters => "too-many-waiters",
            Self::UpstreamFailed => "upstream-failed",
            Self::BreakerOpen => "breaker-open",
            Self::Shed => "shed",
            Self::BreakerForced => "breaker-forced",
        }
    }
}
