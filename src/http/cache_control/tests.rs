use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn response(value: &str) -> ResponseDirectives {
    ResponseDirectives::parse(std::iter::once(value.as_bytes()))
}

fn request(value: &str) -> RequestDirectives {
    RequestDirectives::parse(std::iter::once(value.as_bytes()))
}

fn secs(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n))
}

#[test]
fn each_directive_is_read_in_any_case() {
    let all = response(
        "No-Store, NO-CACHE, Private, pUBLIC, Must-Revalidate, Proxy-Revalidate, Must-Understand, MAX-AGE=1, \
         S-MaxAge=2, Stale-If-Error=3, Stale-While-Revalidate=4",
    );
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
    assert_eq!(all, expected);
}

#[test]
fn an_unknown_directive_is_ignored_alone() {
    for value in [
        "foobar, max-age=7",
        "max-age=7, foobar=1",
        "a=\"b\", max-age=7, c=d",
        "stale-while-revalidate-for-ever=1, max-age=7",
        "nothing-to-see-here, max-age=7,",
        ",, max-age=7 ,,",
        "@, max-age=7",
        "=5, max-age=7",
    ] {
        assert_eq!(response(value), ResponseDirectives { max_age: secs(7), ..Default::default() }, "{value}");
    }
}

#[test]
fn a_number_is_read_as_delta_seconds() {
    for (value, expected) in [
        ("max-age=0", 0),
        ("max-age=3600", 3600),
        ("max-age=003600", 3600),
        ("max-age=\"3600\"", 3600),
        ("max-age=2147483646", MAX_DELTA_SECONDS - 1),
        ("max-age=2147483647", MAX_DELTA_SECONDS),
        ("max-age=2147483648", MAX_DELTA_SECONDS),
        ("max-age=99999999999", MAX_DELTA_SECONDS),
        ("max-age=99999999999999999999999999999999", MAX_DELTA_SECONDS),
    ] {
        assert_eq!(response(value).max_age, secs(expected), "{value}");
    }
}

#[test]
fn a_bad_number_means_stale() {
    for value in [
        "max-age=-1",
        "max-age=-3600",
        "max-age='3600'",
        "max-age=3600.0",
        "max-age=0.5",
        "max-age=a100",
        "max-age=100a",
        "max-age=100 a",
        "max-age=1 00",
        "max-age",
        "max-age=",
        "max-age=\"\"",
        "max-age=\"-1\"",
        "max-age=\"3600",
        "max-age=\"36\\00\"",
        "max-age =3600",
        "max-age= 3600",
        "max-age=3600; private",
    ] {
        assert_eq!(response(value).max_age, secs(0), "{value}");
        let value = value.replacen("max-age", "s-maxage", 1);
        assert_eq!(response(&value).s_maxage, secs(0), "{value}");
    }
}

#[test]
fn of_two_that_disagree_the_shorter_counts() {
    assert_eq!(response("max-age=1, max-age=3600").max_age, secs(1));
    assert_eq!(response("max-age=3600, max-age=1").max_age, secs(1));
    assert_eq!(response("max-age=3600, max-age=x").max_age, secs(0));
    let lines = [&b"max-age=3600"[..], b"max-age=1"];
    assert_eq!(ResponseDirectives::parse(lines.into_iter()).max_age, secs(1));
    assert_eq!(response("stale-if-error=9, stale-if-error=5").stale_if_error, secs(5));
}

#[test]
fn text_inside_a_quoted_value_is_no_directive() {
    for value in [
        "extension=\"max-age=3600\", max-age=1",
        "max-age=1, extension=\"no-store, private\"",
        "extension=\"a, no-store, max-age=9\",max-age=1",
        "extension=\"a\\\", no-store, \\\\\", max-age=1",
    ] {
        assert_eq!(response(value), ResponseDirectives { max_age: secs(1), ..Default::default() }, "{value}");
    }
    assert_eq!(response("extension=\"max-age=3600\""), ResponseDirectives::default());
}

