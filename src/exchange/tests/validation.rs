//! A stale stored response is asked about, and what the 304 says binds.

use super::*;

/// The upstream is asked whether the stale copy that L1 holds still holds.
fn validates() -> Driven {
    Driven::holding("GET", &[], Some(stale())).leads().after([nothing(), admitted()])
}

fn confirmation(more: &[(&str, &str)]) -> Event {
    head("304", more)
}

fn kept(actions: &[Action]) -> Option<&Held> {
    actions.iter().find_map(|action| match action {
        Action::Keep(_, entry) => Some(entry),
        _ => None,
    })
}

#[test]
fn a_stale_copy_with_a_validator_is_asked_about_with_it() {
    let mut asking = Driven::holding("GET", &[], Some(stale())).leads().after([nothing()]);
    let actions = asking.on(admitted());
    let [Action::Forward(Some(condition))] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(condition.if_none_match.as_deref(), Some(&b"\"1\""[..]));
}

#[test]
fn a_confirmed_copy_is_stored_anew_and_answers_all_who_wait() {
    let mut driven = validates();
    let actions =
        driven.on(confirmation(&[("etag", "\"1\""), ("cache-control", "max-age=60"), ("x", "new")]));
    assert_eq!(
        words(&actions),
        "record success, keep, forget, serve revalidated { stored: true } 200, end with revalidated { stored: true } 200"
    );
    let entry = Entry::read(kept(&actions).unwrap()).unwrap();
    assert!(entry.is_fresh(NOW) && !entry.is_fresh(NOW.after(secs(61))));
    assert_eq!(entry.body, b"hello");
    assert_eq!(crate::http::fields::iterate(entry.fields).filter(|(name, _)| *name == b"x").count(), 1);
    assert!(driven.is_ended());
}

#[test]
fn a_confirmation_that_forbids_sharing_is_for_its_own_client_alone() {
    for (cache_control, reason) in [("private", "private"), ("no-store", "no-store")] {
        let actions = validates().on(confirmation(&[("cache-control", cache_control)]));
        assert_eq!(
            words(&actions),
            format!(
                "record success, discard, remember, end alone {reason}, serve revalidated {{ stored: false }} 200"
            )
        );
    }
}

#[test]
fn a_confirmation_that_forbids_reuse_unasked_is_stored_and_not_shared() {
    let actions = validates().on(confirmation(&[("cache-control", "no-cache")]));
    assert_eq!(
        words(&actions),
        "record success, keep, remember, end alone no-cache, serve revalidated { stored: true } 200"
    );
    assert!(!Entry::read(kept(&actions).unwrap()).unwrap().is_fresh(NOW));
}

#[test]
fn a_confirmation_of_another_response_confirms_nothing_and_all_is_asked_for_again() {
    let other = [("etag", "\"2\""), ("cache-control", "max-age=60")];
    let mut driven = validates();
    let actions = driven.on(confirmation(&other));
    assert_eq!(words(&actions), "record success, discard, vacate, refetch");
    assert_eq!(words(&driven.on(refetched(200))), "hand 200");
    assert!(driven.is_ended());
}

#[test]
fn what_a_refetch_brings_is_handed_on_unless_it_failed_and_the_stale_copy_may_stand_in() {
    for (brought, late, expected) in [
        (refetched(404), false, "hand 404"),
        (refetched(503), false, "serve stale for 503"),
        (refetched(503), true, "hand 503"),
        (Event::Refetched(None), false, "serve stale for 304"),
        (Event::Refetched(None), true, "serve own 502"),
    ] {
        let mut driven = validates();
        driven.on(confirmation(&[("etag", "\"2\"")]));
        driven.now = if late { NOW.after(secs(120)) } else { NOW };
        assert_eq!(words(&driven.on(brought)), expected);
    }
}

#[test]
fn what_is_sent_again_is_not_sent_a_third_time() {
    let other = [("etag", "\"2\"")];
    let expected = "record success, discard, vacate, serve stale for 304";
    // Nobody waits for a refresh, and it has failed.
    let mut refresh = validates();
    refresh.exchange.sender = Sender::Refresh(Wall(0));
    let failed = "record success, discard, vacate, serve own 502";
    assert_eq!(words(&refresh.on(confirmation(&other))), failed);
    let mut nowhere = validates();
    nowhere.refreshes = false;
    assert_eq!(words(&nowhere.on(confirmation(&other))), expected);
    let mut with_body = validates();
    with_body.exchange.request.has_body = true;
    assert_eq!(words(&with_body.on(confirmation(&other))), expected);
}

#[test]
fn a_304_that_nobody_asked_for_passes() {
    let actions = Driven::get().fetches().on(confirmation(&[]));
    assert_eq!(words(&actions), "record success, remember, end alone status, relay status");
}

#[test]
fn without_the_cache_nothing_is_validated() {
    let mut driven = Driven::holding("GET", &[], Some(stale()));
    driven.rule.cache.enabled = false;
    let mut asking = driven.leads().after([nothing()]);
    assert!(matches!(asking.on(admitted())[..], [Action::Forward(None)]));
}
