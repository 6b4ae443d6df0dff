//! What a client gets when it is answered without the upstream: a stored response, or a refusal.
//!
//! Every such answer carries its `Age` (RFC 9111 §5.1) and one `Cache-Status` member (RFC 9211), appended behind
//! those the stored response came with. Refusals are made in the form of entries, so that a flight's waiters get
//! them like any other answer.

use crate::config::plan;
use crate::flight::{Answer, Origin};
use crate::http::cache_status::{CacheStatus, Fwd};
use crate::http::key::Key;
use crate::http::proxy_status::ProxyError;
use crate::http::{Digest, Fields, Reason};
use crate::store::Entry;
use crate::store::entry::Meta;
use crate::time::Wall;
use std::rc::Rc;
use std::time::Duration;

/// How an answer came about, for its `Cache-Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Where it came from.
    pub origin: Origin,
    /// Whether the request waited for another's fetch and got its answer.
    pub collapsed: bool,
    /// Why the request was not answered at once.
    pub why: Reason,
    /// Whether the client is told the key.
    pub tells_key: bool,
}

/// A plain answer from L1.
pub const FROM_L1: Served =
    Served { origin: Origin::L1, collapsed: false, why: Reason::UriMiss, tells_key: false };

/// The fields of a reply from `entry`.
pub fn served(entry: &Entry<'_>, how: Served, now: Wall) -> Fields {
    marked(entry.fields, entry, how, now)
}

/// `block`, made of the fields of `entry`, with what every reply says.
pub fn marked(block: &[u8], entry: &Entry<'_>, how: Served, now: Wall) -> Fields {
    let mut status = Vec::with_capacity(64);
    cache_status(entry, how, now).write(&mut status);
    if matches!(how.origin, Origin::Refused | Origin::Failed(_)) {
        return Fields::extended(block, &[(b"cache-status", &status)]);
    }
    let mut age = itoa::Buffer::new();
    let age = age.format(entry.age(now).as_secs());
    Fields::extended(block, &[(b"age", age.as_bytes()), (b"cache-status", &status)])
}

/// The fields of a reply from `entry`, and until when they stay the same: `Age` and `ttl` count in seconds.
pub fn served_until(entry: &Entry<'_>, how: Served, now: Wall) -> (Fields, Wall) {
    let to_next_age = Duration::from_millis(1_000).saturating_sub(beyond_second(entry.age(now)));
    let to_next_ttl =
        beyond_second(entry.meta.fresh_until.since(now)).saturating_add(Duration::from_millis(1));
    (served(entry, how, now), now.after(to_next_age.min(to_next_ttl)))
}

fn beyond_second(duration: Duration) -> Duration {
    Duration::from_millis(u64::from(duration.subsec_millis()))
}

fn cache_status(entry: &Entry<'_>, how: Served, now: Wall) -> CacheStatus {
    let ttl = Some(entry.ttl_seconds(now));
    let key = how.tells_key.then(|| Digest::first_of(&blake3::hash(entry.key)));
    let none = CacheStatus { key, ..CacheStatus::default() };
    let collapsed = how.collapsed.then_some(true);
    match how.origin {
        Origin::L1 => CacheStatus { hit: true, ttl, detail: Some("l1"), ..none },
        Origin::L2 => CacheStatus { hit: true, ttl, collapsed, detail: Some("l2"), ..none },
        Origin::L3 => CacheStatus { hit: true, ttl, collapsed, detail: Some("l3"), ..none },
        Origin::Upstream => CacheStatus { fwd: Some(how.why.fwd()), ttl, collapsed, ..none },
        Origin::Revalidated { stored } => CacheStatus {
            // What was fresh was not stale: the client wished to have it confirmed (RFC 9211 §2.2).
            fwd: Some(if how.why == Reason::RequestDirectives { Fwd::Request } else { Fwd::Stale }),
            fwd_status: Some(304),
            ttl,
            stored: stored && !how.collapsed,
            collapsed,
            ..none
        },
        Origin::StaleOnError(code) => CacheStatus {
            fwd: Some(Fwd::Stale),
            fwd_status: Some(code),
            ttl,
            collapsed,
            detail: Some(Reason::UpstreamFailed.word()),
            ..none
        },
        Origin::StaleOnOpen => {
            let why = match how.why {
                Reason::Shed | Reason::BreakerForced => how.why,
                _ => Reason::BreakerOpen,
            };
            CacheStatus { hit: true, ttl, collapsed, detail: Some(why.word()), ..none }
        }
        // Neither a hit nor forwarded.
        Origin::Refused => CacheStatus { detail: Some(how.why.word()), ..none },
        Origin::Failed(status) => CacheStatus {
            // It was asked about what is stale.
            fwd: Some(if status == 304 { Fwd::Stale } else { how.why.fwd() }),
            fwd_status: Some(status),
            collapsed,
            detail: Some(how.why.word()),
            ..none
        },
    }
}

