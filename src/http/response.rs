//! What a response says about its reuse (RFC 9110 §8, RFC 9111 §5).
//!
//! One pass over the fields gathers all that the decisions need. What is badly written never prolongs a life: an
//! Expires that is no date, or stands twice, is the past (RFC 9111 §5.3); a Date that is no date is none, and an Age
//! that is no number is none (§5.1).

use super::cache_control::{ResponseDirectives, delta_seconds};
use super::date;
use super::fields::Fields;
use super::targeted;
use super::vary::Vary;
use crate::time::Wall;
use std::time::Duration;

/// What the cache wants to know of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code; 0 if there is none.
    pub status: u16,
    /// Its Cache-Control.
    pub directives: ResponseDirectives,
    /// Its age as it arrived (Age); zero if it states none.
    pub age: Duration,
    /// When it was made.
    pub date: Option<Wall>,
    /// When it ends; the epoch where Expires is there but is no date.
    pub expires: Option<Wall>,
    /// When what it represents was last changed, if it says so once.
    pub last_modified: Option<Wall>,
    /// Which request fields it depends on.
    pub vary: Vary,
    /// Whether it sets a cookie.
    pub set_cookie: bool,
    /// Content-Length, if it is one number.
    pub content_length: Option<u64>,
    /// Whether it can be validated later: it has an ETag, or a Last-Modified that is a date.
    pub has_validator: bool,
    /// Whether it is a stream of server-sent events.
    pub event_stream: bool,
}

impl ResponseHead {
    /// Reads a response's fields, `:status` included; `received_at` places dates with two-digit years.
    pub fn read(fields: &Fields, received_at: Wall) -> Self {
        Self::read_for(&[], fields, received_at)
    }

    /// As [`Self::read`], for a cache that the fields `targeted` speak to, the first before the second: a valid one
    /// stands in place of Cache-Control and Expires (RFC 9213 §2.2).
    pub fn read_for(targeted: &[String], fields: &Fields, received_at: Wall) -> Self {
        let mut head = Self::default();
        let (mut ages, mut dates, mut changes, mut lengths) = (0_u32, 0_u32, 0_u32, 0_u32);
        for (name, value) in fields.iter() {
            match name {
                b":status" => head.status = status(value).unwrap_or(0),
                b"cache-control" => head.directives.read_line(value),
                b"age" if is_first(&mut ages) => head.age = age(value).unwrap_or_default(),
                b"date" => {
                    let first = is_first(&mut dates);
                    head.date = date::parse(value, received_at).filter(|_| first);
                }
                b"expires" => {
                    let expires = date::parse(value, received_at).filter(|_| head.expires.is_none());
                    head.expires = Some(expires.unwrap_or(Wall(0)));
                }
                b"vary" => head.vary.read_line(value),
                b"set-cookie" | b"set-cookie2" => head.set_cookie = true,
                b"content-length" => {
                    let first = is_first(&mut lengths);
                    head.content_length = number(value).filter(|_| first);
                }
                b"etag" => head.has_validator |= !value.is_empty(),
                b"last-modified" => {
                    let first = is_first(&mut changes);
                    let changed = date::parse(value, received_at);
                    head.has_validator |= changed.is_some();
                    head.last_modified = changed.filter(|_| first);
                }
                b"content-type" => head.event_stream |= is_event_stream(value),
                _ => {}
            }
        }
        let spoken_to = |name: &String| targeted::read(fields.values(name.as_bytes()));
        if let Some(directives) = targeted.iter().find_map(spoken_to) {
            head.directives = directives;
            head.expires = None;
        }
        head
    }
}

fn is_first(lines: &mut u32) -> bool {
    let first = *lines == 0;
    *lines = lines.saturating_add(1);
    first
}

