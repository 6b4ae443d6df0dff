//! `Retry-After` (RFC 9110 §10.2.3): how long does the upstream ask to be left alone?

use super::date;
use crate::time::Wall;
use std::time::Duration;

/// The time that a field value says, from now; `None` if it says none. A date that has passed is no time at all.
pub fn parse(value: &[u8], now: Wall) -> Option<Duration> {
    let value = value.trim_ascii();
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return date::parse(value, now).map(|date| date.since(now));
    }
    let seconds = value.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
    });
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_nothing_else() {
        // 2026-01-01 00:00:00.
        let now = Wall(1_767_225_600_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
            ("Wed, 31 Dec 2025 23:59:59 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            let read = parse(value.as_bytes(), now);
            assert_eq!(read, expected.map(Duration::from_secs), "{value}");
        }
    }
}
