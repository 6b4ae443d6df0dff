use super::*;
use crate::http::Fields;
use crate::testing::cases;
use proptest::prelude::*;

const NOW: Wall = Wall(784_111_777_000);
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const POLICY: StoringPolicy = StoringPolicy {
    default_ttl: Duration::ZERO,
    override_ttl: None,
    max_ttl: None,
    statuses: Vec::new(),
    heuristic_percent: 10,
    set_cookie: SetCookie::Refuse,
    stale_if_error: Duration::from_secs(3600),
    stale_while_revalidate: Duration::ZERO,
};

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn request(method: &str, more: &[(&str, &str)]) -> RequestHead {
    RequestHead::read(&fields(&[&[(":method", method)], more].concat()))
}

fn response(status: u16, more: &[(&str, &str)]) -> ResponseHead {
    let status = status.to_string();
    ResponseHead::read(&fields(&[&[(":status", status.as_str())], more].concat()), NOW)
}

fn verdict(request: &RequestHead, response: &ResponseHead, partitioned: bool) -> Verdict {
    judge(request, response, partitioned, &POLICY, NOW, NOW)
}

/// A plain GET answered with a status and fields.
fn plain(status: u16, more: &[(&str, &str)]) -> Verdict {
    verdict(&request("GET", &[]), &response(status, more), false)
}

