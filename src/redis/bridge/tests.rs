use proptest::prelude::*;

use super::*;
use crate::redis::resp::tests::{Owned, any_reply, encoded, resp_like, spoken};
use crate::redis::{MAX_COMMANDS, MAX_HEAD_BYTES, Reply, replies};
use crate::testing::cases;

const LIMITS: Limits = Limits { max_request_bytes: 4 << 20, max_reply_bytes: 4 << 20 };

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!("POST / HTTP/1.1\r\nhost: breakwater_l2\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer_to(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: application/octet-stream\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn get() -> Vec<u8> {
    encoded(&[b"GET", b"k"])
}

/// A bridge that has passed on one `GET`.
fn asked() -> Bridge {
    let mut bridge = Bridge::new(LIMITS);
    assert_eq!(bridge.on_downstream(&post(&get()), false), Step::Replace(get()));
    bridge
}

/// Feeds `bytes` as Envoy does, each event bringing everything not yet passed on, until something happens.
fn feed(bytes: &[u8], steps: &[usize], mut event: impl FnMut(&[u8]) -> Step) -> Step {
    let mut seen = 0;
    for step in steps.iter().cycle() {
        seen = bytes.len().min(seen + step);
        let step = event(&bytes[..seen]);
        if step != Step::Wait || seen == bytes.len() {
            return step;
        }
    }
    Step::Wait
}

#[test]
fn a_request_and_its_answer_pass_again_and_again() {
    let mut bridge = Bridge::new(LIMITS);
    let body = [get(), encoded(&[b"SET", b"k", b"v", b"PX", b"9"])].concat();
    for _ in 0..3 {
        assert_eq!(bridge.on_downstream(&post(&body), false), Step::Replace(body.clone()));
        assert_eq!(bridge.on_upstream(b"$-1\r\n", false), Step::Wait);
        assert_eq!(bridge.on_upstream(b"$-1\r\n+OK\r\n", false), Step::Replace(answer_to(b"$-1\r\n+OK\r\n")));
    }
}

#[test]
fn an_error_of_redis_is_an_answer() {
    let mut bridge = asked();
    let error = b"-upstream failure\r\n";
    assert_eq!(bridge.on_upstream(error, false), Step::Replace(answer_to(error)));
    assert_eq!(bridge.on_downstream(&post(&get()), false), Step::Replace(get()));
}

#[test]
fn every_split_gives_the_same_exchange() {
    let body = [get(), encoded(&[b"DEL", b"a", b"b"])].concat();
    let (request, reply) = (post(&body), b"$4\r\n\r\n\r\n\r\n:2\r\n".to_vec());
    for first in 1..=request.len() {
        for second in 1..=reply.len() {
            let mut bridge = Bridge::new(LIMITS);
            let down = feed(&request, &[first], |buffer| bridge.on_downstream(buffer, false));
            assert_eq!(down, Step::Replace(body.clone()));
            let up = feed(&reply, &[second], |buffer| bridge.on_upstream(buffer, false));
            assert_eq!(up, Step::Replace(answer_to(&reply)));
        }
    }
}