#[test]
fn after_a_misplaced_quote_only_what_forbids_is_believed() {
    for value in [
        "a=\"b, no-store, max-age=9, public",
        "a=b\"c, no-store, max-age=9, public",
        "\"a, no-store, max-age=9, public",
    ] {
        let directives = response(value);
        assert!(directives.no_store, "{value}");
        assert_eq!(directives.max_age, secs(0), "{value}");
        assert!(!directives.public, "{value}");
    }
}

#[test]
fn what_forbids_counts_even_with_an_argument_and_what_permits_does_not() {
    assert!(response("private=\"x, y\"").private);
    assert!(response("no-cache=\"set-cookie\"").no_cache);
    assert!(response("no-store=1").no_store);
    assert!(response("no-store; max-age=5").no_store);
    assert!(!response("public=1").public);
    assert!(!response("public; max-age=5").public);
    assert!(!response("must-understand=1").must_understand);
}

#[test]
fn several_lines_are_one_list() {
    let lines = [&b"s-maxage=3600"[..], b"max-age=1,public"];
    let directives = ResponseDirectives::parse(lines.into_iter());
    assert_eq!((directives.s_maxage, directives.max_age, directives.public), (secs(3600), secs(1), true));
}

#[test]
fn each_request_directive_is_read() {
    assert_eq!(
        request("no-store, No-Cache, only-if-cached, max-age=1, min-fresh=2, max-stale=3"),
        RequestDirectives {
            no_store: true,
            no_cache: true,
            only_if_cached: true,
            max_age: secs(1),
            min_fresh: secs(2),
            max_stale: secs(3),
        }
    );
    assert_eq!(request("nothing-to-see-here"), RequestDirectives::default());
}

#[test]
fn max_stale_without_a_number_takes_any_age_and_with_a_bad_one_none() {
    assert_eq!(request("max-stale").max_stale, Some(Duration::MAX));
    assert_eq!(request("max-stale=x").max_stale, secs(0));
    assert_eq!(request("max-stale, max-stale=5").max_stale, secs(5));
    assert_eq!(request("min-fresh=x").min_fresh, None);
    assert_eq!(request("min-fresh=5, min-fresh=3").min_fresh, secs(5));
}

/// Any directives that can be written; no lifetime is longer than what is told apart.
pub(crate) fn any_directives() -> impl Strategy<Value = ResponseDirectives> {
    let lifetime = || prop::option::of((0..=MAX_DELTA_SECONDS).prop_map(Duration::from_secs));
    let flags: [bool; 7] = Default::default();
    (flags.map(|_| any::<bool>()), [lifetime(), lifetime(), lifetime(), lifetime()]).prop_map(
        |(flags, lifetimes)| {
            let [no_store, no_cache, private, public, must_revalidate, proxy_revalidate, must_understand] =
                flags;
            let [max_age, s_maxage, stale_if_error, stale_while_revalidate] = lifetimes;
            ResponseDirectives {
                no_store,
                no_cache,
                private,
                public,
                must_revalidate,
                proxy_revalidate,
                must_understand,
                max_age,
                s_maxage,
                stale_if_error,
                stale_while_revalidate,
            }
        },
    )
}

/// The members that say so.
pub(crate) fn members(said: &ResponseDirectives) -> Vec<String> {
    let flags = [
        (said.no_store, "no-store"),
        (said.no_cache, "no-cache"),
        (said.private, "private"),
        (said.public, "public"),
        (said.must_revalidate, "must-revalidate"),
        (said.proxy_revalidate, "proxy-revalidate"),
        (said.must_understand, "must-understand"),
    ];
    let lifetimes = [
        (said.max_age, "max-age"),
        (said.s_maxage, "s-maxage"),
        (said.stale_if_error, "stale-if-error"),
        (said.stale_while_revalidate, "stale-while-revalidate"),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name.to_owned());
    let lifetime =
        |(lifetime, name): (Option<Duration>, &str)| Some(format!("{name}={}", lifetime?.as_secs()));
    flags.chain(lifetimes.into_iter().filter_map(lifetime)).collect()
}