/// `text/event-stream`, with or without parameters.
fn is_event_stream(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// Three digits.
fn status(value: &[u8]) -> Option<u16> {
    number(value).filter(|_| value.len() == 3).and_then(|status| u16::try_from(status).ok())
}

/// The first member counts (RFC 9111 §5.1), cut off like every delta-seconds.
fn age(value: &[u8]) -> Option<Duration> {
    delta_seconds(value.split(|byte| *byte == b',').next()?.trim_ascii())
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::super::cache_control::MAX_DELTA_SECONDS;
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const NOW: Wall = Wall(1_767_225_600_000);
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const THEN: Wall = Wall(784_111_777_000);

    fn read(pairs: &[(&str, &str)]) -> ResponseHead {
        let fields = Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        ResponseHead::read(&fields, NOW)
    }

    #[test]
    fn each_field_is_read() {
        let head = read(&[
            (":status", "203"),
            ("cache-control", "max-age=5"),
            ("cache-control", "public"),
            ("age", "7"),
            ("date", DATE),
            ("expires", DATE),
            ("vary", "b"),
            ("vary", "a"),
            ("set-cookie", "a=b"),
            ("content-length", "12"),
            ("etag", "\"x\""),
            ("content-type", "text/plain"),
        ]);
        let directives =
            ResponseDirectives { public: true, max_age: Some(Duration::from_secs(5)), ..Default::default() };
        let expected = ResponseHead {
            status: 203,
            directives,
            age: Duration::from_secs(7),
            date: Some(THEN),
            expires: Some(THEN),
            last_modified: None,
            vary: Vary::Fields(vec![b"a".to_vec(), b"b".to_vec()]),
            set_cookie: true,
            content_length: Some(12),
            has_validator: true,
            event_stream: false,
        };
        assert_eq!(head, expected);
        assert_eq!(read(&[]), ResponseHead::default());
    }

    #[test]
    fn of_several_ages_the_first_counts_and_what_is_no_number_is_none() {
        for (lines, expected) in [
            (&["7200"][..], 7200),
            (&["0"], 0),
            (&["007"], 7),
            (&["7200,0"], 7200),
            (&["7200, 0"], 7200),
            (&["0, 7200"], 0),
            (&["7200", "0"], 7200),
            (&["0", "7200"], 0),
            (&["x", "7200"], 0),
            (&["x, 7200"], 0),
            (&["7200, x"], 7200),
            (&["abc"], 0),
            (&["7200a"], 0),
            (&["-7200"], 0),
            (&["7200.0"], 0),
            (&["7200;foo=bar"], 0),
            (&[""], 0),
            (&["2147483646"], MAX_DELTA_SECONDS - 1),
            (&["2147483647"], MAX_DELTA_SECONDS),
            (&["2147483648"], MAX_DELTA_SECONDS),
            (&["2147483649"], MAX_DELTA_SECONDS),
            (&["99999999999999999999999"], MAX_DELTA_SECONDS),
        ] {
            let pairs = lines.iter().map(|line| ("age", *line)).collect::<Vec<_>>();
            assert_eq!(read(&pairs).age, Duration::from_secs(expected), "{lines:?}");
        }
    }

    #[test]
    fn an_expires_that_is_no_date_or_stands_twice_is_the_past() {
        assert_eq!(read(&[("expires", "0")]).expires, Some(Wall(0)));
        assert_eq!(read(&[("expires", "")]).expires, Some(Wall(0)));
        assert_eq!(read(&[("expires", DATE), ("expires", DATE)]).expires, Some(Wall(0)));
        assert_eq!(read(&[("expires", &format!("{DATE},{DATE}"))]).expires, Some(Wall(0)));
        assert_eq!(read(&[]).expires, None);
    }

    #[test]
    fn a_date_that_is_no_date_or_stands_twice_is_none() {
        assert_eq!(read(&[("date", "today")]).date, None);
        assert_eq!(read(&[("date", DATE), ("date", DATE)]).date, None);
        assert_eq!(read(&[("date", "today"), ("date", DATE)]).date, None);
    }

    #[test]
    fn a_content_length_is_one_number() {
        for (lines, expected) in [
            (&["0"][..], Some(0)),
            (&["18446744073709551615"], Some(u64::MAX)),
            (&["18446744073709551616"], None),
            (&["1,1"], None),
            (&["-1"], None),
            (&[""], None),
            (&["1", "2"], None),
            (&["x", "2"], None),
        ] {
            let pairs = lines.iter().map(|line| ("content-length", *line)).collect::<Vec<_>>();
            assert_eq!(read(&pairs).content_length, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_tag_or_a_date_of_change_is_a_validator() {
        for (name, value, expected) in [
            ("etag", "W/\"x\"", true),
            ("etag", "", false),
            ("last-modified", DATE, true),
            ("last-modified", "yesterday", false),
            ("date", DATE, false),
        ] {
            assert_eq!(read(&[(name, value)]).has_validator, expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_status_is_three_digits() {
        for (value, expected) in
            [("200", 200), ("599", 599), ("20", 0), ("2000", 0), ("abc", 0), ("", 0), ("+20", 0)]
        {
            assert_eq!(read(&[(":status", value)]).status, expected, "{value}");
        }
    }

    proptest! {
        #![proptest_config(cases(128))]

        #[test]
        fn any_fields_are_read_without_panic(values in prop::collection::vec((0_usize..12, prop::collection::vec(any::<u8>(), 0..40)), 0..12), now in any::<u64>()) {
            let names = [":status", "cache-control", "age", "date", "expires", "vary", "set-cookie", "content-length", "etag", "last-modified", "content-type", "x"];
            let fields = Fields::of(values.iter().map(|(name, value)| (names[*name].as_bytes(), &value[..])));
            ResponseHead::read(&fields, Wall(now));
        }
    }
}