#[test]
fn requests_that_are_not_the_plugins_close_the_connection() {
    let cases: &[(Vec<u8>, CloseReason)] = &[
        (b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), CloseReason::MethodNotPost),
        (b"POST / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), CloseReason::ContentLengthMissing),
        (b"POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_vec(), CloseReason::ContentLengthInvalid),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(), CloseReason::TransferEncoding),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), CloseReason::HeadInvalid),
        (vec![b'x'; MAX_HEAD_BYTES], CloseReason::HeadTooLarge),
        (post(b""), CloseReason::PipelineEmpty),
        (post(b"GET k\r\n"), CloseReason::RequestInvalid),
        (post(&encoded(&[b"SELECT", b"1"])), CloseReason::CommandRefused),
        (post(&get().repeat(MAX_COMMANDS + 1)), CloseReason::TooManyCommands),
        ([post(&get()), b"x".to_vec()].concat(), CloseReason::RequestTrailing),
        ([post(&get()), post(&get())].concat(), CloseReason::RequestTrailing),
    ];
    for (bytes, reason) in cases {
        let mut bridge = Bridge::new(LIMITS);
        assert_eq!(bridge.on_downstream(bytes, false), Step::Close(*reason));
        // What was refused stays refused, whatever comes.
        assert_eq!(bridge.on_downstream(&post(&get()), false), Step::Close(*reason));
        assert_eq!(bridge.on_upstream(b"+OK\r\n", false), Step::Close(*reason));
    }
}

#[test]
fn replies_that_were_not_asked_for_close_the_connection() {
    let cases: &[(&[u8], bool, CloseReason)] = &[
        (b"hello\r\n", false, CloseReason::ReplyInvalid),
        (b"HTTP/1.1 200 OK\r\n\r\n", false, CloseReason::ReplyInvalid),
        (b"$-5\r\n", false, CloseReason::ReplyInvalid),
        (b"$3\r\nabcd\r\n", false, CloseReason::ReplyInvalid),
        (b"+OK\r\n+OK\r\n", false, CloseReason::ReplyTrailing),
        (b"+OK\r\n\r\n", false, CloseReason::ReplyTrailing),
        (b"$5\r\nabc", true, CloseReason::ReplyTruncated),
        (b"", true, CloseReason::ReplyTruncated),
    ];
    for (bytes, end_of_stream, reason) in cases {
        assert_eq!(asked().on_upstream(bytes, *end_of_stream), Step::Close(*reason), "{bytes:?}");
    }
    assert_eq!(Bridge::new(LIMITS).on_upstream(b"+OK\r\n", false), Step::Close(CloseReason::ReplyUnexpected));
    let mut bridge = Bridge::new(LIMITS);
    assert_eq!(bridge.on_downstream(&post(&get())[..50], false), Step::Wait);
    assert_eq!(bridge.on_upstream(b"+", false), Step::Close(CloseReason::ReplyUnexpected));
    let mut bridge = asked();
    assert!(matches!(bridge.on_upstream(b"+OK\r\n", false), Step::Replace(_)));
    assert_eq!(bridge.on_upstream(b"+OK\r\n", false), Step::Close(CloseReason::ReplyUnexpected));
}

#[test]
fn a_second_request_waits_for_the_first_answer_or_ends_the_connection() {
    let mut bridge = asked();
    assert_eq!(bridge.on_upstream(b"$3\r\nab", false), Step::Wait);
    assert_eq!(bridge.on_downstream(b"P", false), Step::Close(CloseReason::RequestOverlap));
}

#[test]
fn the_end_of_a_stream_is_ordinary_between_requests_only() {
    assert_eq!(Bridge::new(LIMITS).on_downstream(b"", true), Step::Wait);
    assert_eq!(Bridge::new(LIMITS).on_upstream(b"", true), Step::Wait);
    assert_eq!(asked().on_downstream(b"", true), Step::Wait);
    let request = post(&get());
    assert_eq!(Bridge::new(LIMITS).on_downstream(&request, true), Step::Replace(get()));
    for length in 1..request.len() {
        let mut bridge = Bridge::new(LIMITS);
        assert_eq!(
            bridge.on_downstream(&request[..length], true),
            Step::Close(CloseReason::RequestTruncated)
        );
    }
    let mut bridge = asked();
    assert_eq!(bridge.on_upstream(b"+OK\r\n", true), Step::Replace(answer_to(b"+OK\r\n")));
}

#[test]
fn the_request_limit_has_two_sides() {
    let body = get();
    let at = |max_request_bytes| {
        Bridge::new(Limits { max_request_bytes, ..LIMITS }).on_downstream(&post(&body), false)
    };
    assert_eq!(at(body.len()), Step::Replace(body.clone()));
    assert_eq!(at(body.len() - 1), Step::Close(CloseReason::RequestTooLarge));
    // Refused by what is announced, before the body is there.
    let huge = b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n";
    assert_eq!(Bridge::new(LIMITS).on_downstream(huge, false), Step::Close(CloseReason::RequestTooLarge));
}

#[test]
fn the_reply_limit_has_two_sides() {
    let reply = b"$5\r\nabcde\r\n";
    for length in 4..=reply.len() {
        let at = |max_reply_bytes| {
            let mut bridge = Bridge::new(Limits { max_reply_bytes, ..LIMITS });
            bridge.on_downstream(&post(&get()), false);
            bridge.on_upstream(&reply[..length], false)
        };
        let within = if length == reply.len() { Step::Replace(answer_to(reply)) } else { Step::Wait };
        assert_eq!(at(reply.len()), within);
        // From the announcing line on, not only when all of it has been collected.
        assert_eq!(at(reply.len() - 1), Step::Close(CloseReason::ReplyTooLarge));
    }
}

#[test]
fn the_caller_is_told_how_much_to_collect() {
    let mut bridge = Bridge::new(LIMITS);
    let value = vec![b'v'; 1 << 20];
    let request = post(&encoded(&[b"SET", b"k", &value, b"PX", b"9"]));
    assert_eq!(bridge.downstream_needs(), 1);
    assert_eq!(bridge.on_downstream(&request[..100], false), Step::Wait);
    assert_eq!(bridge.downstream_needs(), request.len());
    assert!(matches!(bridge.on_downstream(&request, false), Step::Replace(_)));
    let reply = spoken(&Reply::Bulk(&value));
    assert_eq!(bridge.on_upstream(&reply[..4096], false), Step::Wait);
    assert_eq!(bridge.upstream_needs(), reply.len());
    assert_eq!(bridge.on_upstream(&reply, false), Step::Replace(answer_to(&reply)));
    assert_eq!((bridge.downstream_needs(), bridge.upstream_needs()), (1, 1));
}

/// The slow twin: the body of a request that may pass, told by other means than the bridge's.
fn naive(request: &[u8]) -> Option<Vec<u8>> {
    let split = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&request[..split]).ok()?.to_ascii_lowercase();
    let body = &request[split + 4..];
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim();
    if !head.starts_with("post ") || length.parse() != Ok(body.len()) {
        return None;
    }
    let commands = (1..=MAX_COMMANDS).find_map(|count| replies(body, count).ok())?;
    let permitted = commands.iter().all(|command| {
        let Reply::Array(words) = command else { return false };
        let Some(Reply::Bulk(name)) = words.first() else { return false };
        words.iter().all(|word| matches!(word, Reply::Bulk(_)))
            && matches!(
                (name.to_ascii_uppercase().as_slice(), words.len()),
                (b"GET", 2) | (b"SET", 5 | 6) | (b"DEL", 2..)
            )
    });
    permitted.then(|| body.to_vec())
}

