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

/// Whether a response that sets a cookie is for others too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetCookie {
    /// It is for its own client.
    #[default]
    Refuse,
    /// It is, if nothing else is against it.
    Store,
}

/// What a rule says beside the response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoringPolicy {
    /// Lifetime of a response that states none; zero: none.
    pub default_ttl: Duration,
    /// Lifetime of a response whatever it states, if it may be reused at all.
    pub override_ttl: Option<Duration>,
    /// Longest lifetime.
    pub max_ttl: Option<Duration>,
    /// Lifetimes by status code, of responses that state none.
    pub statuses: Vec<(u16, Duration)>,
    /// How much of the time since its last change a response that states no lifetime is fresh (RFC 9111 §4.2.2), in
    /// percent; zero: none.
    pub heuristic_percent: u32,
    /// What to do with a response that sets a cookie.
    pub set_cookie: SetCookie,
    /// How long past its lifetime a response may stand in for an error, where it does not say so itself.
    pub stale_if_error: Duration,
    /// How long past its lifetime a response may be served while it is refreshed, where it does not say so itself.
    pub stale_while_revalidate: Duration,
}

impl StoringPolicy {
    /// The lifetime of responses with this status that state none.
    pub fn by_status(&self, status: u16) -> Option<Duration> {
        self.statuses.iter().find(|(known, _)| *known == status).map(|(_, ttl)| *ttl)
    }
}

/// How long a kept response serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How old it may become and still be fresh; zero where it states nothing, or must be validated.
    pub lifetime: Duration,
    /// How old it was at reception: older than its lifetime, if it is kept to be validated.
    pub initial_age: Duration,
    /// How long after that it may stand in for an error; zero where the response forbids to serve it stale.
    pub stale_if_error: Duration,
    /// How long after that it may be served while it is refreshed; zero where the response forbids to serve it stale.
    pub stale_while_revalidate: Duration,
    /// Whether the response forbids to serve it stale.
    pub never_stale: bool,
}

impl Lifetime {
    /// How long it is fresh from its reception on.
    pub fn fresh_for(&self) -> Duration {
        self.lifetime.saturating_sub(self.initial_age)
    }
}

/// What may be done with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether another client may have it.
    pub share: Result<(), Reason>,
    /// Whether it is kept, and for how long. A response that may not be reused unvalidated is kept though not shared.
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
    let permission = permission(request, response, partitioned, policy, received_at);
    let share = permission.and(match response {
        // A part is for who asked for it; it may be kept for others who ask for what lies within it.
        ResponseHead { status: 206, .. } => Err(Reason::Range),
        ResponseHead { directives, .. } if directives.no_cache => Err(Reason::NoCache),
        _ => Ok(()),
    });
    let store = permission.and_then(|()| kept(response, policy, requested_at, received_at));
    Verdict { share, store }
}

/// Whether another client may have the response, whatever its lifetime, if need be once it is validated.
fn permission(
    request: &RequestHead,
    response: &ResponseHead,
    partitioned: bool,
    policy: &StoringPolicy,
    received_at: Wall,
) -> Result<(), Reason> {
    let directives = &response.directives;
    match (request.handling(), request.method) {
        (Handling::Cacheable, Method::Get) => {}
        (Handling::Pass(reason), _) => return Err(reason),
        (Handling::Cacheable | Handling::Invalidates, _) => return Err(Reason::Method),
    }
    // A part that nobody asked for is no answer that could be understood.
    if response.status == 206 && !request.range {
        return Err(Reason::Range);
    }
    // "the response status code is final", and neither a part of a response nor an update of one.
    if !matches!(response.status, 200..=303 | 305..=599) {
        return Err(Reason::Status);
    }
    // RFC 9111 §5.2.2.3: must-understand limits caching to known statuses, and for those lifts no-store.
    if directives.must_understand && !is_understood(response.status) {
        return Err(Reason::Status);
    }
    if directives.no_store && !directives.must_understand {
        return Err(Reason::NoStore);
    }
    if response.event_stream {
        return Err(Reason::EventStream);
    }
    if directives.private && !partitioned {
        return Err(Reason::Private);
    }
    if response.set_cookie && policy.set_cookie == SetCookie::Refuse {
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

/// How long a response that may be kept serves (RFC 9111 §4.2, §4.2.4; RFC 5861).
fn kept(
    response: &ResponseHead,
    policy: &StoringPolicy,
    requested_at: Wall,
    received_at: Wall,
) -> Result<Lifetime, Reason> {
    let directives = &response.directives;
    let initial_age = freshness::initial_age(response, requested_at, received_at);
    let lifetime = if directives.no_cache {
        Err(Reason::NoCache)
    } else {
        // What is private to a caller is so for as long as it says.
        let override_ttl = policy.override_ttl.filter(|_| !directives.private);
        lifetime(response, policy, override_ttl.unwrap_or(policy.default_ttl), received_at)
            .ok_or(Reason::NoLifetime)
            .map(|lifetime| override_ttl.unwrap_or(lifetime))
            .map(|lifetime| lifetime.min(policy.max_ttl.unwrap_or(Duration::MAX)))
    };
    let lifetime = match lifetime {
        Ok(lifetime) if lifetime > initial_age => lifetime,
        // Never to be reused as it is, and yet of use: the next request asks whether it has changed (§4.3).
        stated
            if response.has_validator && response.status != 206 && permits(response, policy, received_at) =>
        {
            stated.unwrap_or_default()
        }
        Ok(_) => return Err(Reason::Expired),
        Err(reason) => return Err(reason),
    };
    // s-maxage has the meaning of proxy-revalidate (RFC 9111 §5.2.2.10).
    let never_stale = directives.must_revalidate
        || directives.proxy_revalidate
        || directives.s_maxage.is_some()
        || directives.no_cache;
    let unless_forbidden = |window: Duration| if never_stale { Duration::ZERO } else { window };
    Ok(Lifetime {
        lifetime,
        initial_age,
        // An old failure is no better than a new one.
        stale_if_error: if response.status >= 500 {
            Duration::ZERO
        } else {
            unless_forbidden(directives.stale_if_error.unwrap_or(policy.stale_if_error))
        },
        stale_while_revalidate: unless_forbidden(
            directives.stale_while_revalidate.unwrap_or(policy.stale_while_revalidate),
        ),
        never_stale,
    })
}

/// Whether anything permits to keep the response (RFC 9111 §3, the last of its conditions): the status, the response,
/// or the rule.
fn permits(response: &ResponseHead, policy: &StoringPolicy, received_at: Wall) -> bool {
    // private permits it where only its own caller gets it, and elsewhere this is not asked.
    freshness::is_heuristically_cacheable(response.status)
        || response.directives.public
        || response.directives.private
        || freshness::stated_lifetime(response, received_at).is_some()
        || policy.by_status(response.status).is_some()
        || policy.override_ttl.is_some()
}

/// What the response states, else what the rule says of its status, else of all responses, else a guess.
fn lifetime(
    response: &ResponseHead,
    policy: &StoringPolicy,
    default_ttl: Duration,
    received_at: Wall,
) -> Option<Duration> {
    freshness::stated_lifetime(response, received_at)
        .or_else(|| policy.by_status(response.status))
        .or_else(|| freshness::lifetime(response, default_ttl, policy.heuristic_percent, received_at))
}

/// Whether what the status code means for caching is known and heeded here: those of RFC 9110 §15 but 206 and 304.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=205 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

#[cfg(test)]
mod tests;
