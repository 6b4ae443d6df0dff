//! Whether a response may be shared, and whether it is kept (RFC 9111 §3).
//!
//! Two questions, asked of every response before a byte of it reaches anybody but its own client. Sharing is one of
//! permission: may a second client have this answer at all? A request that waited for another's answer may take it
//! even if it lives for no time, since both asked at once. Keeping needs permission and a lifetime that is not over.
//! Each "no" says why.

use super::freshness;
use super::reason::Reason;
use super::request::{Handling, Method, RequestHead};
use super::response::ResponseHead;
use super::vary::Vary;
use crate::time::Wall;
use std::time::Duration;

/// What a rule says where the response says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoringPolicy {
    /// Lifetime of a response that states none; zero: none.
    pub default_ttl: Duration,
    /// Percentage of the time without change that such a response is fresh where `default_ttl` is zero; 0: none.
    pub heuristic_percent: u32,
    /// How long past its lifetime a response may stand in for an error, where it does not say so itself.
    pub stale_if_error: Duration,
}

/// How long a kept response serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long it is still fresh, from its reception on; above zero.
    pub fresh_for: Duration,
    /// How old it was at reception.
    pub initial_age: Duration,
    /// How long after that it may stand in for an error; zero where the response forbids to serve it stale.
    pub stale_if_error: Duration,
}

/// What may be done with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether another client may have it.
    pub share: Result<(), Reason>,
    /// Whether it is kept, and for how long; never without permission to share.
    pub store: Result<Lifetime, Reason>,
}

/// Judges `response` to `request`. `partitioned`: it is reused for the same caller alone.
pub fn judge(
    request: &RequestHead,
    response: &ResponseHead,
    partitioned: bool,
    policy: &StoringPolicy,
    requested_at: Wall,
    received_at: Wall,
) -> Verdict {
    let share = permission(request, response, partitioned, received_at);
    let store = share.and_then(|()| kept(response, policy, requested_at, received_at));
    Verdict { share, store }
}

/// Whether another client may have the response, whatever its lifetime.
fn permission(
    request: &RequestHead,
    response: &ResponseHead,
    partitioned: bool,
    received_at: Wall,
) -> Result<(), Reason> {
    let directives = &response.directives;
    match (request.handling(), request.method) {
        (Handling::Cacheable, Method::Get) => {}
        (Handling::Pass(reason), _) => return Err(reason),
        (Handling::Cacheable | Handling::Invalidates, _) => return Err(Reason::Method),
    }
    // "the response status code is final", and neither a part of a response nor an update of one.
    if !matches!(response.status, 200..=205 | 207..=303 | 305..=599) {
        return Err(Reason::Status);
    }
    // RFC 9111 §5.2.2.3: must-understand limits caching to known statuses, and for those lifts no-store.
    if directives.must_understand && !is_understood(response.status) {
        return Err(Reason::Status);
    }
    if directives.no_store && !directives.must_understand {
        return Err(Reason::NoStore);
    }
    if directives.private && !partitioned {
        return Err(Reason::Private);
    }
    if directives.no_cache {
        return Err(Reason::NoCache);
    }
    if response.set_cookie {
        return Err(Reason::SetCookie);
    }
    if response.vary == Vary::Star {
        return Err(Reason::VaryStar);
    }
    if request.authorization && !partitioned && !permits_authorized(response, received_at) {
        return Err(Reason::Authorization);
    }
    Ok(())
}

/// Whether the response permits reuse for others although its request was authorized (RFC 9111 §3.5).
pub fn permits_authorized(response: &ResponseHead, received_at: Wall) -> bool {
    let directives = &response.directives;
    // These two permit reuse while fresh, or once the upstream has agreed: with no lifetime at all they permit none.
    let while_fresh = directives.must_revalidate || directives.s_maxage.is_some();
    let never_fresh = freshness::stated_lifetime(response, received_at) == Some(Duration::ZERO);
    directives.public || (while_fresh && !never_fresh)
}

/// How long a response that may be shared is kept.
fn kept(
    response: &ResponseHead,
    policy: &StoringPolicy,
    requested_at: Wall,
    received_at: Wall,
) -> Result<Lifetime, Reason> {
    let lifetime = freshness::lifetime(response, policy.default_ttl, policy.heuristic_percent, received_at)
        .ok_or(Reason::NoLifetime)?;
    let initial_age = freshness::initial_age(response, requested_at, received_at);
    let fresh_for = lifetime.saturating_sub(initial_age);
    if fresh_for.is_zero() {
        return Err(Reason::Expired);
    }
    Ok(Lifetime { fresh_for, initial_age, stale_if_error: stale_if_error(response, policy) })
}

/// How long past its lifetime the response may stand in for an error (RFC 9111 §4.2.4, RFC 5861 §4).
fn stale_if_error(response: &ResponseHead, policy: &StoringPolicy) -> Duration {
    let directives = &response.directives;
    // s-maxage has the meaning of proxy-revalidate (RFC 9111 §5.2.2.10).
    let never_stale = directives.must_revalidate
        || directives.proxy_revalidate
        || directives.s_maxage.is_some()
        || directives.no_cache;
    if never_stale { Duration::ZERO } else { directives.stale_if_error.unwrap_or(policy.stale_if_error) }
}

/// Whether what the status code means for caching is known and heeded here: those of RFC 9110 §15 but 206 and 304.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

#[cfg(test)]
mod tests;
