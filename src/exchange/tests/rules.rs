//! What is decided before a response, one rule a test: flights, tiers, the circuit.

use super::*;
use crate::config::plan::Answer;
use crate::config::plan::{Advice, Fallback};

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
fn a_waiter_whose_vary_differs_flies_with_those_who_ask_for_the_same_and_then_alone() {
    let german = || told(Origin::Upstream, entry(60, "de"));
    let asks = |language| Driven::new("GET", &[("accept-language", language)]).waits();
    assert_eq!(words(&asks("de").on(german())), "serve upstream 200");
    let formations = ["fr", "fr", "en"].map(|language| {
        let mut waiter = asks(language);
        assert_eq!(words(&waiter.on(german())), "join");
        waiter.exchange.formation
    });
    assert!(matches!(formations[0], Formation::Variant(_)));
    assert!(formations[0] == formations[1] && formations[0] != formations[2]);
    let mut waiter = asks("fr");
    waiter.on(german());
    waiter.on(watching());
    assert_eq!(words(&waiter.on(german())), "admit");
    assert_eq!((waiter.exchange.why, waiter.exchange.collapsed), (Reason::VaryMiss, Some(false)));
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
fn what_is_fresh_and_not_fresh_enough_for_its_client_is_not_called_stale() {
    for (held, why) in [(fresh(), Reason::RequestDirectives), (stale(), Reason::Stale)] {
        let mut driven = Driven::new("GET", &[("cache-control", "no-cache")]);
        driven.rule.cache.request_directives = Advice::Honor;
        let mut driven = driven.after([Event::Routed(Route::Lookup)]);
        assert_eq!(words(&driven.on(found(held, Origin::L2))), "admit");
        assert_eq!(driven.exchange.why, why);
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
    assert_eq!(
        words(&broken.on(Event::Found(Lookup::Unavailable, Standing::Unasked))),
        "serve l1 200, end with l1 200"
    );
}

#[test]
fn what_l1_held_is_not_served_once_its_resource_changed_while_redis_was_asked() {
    for (changed_at, expected) in
        [(NOW.0 - 10_001, "serve l1 200, end with l1 200"), (NOW.0 - 10_000, "admit")]
    {
        let mut driven = Driven::holding("GET", &[], Some(fresh())).leads();
        driven.exchange.drop_outdated(Wall(changed_at));
        assert_eq!(words(&driven.on(Event::Found(Lookup::Unavailable, Standing::Unasked))), expected);
    }
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
fn a_refresh_has_failed_although_a_stale_copy_answers_those_who_wait() {
    let refresh = || {
        let mut driven = Driven::holding("GET", &[], Some(stale())).leads();
        driven.exchange.sender = Sender::Refresh(Wall(0));
        driven.after([nothing()])
    };
    assert_eq!(words(&refresh().on(refused())), "serve own 503, end with stale on open");
    let mut failing = refresh().after([admitted()]);
    assert_eq!(
        words(&failing.on(head("500", &[]))),
        "record failure, serve failed(500) 500, end with stale for 500"
    );
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

#[test]
fn a_write_is_never_answered_from_the_store() {
    let mut post = Driven::new("POST", &[]).after([Event::Routed(Route::Upstream)]);
    let actions = post.on(refused_with(in_l1(stale())));
    assert_eq!(words(&actions), "serve own 503");
}

#[test]
fn an_open_circuit_is_hidden_by_what_l1_holds() {
    let mut get = Driven::get().after([Event::Routed(Route::Upstream)]);
    assert_eq!(words(&get.on(refused_with(in_l1(stale())))), "serve stale on open");
}

#[test]
fn the_rules_own_answer_stands_in_where_nothing_stale_does() {
    let own = |content: Option<Held>| {
        let mut driven = Driven::get();
        let answer = Answer { status: 200, content_type: "text/html".into(), body: "<p>later</p>".into() };
        driven.rule.breaker.answer = Some(answer);
        let mut driven = driven.after([Event::Routed(Route::Upstream)]);
        driven.on(refused_with(Stock { in_l1: content, changed_at: Wall(0) }))
    };
    assert_eq!(words(&own(Some(stale()))), "serve stale on open");
    let actions = own(None);
    assert_eq!(words(&actions), "serve own 200");
    let entry = Entry::read(&served(&actions).unwrap().entry).unwrap();
    let fields = Fields::from_block(entry.fields.to_vec()).unwrap();
    assert_eq!((entry.body, fields.get(b"content-type")), (&b"<p>later</p>"[..], Some(&b"text/html"[..])));
    assert!(fields.get(b"retry-after").is_some() && fields.get(b"proxy-status").is_some());
}

#[test]
fn who_can_be_answered_stale_does_not_probe_but_has_it_done() {
    let offered = |sender, refreshes, held: Option<Held>| {
        let mut driven = Driven::get();
        driven.refreshes = refreshes;
        driven.exchange.sender = sender;
        let mut driven = driven.leads().after([nothing()]);
        words(&driven.on(Event::Offered(Stock { in_l1: held, changed_at: Wall(0) })))
    };
    let stale = || Some(stale());
    let all = "serve stale on open, end with stale on open, invite";
    assert_eq!(offered(Sender::Client, true, stale()), all);
    assert_eq!(offered(Sender::Client, true, None), "probe", "it has nothing to live on");
    assert_eq!(offered(Sender::Client, false, stale()), "probe", "nobody else can");
    assert_eq!(offered(Sender::Refetch, true, stale()), "probe", "it is one already");
}

#[test]
fn who_waits_for_a_fetch_is_answered_stale_when_the_circuit_opens_under_it() {
    let opened = |held: Option<Held>, in_l1: Option<Held>| {
        let mut driven = Driven::holding("GET", &[], held).fetches();
        let actions = driven.on(Event::Opened(Stock { in_l1, changed_at: Wall(0) }));
        (words(&actions), driven.exchange.leads_a_fetch(), driven)
    };
    let ended = "end with stale on open";
    assert_eq!(opened(Some(stale()), None).0, ended);
    let (told, leads, mut driven) = opened(None, Some(stale()));
    assert_eq!((told.as_str(), leads), (ended, false));
    let actions = driven.on(cacheable_head());
    assert_eq!(words(&actions), "record success, forget, relay stored", "its own client gets what comes");
    assert_eq!(words(&driven.on(Event::Complete)), "keep");
    let (told, leads, _) = opened(None, None);
    assert_eq!((told.as_str(), leads), ("", true), "with nothing to give they wait on");
}
