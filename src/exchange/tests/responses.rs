//! What is decided at a response's head and at its end, one rule a test.

use super::*;

#[test]
fn a_stale_copy_stands_in_for_a_failure_only_within_stale_if_error() {
    for (later, expected) in [
        (54_999, "record failure, serve stale for 503, end with stale for 503"),
        (55_000, "record failure, end failed 503, relay upstream-failed"),
    ] {
        let mut driven = Driven::holding("GET", &[], Some(stale())).fetches();
        driven.now = Wall(NOW.0 + later);
        assert_eq!(words(&driven.on(head("503", &[]))), expected, "{later} ms later");
    }
}

#[test]
fn a_stale_copy_does_not_stand_in_for_an_answer_that_is_no_failure() {
    for status in ["200", "404", "429", "501"] {
        let actions = Driven::holding("GET", &[], Some(stale())).fetches().on(head(status, &[]));
        assert!(served(&actions).is_none(), "{status}");
    }
}

#[test]
fn a_failure_is_not_remembered() {
    for more in [&[][..], &[("cache-control", "private")], &[("set-cookie", "a=b")]] {
        let actions = Driven::get().fetches().on(head("503", more));
        assert!(!actions.iter().any(|action| matches!(action, Action::Remember(_))), "{more:?}");
    }
}

/// After another leader, for whom all waited, was failed.
fn second() -> Driven {
    Driven::get().waits().after([Event::Ended(Outcome::Failed(503)), led(), nothing(), admitted()])
}

#[test]
fn a_failure_is_kept_only_for_as_long_as_it_says_itself() {
    for (more, expected) in [
        (&[][..], "end with upstream 503"),
        (&[("etag", "\"1\"")], "end with upstream 503"),
        (&[("cache-control", "max-age=60")], "keep, end with upstream 503"),
    ] {
        let mut driven = second().after([head("503", more), piece(1)]);
        assert_eq!(words(&driven.on(Event::Complete)), expected, "{more:?}");
    }
}

#[test]
fn a_first_failure_is_told_at_its_head_and_each_waiter_tries_once_more() {
    let mut leader = Driven::get().fetches();
    let actions = leader.on(head("503", &[]));
    assert_eq!(words(&actions), "record failure, end failed 503, relay upstream-failed");
    let mut waiter = Driven::get().waits();
    assert_eq!(words(&waiter.on(Event::Ended(Outcome::Failed(503)))), "join");
    waiter.on(watching());
    assert_eq!(words(&waiter.on(Event::Ended(Outcome::Failed(502)))), "serve failed(502) 502");
    let kept = Driven::get().fetches().on(head("503", &[("cache-control", "max-age=1")]));
    assert_eq!(words(&kept), "record failure, relay stored", "what may be kept is no chance");
}

#[test]
fn a_second_failure_that_may_not_be_shared_is_told_the_waiters_without_a_byte_of_it() {
    let actions = second().on(head("503", &[("set-cookie", "a=b")]));
    assert_eq!(words(&actions), "record failure, end with failed(503) 503, relay set-cookie");
}

#[test]
fn an_uncacheable_answer_releases_the_waiters_at_its_head_and_is_remembered() {
    for (more, word) in [
        (("cache-control", "private"), "private"),
        (("cache-control", "no-store"), "no-store"),
        (("cache-control", "no-cache"), "no-cache"),
        (("set-cookie", "a=b"), "set-cookie"),
        (("vary", "*"), "vary-star"),
    ] {
        let actions = Driven::get().fetches().on(head("200", &[("cache-control", "max-age=60"), more]));
        assert_eq!(words(&actions), format!("record success, remember, end alone {word}, relay {word}"));
    }
}

#[test]
fn what_a_leader_with_authorization_gets_is_shared_only_if_that_is_permitted() {
    for (cache_control, expected) in [
        (
            "max-age=60",
            "record success, remember for the authorized, end alone authorization, relay authorization",
        ),
        ("max-age=60, public", "record success, forget, relay stored"),
    ] {
        let mut driven = Driven::new("GET", &[("authorization", "x")]).fetches();
        assert_eq!(words(&driven.on(head("200", &[("cache-control", cache_control)]))), expected);
    }
}

