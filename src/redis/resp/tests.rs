use proptest::prelude::*;
use redis_protocol::resp2::decode::{decode, decode_range};
use redis_protocol::resp2::encode::encode as oracle_encode;
use redis_protocol::resp2::types::OwnedFrame;

use super::*;
use crate::testing::cases;

pub(crate) fn encoded(command: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, command);
    out
}

/// The bytes Redis sends for `reply`.
pub(crate) fn spoken(reply: &Reply<'_>) -> Vec<u8> {
    let text = |kind: &[u8], text: &[u8]| [kind, text, b"\r\n"].concat();
    match reply {
        Reply::Simple(status) => text(b"+", status),
        Reply::Error(error) => text(b"-", error),
        Reply::Integer(number) => text(b":", number.to_string().as_bytes()),
        Reply::Nil => b"$-1\r\n".to_vec(),
        Reply::Bulk(bytes) => {
            [text(b"$", bytes.len().to_string().as_bytes()), bytes.to_vec(), b"\r\n".to_vec()].concat()
        }
        Reply::Array(items) => {
            let head = text(b"*", items.len().to_string().as_bytes());
            head.into_iter().chain(items.iter().flat_map(spoken)).collect()
        }
    }
}

/// A reply that owns its bytes, for generators.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Owned>),
}

impl Owned {
    pub(crate) fn reply(&self) -> Reply<'_> {
        match self {
            Self::Simple(text) => Reply::Simple(text.as_bytes()),
            Self::Error(text) => Reply::Error(text.as_bytes()),
            Self::Integer(number) => Reply::Integer(*number),
            Self::Bulk(bytes) => Reply::Bulk(bytes),
            Self::Nil => Reply::Nil,
            Self::Array(items) => Reply::Array(items.iter().map(Self::reply).collect()),
        }
    }

    fn frame(&self) -> OwnedFrame {
        match self {
            Self::Simple(text) => OwnedFrame::SimpleString(text.clone().into_bytes()),
            Self::Error(text) => OwnedFrame::Error(text.clone()),
            Self::Integer(number) => OwnedFrame::Integer(*number),
            Self::Bulk(bytes) => OwnedFrame::BulkString(bytes.clone()),
            Self::Nil => OwnedFrame::Null,
            Self::Array(items) => OwnedFrame::Array(items.iter().map(Self::frame).collect()),
        }
    }
}

/// The other reader's word for a reply; it has none for an error whose text is not UTF-8.
fn frame_of(reply: &Reply<'_>) -> Option<OwnedFrame> {
    Some(match reply {
        Reply::Simple(text) => OwnedFrame::SimpleString(text.to_vec()),
        Reply::Error(text) => OwnedFrame::Error(String::from_utf8(text.to_vec()).ok()?),
        Reply::Integer(number) => OwnedFrame::Integer(*number),
        Reply::Bulk(bytes) => OwnedFrame::BulkString(bytes.to_vec()),
        Reply::Nil => OwnedFrame::Null,
        Reply::Array(items) => OwnedFrame::Array(items.iter().map(frame_of).collect::<Option<_>>()?),
    })
}

pub(crate) fn any_reply() -> impl Strategy<Value = Owned> {
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(Owned::Simple),
        "[ -~]{0,20}".prop_map(Owned::Error),
        any::<i64>().prop_map(Owned::Integer),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Owned::Bulk),
        Just(Owned::Nil),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Owned::Array))
}

