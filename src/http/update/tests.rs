use super::super::end_to_end::is_end_to_end;
use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn text(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn check(stored: &[(&str, &str)], update: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found = updated(fields(stored).as_block(), &fields(update));
    assert_eq!(text(&found), text(&fields(expected)), "{stored:?} {update:?}");
}

#[test]
fn what_the_update_does_not_mention_stays() {
    let stored = [("etag", "\"a\""), ("link", "a"), ("x", "1"), ("link", "b")];
    check(&stored, &[], &stored);
    check(&stored, &[(":status", "304"), ("etag", "\"a\"")], &stored);
    check(&[], &[], &[]);
}

#[test]
fn every_line_of_a_name_is_replaced_where_the_first_stood() {
    check(
        &[("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")],
        &[("d", "9"), ("a", "7"), ("e", "9"), ("a", "8"), ("a", "9"), ("d", "8")],
        &[("a", "7"), ("a", "8"), ("a", "9"), ("b", "1"), ("c", "1"), ("d", "9"), ("e", "9"), ("d", "8")],
    );
    check(&[("a", "1"), ("a", "2"), ("b", "1")], &[("a", "3")], &[("a", "3"), ("b", "1")]);
}

#[test]
fn fields_about_reuse_and_unknown_ones_are_replaced() {
    for (name, old, new) in [
        ("cache-control", "max-age=1", "max-age=3600"),
        ("cdn-cache-control", "max-age=1", "no-store"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:39 GMT"),
        ("expires", "Fri, 01 Jan 2038 01:01:01 GMT", "0"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"),
        ("vary", "a", "b"),
        ("content-location", "/foo", "/bar"),
        ("content-security-policy", "default-src 'self'", "default-src 'none'"),
        // The prefix alone means nothing (RFC 9111 §3.2).
        ("content-foo", "1", "2"),
        ("x-content-foo", "1", "2"),
        ("x-frame-options", "deny", "sameorigin"),
        ("clear-site-data", "cache", "cookies"),
        ("content-type", "text/plain", "text/plain;charset=utf-8"),
        ("x-test", "1", ""),
    ] {
        check(&[(name, old)], &[(name, new)], &[(name, new)]);
        check(&[("x", "1")], &[(name, new)], &[("x", "1"), (name, new)]);
    }
}

#[test]
fn what_says_how_the_stored_bytes_are_read_stays() {
    for name in
        ["content-encoding", "content-range", "content-md5", "content-digest", "repr-digest", "digest"]
    {
        check(&[(name, "old"), ("x", "1")], &[(name, "new")], &[(name, "old"), ("x", "1")]);
        check(&[("x", "1")], &[(name, "new")], &[("x", "1")]);
    }
}

#[test]
fn a_cookie_of_an_update_is_never_merged() {
    for name in ["set-cookie", "set-cookie2"] {
        check(&[("x", "1")], &[(name, "session=other")], &[("x", "1")]);
        // One that a rule allowed to be stored is neither replaced nor joined.
        check(&[(name, "a=b")], &[(name, "session=other")], &[(name, "a=b")]);
    }
}

#[test]
fn what_is_not_stored_is_not_merged() {
    for (name, value) in [
        (":status", "304"),
        ("age", "7"),
        ("connection", "close"),
        ("content-length", "0"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "a"),
        ("proxy-authorization", "a"),
        ("proxy-connection", "close"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-envoy-upstream-service-time", "3"),
    ] {
        check(&[("x", "1")], &[(name, value)], &[("x", "1")]);
    }
    // What Connection names is the update's own, and leaves the stored field of that name alone.
    check(
        &[("x-hop", "1")],
        &[("connection", "X-Hop, Etag"), ("x-hop", "2"), ("etag", "\"a\"")],
        &[("x-hop", "1")],
    );
}

#[test]
fn a_tag_loses_no_strength_and_is_gained_where_there_was_none() {
    check(&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], &[("etag", "\"a\"")]);
    check(&[("etag", "\"a\"")], &[("etag", "\"a\"")], &[("etag", "\"a\"")]);
    check(&[("x", "1")], &[("etag", "\"a\"")], &[("x", "1"), ("etag", "\"a\"")]);
}

/// Blocks that could be stored, and updates that could not: few names, so that they meet.
fn any_fields(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(&'static str, String)>> {
    prop::collection::vec((prop::sample::select(names), "[a-c]{0,2}"), 0..8)
}

fn block(pairs: &[(&'static str, String)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

const STORED: &[&str] = &["a", "b", "c", "etag", "content-type", "set-cookie"];
const RECEIVED: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "etag",
    "content-type",
    "set-cookie",
    "age",
    "connection",
    "content-length",
    ":status",
];

/// Fields that both caches keep, some of them to be replaced.
const UPDATED: &[&str] =
    &["cache-control", "content-encoding", "content-range", "content-type", "expires", "link", "vary", "x"];

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_bytes_panic(
        stored in prop::collection::vec(any::<u8>(), 0..64),
        update in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..4),
    ) {
        updated(&stored, &Fields::of(update.iter().map(|(name, value)| (&name[..], &value[..]))));
    }

    /// For each name: its lines are all the update's, or all the stored ones, in their order.
    #[test]
    fn a_name_is_taken_whole_from_one_side(stored in any_fields(STORED), update in any_fields(RECEIVED)) {
        let (stored, update) = (block(&stored), block(&update));
        let merged = updated(stored.as_block(), &update);
        let named: Vec<&[u8]> = update.values(b"connection").collect();
        for name in RECEIVED.iter().map(|name| name.as_bytes()) {
            let lines = |fields: &Fields| fields.values(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let (old, new) = (lines(&stored), lines(&update));
            let stays = match name {
                b"a" | b"b" | b"c" | b"d" | b"content-type" => named.contains(&name),
                b"etag" => !old.is_empty(),
                _ => true,
            };
            prop_assert_eq!(lines(&merged), if stays || new.is_empty() { old } else { new });
        }
    }

    #[test]
    fn an_update_applied_again_changes_nothing(stored in any_fields(STORED), update in any_fields(RECEIVED)) {
        let (stored, update) = (block(&stored), block(&update));
        // But for new lines of one name that others parted: the second time they stand together.
        let sorted = |fields: &Fields| {
            let mut lines = text(fields);
            lines.sort_by(|(a, _), (b, _)| a.cmp(b));
            lines
        };
        let once = updated(stored.as_block(), &update);
        prop_assert_eq!(sorted(&updated(once.as_block(), &update)), sorted(&once));
        prop_assert!(is_end_to_end(once.as_block()));
    }

    #[test]
    fn names_keep_the_order_in_which_they_first_stood(stored in any_fields(STORED), update in any_fields(RECEIVED)) {
        let (stored, update) = (block(&stored), block(&update));
        let merged = updated(stored.as_block(), &update);
        let first_names = |fields: &Fields| {
            let mut names: Vec<Vec<u8>> = Vec::new();
            for (name, _) in fields.iter() {
                if !names.iter().any(|other| other == name) {
                    names.push(name.to_vec());
                }
            }
            names
        };
        let before = first_names(&stored);
        prop_assert_eq!(&first_names(&merged)[..before.len()], &before[..]);
    }

    /// Intended differences, none of which is generated: there, a name has one line and a new name is not taken in; Date
    /// is made anew; a strong tag is replaced by a weak one; digests and cookies are replaced as well.
    #[test]
    fn another_cache_replaces_the_same(stored in prop::collection::btree_map(prop::sample::select(UPDATED), "[a-c]{1,2}", 0..5), update in prop::collection::btree_map(prop::sample::select(UPDATED), "[a-c]{1,2}", 0..5)) {
        use http_cache_semantics::{AfterResponse, CachePolicy};
        let response = |status: u16, fields: &std::collections::BTreeMap<&str, String>| {
            let mut response = http::Response::builder().status(status).header("etag", "\"a\"");
            for (name, value) in fields {
                response = response.header(*name, value);
            }
            response.body(()).unwrap()
        };
        let request = http::Request::get("http://a.test/").body(()).unwrap();
        let then = std::time::UNIX_EPOCH;
        let policy = CachePolicy::new_options(&request, &response(200, &stored), then, Default::default());
        let AfterResponse::NotModified(_, theirs) = policy.after_response(&request, &response(304, &update), then) else {
            panic!("the tags agree");
        };
        let pairs = |fields: &std::collections::BTreeMap<&'static str, String>| fields.iter().map(|(name, value)| (*name, value.clone())).collect::<Vec<_>>();
        let ours = updated(block(&pairs(&stored)).as_block(), &block(&pairs(&update)));
        for name in stored.keys() {
            prop_assert_eq!(ours.get(name.as_bytes()), theirs.headers.get(*name).map(|value| value.as_bytes()), "{}", name);
        }
    }
}
