//! A list field that was joined from several lines (RFC 9110 §5.3).
//!
//! Envoy joins the lines of some response fields with a bare comma before a filter sees them. Where lines are joined,
//! a comma and a blank are what recipients know best, and what the lines would have become anywhere else.

/// `value` with a blank behind each comma that separates members; `None` if there is nothing to change.
pub fn spaced(value: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut quoted, mut escaped, mut changed) = (false, false, false);
    let mut bytes = value.iter().peekable();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted && bytes.peek().is_some_and(|next| !matches!(next, b' ' | b'\t' | b',')) => {
                out.push(b' ');
                changed = true;
            }
            _ => {}
        }
    }
    // A quote that never ends hides where the members do.
    (changed && !quoted).then_some(out)
}

/// The fields whose lines arrive joined.
pub const JOINED: [&str; 2] = ["cache-control", "vary"];

#[cfg(test)]
mod tests {
    use super::super::{ResponseDirectives, Vary};
    use super::*;
    use crate::http::Fields;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn a_blank_follows_each_comma_between_members_and_none_within_quotes() {
        for (value, expected) in [
            ("a,b", Some("a, b")),
            ("a,b, c,d", Some("a, b, c, d")),
            ("a, b", None),
            ("a", None),
            ("", None),
            ("a,", None),
            ("a,,b", Some("a,, b")),
            ("a=\"x,y\"", None),
            ("a=\"x,y\",b", Some("a=\"x,y\", b")),
            ("a=\"x\\\",y\",b", Some("a=\"x\\\",y\", b")),
            ("a=\"x,y", None),
            ("a,b=\"x", None),
        ] {
            let found = spaced(value.as_bytes()).map(|value| String::from_utf8(value).unwrap());
            assert_eq!(found.as_deref(), expected, "{value}");
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn nothing_but_blanks_is_added(value in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(out) = spaced(&value) {
                let bare = |bytes: &[u8]| bytes.iter().copied().filter(|byte| *byte != b' ').collect::<Vec<_>>();
                prop_assert_eq!(bare(&out), bare(&value));
                prop_assert_eq!(spaced(&out), None);
            }
        }

        /// As a naive reader has it, which takes the value apart and puts it together again.
        #[test]
        fn members_are_joined_by_a_comma_and_a_blank(members in prop::collection::vec("[a-z=]{1,4}(\"([a-z, ]|\\\\[\"\\\\]){0,4}\")?", 1..6), blanks in prop::collection::vec(any::<bool>(), 6)) {
            let mut value = String::new();
            for (place, member) in members.iter().enumerate() {
                value += match (place, blanks[place]) {
                    (0, _) => "",
                    (_, true) => ", ",
                    (_, false) => ",",
                };
                value += member;
            }
            let expected = members.join(", ");
            prop_assert_eq!(spaced(value.as_bytes()).unwrap_or_else(|| value.clone().into_bytes()), expected.clone().into_bytes());
            prop_assert_eq!(spaced(value.as_bytes()).is_some(), value != expected);
        }

        /// The value means what it meant, to those who read these fields.
        #[test]
        fn nothing_else_is_said(value in "(max-age|no-store|private|vary|accept|\\*|[=\",\\\\ ]|[0-9]){0,12}") {
            let Some(out) = spaced(value.as_bytes()) else { return Ok(()) };
            let directives = |value: &[u8]| ResponseDirectives::parse(std::iter::once(value));
            prop_assert_eq!(directives(&out), directives(value.as_bytes()));
            let vary = |value: &[u8]| Vary::read(&Fields::of([(&b"vary"[..], value)]));
            prop_assert_eq!(vary(&out), vary(value.as_bytes()));
        }
    }
}
