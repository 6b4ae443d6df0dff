use proptest::prelude::*;

use super::*;
use crate::redis::resp::tests::{any_reply, encoded, resp_like, spoken};
use crate::redis::resp::{MAX_BULK_BYTES, MAX_ELEMENTS, MAX_LINE_BYTES};
use crate::redis::{Reply, replies};
use crate::testing::cases;

/// All that is found in the whole buffer at once: the ends, and how it stopped.
fn at_once(grammar: Grammar, buffer: &[u8]) -> (Vec<usize>, bool) {
    let mut scanner = Scanner::new(grammar);
    let mut ends = Vec::new();
    loop {
        match scanner.advance(buffer) {
            Progress::Complete { end } => ends.push(end),
            Progress::NeedMore { .. } => return (ends, false),
            Progress::Invalid(_) => return (ends, true),
        }
    }
}

/// The same with the buffer growing by the given steps.
fn growing(grammar: Grammar, buffer: &[u8], steps: &[usize]) -> (Vec<usize>, bool) {
    let mut scanner = Scanner::new(grammar);
    let mut ends = Vec::new();
    let mut seen = 0;
    let mut steps = steps.iter().cycle();
    loop {
        match scanner.advance(&buffer[..seen]) {
            Progress::Complete { end } => ends.push(end),
            Progress::Invalid(_) => return (ends, true),
            Progress::NeedMore { at_least } => {
                assert!(at_least > seen, "{at_least} bytes needed, {seen} there");
                if seen == buffer.len() {
                    return (ends, false);
                }
                seen = buffer.len().min(seen + steps.next().unwrap());
            }
        }
    }
}

/// The slow twin: what is the shortest prefix that the parser takes for one value?
fn naive(buffer: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut start = 0;
    while let Some(end) = (start + 1..=buffer.len()).find(|&end| replies(&buffer[start..end], 1).is_ok()) {
        ends.push(end);
        start = end;
    }
    ends
}

#[test]
fn ends_of_replies_are_found() {
    let buffer = b"+OK\r\n$3\r\nabc\r\n*2\r\n:1\r\n*0\r\n$-1\r\n*0\r\n-ERR\r\n:1";
    assert_eq!(at_once(Grammar::Replies, buffer), (vec![5, 14, 26, 31, 35, 41], false));
}

#[test]
fn more_is_needed_up_to_the_end_of_an_announced_bulk() {
    let mut scanner = Scanner::new(Grammar::Replies);
    assert_eq!(scanner.advance(b""), Progress::NeedMore { at_least: 1 });
    assert_eq!(scanner.advance(b"$100"), Progress::NeedMore { at_least: 5 });
    assert_eq!(scanner.advance(b"$100\r\nabc"), Progress::NeedMore { at_least: 108 });
}

#[test]
fn an_invalid_buffer_stays_invalid() {
    let mut scanner = Scanner::new(Grammar::Replies);
    assert_eq!(scanner.advance(b":x\r\n"), Progress::Invalid(RespError::BadInteger));
    assert_eq!(scanner.advance(b":1\r\n"), Progress::Invalid(RespError::BadInteger));
}