#[test]
fn a_cacheable_answer_is_kept_and_shared_at_its_end() {
    let mut driven = Driven::get().fetches();
    assert_eq!(words(&driven.on(cacheable_head())), "record success, forget, relay stored");
    assert_eq!(words(&driven.on(piece(3))), "");
    assert_eq!(words(&driven.on(piece(2))), "");
    let actions = driven.on(Event::Complete);
    assert_eq!(words(&actions), "keep, end with upstream 200");
    let [Action::Keep(requested_at, kept), Action::End(_, Outcome::Answer(answer))] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(*requested_at, NOW);
    assert!(Rc::ptr_eq(kept, &answer.entry), "one copy for all");
    let entry = Entry::read_foreign(kept, NOW).unwrap();
    assert_eq!((entry.body, entry.meta.fresh_until), (&b"xxxxx"[..], NOW.after(secs(60))));
}

#[test]
fn an_answer_that_lives_for_no_time_is_shared_and_not_kept() {
    for (more, reason) in [(&[][..], "no-lifetime"), (&[("cache-control", "max-age=0")], "expired")] {
        let mut driven = Driven::get().fetches();
        assert_eq!(words(&driven.on(head("200", more))), format!("record success, forget, relay {reason}"));
        assert_eq!(words(&driven.on(Event::Complete)), "end with upstream 200");
    }
}

#[test]
fn a_disabled_cache_shares_but_does_not_keep() {
    let mut driven = Driven::get().fetches();
    driven.rule.cache.enabled = false;
    assert_eq!(words(&driven.on(cacheable_head())), "record success, forget, relay disabled");
    assert_eq!(words(&driven.on(Event::Complete)), "end with upstream 200");
}

#[test]
fn a_body_that_broke_off_is_neither_kept_nor_shared() {
    let mut driven = Driven::get().fetches().after([cacheable_head(), piece(1)]);
    assert_eq!(words(&driven.on(Event::Gone)), "vacate");
    assert_eq!(words(&driven.on(Event::Complete)), "");
}

#[test]
fn a_body_as_large_as_allowed_is_copied_and_one_byte_more_releases_the_waiters() {
    let copying = || Driven::get().fetches().after([cacheable_head(), piece(LARGEST_BODY - 1)]);
    let mut fits = copying().after([piece(1)]);
    assert_eq!(words(&fits.on(Event::Complete)), "keep, end with upstream 200");
    let mut larger = copying();
    assert_eq!(words(&larger.on(piece(2))), "remember, end alone too-large");
    assert_eq!(words(&larger.on(Event::Complete)), "");
}

#[test]
fn a_body_announced_as_too_large_releases_the_waiters_at_the_head() {
    for (length, expected) in [
        ("16", "record success, forget, relay stored"),
        ("17", "record success, remember, end alone too-large, relay too-large"),
        ("18446744073709551615", "record success, remember, end alone too-large, relay too-large"),
    ] {
        let more = [("cache-control", "max-age=60"), ("content-length", length)];
        assert_eq!(words(&Driven::get().fetches().on(head("200", &more))), expected, "{length}");
    }
}

#[test]
fn a_request_alone_copies_only_what_is_kept() {
    let kept = Driven::get().fetches_alone().after([cacheable_head()]);
    assert!(!kept.exchange.is_over());
    let passed = Driven::get().fetches_alone().after([head("200", &[])]);
    assert!(passed.exchange.is_over());
}

#[test]
fn an_unsafe_request_invalidates_when_it_succeeds_and_only_then() {
    for (status, invalidates) in [
        ("200", true),
        ("204", true),
        ("303", true),
        ("399", true),
        ("400", false),
        ("404", false),
        ("503", false),
    ] {
        let actions = Driven::new("POST", &[]).fetches_alone().on(head(status, &[]));
        let found = actions.iter().any(|action| matches!(action, Action::Invalidate(..)));
        assert_eq!(found, invalidates, "{status}");
    }
    let mut safe = Driven::new("OPTIONS", &[]).fetches_alone();
    assert_eq!(words(&safe.on(head("200", &[]))), "record success, relay");
}

#[test]
fn what_is_not_for_the_cache_is_relayed_as_it_is() {
    let mut driven = Driven::new("OPTIONS", &[]).fetches_alone();
    assert_eq!(words(&driven.on(head("503", &[]))), "record failure, relay");
    assert!(driven.exchange.is_over());
}

#[test]
fn the_status_of_the_failure_is_told_with_the_stale_copy() {
    let actions = Driven::holding("GET", &[], Some(stale())).fetches().on(head("502", &[]));
    let answer = served(&actions).unwrap();
    let status = Entry::read(&answer.entry).unwrap().meta.status;
    assert_eq!((answer.origin, status), (Origin::StaleOnError(502), 200));
}
