use proptest::prelude::*;

use super::*;
use crate::redis::resp::tests::{encoded, resp_like};
use crate::testing::cases;

fn head(text: &str) -> Result<Option<Framing>, CloseReason> {
    framing(text.as_bytes(), &mut 0)
}

#[test]
fn the_head_of_a_callout_is_understood() {
    // As Envoy 1.40 writes it.
    let text = "POST / HTTP/1.1\r\nhost: breakwater_l2\r\ncontent-length: 25\r\nx-envoy-internal: true\r\n\
                x-forwarded-for: 10.0.0.1\r\nx-envoy-expected-rq-timeout-ms: 50\r\n\r\n";
    assert_eq!(head(text), Ok(Some(Framing { head_bytes: text.len(), body_bytes: 25 })));
    assert_eq!(head(&text[..text.len() - 1]), Ok(None));
    let upper = "POST /a?b HTTP/1.1\r\nContent-Length:\t0 \r\n\r\nrest";
    assert_eq!(head(upper), Ok(Some(Framing { head_bytes: upper.len() - 4, body_bytes: 0 })));
}

#[test]
fn a_doubtful_head_is_refused() {
    let cases = [
        ("GET / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", CloseReason::MethodNotPost),
        ("post / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", CloseReason::MethodNotPost),
        ("POST / HTTP/1.0\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST  / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1 \r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("\r\nPOST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("\r\n\r\n", CloseReason::HeadInvalid),
        ("POST /\u{e4} HTTP/1.1\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\nhost: a\r\n\r\n", CloseReason::ContentLengthMissing),
        ("POST / HTTP/1.1\r\n\r\n", CloseReason::ContentLengthMissing),
        ("POST / HTTP/1.1\r\ncontent-length: \r\n\r\n", CloseReason::ContentLengthInvalid),
        ("POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", CloseReason::ContentLengthInvalid),
        ("POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", CloseReason::ContentLengthInvalid),
        ("POST / HTTP/1.1\r\ncontent-length: 0x1\r\n\r\n", CloseReason::ContentLengthInvalid),
        ("POST / HTTP/1.1\r\ncontent-length: 1, 1\r\n\r\n", CloseReason::ContentLengthInvalid),
        (
            "POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
            CloseReason::ContentLengthInvalid,
        ),
        ("POST / HTTP/1.1\r\ncontent-length : 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\nhost: a\r\n content-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\n: a\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\nhost\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\na: b\nc: d\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\na: b\0\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n", CloseReason::HeadInvalid),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", CloseReason::TransferEncoding),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\ncontent-length: 1\r\n\r\n",
            CloseReason::TransferEncoding,
        ),
    ];
    for (text, reason) in cases {
        assert_eq!(head(text), Err(reason), "{text:?}");
    }
    assert_eq!(
        framing(b"POST / HTTP/1.1\r\na: \xff\r\ncontent-length: 1\r\n\r\n", &mut 0),
        Err(CloseReason::HeadInvalid)
    );
}

#[test]
fn a_length_beyond_the_machine_is_beyond_any_limit() {
    let text = "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n";
    assert_eq!(head(text).unwrap().unwrap().body_bytes, usize::MAX);
}

#[test]
fn a_head_ends_within_its_limit() {
    let padded = |total: usize| {
        let frame = "POST / HTTP/1.1\r\ncontent-length: 1\r\na: \r\n\r\n".len();
        format!("POST / HTTP/1.1\r\ncontent-length: 1\r\na: {}\r\n\r\nbody", "x".repeat(total - frame))
    };
    assert_eq!(
        head(&padded(MAX_HEAD_BYTES)),
        Ok(Some(Framing { head_bytes: MAX_HEAD_BYTES, body_bytes: 1 }))
    );
    assert_eq!(head(&padded(MAX_HEAD_BYTES + 1)), Err(CloseReason::HeadTooLarge));
    // Without an end in sight, the refusal comes with the last byte of the limit.
    let endless = "x".repeat(MAX_HEAD_BYTES);
    assert_eq!(head(&endless[1..]), Ok(None));
    assert_eq!(head(&endless), Err(CloseReason::HeadTooLarge));
}

