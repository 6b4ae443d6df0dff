use super::super::cache_control::tests::{any_directives, members};
use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn of(value: &str) -> Option<ResponseDirectives> {
    read(std::iter::once(value.as_bytes()))
}

fn secs(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

const NONE: ResponseDirectives = ResponseDirectives {
    no_store: false,
    no_cache: false,
    private: false,
    public: false,
    must_revalidate: false,
    proxy_revalidate: false,
    must_understand: false,
    max_age: None,
    s_maxage: None,
    stale_if_error: None,
    stale_while_revalidate: None,
};

#[test]
fn each_directive_is_read() {
    let all = of("no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, \
                  max-age=1, s-maxage=2, stale-if-error=3, stale-while-revalidate=4");
    let expected = ResponseDirectives {
        no_store: true,
        no_cache: true,
        private: true,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        max_age: secs(1),
        s_maxage: secs(2),
        stale_if_error: secs(3),
        stale_while_revalidate: secs(4),
    };
    assert_eq!(all, Some(expected));
}

#[test]
fn a_field_that_is_absent_or_empty_gives_way() {
    assert_eq!(read(std::iter::empty()), None);
    for value in ["", " ", "   "] {
        assert_eq!(of(value), None, "{value:?}");
    }
}

#[test]
fn a_field_that_names_only_the_unknown_stands() {
    // RFC 9213 §3.1 has `none` for a cache that is told nothing.
    for value in ["none", "foo", "foobar=1, x=\"y\"", "foo=1.5", "foo=(a b)", "foo=@1"] {
        assert_eq!(of(value), Some(NONE), "{value}");
    }
    assert_eq!(of("foobar, max-age=3600"), Some(ResponseDirectives { max_age: secs(3600), ..NONE }));
}

#[test]
fn a_field_that_is_no_dictionary_gives_way() {
    for value in [
        "max-age=10000, &&&&&",
        "max-age =100",
        "max-age= 100",
        "MaX-aGe=3600",
        "no-store,",
        "max-age=1, , no-store",
        "max-age=",
        "max-age='60'",
        "max-age=60 private",
        "max-age=60s",
        "max-age=9999999999999999",
        "no-cache=\"set-cookie",
        "private;=1",
    ] {
        assert_eq!(of(value), None, "{value}");
    }
}

#[test]
fn a_value_of_another_type_makes_the_field_give_way() {
    for key in ["max-age", "s-maxage", "stale-if-error", "stale-while-revalidate"] {
        for value in ["", "=?1", "=?0", "=\"10000\"", "=abc", "=1.0", "=(1)", "=:MQ==:", "=@1"] {
            assert_eq!(of(&format!("{key}{value}")), None, "{key}{value}");
            assert_eq!(of(&format!("no-store, {key}{value}")), None, "{key}{value}");
        }
    }
    for key in ["no-store", "public", "must-revalidate", "proxy-revalidate", "must-understand"] {
        for value in ["=1", "=\"\"", "=yes", "=1.0", "=()", "=@1"] {
            assert_eq!(of(&format!("max-age=60, {key}{value}")), None, "{key}{value}");
        }
    }
    for key in ["no-cache", "private"] {
        for value in ["=1", "=1.0", "=(\"set-cookie\")", "=:AAAA:", "=@1"] {
            assert_eq!(of(&format!("max-age=60, {key}{value}")), None, "{key}{value}");
        }
    }
}

#[test]
fn a_lifetime_is_a_number_of_seconds() {
    for (value, expected) in [
        ("0", 0),
        ("3600", 3600),
        ("003600", 3600),
        ("2147483646", MAX_DELTA_SECONDS - 1),
        ("2147483647", MAX_DELTA_SECONDS),
        ("2147483648", MAX_DELTA_SECONDS),
        ("99999999999", MAX_DELTA_SECONDS),
        ("999999999999999", MAX_DELTA_SECONDS),
        ("-0", 0),
        ("-1", 0),
        ("-999999999999999", 0),
    ] {
        for parameters in ["", ";a", "; a=1;b=\"c\""] {
            let found = of(&format!("max-age={value}{parameters}"));
            assert_eq!(found, Some(ResponseDirectives { max_age: secs(expected), ..NONE }), "{value}");
            let found = of(&format!("s-maxage={value}{parameters}"));
            assert_eq!(found, Some(ResponseDirectives { s_maxage: secs(expected), ..NONE }), "{value}");
        }
    }
}

#[test]
fn a_flag_that_is_false_is_absent() {
    assert_eq!(of("no-store=?0, private=?0, public=?0"), Some(NONE));
    assert_eq!(
        of("no-store=?1, must-revalidate;x=?0"),
        Some(ResponseDirectives { no_store: true, must_revalidate: true, ..NONE })
    );
}

#[test]
fn naming_fields_binds_like_naming_none() {
    for value in
        ["private=\"set-cookie\"", "private=\"a, b\"", "private=\"\"", "private=set-cookie", "private"]
    {
        assert_eq!(of(value), Some(ResponseDirectives { private: true, ..NONE }), "{value}");
        let value = value.replacen("private", "no-cache", 1);
        assert_eq!(of(&value), Some(ResponseDirectives { no_cache: true, ..NONE }), "{value}");
    }
}

#[test]
fn of_a_directive_that_stands_twice_the_last_value_counts() {
    assert_eq!(of("max-age=1, max-age=3600"), Some(ResponseDirectives { max_age: secs(3600), ..NONE }));
    assert_eq!(of("max-age=\"x\", max-age=5"), Some(ResponseDirectives { max_age: secs(5), ..NONE }));
    assert_eq!(of("max-age=5, max-age=\"x\""), None);
    assert_eq!(of("no-store, no-store=?0"), Some(NONE));
}

#[test]
fn several_lines_are_one_field() {
    let lines = |lines: &[&'static str]| read(lines.iter().map(|line| line.as_bytes()));
    let both = ResponseDirectives { private: true, max_age: secs(5), ..NONE };
    assert_eq!(lines(&["max-age=5", "private"]), Some(both));
    assert_eq!(lines(&["max-age=9, private", "max-age=5"]), Some(both));
    assert_eq!(lines(&["max-age=5", "&&&&&"]), None);
    assert_eq!(lines(&["max-age=5", ""]), None);
    assert_eq!(lines(&["", ""]), None);
}

const FLAGS: [&str; 9] = [
    "no-cache",
    "private",
    "no-store",
    "public",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
    "no-transform",
    "immutable",
];
const LIFETIMES: [&str; 5] = ["max-age", "s-maxage", "stale-if-error", "stale-while-revalidate", "foo"];

/// A member of either field, written as both grammars have it and as both understand it.
fn member() -> impl Strategy<Value = String> {
    let with = |(key, text): (&str, String)| format!("{key}={text}");
    prop_oneof![
        prop::sample::select(&FLAGS[..]).prop_map(str::to_owned),
        (prop::sample::select(&FLAGS[..2]), "\"[a-z, -]{0,8}\"").prop_map(with),
        (prop::sample::select(&LIFETIMES[..]), "[0-9]{1,15}").prop_map(with),
        Just("foo=\"no-store, max-age=1\"".to_owned()),
    ]
}

fn key(member: &str) -> &str {
    member.split('=').next().unwrap()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn what_both_grammars_can_say_means_what_it_means_in_cache_control(members in prop::collection::vec((member(), any::<bool>()), 1..7)) {
        // Where a directive stands twice, the two fields differ by intent.
        let mut seen = std::collections::BTreeSet::new();
        let mut lines = vec![String::new()];
        for (member, on_a_new_line) in members.iter().filter(|(member, _)| seen.insert(key(member).to_owned())) {
            let last = lines.last_mut().unwrap();
            match (last.is_empty(), on_a_new_line) {
                (true, _) => last.push_str(member),
                (false, true) => lines.push(member.clone()),
                (false, false) => *last += &format!(", {member}"),
            }
        }
        let lines = || lines.iter().map(|line| line.as_bytes());
        prop_assert_eq!(read(lines()), Some(ResponseDirectives::parse(lines())));
    }

    #[test]
    fn any_bytes_are_read_without_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..3)) {
        read(lines.iter().map(Vec::as_slice));
    }

    #[test]
    fn what_is_written_is_read_back(said in any_directives(), lines in 1_usize..4) {
        let members = members(&said);
        let lines: Vec<_> = members.chunks(members.len().div_ceil(lines).max(1)).map(|line| line.join(", ")).collect();
        let found = read(lines.iter().map(|line| line.as_bytes()));
        // A field that says nothing is as if it were not there.
        prop_assert_eq!(found, (!members.is_empty()).then_some(said));
    }
}
