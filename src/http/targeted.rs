//! Cache-Control for some caches only (RFC 9213): CDN-Cache-Control and other targeted fields.
//!
//! Such a field says what Cache-Control says, in a stricter grammar: it is a dictionary (RFC 9651 §3.2), whose keys
//! are lower case and whose last value of a key counts. Where it is valid and not empty, it stands instead of
//! Cache-Control and Expires, even if it names nothing but what is unknown here (RFC 9213 §2.2); else it is as if it
//! were not there, and the next field in the order of priority has its turn.
//!
//! A value of another type than the directive's is not to be consumed (§2.1). Which directives would be left then
//! is guesswork, and one that its author took for a bound might be missing: so the whole field is not valid. A
//! negative lifetime has the right type and is over, as it is in Cache-Control.

use super::cache_control::{MAX_DELTA_SECONDS, ResponseDirectives};
use super::structured::{self, Dictionary, Value};
use std::time::Duration;

/// Reads all lines of a targeted field; `None` if it is absent, empty or not valid.
pub fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<ResponseDirectives> {
    let whole = structured::join(lines);
    let members = structured::dictionary(&whole).filter(|members| !members.is_empty())?;
    Some(ResponseDirectives {
        no_store: flag(&members, "no-store")?,
        no_cache: flag_or_fields(&members, "no-cache")?,
        private: flag_or_fields(&members, "private")?,
        public: flag(&members, "public")?,
        must_revalidate: flag(&members, "must-revalidate")?,
        proxy_revalidate: flag(&members, "proxy-revalidate")?,
        must_understand: flag(&members, "must-understand")?,
        max_age: lifetime(&members, "max-age")?,
        s_maxage: lifetime(&members, "s-maxage")?,
        stale_if_error: lifetime(&members, "stale-if-error")?,
        stale_while_revalidate: lifetime(&members, "stale-while-revalidate")?,
    })
}

/// A directive without argument. In this and the next two, the outer `None` is a value of another type.
fn flag(members: &Dictionary<'_>, key: &str) -> Option<bool> {
    match members.get(key) {
        None => Some(false),
        Some(Value::Boolean(set)) => Some(*set),
        Some(_) => None,
    }
}

/// A directive that may name fields: in a string, or a single one in a token (RFC 9111 §5.2).
fn flag_or_fields(members: &Dictionary<'_>, key: &str) -> Option<bool> {
    match members.get(key) {
        Some(Value::String(_) | Value::Token(_)) => Some(true),
        _ => flag(members, key),
    }
}

/// A directive whose argument is a number of seconds, cut off like every delta-seconds (RFC 9111 §1.2.2).
fn lifetime(members: &Dictionary<'_>, key: &str) -> Option<Option<Duration>> {
    match members.get(key) {
        None => Some(None),
        Some(Value::Integer(seconds)) => {
            let seconds = u64::try_from(*seconds).unwrap_or(0);
            Some(Some(Duration::from_secs(seconds.min(MAX_DELTA_SECONDS))))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