#[test]
fn only_the_commands_of_the_plugin_pass() {
    let permitted: &[&[&[u8]]] = &[
        &[b"GET", b"k"],
        &[b"get", b"k"],
        &[b"SET", b"k", b"\r\n*1\r\n$4\r\nQUIT\r\n", b"PX", b"1"],
        &[b"SET", b"k", b"", b"PX", b"86400000"],
        &[b"SET", b"k", b"v", b"PX", b"999999999999999"],
        &[b"SET", b"k", b"v", b"PX", b"100", b"NX"],
        &[b"SET", b"k", b"v", b"NX", b"PX", b"100"],
        &[b"APPEND", b"k", b"v"],
        &[b"EVAL", script::RELEASE, b"1", b"k", b"token", b"token+"],
        &[b"EVAL", script::MARK, b"1", b"k", b"token", b"token+", b"+"],
        &[b"eval", script::RENEW, b"1", b"k", b"token", b"token+", b"2000"],
        &[b"PEXPIRE", b"k", b"1"],
        &[b"DEL", b"k"],
        &[b"DEL", b"k", b"l", b"m"],
    ];
    for words in permitted {
        assert_eq!(pipeline(&encoded(words)), Ok(1), "{words:?}");
    }
    let refused: &[&[&[u8]]] = &[
        &[b"GET"],
        &[b"GET", b"k", b"l"],
        &[b"GETS", b"k"],
        &[b""],
        &[b"SET", b"k", b"v"],
        &[b"SET", b"k", b"v", b"PX"],
        &[b"SET", b"k", b"v", b"PX", b"0"],
        &[b"SET", b"k", b"v", b"PX", b"-1"],
        &[b"SET", b"k", b"v", b"PX", b"01"],
        &[b"SET", b"k", b"v", b"PX", b"1000000000000000"],
        &[b"SET", b"k", b"v", b"PX", b""],
        &[b"SET", b"k", b"v", b"EX", b"1"],
        &[b"SET", b"k", b"v", b"PX", b"1", b"XX"],
        &[b"SET", b"k", b"v", b"PX", b"1", b"GET"],
        &[b"SET", b"k", b"v", b"PX", b"1", b"NX", b"GET"],
        &[b"APPEND", b"k"],
        &[b"EVAL", script::RELEASE, b"1", b"k"],
        &[b"EVAL", script::MARK, b"1", b"k", b"token", b"token+"],
        &[b"EVAL", script::RELEASE, b"2", b"k", b"token", b"token+"],
        &[b"EVAL", script::RELEASE, b"1", b"k", b"token", b"token+", b"more"],
        &[b"EVAL", script::RENEW, b"1", b"k", b"token", b"token+", b"0"],
        &[b"EVAL", b"return 1", b"1", b"k", b"token", b"token+"],
        &[b"EVAL", b"return redis.call('FLUSHALL')", b"1", b"k", b"token", b"token+"],
        &[b"EVALSHA", script::RELEASE, b"1", b"k", b"token", b"token+"],
        &[b"APPEND", b"k", b"v", b"w"],
        &[b"PEXPIRE", b"k"],
        &[b"PEXPIRE", b"k", b"0"],
        &[b"PEXPIRE", b"k", b"1", b"NX"],
        &[b"DEL"],
        &[b"EXISTS", b"k"],
        &[b"SELECT", b"1"],
        &[b"MULTI"],
        &[b"EXEC"],
        &[b"QUIT"],
        &[b"FLUSHDB"],
        &[b"KEYS", b"*"],
        &[b"CONFIG", b"GET", b"*"],
        &[b"EVAL", b"return 1", b"1", b"k"],
        &[b"HELLO", b"3"],
    ];
    for words in refused {
        assert_eq!(pipeline(&encoded(words)), Err(CloseReason::CommandRefused), "{words:?}");
    }
}

#[test]
fn a_pipeline_has_one_to_the_limit_of_commands() {
    let get = encoded(&[b"GET", b"k"]);
    assert_eq!(pipeline(b""), Err(CloseReason::PipelineEmpty));
    assert_eq!(pipeline(&get.repeat(MAX_COMMANDS)), Ok(MAX_COMMANDS));
    assert_eq!(pipeline(&get.repeat(MAX_COMMANDS + 1)), Err(CloseReason::TooManyCommands));
}