fn cc(cache_control: &str) -> Verdict {
    plain(200, &[("cache-control", cache_control)])
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn fresh_for(verdict: Verdict) -> Result<Duration, Reason> {
    verdict.store.map(|lifetime| lifetime.fresh_for)
}

#[test]
fn a_response_that_forbids_it_is_neither_shared_nor_kept() {
    for (name, value, reason) in [
        ("cache-control", "no-store, max-age=9", Reason::NoStore),
        ("cache-control", "No-StOrE, max-age=9", Reason::NoStore),
        ("cache-control", "private, max-age=9", Reason::Private),
        ("cache-control", "private=\"x\", max-age=9", Reason::Private),
        ("cache-control", "private, s-maxage=9, public", Reason::Private),
        ("cache-control", "no-cache, max-age=9", Reason::NoCache),
        ("cache-control", "No-Cache=\"a, b\", max-age=9", Reason::NoCache),
        ("set-cookie", "a=b", Reason::SetCookie),
        ("vary", "*", Reason::VaryStar),
        ("vary", "a, *", Reason::VaryStar),
    ] {
        let verdict = plain(200, &[("cache-control", "max-age=60"), (name, value)]);
        assert_eq!(verdict.share, Err(reason), "{name}: {value}");
        assert_eq!(verdict.store, Err(reason), "{name}: {value}");
    }
}

#[test]
fn sharing_asks_for_permission_and_not_for_freshness() {
    for (status, more, store) in [
        (200, &[][..], Reason::NoLifetime),
        (200, &[("cache-control", "max-age=0")], Reason::Expired),
        (200, &[("cache-control", "s-maxage=0, must-revalidate")], Reason::Expired),
        (200, &[("cache-control", "max-age=60"), ("age", "60")], Reason::Expired),
        (200, &[("expires", "0")], Reason::Expired),
        (200, &[("vary", "accept")], Reason::NoLifetime),
        (404, &[], Reason::NoLifetime),
        (500, &[], Reason::NoLifetime),
        (503, &[("retry-after", "5")], Reason::NoLifetime),
    ] {
        let verdict = plain(status, more);
        assert_eq!(verdict.share, Ok(()), "{status} {more:?}");
        assert_eq!(verdict.store, Err(store), "{status} {more:?}");
    }
}

#[test]
fn a_response_for_one_caller_is_shared_within_its_partition() {
    let authorized = request("GET", &[("authorization", "x")]);
    for more in [&[("cache-control", "private, max-age=9")][..], &[("cache-control", "max-age=9")]] {
        let verdict = verdict(&authorized, &response(200, more), true);
        assert_eq!((verdict.share, fresh_for(verdict)), (Ok(()), Ok(secs(9))), "{more:?}");
    }
    // What identity does not cure.
    for (name, value, reason) in [
        ("cache-control", "no-store", Reason::NoStore),
        ("cache-control", "private, no-cache", Reason::NoCache),
        ("set-cookie", "a=b", Reason::SetCookie),
        ("vary", "*", Reason::VaryStar),
    ] {
        assert_eq!(verdict(&authorized, &response(200, &[(name, value)]), true).share, Err(reason), "{name}");
    }
}

#[test]
fn an_authorized_response_is_shared_only_by_permission() {
    let authorized = request("GET", &[("authorization", "x")]);
    for (cache_control, permitted) in [
        ("max-age=9", false),
        ("", false),
        ("proxy-revalidate, max-age=9", false),
        ("public=\"x\", max-age=9", false),
        ("public, max-age=9", true),
        ("must-revalidate, max-age=9", true),
        ("must-revalidate", true),
        ("s-maxage=9", true),
        ("max-age=0, s-maxage=9", true),
        ("public, max-age=0", true),
        // Nothing of theirs may be had without asking the upstream.
        ("must-revalidate, max-age=0", false),
        ("s-maxage=0", false),
        ("s-maxage=x, max-age=9", false),
    ] {
        let verdict = verdict(&authorized, &response(200, &[("cache-control", cache_control)]), false);
        let expected = if permitted { Ok(()) } else { Err(Reason::Authorization) };
        assert_eq!(verdict.share, expected, "{cache_control}");
        assert!(permitted || verdict.store == Err(Reason::Authorization), "{cache_control}");
    }
}

#[test]
fn only_the_answer_to_a_cacheable_get_is_shared() {
    let good = response(200, &[("cache-control", "public, max-age=9")]);
    for (method, more, reason) in [
        ("HEAD", &[][..], Reason::Method),
        ("POST", &[], Reason::Method),
        ("OPTIONS", &[], Reason::Method),
        ("CONNECT", &[], Reason::Tunnel),
        ("GET", &[("content-length", "1")], Reason::RequestBody),
        ("GET", &[("if-match", "\"a\"")], Reason::Precondition),
        ("GET", &[("cache-control", "no-store")], Reason::RequestNoStore),
        ("HEAD", &[("cache-control", "no-store")], Reason::RequestNoStore),
    ] {
        let verdict = verdict(&request(method, more), &good, true);
        assert_eq!((verdict.share, verdict.store), (Err(reason), Err(reason)), "{method} {more:?}");
    }
    for more in [&[][..], &[("cookie", "a=b")], &[("if-none-match", "\"a\"")], &[("pragma", "no-cache")]] {
        assert_eq!(verdict(&request("GET", more), &good, false).share, Ok(()), "{more:?}");
    }
}

#[test]
fn every_final_status_with_a_lifetime_is_kept_but_parts_and_updates() {
    for status in [0, 99, 100, 101, 102, 103, 199, 304, 600, 999] {
        let verdict = plain(status, &[("cache-control", "max-age=9")]);
        assert_eq!((verdict.share, verdict.store), (Err(Reason::Status), Err(Reason::Status)), "{status}");
    }
    assert_eq!(plain(206, &[("cache-control", "max-age=9")]).share, Err(Reason::Range));
    for status in (200..600).filter(|status| ![206, 304].contains(status)) {
        assert_eq!(fresh_for(plain(status, &[("cache-control", "max-age=9")])), Ok(secs(9)), "{status}");
        assert_eq!(plain(status, &[("cache-control", "max-age=0")]).store, Err(Reason::Expired), "{status}");
    }
}

#[test]
fn the_rules_lifetime_is_for_statuses_cacheable_by_default() {
    let policy = StoringPolicy { default_ttl: secs(5), ..POLICY };
    let get = request("GET", &[]);
    for (status, more, expected) in [
        (200, &[][..], Ok(secs(5))),
        (404, &[], Ok(secs(5))),
        (201, &[], Err(Reason::NoLifetime)),
        (500, &[], Err(Reason::NoLifetime)),
        (503, &[], Err(Reason::NoLifetime)),
        (599, &[("cache-control", "public")], Ok(secs(5))),
        (200, &[("age", "2")], Ok(secs(3))),
        (200, &[("age", "5")], Err(Reason::Expired)),
        (200, &[("cache-control", "max-age=0")], Err(Reason::Expired)),
        (200, &[("cache-control", "max-age=x")], Err(Reason::Expired)),
        (200, &[("cache-control", "max-age=7")], Ok(secs(7))),
        (200, &[("cache-control", "private")], Err(Reason::Private)),
    ] {
        let verdict = judge(&get, &response(status, more), false, &policy, NOW, NOW);
        assert_eq!(fresh_for(verdict), expected, "{status} {more:?}");
    }
}

#[test]
fn what_is_used_up_on_arrival_counts_against_the_lifetime() {
    let get = request("GET", &[]);
    let found = |more: &[(&str, &str)], took_ms: u64| {
        judge(&get, &response(200, more), false, &POLICY, NOW, Wall(NOW.0 + took_ms)).store
    };
    let lifetime = |fresh_ms, age_ms| {
        Ok(Lifetime {
            fresh_for: Duration::from_millis(fresh_ms),
            initial_age: Duration::from_millis(age_ms),
            stale_if_error: secs(3600),
            stale_while_revalidate: Duration::ZERO,
            never_stale: false,
        })
    };
    let max_age = ("cache-control", "max-age=60");
    assert_eq!(found(&[max_age], 0), lifetime(60_000, 0));
    assert_eq!(found(&[max_age, ("age", "20")], 0), lifetime(40_000, 20_000));
    assert_eq!(found(&[max_age, ("age", "20")], 500), lifetime(39_500, 20_500));
    assert_eq!(found(&[max_age, ("age", "59")], 999), lifetime(1, 59_999));
    assert_eq!(found(&[max_age, ("age", "59")], 1_000), Err(Reason::Expired));
    assert_eq!(found(&[max_age, ("age", "2147483648")], 0), Err(Reason::Expired));
    assert_eq!(
        found(&[("cache-control", "max-age=2147483648"), ("age", "2147483648")], 0),
        Err(Reason::Expired)
    );
    let until = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    assert_eq!(found(&[("date", DATE), until], 0), lifetime(60_000, 0));
    assert_eq!(found(&[("date", DATE), until, ("age", "61")], 0), Err(Reason::Expired));
    assert_eq!(found(&[("date", "nonsense"), until], 0), lifetime(60_000, 0));
}

#[test]
fn must_understand_lifts_no_store_for_known_statuses_and_forbids_others() {
    let both = [("cache-control", "no-store, must-understand, max-age=9")];
    for status in [200, 203, 204, 301, 308, 404, 410, 417, 500, 501] {
        assert_eq!(fresh_for(plain(status, &both)), Ok(secs(9)), "{status}");
    }
    for status in [299, 399, 499, 599] {
        assert_eq!(plain(status, &both).share, Err(Reason::Status), "{status}");
        let alone = [("cache-control", "must-understand, max-age=9")];
        assert_eq!(plain(status, &alone).share, Err(Reason::Status), "{status}");
    }
}

#[test]
fn a_response_that_must_not_be_stale_stands_in_for_no_error() {
    for (cache_control, expected) in [
        ("max-age=9", 3600),
        ("max-age=9, stale-if-error=60", 60),
        ("max-age=9, stale-if-error=7200", 7200),
        ("max-age=9, stale-if-error=0", 0),
        ("max-age=9, stale-if-error=x", 0),
        ("max-age=9, must-revalidate", 0),
        ("max-age=9, proxy-revalidate", 0),
        ("s-maxage=9", 0),
        ("max-age=9, must-revalidate, stale-if-error=60", 0),
        ("s-maxage=9, stale-if-error=60", 0),
    ] {
        assert_eq!(
            cc(cache_control).store.map(|lifetime| lifetime.stale_if_error),
            Ok(secs(expected)),
            "{cache_control}"
        );
    }
}

#[test]
fn cookies_and_content_are_no_obstacle() {
    let asked = request("GET", &[("cookie", "a=b")]);
    let given = response(200, &[("cache-control", "max-age=9"), ("content-disposition", "attachment")]);
    assert_eq!(fresh_for(verdict(&asked, &given, false)), Ok(secs(9)));
}

mod oracle;

proptest! {
    #![proptest_config(cases(256))]

    /// Whatever is said, nothing is kept that may not be shared, and nothing that forbids it is shared.
    #[test]
    fn nothing_is_kept_without_permission(
        members in prop::collection::vec(prop::sample::select(vec!["no-store", "private", "no-cache", "public", "must-revalidate", "s-maxage=9", "max-age=9", "max-age=0", "must-understand"]), 0..5),
        status in 100_u16..700,
        authorized in any::<bool>(),
        partitioned in any::<bool>(),
        (requested, received) in (any::<u64>(), any::<u64>()),
    ) {
        let asked = request("GET", if authorized { &[("authorization", "x")] } else { &[] });
        let given = response(status, &[("cache-control", &members.join(", "))]);
        let verdict = judge(&asked, &given, partitioned, &POLICY, Wall(requested), Wall(received));
        prop_assert!(verdict.share.is_ok() || verdict.store.is_err());
        let said = |member: &str| members.contains(&member);
        if verdict.share.is_ok() {
            prop_assert!(!said("no-cache"));
            prop_assert!(!said("no-store") || said("must-understand"));
            prop_assert!(!said("private") || partitioned);
            prop_assert!(!authorized || partitioned || said("public") || said("must-revalidate") || said("s-maxage=9"));
        }
        if let Ok(lifetime) = verdict.store {
            prop_assert!(!lifetime.fresh_for.is_zero());
        }
    }
}
