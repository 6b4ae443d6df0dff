//! The decisions, one rule a test.

use super::*;
use crate::config::plan::Fallback;

fn served(actions: &[Action]) -> Option<&Answer> {
    actions.iter().find_map(|action| match action {
        Action::Serve(answer) => Some(answer),
        _ => None,
    })
}

fn status(answer: &Answer) -> u16 {
    Entry::read(&answer.entry).unwrap().meta.status
}

// ## Routes and flights

#[test]
fn without_a_place_in_a_flight_a_request_goes_alone() {
    let mut driven = Driven::get().after([routed()]);
    assert_eq!(words(&driven.on(Event::Apart(Reason::TooManyWaiters))), "admit");
    assert_eq!((driven.exchange.why, driven.exchange.collapsed), (Reason::TooManyWaiters, Some(false)));
}

#[test]
fn a_waiter_takes_an_answer_that_fits() {
    let mut driven = Driven::get().waits();
    assert_eq!(words(&driven.on(told(Origin::L2, fresh()))), "serve l2 200");
    assert_eq!(driven.exchange.collapsed, Some(true));
}

#[test]
fn a_waiter_takes_an_answer_that_has_no_lifetime() {
    let mut driven = Driven::get().waits();
    assert_eq!(words(&driven.on(told(Origin::Upstream, entry(0, "")))), "serve upstream 200");
}

#[test]
fn a_waiter_whose_vary_differs_asks_for_itself() {
    let german = entry(60, "de");
    let mut same = Driven::new("GET", &[("accept-language", "de")]).waits();
    assert_eq!(words(&same.on(told(Origin::Upstream, Rc::clone(&german)))), "serve upstream 200");
    let mut other = Driven::new("GET", &[("accept-language", "fr")]).waits();
    assert_eq!(words(&other.on(told(Origin::Upstream, german))), "admit");
    assert_eq!((other.exchange.why, other.exchange.collapsed), (Reason::VaryMiss, Some(false)));
}

#[test]
fn a_waiter_with_authorization_takes_only_what_permits_it() {
    for (cache_control, expected) in [
        ("max-age=60", "admit"),
        ("max-age=60, public", "serve upstream 200"),
        ("max-age=60, must-revalidate", "serve upstream 200"),
        ("s-maxage=60", "serve upstream 200"),
    ] {
        let mut leader =
            Driven::get().fetches().after([head("200", &[("cache-control", cache_control)]), piece(1)]);
        let actions = leader.on(Event::Complete);
        let Some(Action::End(_, Outcome::Answer(answer))) = actions.last() else { panic!("{actions:?}") };
        let mut waiter = Driven::new("GET", &[("authorization", "x")]).waits();
        let told = Event::Ended(Outcome::Answer(answer.clone()));
        assert_eq!(words(&waiter.on(told)), expected, "{cache_control}");
    }
}

#[test]
fn a_waiter_that_waited_long_enough_leaves_and_goes_alone() {
    let mut driven = Driven::get().waits();
    assert_eq!(words(&driven.on(Event::TimedOut)), "leave, admit");
    assert_eq!((driven.exchange.why, driven.exchange.collapsed), (Reason::WaitTimeout, Some(false)));
    assert_eq!(words(&driven.on(told(Origin::Upstream, fresh()))), "", "what comes too late is not for it");
}

#[test]
fn a_waiter_whose_leader_is_lost_competes_and_is_not_counted_as_uncollapsed() {
    let mut driven = Driven::get().waits();
    assert_eq!(words(&driven.on(Event::Ended(Outcome::Lost))), "join");
    assert_eq!(driven.exchange.collapsed, None);
    assert_eq!(words(&driven.on(watching())), "park");
    assert_eq!(words(&driven.on(Event::Led(TOKEN, None))), "look up", "promoted");
}

#[test]
fn a_waiter_that_goes_leaves_its_place() {
    let mut driven = Driven::get().waits();
    assert_eq!(words(&driven.on(Event::Gone)), "leave");
    assert!(driven.is_ended());
}