#[test]
fn a_body_is_whole_commands_and_nothing_else() {
    let get = encoded(&[b"GET", b"k"]);
    let cases: &[&[u8]] = &[
        b"PING\r\n",
        b"\r\n",
        b"*0\r\n",
        b"*2\r\n$3\r\nGET\r\n$-1\r\n",
        b"*2\r\n$3\r\nGET\r\n:1\r\n",
        b"+OK\r\n",
        &get[..get.len() - 1],
        &[&get, b"*".as_slice()].concat(),
        &[&get, b"\n".as_slice()].concat(),
        &[&get, get.as_slice(), b"GET k\r\n"].concat(),
    ];
    for body in cases {
        assert_eq!(pipeline(body), Err(CloseReason::RequestInvalid), "{:?}", String::from_utf8_lossy(body));
    }
}

/// Heads as Envoy writes them, and as nobody should.
fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        6 => "POST /[a-z?]{0,3} HTTP/1\\.1",
        1 => prop::sample::select(vec!["GET / HTTP/1.1", "POST / HTTP/1.0", "POST  / HTTP/1.1", "POST /", "", " POST / HTTP/1.1"]).prop_map(str::to_owned),
    ];
    let field = prop_oneof![
        3 => Just("host: a".to_owned()),
        4 => "[cC]ontent-[lL]ength:[ \t]{0,2}[0-9]{1,2}[ \t]?",
        1 => prop::sample::select(vec![
            "content-length: 5, 5", "content-length: +5", "content-length: -1", "content-length: 0x5", "content-length:",
            "content-length: 99999999999999999999999", "transfer-encoding: chunked", "expect: 100-continue", "x: \u{e9}", "x:", "x", "x : y", " x: y", ": y",
        ]).prop_map(str::to_owned),
    ];
    let end = prop_oneof![12 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\n\r\n")];
    (
        first,
        prop::collection::vec((end.clone(), field), 0..4),
        end,
        0_usize..9,
        any::<prop::sample::Index>(),
        any::<u8>(),
    )
        .prop_map(|(first, fields, end, damage, at, byte)| {
            let fields: String = fields.iter().map(|(end, field)| format!("{end}{field}")).collect();
            let mut head = format!("{first}{fields}{end}\r\nbody").into_bytes();
            let at = at.index(head.len());
            match damage {
                0 => head[at] = byte,
                1 => head.insert(at, byte),
                2 => head.truncate(at),
                _ => {}
            }
            head
        })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_bytes_are_a_head_a_pipeline_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), wild in resp_like(), searched in 0_usize..99) {
        for bytes in [bytes, wild] {
            let _ = framing(&bytes, &mut { searched });
            if let Ok(commands) = pipeline(&bytes) {
                prop_assert!((1..=MAX_COMMANDS).contains(&commands));
            }
        }
    }

    #[test]
    fn a_head_that_is_written_is_read(length: usize, fields in prop::collection::vec("[a-z]{1,4}:[ -~]{0,6}", 0..4), place: prop::sample::Index) {
        let mut lines = fields;
        lines.insert(place.index(lines.len() + 1), format!("content-length: {length}"));
        let text = format!("POST / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"));
        prop_assert_eq!(head(&text), Ok(Some(Framing { head_bytes: text.len(), body_bytes: length })));
    }

    /// Whatever passes, another reader finds the same end of it, and nothing in it that speaks of another end. Intended
    /// differences: there, a line may end in a bare LF, empty lines may go before, and every method, version and length
    /// will do; here, a value may hold control bytes that end no line.
    #[test]
    fn another_reader_finds_the_same_end(bytes in any_head()) {
        let Ok(Some(found)) = framing(&bytes, &mut 0) else { return Ok(()) };
        let is_common = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | 0x20..=0x7e | 0x80..);
        let target = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        prop_assume!(bytes.iter().all(is_common) && target.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/?".contains(byte)));
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut request = httparse::Request::new(&mut fields);
        prop_assert_eq!(request.parse(&bytes), Ok(httparse::Status::Complete(found.head_bytes)));
        prop_assert_eq!((request.method, request.version), (Some("POST"), Some(1)));
        let named = |name: &str| request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value).collect::<Vec<_>>();
        prop_assert!(named("transfer-encoding").is_empty());
        let lengths = named("content-length");
        prop_assert_eq!(lengths.len(), 1);
        let length = std::str::from_utf8(lengths[0]).unwrap().trim();
        prop_assert_eq!(length.parse().unwrap_or(usize::MAX), found.body_bytes);
    }
}
