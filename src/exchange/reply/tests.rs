use super::*;
use crate::http::Reason;
use crate::store::entry::Meta;
use std::time::Duration;

const NOW: Wall = Wall(1_767_225_600_000);
const MODIFIED: &str = "Wed, 31 Dec 2025 00:00:00 GMT";
const FROM_L1: Served =
    Served { origin: Origin::L1, collapsed: false, why: Reason::UriMiss, tells_key: false };

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// Status, content-range and body of the reply from a stored `0123456789`.
fn asked(method: &str, status: u16, request: &[(&str, &str)]) -> (u16, String, String) {
    let stored = fields(&[
        ("etag", "\"1\""),
        ("last-modified", MODIFIED),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("content-type", "text/plain"),
    ]);
    let entry = Entry {
        meta: Meta {
            status,
            received_at: NOW,
            initial_age: Duration::ZERO,
            fresh_until: NOW.after(Duration::from_secs(60)),
            stale_until: NOW.after(Duration::from_secs(60)),
            refresh_until: NOW.after(Duration::from_secs(60)),
            authorized: false,
            never_stale: false,
            etag_generated: false,
            took: Duration::ZERO,
        },
        key: b"k",
        selecting: b"",
        tags: b"",
        fields: stored.as_block(),
        body: b"0123456789",
    };
    let request = fields(&[&[(":method", method)], request].concat());
    let reply = reply(&entry, FROM_L1, &RequestHead::read(&request), &request, NOW);
    assert!(reply.fields.get(b"cache-status").is_some() && reply.fields.get(b"age").is_some());
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (reply.status, text(reply.fields.get(b"content-range").unwrap_or_default()), text(&reply.body))
}

#[test]
fn a_client_whose_copy_still_holds_is_told_so() {
    for (request, status) in [
        (&[][..], 200),
        (&[("if-none-match", "\"1\"")], 304),
        (&[("if-none-match", "\"0\", W/\"1\"")], 304),
        (&[("if-none-match", "\"2\"")], 200),
        (&[("if-modified-since", MODIFIED)], 304),
        (&[("if-none-match", "\"2\""), ("if-modified-since", MODIFIED)], 200),
        (&[("if-none-match", "\"1\""), ("range", "bytes=0-1")], 304),
    ] {
        assert_eq!(asked("GET", 200, request).0, status, "{request:?}");
        assert_eq!(asked("HEAD", 200, request).0, status, "HEAD {request:?}");
    }
    assert_eq!(asked("GET", 404, &[("if-none-match", "\"1\"")]).0, 404);
}

#[test]
fn parts_are_cut_from_a_whole_response() {
    for (range, status, content_range, body) in [
        ("bytes=2-4", 206, "bytes 2-4/10", "234"),
        ("bytes=7-", 206, "bytes 7-9/10", "789"),
        ("bytes=-2", 206, "bytes 8-9/10", "89"),
        ("bytes=5-99", 206, "bytes 5-9/10", "56789"),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=4-2", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
    ] {
        let expected = (status, content_range.to_owned(), body.to_owned());
        assert_eq!(asked("GET", 200, &[("range", range)]), expected, "{range}");
    }
    assert_eq!(asked("HEAD", 200, &[("range", "bytes=2-4")]).0, 200);
    assert_eq!(asked("GET", 404, &[("range", "bytes=2-4")]).0, 404);
}

#[test]
fn several_parts_come_in_one_body() {
    let (status, _, body) = asked("GET", 200, &[("range", "bytes=0-1, 8-9")]);
    assert_eq!(status, 206);
    assert!(body.contains("bytes 0-1/10\r\n\r\n01\r\n--") && body.contains("bytes 8-9/10\r\n\r\n89\r\n--"));
}

#[test]
fn a_part_of_another_representation_is_not_given() {
    for (if_range, status) in [("\"1\"", 206), ("\"2\"", 200), ("W/\"1\"", 200), (MODIFIED, 206), ("x", 200)]
    {
        let request = [("range", "bytes=0-1"), ("if-range", if_range)];
        assert_eq!(asked("GET", 200, &request).0, status, "{if_range}");
    }
}