#[test]
fn an_entry_that_appeared_while_joining_is_served_without_asking_further() {
    let mut driven = Driven::get().after([routed()]);
    assert_eq!(words(&driven.on(Event::Led(TOKEN, Some(fresh())))), "serve l1 200, end with l1 200");
}

#[test]
fn a_leader_that_goes_before_the_end_vacates_its_lead() {
    for (driven, expected) in [
        (Driven::get().leads(), "vacate"),
        (Driven::get().leads().after([nothing()]), "vacate"),
        (Driven::get().fetches(), "record abandoned, vacate"),
        (Driven::get().fetches().after([cacheable_head(), piece(1)]), "vacate"),
    ] {
        let mut driven = driven;
        assert_eq!(words(&driven.on(Event::Gone)), expected);
    }
}

// ## Tiers

#[test]
fn what_redis_has_fresh_fills_l1_and_answers_all() {
    for (origin, expected) in [
        (Origin::L2, "fill, serve l2 200, end with l2 200"),
        (Origin::L3, "fill, serve l3 200, end with l3 200"),
    ] {
        assert_eq!(words(&Driven::get().leads().on(found(fresh(), origin))), expected);
    }
}

#[test]
fn an_entry_of_another_key_is_not_believed() {
    let mut driven = Driven::get().leads();
    let mut other = Driven::new("GET", &[]);
    other.exchange.interest = Interest::Cacheable(
        key::key(&other.rule.cache.key, &fields(&[(":authority", "b.test"), (":path", "/x")])).unwrap(),
    );
    let body_of_other = {
        let read = fresh();
        let entry = Entry::read(&read).unwrap();
        let Interest::Cacheable(key) = &other.exchange.interest else { panic!("cacheable") };
        Rc::new(Entry { key: key.bytes(), ..entry }.encode())
    };
    assert_eq!(words(&driven.on(found(body_of_other, Origin::L2))), "admit");
}

#[test]
fn an_entry_is_fresh_until_its_moment_and_no_longer() {
    for (later, expected) in [(59_999, "fill, serve l2 200, end with l2 200"), (60_000, "admit")] {
        let mut driven = Driven::get().leads();
        driven.now = Wall(NOW.0 + later);
        assert_eq!(words(&driven.on(found(fresh(), Origin::L2))), expected, "{later} ms later");
    }
}

#[test]
fn without_redis_what_l1_holds_counts_as_long_as_it_is_fresh() {
    let mut fresh = Driven::holding("GET", &[], Some(fresh()));
    fresh.remote = false;
    assert_eq!(words(&fresh.leads().on(Event::Gone)), "", "it was served at once");
    let mut held = Driven::holding("GET", &[], Some(stale()));
    held.remote = false;
    assert_eq!(words(&held.after([routed()]).on(led())), "admit");
    let mut broken = Driven::holding("GET", &[], Some(super::fresh())).leads();
    assert_eq!(words(&broken.on(Event::Found(Lookup::Unavailable))), "serve l1 200, end with l1 200");
}

#[test]
fn of_two_stale_copies_the_newer_stands_in() {
    for (held, remote, expected) in [(1, 2, 2), (2, 1, 2), (2, 2, 2)] {
        let mut driven = Driven::holding("GET", &[], Some(entry_received_at(held, -5, "")))
            .leads()
            .after([found(entry_received_at(remote, -5, ""), Origin::L3), admitted()]);
        let actions = driven.on(head("503", &[]));
        let received = Entry::read(&served(&actions).unwrap().entry).unwrap().meta.received_at;
        assert_eq!(received, Wall(expected), "{held} held, {remote} found");
    }
}

#[test]
fn only_if_cached_gets_504_and_vacates_the_lead() {
    let mut driven = Driven::new("GET", &[("cache-control", "only-if-cached")]).leads();
    assert_eq!(words(&driven.on(nothing())), "serve own 504, vacate");
    assert_eq!(driven.exchange.why, Reason::OnlyIfCached);
    let mut stored = Driven::new("GET", &[("cache-control", "only-if-cached")]).leads();
    assert_eq!(
        words(&stored.on(found(fresh(), Origin::L2))),
        "fill, serve l2 200, end with l2 200",
        "what is stored answers it"
    );
}

