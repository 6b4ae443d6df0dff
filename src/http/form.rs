//! A query as an HTML form writes it: `application/x-www-form-urlencoded`, as the URL standard parses and serializes it.
//!
//! Every query has a reading, so nothing here fails: what is no percent-encoding stands for itself, and bytes that are
//! no UTF-8 become U+FFFD. The reading is lossy, therefore; the writing is not: of two lists that differ, the written
//! forms differ.

use std::borrow::Cow;

/// The parameters of `query`, names and values decoded, in their order.
pub(super) fn parameters(query: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split(|byte| *byte == b'&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        (text(name), text(value))
    })
}

/// Writes `parameters` as a query.
pub(super) fn write<'a>(parameters: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>) -> Vec<u8> {
    let mut query = Vec::new();
    for (number, (name, value)) in parameters.enumerate() {
        if number > 0 {
            query.push(b'&');
        }
        encode(&name, &mut query);
        query.push(b'=');
        encode(&value, &mut query);
    }
    query
}

/// Sorts raw parameters by their raw names; those with the same name keep their order.
pub(super) fn sort(parameters: &mut [&[u8]]) {
    parameters.sort_by(|a, b| name(a).cmp(name(b)));
}

/// A raw parameter up to its first `=`.
pub(super) fn name(parameter: &[u8]) -> &[u8] {
    parameter.split(|byte| *byte == b'=').next().unwrap_or(parameter)
}

/// `raw` decoded, as text. A byte order mark is kept, as "UTF-8 decode without BOM" keeps it.
pub(super) fn text(raw: &[u8]) -> Cow<'_, str> {
    if raw.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        let bytes: Vec<u8> = decoded(raw).collect();
        return String::from_utf8_lossy(&bytes).into_owned().into();
    }
    String::from_utf8_lossy(raw)
}

/// `raw` with its percent-encoding undone and each `+` a blank; what is no such encoding is taken as it stands.
pub(super) fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (byte, tail) = match rest {
            [b'%', high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => ((high << 4) | low, tail),
                _ => (b'%', rest.get(1..)?),
            },
            [b'+', tail @ ..] => (b' ', tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return None,
        };
        rest = tail;
        Some(byte)
    })
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        b'A'..=b'F' => digit.checked_sub(b'A' - 10),
        _ => None,
    }
}

fn encode(text: &str, query: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => query.push(byte),
            b' ' => query.push(b'+'),
            _ => {
                let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or_default();
                query.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    fn read(query: &[u8]) -> Vec<(String, String)> {
        parameters(query).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    fn written<'a>(list: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
        write(list.map(|(name, value)| (name.into(), value.into())))
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn every_query_has_a_reading() {
        for (query, expected) in [
            (&b""[..], &[][..]),
            (b"&&", &[]),
            (b"a", &[("a", "")]),
            (b"a=", &[("a", "")]),
            (b"=", &[("", "")]),
            (b"=a=b", &[("", "a=b")]),
            (b"a=x&&b=y&", &[("a", "x"), ("b", "y")]),
            (b"a=1&a=2", &[("a", "1"), ("a", "2")]),
            (b"a;b=c;d", &[("a;b", "c;d")]),
            (b"%61=%78", &[("a", "x")]),
            (b"a=+%20 %2B", &[("a", "   +")]),
            (b"a%3Db=c%26d", &[("a=b", "c&d")]),
            (b"%=%a&%zz=%%41", &[("%", "%a"), ("%zz", "%A")]),
            (b"a=%C3%A9", &[("a", "é")]),
            (b"a=\xc3\xa9", &[("a", "é")]),
            (b"a=%00", &[("a", "\0")]),
        ] {
            assert_eq!(read(query), pairs(expected), "{}", query.escape_ascii());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_as_the_encoding_standard_has_it() {
        for (value, expected) in [
            (&b"%f6"[..], "\u{fffd}"),
            (b"\xf6", "\u{fffd}"),
            (b"%ef%bf%bd", "\u{fffd}"),
            (b"%f0%90%80", "\u{fffd}"),
            (b"%f0%90%80x", "\u{fffd}x"),
            (b"%c0%af", "\u{fffd}\u{fffd}"),
            (b"%ed%a0%80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"%f4%90%80%80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (b"%e2%82", "\u{fffd}"),
            (b"%ef%bb%bfx", "\u{feff}x"),
        ] {
            assert_eq!(text(value), expected, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn what_has_a_meaning_in_a_query_is_written_encoded() {
        for (list, expected) in [
            (&[][..], &b""[..]),
            (&[("", "")], b"="),
            (&[("a", ""), ("b", "c")], b"a=&b=c"),
            (&[("a=b", "c&d")], b"a%3Db=c%26d"),
            (&[("a b", "+%")], b"a+b=%2B%25"),
            (&[("é", "\u{0}~")], b"%C3%A9=%00%7E"),
            (&[("-._*", "09AZaz")], b"-._*=09AZaz"),
        ] {
            assert_eq!(written(list.iter().copied()), expected, "{list:?}");
        }
    }

    fn query() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => "[a-c]".prop_map(String::into_bytes),
            4 => "[&=+%;]".prop_map(String::into_bytes),
            2 => any::<u8>().prop_map(|byte| format!("%{byte:02x}").into_bytes()),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(cases(1024))]

        #[test]
        fn a_query_is_read_as_by_another_parser(query in query()) {
            let expected: Vec<_> = form_urlencoded::parse(&query).into_owned().collect();
            prop_assert_eq!(read(&query), expected);
        }

        #[test]
        fn what_is_written_is_read_back_and_as_another_writes_it(list in prop::collection::vec((".{0,4}", "[ -~é]{0,4}"), 0..4)) {
            let written = written(list.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let mut other = form_urlencoded::Serializer::new(String::new());
            other.extend_pairs(&list);
            prop_assert_eq!(std::str::from_utf8(&written).unwrap(), other.finish());
            prop_assert_eq!(read(&written), list);
        }
    }
}