/// The circuit is open and there is no copy: the rule's own answer, or 503; and when to come again (RFC 9110 §15.6.4,
/// RFC 9209 §2.1.1).
pub(super) fn refusal(
    key: Option<&Key>,
    why: Reason,
    retry_after: Duration,
    own_answer: Option<&plan::Answer>,
    now: Wall,
) -> Answer {
    // Rounded up: whoever comes back after the stated time must not be too early.
    let mut seconds = itoa::Buffer::new();
    let seconds = seconds.format(retry_after.as_millis().div_ceil(1_000).max(1));
    let mut proxy_status = Vec::new();
    let details = if why == Reason::Shed { "load is shed" } else { "circuit open" };
    ProxyError::DestinationUnavailable.write(details, &mut proxy_status);
    let (status, content_type, body) = own_answer.map_or((503, "text/plain", REFUSED), |answer| {
        (answer.status, answer.content_type.as_str(), answer.body.as_str())
    });
    let fields: [(&[u8], &[u8]); 4] = [
        (b"retry-after", seconds.as_bytes()),
        (b"proxy-status", &proxy_status),
        (b"cache-control", b"no-store"),
        (b"content-type", content_type.as_bytes()),
    ];
    own(key, status, &fields, body.as_bytes(), now)
}

const REFUSED: &str = "The upstream is failing and nothing stored can stand in. Try again later.\n";

/// As many wait as may, and the rule spares the upstream the rest: 503, and to come again in a second, when those who
/// wait will have their answer.
pub(super) fn crowded(key: Option<&Key>, now: Wall) -> Answer {
    let mut proxy_status = Vec::new();
    ProxyError::ProxyInternalResponse.write("too many wait for the same", &mut proxy_status);
    own(
        key,
        503,
        &[
            (b"retry-after", b"1"),
            (b"proxy-status", &proxy_status),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/plain"),
        ],
        b"Too many requests wait for an answer already. Try again in a moment.\n",
        now,
    )
}

/// The upstream failed another's request, and its answer is that client's alone. Whoever waited for it would only add
/// to the load on a failing upstream: they are told the status, and nothing of the answer.
pub(super) fn failed(key: Option<&Key>, status: u16, now: Wall) -> Answer {
    let mut proxy_status = Vec::new();
    ProxyError::DestinationUnavailable.write("the upstream failed this request's like", &mut proxy_status);
    let body = b"The upstream is failing. Try again later.\n";
    let answer = own(
        key,
        status,
        &[
            (b"proxy-status", &proxy_status),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/plain"),
        ],
        body,
        now,
    );
    Answer { origin: Origin::Failed(status), ..answer }
}

/// The upstream confirmed a response that was not asked about, and may not stand in for what was asked for.
pub(super) fn confused(key: Option<&Key>, now: Wall) -> Answer {
    let mut proxy_status = Vec::new();
    ProxyError::HttpProtocolError
        .write("not modified, but another response than was asked about", &mut proxy_status);
    let answer = own(
        key,
        502,
        &[
            (b"proxy-status", &proxy_status),
            (b"cache-control", b"no-store"),
            (b"content-type", b"text/plain"),
        ],
        b"The upstream answered about another response than it was asked about. Try again.\n",
        now,
    );
    Answer { origin: Origin::Failed(304), ..answer }
}

/// A refresh, while what it would refresh is being fetched.
pub(super) fn needless(key: Option<&Key>, now: Wall) -> Answer {
    own(key, 200, &[(b"cache-control", b"no-store"), (b"content-type", b"text/plain")], b"", now)
}

/// `only-if-cached`, and nothing stored can answer: 504 (RFC 9111 §5.2.1.7).
pub(super) fn not_cached(key: Option<&Key>, now: Wall) -> Answer {
    own(
        key,
        504,
        &[(b"cache-control", b"no-store"), (b"content-type", b"text/plain")],
        b"Nothing is stored that could answer, and the request asked not to go further.\n",
        now,
    )
}

fn own(key: Option<&Key>, status: u16, fields: &[(&[u8], &[u8])], body: &[u8], now: Wall) -> Answer {
    let fields = Fields::of(fields.iter().copied());
    let entry = Entry {
        meta: Meta {
            status,
            received_at: now,
            initial_age: Duration::ZERO,
            fresh_until: now,
            stale_until: now,
            refresh_until: now,
            never_stale: true,
            etag_generated: false,
            took: Duration::ZERO,
            // It holds nothing of anybody's.
            authorized: true,
        },
        key: key.map_or(&[][..], Key::bytes),
        selecting: b"",
        tags: b"",
        fields: fields.as_block(),
        body,
    };
    Answer::new(Origin::Refused, Rc::new(entry.encode()))
}

#[cfg(test)]
mod tests;