// ## The circuit

#[test]
fn an_open_circuit_is_answered_from_a_stale_copy_or_with_503_for_all() {
    let mut held = Driven::holding("GET", &[], Some(stale())).leads().after([nothing()]);
    assert_eq!(words(&held.on(refused())), "serve stale on open, end with stale on open");
    let mut empty = Driven::get().leads().after([nothing()]);
    assert_eq!(words(&empty.on(refused())), "serve own 503, end with own 503");
    assert_eq!(empty.exchange.why, Reason::BreakerOpen);
}

#[test]
fn a_stale_copy_answers_for_an_open_circuit_only_within_stale_if_error() {
    for (later, expected) in [(54_999, "stale on open"), (55_000, "own 503")] {
        let mut driven = Driven::holding("GET", &[], Some(stale())).leads().after([nothing()]);
        driven.now = Wall(NOW.0 + later);
        let actions = driven.on(refused());
        assert_eq!(served(&actions).map(answer_word).as_deref(), Some(expected), "{later} ms later");
    }
}

#[test]
fn a_rule_without_fallback_refuses_although_a_copy_is_there() {
    let mut driven = Driven::holding("GET", &[], Some(stale())).leads().after([nothing()]);
    driven.rule.breaker.fallback = Fallback::Error;
    assert_eq!(words(&driven.on(refused())), "serve own 503, end with own 503");
}

#[test]
fn a_refusal_is_an_answer_for_waiters_with_authorization_too() {
    let mut leader = Driven::get().leads().after([nothing()]);
    let actions = leader.on(refused());
    let answer = served(&actions).unwrap().clone();
    let mut waiter = Driven::new("GET", &[("authorization", "x")]).waits();
    assert_eq!(words(&waiter.on(Event::Ended(Outcome::Answer(answer)))), "serve own 503");
}

#[test]
fn an_unsafe_request_is_refused_by_an_open_circuit_and_invalidates_nothing() {
    let mut driven = Driven::new("POST", &[]).after([Event::Routed(Route::Upstream)]);
    assert_eq!(words(&driven.on(refused())), "serve own 503");
}

#[test]
fn a_permit_is_recorded_with_what_the_head_says() {
    for (status, expected) in [("200", "success"), ("404", "success"), ("500", "failure"), ("501", "success")]
    {
        let actions = Driven::get().fetches().on(head(status, &[]));
        assert_eq!(word(&actions[0]), format!("record {expected}"), "{status}");
    }
}

// ## The response

#[test]
fn a_stale_copy_stands_in_for_a_failure_only_within_stale_if_error() {
    for (later, expected) in [
        (54_999, "record failure, serve stale for 503, end with stale for 503"),
        (55_000, "record failure, forget, relay upstream-failed"),
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
        assert!(!actions.iter().any(|action| matches!(action, Action::Remember)), "{more:?}");
    }
}

#[test]
fn a_failure_that_may_be_shared_is_shared_and_not_kept() {
    let long = [("cache-control", "max-age=60")];
    let mut driven = Driven::get().fetches().after([head("503", &long), piece(1)]);
    assert_eq!(words(&driven.on(Event::Complete)), "end with upstream 503");
}

#[test]
fn a_failure_that_may_not_be_shared_releases_the_waiters_as_a_failure() {
    let actions = Driven::get().fetches().on(head("503", &[("set-cookie", "a=b")]));
    assert_eq!(words(&actions), "record failure, end alone upstream-failed, relay set-cookie");
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
        ("max-age=60", "record success, remember, end alone authorization, relay authorization"),
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
    let entry = Entry::read_foreign(kept).unwrap();
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
    assert_eq!(words(&larger.on(piece(2))), "end alone too-large, remember");
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
        let found = actions.iter().any(|action| matches!(action, Action::Invalidate));
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
    assert_eq!((answer.origin, status(answer)), (Origin::StaleOnError(502), 200));
}