#[test]
fn a_command_is_an_array_of_strings_only() {
    let words = |count: usize| encoded(&vec![&b"w"[..]; count]);
    let cases: &[(Vec<u8>, Result<(), RespError>)] = &[
        (encoded(&[b"GET", b"k"]), Ok(())),
        (words(MAX_ARGUMENTS), Ok(())),
        (words(MAX_ARGUMENTS + 1), Err(RespError::BadArrayLength)),
        (b"*0\r\n".to_vec(), Err(RespError::BadArrayLength)),
        (b"*-1\r\n".to_vec(), Err(RespError::UnexpectedType)),
        (b"*1\r\n$-1\r\n".to_vec(), Err(RespError::UnexpectedType)),
        (b"*1\r\n:1\r\n".to_vec(), Err(RespError::UnexpectedType)),
        (b"*1\r\n*1\r\n$1\r\na\r\n".to_vec(), Err(RespError::UnexpectedType)),
        (b"$3\r\nGET\r\n".to_vec(), Err(RespError::UnexpectedType)),
        (b"PING\r\n".to_vec(), Err(RespError::UnexpectedType)),
    ];
    for (bytes, expected) in cases {
        let found = match Scanner::new(Grammar::Commands).advance(bytes) {
            Progress::Complete { end } => {
                assert_eq!(end, bytes.len());
                Ok(())
            }
            Progress::Invalid(error) => Err(error),
            Progress::NeedMore { .. } => panic!("{bytes:?} is whole"),
        };
        assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn limits_have_two_sides() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    let line = |length: usize| [b"+".to_vec(), b"s".repeat(length), b"\r\n".to_vec()].concat();
    let array = |count: usize| [format!("*{count}\r\n").into_bytes(), b":1\r\n".repeat(count)].concat();
    let bulk = |length: usize| format!("${length}\r\n").into_bytes();
    let first = |bytes: &[u8]| Scanner::new(Grammar::Replies).advance(bytes);
    for (within, beyond, error) in [
        (nested(MAX_DEPTH), nested(MAX_DEPTH + 1), RespError::TooDeep),
        (line(MAX_LINE_BYTES), line(MAX_LINE_BYTES + 1), RespError::LineTooLong),
        (array(MAX_ELEMENTS), array(MAX_ELEMENTS + 1), RespError::BadArrayLength),
    ] {
        assert_eq!(first(&within), Progress::Complete { end: within.len() });
        assert_eq!(first(&beyond), Progress::Invalid(error));
    }
    assert!(matches!(first(&bulk(MAX_BULK_BYTES)), Progress::NeedMore { .. }));
    assert_eq!(first(&bulk(MAX_BULK_BYTES + 1)), Progress::Invalid(RespError::BulkTooLong));
}

#[test]
fn a_line_without_end_is_refused_at_the_limit_and_searched_once() {
    let endless = b"x".repeat(MAX_LINE_BYTES + 1);
    let buffer = [b"+", endless.as_slice()].concat();
    let mut scanner = Scanner::new(Grammar::Replies);
    for length in 0..buffer.len() {
        assert!(matches!(scanner.advance(&buffer[..length]), Progress::NeedMore { .. }));
    }
    assert_eq!(scanner.advance(&buffer), Progress::Invalid(RespError::LineTooLong));
    assert!(scanner.examined < 5 * buffer.len(), "{} bytes examined", scanner.examined);
}

#[test]
fn a_mebibyte_in_small_pieces_costs_a_glance_per_piece() {
    let value = vec![b'\r'; 1 << 20];
    let buffer = spoken(&Reply::Array(vec![Reply::Bulk(&value), Reply::Bulk(&value)]));
    let mut scanner = Scanner::new(Grammar::Replies);
    let pieces = buffer.len().div_ceil(4096);
    let mut finished = Vec::new();
    for piece in 1..=pieces {
        if let Progress::Complete { end } = scanner.advance(&buffer[..buffer.len().min(piece * 4096)]) {
            finished.push(end);
        }
    }
    assert_eq!(finished, [buffer.len()]);
    assert!(scanner.examined < pieces * 8, "{} bytes examined in {pieces} pieces", scanner.examined);
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn the_way_a_buffer_grows_changes_nothing(
        buffer in resp_like(),
        steps in prop::collection::vec(1usize..9, 1..6),
        commands in any::<bool>(),
    ) {
        let grammar = if commands { Grammar::Commands } else { Grammar::Replies };
        let whole = at_once(grammar, &buffer);
        prop_assert_eq!(&growing(grammar, &buffer, &[1]), &whole);
        prop_assert_eq!(&growing(grammar, &buffer, &steps), &whole);
    }

    #[test]
    fn scanner_and_parser_agree_where_replies_end(buffer in resp_like()) {
        prop_assert_eq!(at_once(Grammar::Replies, &buffer).0, naive(&buffer));
    }

    #[test]
    fn every_prefix_of_valid_replies_needs_more(reply in any_reply()) {
        let bytes = spoken(&reply.reply());
        for length in 0..bytes.len() {
            prop_assert_eq!(at_once(Grammar::Replies, &bytes[..length]), (vec![], false));
        }
        prop_assert_eq!(at_once(Grammar::Replies, &bytes), (vec![bytes.len()], false));
    }
}
