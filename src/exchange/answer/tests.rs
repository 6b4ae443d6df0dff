use super::*;
use sfv::{BareItem, List, ListEntry, Parser};

const RECEIVED: Wall = Wall(1_767_225_600_000);

/// A minute old on arrival, fresh for ten seconds.
fn entry<'a>(fields: &'a Fields, body: &'a [u8]) -> Entry<'a> {
    Entry {
        meta: Meta {
            status: 200,
            received_at: RECEIVED,
            initial_age: Duration::from_millis(60_400),
            fresh_until: RECEIVED.after(Duration::from_secs(10)),
            stale_until: RECEIVED.after(Duration::from_secs(70)),
            refresh_until: RECEIVED.after(Duration::from_secs(10)),
            authorized: false,
            never_stale: false,
            etag_generated: false,
            took: Duration::ZERO,
        },
        key: b"",
        selecting: b"",
        tags: b"",
        fields: fields.as_block(),
        body,
    }
}

fn how(origin: Origin, collapsed: bool, why: Reason) -> Served {
    Served { origin, collapsed, why, tells_key: false }
}

fn reply(how: Served, after: Duration) -> Fields {
    served(&entry(&Fields::new(), b""), how, RECEIVED.after(after))
}

fn text(fields: &Fields, name: &str) -> String {
    String::from_utf8(fields.get(name.as_bytes()).unwrap_or_default().to_vec()).unwrap()
}

/// The members and their parameters as another parser reads them.
fn members(fields: &Fields) -> Vec<Vec<(String, BareItem)>> {
    let lines: Vec<&[u8]> = fields.values(b"cache-status").collect();
    let list: List = Parser::new(&lines.join(&b", "[..])).parse().unwrap();
    list.iter()
        .map(|member| match member {
            ListEntry::Item(item) => {
                item.params.iter().map(|(key, value)| (key.as_str().to_owned(), value.clone())).collect()
            }
            ListEntry::InnerList(list) => panic!("{list:?}"),
        })
        .collect()
}

#[test]
fn each_origin_has_its_cache_status() {
    use Reason::{BreakerOpen, OnlyIfCached, Stale, TooManyWaiters, UpstreamFailed, UriMiss, VaryMiss};
    for (origin, collapsed, why, expected) in [
        (Origin::L1, false, UriMiss, "breakwater; hit; ttl=9; detail=l1"),
        (Origin::L2, false, UriMiss, "breakwater; hit; ttl=9; detail=l2"),
        (Origin::L3, false, UriMiss, "breakwater; hit; ttl=9; detail=l3"),
        (Origin::L2, true, UriMiss, "breakwater; hit; ttl=9; detail=l2"),
        (
            Origin::Failed(503),
            true,
            UpstreamFailed,
            "breakwater; fwd=miss; fwd-status=503; collapsed; detail=upstream-failed",
        ),
        (
            Origin::Failed(304),
            false,
            UpstreamFailed,
            "breakwater; fwd=stale; fwd-status=304; detail=upstream-failed",
        ),
        (Origin::Upstream, true, VaryMiss, "breakwater; fwd=vary-miss; collapsed; ttl=9"),
        (Origin::Upstream, true, Stale, "breakwater; fwd=stale; collapsed; ttl=9"),
        (
            Origin::StaleOnError(502),
            false,
            UpstreamFailed,
            "breakwater; fwd=stale; fwd-status=502; ttl=9; detail=upstream-failed",
        ),
        (
            Origin::StaleOnError(504),
            true,
            UriMiss,
            "breakwater; fwd=stale; fwd-status=504; collapsed; ttl=9; detail=upstream-failed",
        ),
        (Origin::StaleOnOpen, true, UriMiss, "breakwater; hit; ttl=9; detail=breaker-open"),
        (Origin::Refused, false, BreakerOpen, "breakwater; detail=breaker-open"),
        (Origin::Refused, false, OnlyIfCached, "breakwater; detail=only-if-cached"),
        (Origin::Refused, false, TooManyWaiters, "breakwater; detail=too-many-waiters"),
    ] {
        let fields = reply(how(origin, collapsed, why), Duration::from_secs(1));
        assert_eq!(text(&fields, "cache-status"), expected);
        assert_eq!(members(&fields).len(), 1, "{expected} is read by another parser");
    }
}