/// Members that both readers know and no other spelling of them, beside some that neither does.
fn common_member() -> impl Strategy<Value = String> {
    let flag = prop::sample::select(vec![
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "must-understand",
        "only-if-cached",
        "no-transform",
    ]);
    let number = (
        prop::sample::select(vec!["max-age", "s-maxage", "max-stale", "min-fresh"]),
        "[0-9]{1,9}|\"[0-9]{1,9}\"",
    );
    prop_oneof![
        3 => flag.prop_map(str::to_owned),
        3 => number.prop_map(|(name, number)| format!("{name}={number}")),
        1 => "[a-z]{1,4}(=([a-z0-9-]{1,3}|\"[a-z0-9, =-]{0,12}\"))?",
    ]
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_are_read_without_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        ResponseDirectives::parse(std::iter::once(&line[..]));
        RequestDirectives::parse(std::iter::once(&line[..]));
    }

    #[test]
    fn text_near_the_grammar_is_read_without_panic(line in "[a\\\\\"=, \t-]{0,12}(max-age|no-store)?[=\"\\\\, 0-9]{0,12}") {
        ResponseDirectives::parse(std::iter::once(line.as_bytes()));
    }

    /// Whatever stands around it, a no-store between commas is seen unless a closed quoted string holds it.
    #[test]
    fn a_no_store_between_commas_is_seen(before in "[a-z=\\\\, ;-]{0,20}", after in "[a-z=\", ;-]{0,20}") {
        let line = format!("{before},no-store,{after}");
        prop_assert!(response(&line).no_store, "{}", line);
    }

    #[test]
    fn what_is_written_is_read_back(said in any_directives(), blank in "[ \t]{0,2}", lines in 1_usize..4) {
        let members = members(&said);
        let lines: Vec<_> = members.chunks(members.len().div_ceil(lines).max(1)).map(|line| line.join(&format!("{blank},{blank}"))).collect();
        prop_assert_eq!(ResponseDirectives::parse(lines.iter().map(|line| line.as_bytes())), said);
    }

    /// Intended differences, none of which is generated. There: names in another case, `no-cache` and `private` with
    /// fields, and `max-stale` without a number are unknown; one bad number and the whole field is dropped; of two that
    /// disagree the last counts, not the shorter; a number is not cut off; a backslash in a quoted string escapes
    /// nothing. And it has no word for `proxy-revalidate` that could be asked for.
    #[test]
    fn another_reader_finds_the_same(members in prop::collection::vec((common_member(), "[ \t]{0,2},[ \t]{0,2}"), 0..7)) {
        use headers::Header;
        let mut seen = std::collections::BTreeSet::new();
        let mut line = String::new();
        for (member, comma) in members.iter().filter(|(member, _)| seen.insert(member.split('=').next().unwrap().to_owned())) {
            line = line + member + comma;
        }
        let value = headers::HeaderValue::from_str(&line).unwrap();
        let theirs = headers::CacheControl::decode(&mut std::iter::once(&value)).unwrap();
        let (ours, asked) = (response(&line), request(&line));
        prop_assert_eq!(ours.no_store, theirs.no_store(), "{}", line);
        prop_assert_eq!(ours.no_cache, theirs.no_cache(), "{}", line);
        prop_assert_eq!(ours.private, theirs.private(), "{}", line);
        prop_assert_eq!(ours.public, theirs.public(), "{}", line);
        prop_assert_eq!(ours.must_revalidate, theirs.must_revalidate(), "{}", line);
        prop_assert_eq!(ours.must_understand, theirs.must_understand(), "{}", line);
        prop_assert_eq!(ours.max_age, theirs.max_age(), "{}", line);
        prop_assert_eq!(ours.s_maxage, theirs.s_max_age(), "{}", line);
        prop_assert_eq!((asked.no_store, asked.no_cache), (theirs.no_store(), theirs.no_cache()), "{}", line);
        prop_assert_eq!(asked.only_if_cached, theirs.only_if_cached(), "{}", line);
        prop_assert_eq!(asked.max_age, theirs.max_age(), "{}", line);
        prop_assert_eq!(asked.min_fresh, theirs.min_fresh(), "{}", line);
        prop_assert_eq!(asked.max_stale, theirs.max_stale(), "{}", line);
    }
}
