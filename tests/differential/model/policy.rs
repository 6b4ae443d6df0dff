//! What Breakwater has chosen where RFC 9111 leaves the choice to the cache, as README states it.
//!
//! Whatever widens reuse beyond these would be allowed by the RFC and still be a difference; whatever narrows it is a
//! reuse missed.

use crate::history::Ms;

/// Heuristic freshness (§4.2.2): a share of the time since the last change, and its limit.
pub const HEURISTIC_PERCENT: i64 = 10;
pub const LONGEST_HEURISTIC: Ms = 24 * 3_600_000;

/// `stale_if_error` where the response states none (RFC 5861 §4).
pub const STALE_IF_ERROR: Ms = 3_600_000;

/// Statuses that are an upstream's failure: a stale copy stands in for them, and they are kept only while fresh.
pub fn is_failure(status: u16) -> bool {
    (500..600).contains(&status) && !matches!(status, 501 | 505..=508 | 510 | 511)
}

/// Statuses whose meaning for caches is known (§5.2.2.3): those of RFC 9110 §15.
pub fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}

/// Request fields that send a GET or HEAD past the cache, because the origin alone can judge them.
pub const PAST_THE_CACHE: [&str; 2] = ["if-match", "if-unmodified-since"];

/// What the clock of a busy machine may add to any moment.
pub const SLACK: Ms = 150;
