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
}