#[test]
fn what_is_left_of_its_life_is_negative_for_a_stale_answer() {
    for (after, expected) in [(0, 10), (9_999, 0), (10_000, 0), (10_001, -1), (15_000, -5)] {
        let fields =
            reply(how(Origin::StaleOnOpen, false, Reason::BreakerOpen), Duration::from_millis(after));
        let found = members(&fields)[0].iter().find(|(key, _)| key == "ttl").unwrap().1.clone();
        assert_eq!(found, BareItem::Integer(expected.into()), "{after} ms later");
    }
}

#[test]
fn an_answers_age_is_that_on_arrival_and_the_time_since() {
    for (after, expected) in [(0, "60"), (599, "60"), (600, "61"), (10_000, "70")] {
        let fields = reply(how(Origin::L1, false, Reason::UriMiss), Duration::from_millis(after));
        assert_eq!(text(&fields, "age"), expected, "{after} ms later");
    }
}

#[test]
fn a_clock_that_went_back_does_not_make_an_answer_younger_than_on_arrival() {
    let fields = served(
        &entry(&Fields::new(), b""),
        how(Origin::L1, false, Reason::UriMiss),
        Wall(RECEIVED.0 - 5_000),
    );
    assert_eq!(text(&fields, "age"), "60");
}

#[test]
fn the_member_stands_behind_those_the_stored_response_came_with() {
    let stored = Fields::of([(&b"cache-status"[..], &b"origin-cache; hit; ttl=1"[..]), (b"etag", b"\"1\"")]);
    let fields = served(&entry(&stored, b""), how(Origin::L1, false, Reason::UriMiss), RECEIVED);
    let lines: Vec<&[u8]> = fields.values(b"cache-status").collect();
    assert_eq!(lines, [&b"origin-cache; hit; ttl=1"[..], b"breakwater; hit; ttl=10; detail=l1"]);
    assert_eq!(members(&fields).len(), 2);
    assert_eq!(text(&fields, "etag"), "\"1\"");
}

#[test]
fn a_refusal_says_when_to_come_again_and_is_never_too_early() {
    for (millis, expected) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (300_000, "300")] {
        let answer = refusal(None, Reason::BreakerOpen, Duration::from_millis(millis), None, RECEIVED);
        let entry = Entry::read_foreign(&answer.entry, RECEIVED).unwrap();
        let fields = Fields::from_block(entry.fields.to_vec()).unwrap();
        assert_eq!(text(&fields, "retry-after"), expected, "{millis} ms");
    }
}

#[test]
fn an_own_answer_is_whole_and_stored_by_nobody() {
    let refused = refusal(None, Reason::BreakerOpen, Duration::from_secs(5), None, RECEIVED);
    let turned_away = crowded(None, RECEIVED);
    let missing = not_cached(None, RECEIVED);
    for (answer, status, why) in [
        (refused, 503, Reason::BreakerOpen),
        (turned_away, 503, Reason::TooManyWaiters),
        (missing, 504, Reason::OnlyIfCached),
    ] {
        assert_eq!(answer.origin, Origin::Refused);
        let entry = Entry::read_foreign(&answer.entry, RECEIVED).unwrap();
        assert_eq!(entry.meta.status, status);
        assert!(!entry.is_fresh(RECEIVED) && !entry.is_usable_on_error(RECEIVED));
        assert!(entry.body.ends_with(b".\n"));
        let fields = served(&entry, how(answer.origin, false, why), RECEIVED);
        assert_eq!(text(&fields, "cache-control"), "no-store");
        assert_eq!(text(&fields, "content-type"), "text/plain");
        assert_eq!(fields.get(b"age"), None, "it was made now");
        assert_eq!(members(&fields).len(), 1);
        assert_eq!(fields.get(b"proxy-status").is_some(), status == 503);
        assert_eq!(fields.get(b"retry-after").is_some(), status == 503);
    }
}

#[test]
fn a_refusals_proxy_status_is_read_by_another_parser() {
    for (answer, error) in [
        (
            refusal(None, Reason::BreakerOpen, Duration::from_secs(5), None, RECEIVED),
            "destination_unavailable",
        ),
        (crowded(None, RECEIVED), "proxy_internal_response"),
    ] {
        let entry = Entry::read(&answer.entry).unwrap();
        let fields = Fields::from_block(entry.fields.to_vec()).unwrap();
        let list: List = Parser::new(fields.get(b"proxy-status").unwrap()).parse().unwrap();
        let [ListEntry::Item(item)] = &list[..] else { panic!("one member") };
        assert_eq!(item.bare_item.as_token().unwrap().as_str(), "breakwater");
        assert_eq!(item.params["error"].as_token().unwrap().as_str(), error);
    }
}
