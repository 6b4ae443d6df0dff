use super::*;
use crate::breaker::Outcome;
use crate::http::{ResponseHead, vary};

const NOW: Wall = Wall(1_767_225_600_000);

fn head(pairs: &[(&str, &str)]) -> Head {
    let fields = fields(pairs);
    let response = ResponseHead::read(&fields, NOW);
    Head { response, fields, outcome: Outcome::Success, changed_at: Wall(0) }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn copy(pairs: &[(&str, &str)], lifetime: Option<Lifetime>) -> Copy {
    let request = fields(&[("accept-language", "de")]);
    let rule = crate::config::parse(b"{}").unwrap().default_rule.cache;
    Copy::begin(&head(pairs), &request, &rule, lifetime, Wall(NOW.0 - 40), NOW)
}

const LIFETIME: Lifetime = Lifetime {
    lifetime: Duration::from_secs(63),
    initial_age: Duration::from_secs(3),
    stale_if_error: Duration::from_secs(600),
    stale_while_revalidate: Duration::from_secs(30),
    never_stale: false,
};

#[test]
fn a_kept_copy_lives_from_its_heads_arrival() {
    let copy = copy(&[(":status", "203"), ("age", "9")], Some(LIFETIME));
    assert!(copy.is_kept());
    assert_eq!(copy.requested_at(), Wall(NOW.0 - 40));
    let bytes = copy.into_entry(None);
    let meta = Entry::read_foreign(&bytes, NOW).unwrap().meta;
    let expected = Meta {
        status: 203,
        received_at: NOW,
        initial_age: LIFETIME.initial_age,
        fresh_until: Wall(NOW.0 + 60_000),
        stale_until: Wall(NOW.0 + 660_000),
        refresh_until: Wall(NOW.0 + 90_000),
        authorized: false,
        never_stale: false,
        etag_generated: false,
        took: Duration::from_millis(40),
    };
    assert_eq!(meta, expected);
}

#[test]
fn what_came_too_old_has_been_stale_since_it_became_so() {
    // A lifetime of two seconds, three seconds ago.
    let copy = copy(&[(":status", "200")], Some(Lifetime { lifetime: Duration::from_secs(2), ..LIFETIME }));
    let bytes = copy.into_entry(None);
    let entry = Entry::read_foreign(&bytes, NOW).unwrap();
    assert!(!entry.is_fresh(NOW));
    assert_eq!(entry.ttl_seconds(NOW), -1);
    let second = Duration::from_secs(1);
    assert!(entry.is_within_stale(second, NOW) && !entry.is_within_stale(second, NOW.after(second)));
    let meta = entry.meta;
    assert_eq!((meta.stale_until, meta.refresh_until), (Wall(NOW.0 + 599_000), Wall(NOW.0 + 29_000)));
}

#[test]
fn an_age_beyond_all_dates_makes_nothing_fresh() {
    let ages = Lifetime {
        lifetime: Duration::from_secs(1 << 31),
        initial_age: Duration::from_secs(1 << 31),
        ..LIFETIME
    };
    let aged = Lifetime { initial_age: Duration::from_millis(u64::MAX), ..ages };
    for (lifetime, fresh_until) in [(ages, NOW), (aged, Wall(0))] {
        let bytes = copy(&[(":status", "200")], Some(lifetime)).into_entry(None);
        let meta = Entry::read_foreign(&bytes, NOW).unwrap().meta;
        assert_eq!(meta.fresh_until, fresh_until);
    }
}

#[test]
fn a_copy_without_a_lifetime_is_of_this_moment_only_and_keeps_its_age() {
    let copy = copy(&[(":status", "200"), ("age", "9")], None);
    assert!(!copy.is_kept());
    let bytes = copy.into_entry(None);
    let entry = Entry::read_foreign(&bytes, NOW).unwrap();
    assert!(!entry.is_fresh(NOW) && !entry.is_usable_on_error(NOW));
    assert_eq!(entry.age(NOW), Duration::from_millis(9_040));
}

#[test]
fn what_vary_nominates_is_kept_with_the_copy() {
    let bytes = copy(&[(":status", "200"), ("vary", "Accept-Language")], Some(LIFETIME)).into_entry(None);
    let entry = Entry::read_foreign(&bytes, NOW).unwrap();
    assert!(vary::matches(entry.selecting, &fields(&[("accept-language", "de")])));
    assert!(!vary::matches(entry.selecting, &fields(&[("accept-language", "fr")])));
    assert!(!vary::matches(entry.selecting, &Fields::new()));
}

#[test]
fn three_directives_let_a_copy_answer_requests_with_authorization() {
    for (cache_control, expected) in [
        ("max-age=60", false),
        ("max-age=60, proxy-revalidate", false),
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("s-maxage=60", true),
    ] {
        let pairs = [(":status", "200"), ("cache-control", cache_control)];
        let bytes = copy(&pairs, Some(LIFETIME)).into_entry(None);
        assert_eq!(Entry::read(&bytes).unwrap().meta.authorized, expected, "{cache_control}");
    }
}

#[test]
fn pieces_add_up_to_the_body_as_far_as_is_allowed() {
    let mut copy = copy(&[(":status", "200"), ("content-length", "18446744073709551615")], None);
    assert!(copy.add(b"hel", 5) && copy.add(b"", 5) && copy.add(b"lo", 5));
    assert!(!copy.add(b"!", 5));
    assert_eq!(Entry::read(&copy.into_entry(None)).unwrap().body, b"hello");
}

#[test]
fn an_announced_length_reserves_only_so_much() {
    let huge = copy(&[(":status", "200"), ("content-length", "4000000000")], None);
    assert!(huge.body.capacity() <= LARGEST_RESERVE);
    let small = copy(&[(":status", "200"), ("content-length", "12")], None);
    assert!((12..LARGEST_RESERVE).contains(&small.body.capacity()));
}
