//! Which fields of a response are its own, and which belong to the connection it came by (RFC 9110 §7.6.1, RFC 9111
//! §3.1).
//!
//! Stored are the end-to-end fields only. Two more are left out because whoever answers from the store states them
//! anew: `age`, which has grown meanwhile, and `content-length`, which the host counts. What comes back from a store
//! that others can write to is held to the same rule, and to the shape that a field must have to be sent at all.

use super::fields::{self, Fields};

/// The fields that are stored: end-to-end, in order.
pub fn end_to_end(fields: &Fields) -> Fields {
    let named: Vec<Vec<u8>> = fields
        .values(b"connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    Fields::of(fields.iter().filter(|(name, _)| {
        travels(name) && !name.starts_with(b"x-envoy-") && !named.iter().any(|other| other == name)
    }))
}

/// Whether a block could have come from [`end_to_end`]: sound, not overlong, and each field fit to be sent.
pub fn is_end_to_end(block: &[u8]) -> bool {
    block.len() <= MAX_BYTES
        && fields::is_sound(block)
        && fields::iterate(block).all(|(name, value)| travels(name) && is_name(name) && is_value(value))
}

fn travels(name: &[u8]) -> bool {
    !name.starts_with(b":") && !LEFT_OUT.contains(&name)
}

/// A token (RFC 9110 §5.6.2), in lower case as Envoy keeps names.
fn is_name(name: &[u8]) -> bool {
    let is_token = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9') || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token)
}

/// Nothing that could end a field line (RFC 9110 §5.5).
fn is_value(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

const LEFT_OUT: [&[u8]; 12] = [
    b"age",
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Twice what Envoy takes from an upstream by default.
pub const MAX_BYTES: usize = 120 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn hop_by_hop_fields_and_those_connection_names_are_left_out() {
        let fields = Fields::of([
            (&b":status"[..], &b"200"[..]),
            (b"connection", b"close, X-Secret"),
            (b"x-secret", b"1"),
            (b"transfer-encoding", b"chunked"),
            (b"age", b"7"),
            (b"x-envoy-upstream-service-time", b"3"),
            (b"etag", b"\"a\""),
            (b"link", b"a"),
            (b"link", b"b"),
        ]);
        let expected = Fields::of([(&b"etag"[..], &b"\"a\""[..]), (b"link", b"a"), (b"link", b"b")]);
        assert_eq!(end_to_end(&fields), expected);
        assert!(is_end_to_end(expected.as_block()));
        assert!(!is_end_to_end(fields.as_block()));
    }

    #[test]
    fn what_must_not_be_sent_is_not_believed() {
        let good: (&[u8], &[u8]) = (b"x-a", b"\xff any \t bytes");
        assert!(is_end_to_end(Fields::of([good]).as_block()));
        for bad in [
            (&b":status"[..], &b"200"[..]),
            (b"", b"x"),
            (b"X-Upper", b"x"),
            (b"x a", b"x"),
            (b"x\r\ny", b"x"),
            (b"x-a", b"1\r\nset-cookie: a=b"),
            (b"x-a", b"1\n"),
            (b"x-a", b"\0"),
            (b"connection", b"close"),
            (b"transfer-encoding", b"chunked"),
        ] {
            assert!(!is_end_to_end(Fields::of([good, bad]).as_block()), "{bad:?}");
        }
    }

    #[test]
    fn a_block_at_the_limit_is_believed_and_one_byte_more_is_not() {
        let room = MAX_BYTES - Fields::of([(&b"x"[..], &b""[..])]).as_block().len();
        for (len, believed) in [(room, true), (room + 1, false)] {
            let value = vec![b'v'; len];
            assert_eq!(is_end_to_end(Fields::of([(&b"x"[..], &value[..])]).as_block()), believed);
        }
    }

    /// Fields as an upstream may send them, dense in those that are not kept.
    fn received() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        let name = prop_oneof![
            "[a-c]{1,2}",
            prop::sample::select(&LEFT_OUT[..]).prop_map(|name| String::from_utf8(name.to_vec()).unwrap()),
            Just("x-envoy-a".to_owned()),
            Just(":status".to_owned()),
        ];
        let value = prop_oneof![
            "[a-cA-C]{0,2}( ?, ?[a-cA-C-]{0,2}){0,3}".prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..4)
        ];
        prop::collection::vec((name, value), 0..8)
    }

    fn block(fields: &[(String, Vec<u8>)]) -> Fields {
        Fields::of(fields.iter().map(|(name, value)| (name.as_bytes(), &value[..])))
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_end_to_end_or_not(bytes in prop::collection::vec(any::<u8>(), 0..60), pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..9)), 0..4)) {
            is_end_to_end(&bytes);
            let fields = Fields::of(pairs.iter().map(|(name, value)| (&name[..], &value[..])));
            let kept = end_to_end(&fields);
            prop_assert!(fields::is_sound(kept.as_block()) && kept.len() <= fields.len());
        }

        #[test]
        fn what_is_kept_is_what_a_naive_reader_keeps(received in received()) {
            let named: Vec<String> = received
                .iter()
                .filter(|(name, _)| name == "connection")
                .flat_map(|(_, value)| String::from_utf8_lossy(value).split(',').map(|name| name.trim().to_lowercase()).collect::<Vec<_>>())
                .collect();
            let is_kept = |name: &str| {
                !name.starts_with("x-envoy-") && !name.starts_with(':') && !LEFT_OUT.contains(&name.as_bytes()) && !named.iter().any(|other| other == name)
            };
            let expected: Vec<_> = received.iter().filter(|(name, _)| is_kept(name)).cloned().collect();
            let kept = end_to_end(&block(&received));
            prop_assert_eq!(&kept, &block(&expected));
            prop_assert_eq!(end_to_end(&kept), kept);
        }

        /// What is kept comes back, but for what could not be sent. Intended differences: there, a quote may
        /// stand in a name, and no value may hold any other control byte than a tab; here, those that end no line may
        /// come back as they came.
        #[test]
        fn what_another_library_would_send_is_believed(name in prop_oneof!["[a-cA-C!#-'*+^_`|~ :;,\"-]{0,3}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..3)], value in prop::collection::vec(any::<u8>(), 0..6)) {
            let is_name = http::HeaderName::from_lowercase(&name).is_ok() && !name.contains(&b'"');
            let is_value = |value: &[u8]| http::HeaderValue::from_bytes(value).is_ok();
            prop_assert_eq!(is_end_to_end(Fields::of([(&name[..], &b"x"[..])]).as_block()), is_name && travels(&name));
            let believed = is_end_to_end(Fields::of([(&b"x"[..], &value[..])]).as_block());
            prop_assert!(believed || !is_value(&value));
            let text: Vec<u8> = value.iter().map(|byte| if matches!(byte, 0 | b'\r' | b'\n') { *byte } else { byte | 0x80 }).collect();
            prop_assert_eq!(is_end_to_end(Fields::of([(&b"x"[..], &text[..])]).as_block()), is_value(&text));
        }
    }
}