/// Bytes that look like RESP often enough to reach deep into a reader.
pub(crate) fn resp_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => any_reply().prop_map(|reply| spoken(&reply.reply())),
        2 => prop::sample::select(vec![
            &b"*2\r\n"[..], b"$3\r\n", b"*-1\r\n", b"$-1\r\n", b"*0\r\n", b":-0\r\n", b":+1\r\n", b"\r\n", b"$1\r\nab",
            b"*65\r\n", b"*66\r\n", b"*99999\r\n", b"$99999999999\r\n", b"$", b"abc", b"*1\r\n*1\r\n*1\r\n*1\r\n",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

#[test]
fn a_command_is_an_array_of_bulk_strings() {
    assert_eq!(encoded(&[b"GET", b"k\r\n", b""]), b"*3\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n");
}

#[test]
fn each_type_has_its_reply() {
    let bytes =
        b"+OK\r\n-ERR no\r\n:-7\r\n$4\r\n\r\n\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n:1\r\n*1\r\n+\r\n";
    let expected = vec![
        Reply::Simple(b"OK"),
        Reply::Error(b"ERR no"),
        Reply::Integer(-7),
        Reply::Bulk(b"\r\n\r\n"),
        Reply::Bulk(b""),
        Reply::Nil,
        Reply::Nil,
        Reply::Array(vec![]),
        Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![Reply::Simple(b"")])]),
    ];
    assert_eq!(replies(bytes, 9), Ok(expected));
}

