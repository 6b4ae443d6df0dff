//! Which part of a representation a response has (RFC 9110 §14.4).
//!
//! Of what it is told wrongly nothing may be put together (§14.4), so a value is read as the grammar has it or not at
//! all: no number is cut off to fit, and a part that does not lie within its representation is none. A refusal's
//! `bytes */10` is the place of no part, and so none either.

use super::range::{self, Part};

/// Place of one part in its representation: `first` is not above `last`, `last` is below `complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
    /// Length of the representation, where the sender knew it.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads the value of the field.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (unit, place) = range::trim(value).split_at_checked(range::UNIT.len())?;
        if !unit.eq_ignore_ascii_case(range::UNIT) {
            return None;
        }
        let (first, rest) = number(place.strip_prefix(b" ")?)?;
        let (last, rest) = number(rest.strip_prefix(b"-")?)?;
        let complete = match rest.strip_prefix(b"/")? {
            b"*" => None,
            length => match number(length)? {
                (length, b"") => Some(length),
                _ => return None,
            },
        };
        let range = Self { first, last, complete };
        range.is_sound().then_some(range)
    }

    /// The one Content-Range of a field block; `None` also where it stands twice.
    pub fn of(block: &[u8]) -> Option<Self> {
        Self::parse(range::only(block, range::CONTENT_RANGE)?)
    }

    /// Writes the value of the field.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.part().write_content_range(self.complete, out);
    }

    /// Its bytes.
    pub fn part(&self) -> Part {
        Part { first: self.first, last: self.last }
    }

    /// Whether it is all of the representation.
    pub fn is_whole(&self) -> bool {
        self.first == 0 && self.reaches_end()
    }

    /// Whether its last byte is known to be that of the representation.
    pub fn reaches_end(&self) -> bool {
        self.complete.is_some() && self.complete == self.last.checked_add(1)
    }

    /// Whether it is a part at all, and a content of so many bytes can be it.
    pub fn fits(&self, content: usize) -> bool {
        let length = self.last.checked_sub(self.first).and_then(|most| most.checked_add(1));
        self.is_sound() && length.is_some() && length == u64::try_from(content).ok()
    }

    fn is_sound(&self) -> bool {
        self.first <= self.last && self.complete.is_none_or(|complete| self.last < complete)
    }
}

/// The number that `text` begins with, and what follows it.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0_u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit.saturating_sub(b'0')))
    })?;
    Some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    use crate::testing::cases;
    use proptest::prelude::*;

    fn range(first: u64, last: u64, complete: Option<u64>) -> ContentRange {
        ContentRange { first, last, complete }
    }

    #[test]
    fn a_part_is_read() {
        for (value, expected) in [
            ("bytes 0-4/10", range(0, 4, Some(10))),
            ("bytes 0-4/*", range(0, 4, None)),
            ("BYTES 9-9/10", range(9, 9, Some(10))),
            ("bytes 0-0/1", range(0, 0, Some(1))),
            ("\tbytes 00-04/010 ", range(0, 4, Some(10))),
            ("bytes 0-18446744073709551614/18446744073709551615", range(0, u64::MAX - 1, Some(u64::MAX))),
            ("bytes 0-18446744073709551615/*", range(0, u64::MAX, None)),
        ] {
            assert_eq!(ContentRange::parse(value.as_bytes()), Some(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_part_is_refused() {
        for value in [
            "",
            "bytes",
            "bytes ",
            "bytes */10",
            "bytes */*",
            "bytes 0-4",
            "bytes 0-4/",
            "bytes 0-/10",
            "bytes -4/10",
            "bytes=0-4/10",
            "bytes  0-4/10",
            "bytes 0 -4/10",
            "bytes 0-4 /10",
            "bytes 0-4/ 10",
            "bytes 0-4/10x",
            "bytes 0-4/**",
            "bytes 0-4/10,5-9/10",
            "bytes 0-4/10, bytes 5-9/10",
            "bytes +0-4/10",
            "bytes 0-4/-10",
            "items 0-4/10",
            "0-4/10",
            // RFC 9110 §14.4: ends before it begins, or after the representation does.
            "bytes 4-3/10",
            "bytes 0-10/10",
            "bytes 0-4/4",
            "bytes 0-0/0",
            // What cannot be counted is not guessed.
            "bytes 0-18446744073709551615/18446744073709551616",
            "bytes 0-18446744073709551616/*",
        ] {
            assert_eq!(ContentRange::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_field_that_stands_twice_is_none() {
        let line = (&b"content-range"[..], &b"bytes 0-4/10"[..]);
        assert_eq!(ContentRange::of(Fields::of([line]).as_block()), Some(range(0, 4, Some(10))));
        assert_eq!(ContentRange::of(Fields::of([line, line]).as_block()), None);
        assert_eq!(ContentRange::of(b""), None);
    }

    #[test]
    fn the_end_is_reached_only_where_it_is_known() {
        for (range, whole, reaches_end) in [
            (range(0, 9, Some(10)), true, true),
            (range(1, 9, Some(10)), false, true),
            (range(0, 8, Some(10)), false, false),
            (range(0, 9, None), false, false),
            (range(0, u64::MAX, None), false, false),
        ] {
            assert_eq!((range.is_whole(), range.reaches_end()), (whole, reaches_end), "{range:?}");
        }
    }

    #[test]
    fn a_content_of_another_length_is_not_the_part() {
        for (range, content, expected) in [
            (range(4, 9, Some(10)), 6, true),
            (range(4, 9, Some(10)), 5, false),
            (range(4, 9, Some(10)), 7, false),
            (range(4, 9, None), 6, true),
            (range(0, u64::MAX, None), 0, false),
            (range(4, 9, Some(9)), 6, false),
            (range(4, 3, None), 0, false),
        ] {
            assert_eq!(range.fits(content), expected, "{range:?} {content}");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), near in "bytes [0-9]{0,22}-[0-9]{0,22}/([0-9]{0,22}|\\*)") {
            ContentRange::parse(&bytes);
            ContentRange::of(&bytes);
            if let Some(range) = ContentRange::parse(near.as_bytes()) {
                prop_assert!(range.is_sound());
            }
        }

        #[test]
        fn what_is_written_is_read_back(first in any::<u64>(), last in any::<u64>(), complete in any::<Option<u64>>()) {
            let range = range(first, last, complete);
            let mut value = Vec::new();
            range.write(&mut value);
            prop_assert_eq!(ContentRange::parse(&value), range.is_sound().then_some(range));
        }

        /// Intended differences: here, the unit is known in any case, and blanks around the value are none of it. There,
        /// a refusal's `*/10` is read too, a part may end behind its representation, and a number may have a plus.
        #[test]
        fn what_another_reader_finds_is_found(text in "bytes (\\*|[0-9]{0,2}-[0-9+]{0,3}|[0-9]{1,21}-[0-9]{1,21})/(\\*|[0-9]{0,3}|[0-9]{18,21})[ -/]?") {
            use headers::Header;
            let text = text.trim_end();
            let value = headers::HeaderValue::from_str(text).unwrap();
            let theirs = headers::ContentRange::decode(&mut std::iter::once(&value)).ok();
            let sound = theirs.and_then(|theirs| {
                let (first, last) = theirs.bytes_range()?;
                Some(range(first, last, theirs.bytes_len())).filter(ContentRange::is_sound)
            });
            prop_assert_eq!(ContentRange::parse(text.as_bytes()), sound.filter(|_| !text.contains('+')), "{}", text);
        }
    }
}