fn any_command() -> impl Strategy<Value = Vec<u8>> {
    let text = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        text().prop_map(|key| encoded(&[b"GET", &key])),
        (text(), text(), 1u32..99).prop_map(|(key, value, ms)| {
            encoded(&[b"SET", &key, &value, b"PX", ms.to_string().as_bytes()])
        }),
        prop::collection::vec(text(), 1..4).prop_map(|keys| {
            let words: Vec<&[u8]> = [&b"DEL"[..]].into_iter().chain(keys.iter().map(Vec::as_slice)).collect();
            encoded(&words)
        }),
    ]
}

/// Requests that are valid, nearly valid, or noise.
fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        prop::collection::vec(any_command(), 0..4).prop_map(|commands| commands.concat()),
        resp_like(),
        (any_command(), resp_like()).prop_map(|(command, noise)| [command, noise].concat()),
    ];
    (body, 0usize..8, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(body, damage, at, byte)| {
        let mut request = post(&body);
        let at = at.index(request.len());
        match damage {
            0 => request[at] = byte,
            1 => request.truncate(at),
            2 => request.insert(at, byte),
            _ => {}
        }
        request
    })
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn no_event_in_any_order_panics(events in prop::collection::vec((any::<bool>(), any::<bool>(), any_request(), resp_like()), 0..6)) {
        let mut bridge = Bridge::new(Limits { max_request_bytes: 200, max_reply_bytes: 100 });
        for (downstream, end_of_stream, request, reply) in events {
            if downstream {
                bridge.on_downstream(&request, end_of_stream);
            } else {
                bridge.on_upstream(&reply, end_of_stream);
            }
        }
    }

    #[test]
    fn what_passes_is_a_valid_pipeline_however_it_arrives(request in any_request(), steps in prop::collection::vec(1usize..40, 1..5)) {
        let run = |steps: &[usize]| {
            let mut bridge = Bridge::new(LIMITS);
            feed(&request, steps, |buffer| bridge.on_downstream(buffer, false))
        };
        let whole = run(&[request.len()]);
        if let Step::Replace(body) = &whole {
            prop_assert_eq!(naive(&request), Some(body.clone()));
        }
        // In pieces the outcome is the same, but for a byte too many that came after the request had been passed on.
        let pieces = run(&steps);
        if !matches!((&whole, &pieces), (Step::Close(CloseReason::RequestTrailing), _)) {
            prop_assert_eq!(pieces, whole);
        }
    }

    #[test]
    fn a_valid_exchange_is_the_same_in_any_pieces(
        commands in prop::collection::vec(any_command(), 1..5),
        answers in prop::collection::vec(any_reply(), 5),
        steps in prop::collection::vec(1usize..20, 1..5),
    ) {
        let body = commands.concat();
        let reply: Vec<u8> = answers.iter().take(commands.len()).map(Owned::reply).flat_map(|one| spoken(&one)).collect();
        let mut bridge = Bridge::new(LIMITS);
        for steps in [&[1][..], &steps, &[usize::from(u16::MAX)]] {
            let down = feed(&post(&body), steps, |buffer| bridge.on_downstream(buffer, false));
            prop_assert_eq!(down, Step::Replace(body.clone()));
            let up = feed(&reply, steps, |buffer| bridge.on_upstream(buffer, false));
            prop_assert_eq!(up, Step::Replace(answer_to(&reply)));
        }
    }

    #[test]
    fn what_is_answered_is_as_many_replies_as_commands(count in 1usize..4, noise in resp_like(), steps in prop::collection::vec(1usize..20, 1..5)) {
        let mut bridge = Bridge::new(LIMITS);
        bridge.on_downstream(&post(&get().repeat(count)), false);
        let step = bridge.on_upstream(&noise, false);
        let valid = replies(&noise, count).is_ok();
        prop_assert_eq!(step.clone() == Step::Replace(answer_to(&noise)), valid);
        prop_assert_eq!(matches!(step, Step::Replace(_)), valid);
        let mut bridge = Bridge::new(LIMITS);
        bridge.on_downstream(&post(&get().repeat(count)), false);
        if let Step::Replace(answer) = feed(&noise, &steps, |buffer| bridge.on_upstream(buffer, false)) {
            prop_assert!((0..=noise.len()).any(|end| replies(&noise[..end], count).is_ok() && answer == answer_to(&noise[..end])));
        }
    }
}