#[test]
fn what_is_wrong_is_named() {
    let cases: &[(&[u8], RespError)] = &[
        (b"", RespError::Truncated),
        (b"+OK", RespError::Truncated),
        (b"+OK\r", RespError::Truncated),
        (b"$3\r\nabc\r", RespError::Truncated),
        (b"*2\r\n:1\r\n", RespError::Truncated),
        (b"+OK\r\n\n", RespError::Trailing),
        (b"+OK\r\n+OK\r\n", RespError::Trailing),
        (b"hello\r\n", RespError::UnexpectedType),
        (b"_\r\n", RespError::UnexpectedType),
        (b"*1\r\n%1\r\n", RespError::UnexpectedType),
        (b"+a\nb\r\n", RespError::BadLine),
        (b"+a\rb\r\n", RespError::BadLine),
        (b"+OK\n", RespError::BadLine),
        (b"$3\r\nabcd\r\n", RespError::BadBulk),
        (b"$3\r\nabc\n\n", RespError::BadBulk),
        (b"$-2\r\n", RespError::BadInteger),
        (b"*-2\r\n", RespError::BadInteger),
        (b"$-0\r\n", RespError::BadInteger),
        (b"$+1\r\na\r\n", RespError::BadInteger),
        (b"$01\r\na\r\n", RespError::BadInteger),
        (b"$ 1\r\na\r\n", RespError::BadInteger),
        (b"$\r\n\r\n", RespError::BadInteger),
        (b"$99999999999\r\n", RespError::BulkTooLong),
        (b"*99999999999\r\n", RespError::BadArrayLength),
        (b":123456789012345678901", RespError::LineTooLong),
    ];
    for (bytes, error) in cases {
        assert_eq!(replies(bytes, 1), Err(*error), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn integers_have_one_spelling() {
    for text in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
        let bytes = format!(":{text}\r\n");
        assert_eq!(replies(bytes.as_bytes(), 1), Ok(vec![Reply::Integer(text.parse().unwrap())]));
    }
    for text in [
        "",
        "-",
        "-0",
        "+1",
        "01",
        "-01",
        "1 ",
        " 1",
        "1.0",
        "0x1",
        "9223372036854775808",
        "-9223372036854775809",
    ] {
        let bytes = format!(":{text}\r\n");
        assert_eq!(replies(bytes.as_bytes(), 1), Err(RespError::BadInteger), "{text:?}");
    }
}

#[test]
fn arrays_nest_to_the_limit_and_no_deeper() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert!(replies(&nested(MAX_DEPTH), 1).is_ok());
    assert_eq!(replies(&nested(MAX_DEPTH + 1), 1), Err(RespError::TooDeep));
    assert_eq!(replies(&nested(100_000), 1), Err(RespError::TooDeep));
}

#[test]
fn arrays_and_lines_and_bulks_end_at_their_limits() {
    let array = |count: usize| [format!("*{count}\r\n").into_bytes(), b":1\r\n".repeat(count)].concat();
    assert!(replies(&array(MAX_ELEMENTS), 1).is_ok());
    assert_eq!(replies(&array(MAX_ELEMENTS + 1), 1), Err(RespError::BadArrayLength));

    let line = |length: usize| [b"-".to_vec(), b"e".repeat(length), b"\r\n".to_vec()].concat();
    assert!(replies(&line(MAX_LINE_BYTES), 1).is_ok());
    assert_eq!(replies(&line(MAX_LINE_BYTES + 1), 1), Err(RespError::LineTooLong));

    // Only announced: the bytes need not be there to see which side of the limit they are on.
    let bulk = |length: usize| format!("${length}\r\nab").into_bytes();
    assert_eq!(replies(&bulk(MAX_BULK_BYTES), 1), Err(RespError::Truncated));
    assert_eq!(replies(&bulk(MAX_BULK_BYTES + 1), 1), Err(RespError::BulkTooLong));
}

#[test]
fn no_reply_is_expected_and_none_is_there() {
    assert_eq!(replies(b"", 0), Ok(vec![]));
    assert_eq!(replies(b"+OK\r\n", 0), Err(RespError::Trailing));
    assert_eq!(replies(b"", usize::MAX), Err(RespError::Truncated));
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in resp_like(), expected in 0usize..5) {
        let _ = replies(&bytes, expected);
    }

    #[test]
    fn what_was_spoken_is_read_back(reply in prop::collection::vec(any_reply(), 0..4)) {
        let spoken: Vec<u8> = reply.iter().flat_map(|one| spoken(&one.reply())).collect();
        let read = replies(&spoken, reply.len()).unwrap();
        prop_assert_eq!(read, reply.iter().map(Owned::reply).collect::<Vec<_>>());
    }

    #[test]
    fn an_encoded_command_reads_as_an_array_of_its_words(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..6)) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let expected = Reply::Array(words.iter().map(|word| Reply::Bulk(word)).collect());
        let bytes = encoded(&words);
        prop_assert_eq!(replies(&bytes, 1), Ok(vec![expected]));
    }

    /// Whatever is read here, an independent reader reads likewise; and what it writes is read here.
    #[test]
    fn an_independent_codec_agrees(reply in any_reply(), wild in resp_like()) {
        let mut written = vec![0; 4096];
        let length = oracle_encode(&mut written, &reply.frame(), false).unwrap();
        let ours = spoken(&reply.reply());
        prop_assert_eq!(&written[..length], ours.as_slice());
        prop_assert_eq!(replies(&written[..length], 1), Ok(vec![reply.reply()]));
        if replies(&wild, 1).is_ok() {
            let (_, read) = decode_range(&wild).unwrap().unwrap();
            prop_assert_eq!(read, wild.len());
        }
    }

    /// Intended differences: there, any two bytes end a bulk string, a line may hold a CR or LF of its own, a number may
    /// have a plus or leading zeros, nothing is too long or too deep, and an error's text must be UTF-8.
    #[test]
    fn what_an_independent_reader_finds_is_found(wild in resp_like()) {
        let ours = replies(&wild, 1);
        let theirs = decode(&wild).ok().flatten().filter(|(_, read)| *read == wild.len()).map(|(frame, _)| frame);
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) => prop_assert_eq!(frame_of(&ours[0]).unwrap(), theirs),
            (Ok(ours), None) => prop_assert!(frame_of(&ours[0]).is_none(), "{:?}", ours),
            (Err(error), Some(_)) => {
                let is_strict = matches!(error, RespError::BadInteger | RespError::BadLine | RespError::BadBulk | RespError::LineTooLong | RespError::TooDeep);
                prop_assert!(is_strict, "{} in {}", error, wild.escape_ascii());
            }
            (Err(_), None) => {}
        }
    }
}
