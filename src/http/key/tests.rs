use super::*;
use crate::testing::cases;
use proptest::prelude::*;

const HOST: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "https"), (":authority", "example.com")];

fn request(path: &str, more: &[(&str, &str)]) -> Fields {
    let all = HOST.iter().chain([(":path", path)].iter()).chain(more).copied().collect::<Vec<_>>();
    fields(&all)
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn of(spec: &KeySpec, path: &str, more: &[(&str, &str)]) -> Key {
    key(spec, &request(path, more)).unwrap()
}

fn plain(path: &str) -> Key {
    of(&KeySpec::default(), path, &[])
}

fn query_spec(ignore: &[&str], allow: Option<&[&str]>, sort: bool) -> KeySpec {
    let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    KeySpec {
        query: QuerySpec { ignore: owned(ignore), allow: allow.map(owned), sort },
        ..Default::default()
    }
}

fn at(scheme: &str, authority: &str) -> Key {
    key(&KeySpec::default(), &fields(&[(":scheme", scheme), (":authority", authority), (":path", "/")]))
        .unwrap()
}

#[test]
fn the_bytes_are_tagged_parts_with_their_lengths() {
    assert_eq!(plain("/a?x=1").bytes(), b"s\x05\0httpsa\x0b\0example.comp\x02\0/aq\x03\0x=1");
    assert_eq!(plain("/a").bytes(), b"s\x05\0httpsa\x0b\0example.comp\x02\0/a");
}

#[test]
fn a_get_and_head_share_a_key() {
    let head = [(":method", "HEAD"), (":scheme", "https"), (":authority", "example.com"), (":path", "/a")];
    assert_eq!(key(&KeySpec::default(), &fields(&head)).unwrap(), plain("/a"));
}

#[test]
fn pseudo_fields_may_stand_anywhere() {
    let shuffled =
        [("x", "y"), (":path", "/a"), ("z", ""), (":authority", "example.com"), (":scheme", "https")];
    assert_eq!(key(&KeySpec::default(), &fields(&shuffled)).unwrap(), plain("/a"));
}

#[test]
fn the_host_is_the_same_in_any_case_and_with_its_schemes_port() {
    for (a, b) in [
        (("https", "EXAMPLE.com"), ("https", "example.com")),
        (("HTTPS", "example.com:443"), ("https", "example.com")),
        (("http", "example.com:80"), ("http", "example.com")),
        (("http", "[::1]:80"), ("http", "[::1]")),
        (("http", "example.com:"), ("http", "example.com")),
    ] {
        assert_eq!(at(a.0, a.1), at(b.0, b.1), "{a:?} {b:?}");
    }
    for (a, b) in [
        (("http", "example.com"), ("https", "example.com")),
        (("http", "example.com:443"), ("http", "example.com")),
        (("https", "example.com:80"), ("https", "example.com")),
        (("https", "example.com:8443"), ("https", "example.com")),
        (("https", "example.org"), ("https", "example.com")),
    ] {
        assert_ne!(at(a.0, a.1), at(b.0, b.1), "{a:?} {b:?}");
    }
}

#[test]
fn a_host_of_any_length_keeps_its_length() {
    // 65 is the byte of "A".
    let (upper, lower) = ("A".repeat(65), "a".repeat(65));
    assert_eq!(at("https", &upper), at("https", &lower));
    assert_eq!(at("https", &lower).bytes().get(8..11), Some(&b"a\x41\0"[..]));
}

#[test]
fn the_path_is_taken_byte_by_byte() {
    for (a, b) in
        [("/a", "/A"), ("/a", "/a/"), ("/a%20", "/a+"), ("/%61", "/a"), ("/a//b", "/a/b"), ("/a", "/b")]
    {
        assert_ne!(plain(a), plain(b), "{a} {b}");
    }
}

#[test]
fn the_query_begins_at_the_first_question_mark() {
    assert_eq!(plain("/a?b?c").bytes(), b"s\x05\0httpsa\x0b\0example.comp\x02\0/aq\x03\0b?c");
    assert_ne!(plain("/a?b"), plain("/a"));
    assert_ne!(plain("/a?"), plain("/a"));
    assert_ne!(plain("/a?&"), plain("/a?"));
}

#[test]
fn the_order_of_parameters_is_forgotten_but_among_those_of_one_name() {
    for (a, b, same) in [
        ("/?a=1&b=2", "/?b=2&a=1", true),
        ("/?b&a=1&c", "/?c&b&a=1", true),
        ("/?a=2&a=1", "/?a=1&a=2", false),
        ("/?a=2&b&a=1", "/?b&a=2&a=1", true),
        ("/?a=2&b&a=1", "/?b&a=1&a=2", false),
        ("/?a=1&b", "/?a=1", false),
        ("/?a=", "/?a", false),
        ("/?a=1&&b=2", "/?a=1&b=2", false),
        ("/?A=1&b=2", "/?a=1&b=2", false),
    ] {
        assert_eq!(plain(a) == plain(b), same, "{a} {b}");
    }
    let unsorted = query_spec(&[], None, false);
    assert_ne!(of(&unsorted, "/?a=1&b=2", &[]), of(&unsorted, "/?b=2&a=1", &[]));
}

#[test]
fn sixteen_and_seventeen_parameters_are_sorted_alike() {
    for count in [16, 17, 40] {
        let list = (0..count).map(|n| format!("p{n:02}={n}")).collect::<Vec<_>>();
        let reversed = list.iter().rev().cloned().collect::<Vec<_>>();
        assert_eq!(plain(&format!("/?{}", list.join("&"))), plain(&format!("/?{}", reversed.join("&"))));
    }
}

#[test]
fn ignored_parameters_are_left_out() {
    let spec = query_spec(&["utm_*", "fbclid"], None, true);
    for path in ["/p?a=1&utm_source=x", "/p?utm_=1&a=1&fbclid=9", "/p?fbclid&a=1"] {
        assert_eq!(of(&spec, path, &[]), plain("/p?a=1"), "{path}");
    }
    assert_eq!(of(&spec, "/p?utm_source=x&fbclid=9", &[]), plain("/p"));
    assert_eq!(of(&spec, "/p?", &[]), plain("/p?"));
    for path in ["/p?utm=1", "/p?fbclid2=1", "/p?UTM_source=1", "/p?utm%5Fsource=1"] {
        assert_eq!(of(&spec, path, &[]), plain(path), "{path}");
    }
    assert_eq!(of(&query_spec(&["*"], None, true), "/p?a=1&b", &[]), plain("/p"));
}

#[test]
fn only_allowed_parameters_are_let_in() {
    let spec = query_spec(&["page_debug"], Some(&["id", "page*"]), true);
    assert_eq!(of(&spec, "/p?x=1&page_size=2&id=7&page_debug=1", &[]), plain("/p?id=7&page_size=2"));
    assert_eq!(of(&spec, "/p?ids=7", &[]), plain("/p"));
    assert_eq!(of(&query_spec(&[], Some(&[]), true), "/p?a", &[]), plain("/p"));
}

#[test]
fn what_the_upstream_may_take_for_an_allowed_parameter_stays_in_the_key() {
    let spec = query_spec(&["utm_*"], Some(&["id"]), true);
    for path in ["/p?%69d=evil", "/p?ID=evil", "/p?i%64=evil", "/p?utm_x=1;id=evil", "/p?x;id=evil"] {
        assert_ne!(of(&spec, path, &[]), plain("/p"), "{path}");
    }
    for path in ["/p?%6=1", "/p?id%=1", "/p?%zzid=1", "/p?i+d=1"] {
        assert_eq!(of(&spec, path, &[]), plain("/p"), "{path}");
    }
}

#[test]
fn named_fields_and_cookies_are_told_apart_and_others_are_not() {
    let spec = KeySpec { headers: vec!["x-lang".into()], cookies: vec!["ab".into()], ..Default::default() };
    let keys = [
        of(&spec, "/", &[]),
        of(&spec, "/", &[("x-lang", "")]),
        of(&spec, "/", &[("x-lang", "de")]),
        of(&spec, "/", &[("x-lang", "de"), ("x-lang", "")]),
        of(&spec, "/", &[("x-lang", "d"), ("x-lang", "e")]),
        of(&spec, "/", &[("cookie", "ab=de")]),
        of(&spec, "/", &[("cookie", "ab=")]),
        of(&spec, "/", &[("cookie", "ab=1; ab=2")]),
        of(&spec, "/", &[("cookie", "ab=2; ab=1")]),
    ];
    for (i, a) in keys.iter().enumerate() {
        for b in &keys[i + 1..] {
            assert_ne!(a, b);
            assert_ne!(a.digest(), b.digest());
        }
    }
    assert_eq!(keys[0], of(&spec, "/", &[("x-other", "1"), ("cookie", "abc=1; xab=2; AB=3; ab")]));
    assert_eq!(keys[7], of(&spec, "/", &[("cookie", "x=y;ab=1"), ("cookie", " ab = 2 ")]));
}

#[test]
fn a_key_is_partitioned_when_the_caller_is_known() {
    let by_header =
        KeySpec { identity: Some(Identity::Header("authorization".into())), ..Default::default() };
    let by_cookie = KeySpec { identity: Some(Identity::Cookie("sid".into())), ..Default::default() };
    for (spec, more, expected) in [
        (&KeySpec::default(), &[("authorization", "a"), ("cookie", "sid=a")][..], false),
        (&by_header, &[], false),
        (&by_header, &[("authorization", "")], false),
        (&by_header, &[("authorization", "a")], true),
        (&by_header, &[("cookie", "authorization=a")], false),
        (&by_cookie, &[("cookie", "sid=a")], true),
        (&by_cookie, &[("cookie", "sid=; other=1")], false),
        (&by_cookie, &[("sid", "a")], false),
    ] {
        assert_eq!(of(spec, "/", more).is_partitioned(), expected, "{spec:?} {more:?}");
    }
    let (alice, bob) =
        (of(&by_header, "/", &[("authorization", "a")]), of(&by_header, "/", &[("authorization", "b")]));
    assert_ne!(alice, bob);
    assert_ne!(alice.digest(), bob.digest());
    assert_ne!(of(&by_header, "/", &[]), plain("/"));
}

#[test]
fn the_same_value_as_identity_and_as_field_makes_different_keys() {
    let identity = |identity| KeySpec { identity: Some(identity), ..Default::default() };
    let more = [("x", "1"), ("cookie", "x=1")];
    let keys = [
        of(&identity(Identity::Header("x".into())), "/", &more),
        of(&identity(Identity::Cookie("x".into())), "/", &more),
        of(&KeySpec { headers: vec!["x".into()], ..Default::default() }, "/", &more),
        of(&KeySpec { cookies: vec!["x".into()], ..Default::default() }, "/", &more),
    ];
    for (i, a) in keys.iter().enumerate() {
        assert!(keys[i + 1..].iter().all(|b| b.digest() != a.digest()));
    }
}

#[test]
fn no_secret_is_found_in_a_key() {
    let spec = KeySpec {
        headers: vec!["x-token".into()],
        cookies: vec!["sid".into()],
        identity: Some(Identity::Header("authorization".into())),
        ..Default::default()
    };
    let more = [("x-token", "secret"), ("cookie", "sid=secret"), ("authorization", "secret")];
    let key = of(&spec, "/", &more);
    assert!(!key.bytes().windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_key_has_a_greatest_length() {
    let frame = plain("").bytes().len();
    let longest = "/".repeat(MAX_KEY_BYTES - frame);
    assert_eq!(plain(&longest).bytes().len(), MAX_KEY_BYTES);
    let refused = |spec: &KeySpec, path: &str| key(spec, &request(path, &[])) == Err(Reason::KeyTooLong);
    assert!(refused(&KeySpec::default(), &format!("{longest}/")));
    assert!(refused(&KeySpec::default(), &"/".repeat(70_000)));
    assert!(refused(&KeySpec::default(), &format!("/?b&a{}", "&".repeat(70_000))));
    assert!(refused(&query_spec(&["x"], None, true), &format!("/?{}", "a&".repeat(5_000))));
    // What is left out does not count.
    assert!(!refused(&query_spec(&["x"], None, true), &format!("/?x={}", "a".repeat(70_000))));
    let with_header = KeySpec { headers: vec!["h".into()], ..Default::default() };
    assert!(refused(&with_header, &longest));
}

#[test]
fn a_plain_key_is_allocated_once() {
    for path in ["/", "/a?b=1", "/a?z=1&y=2&x=3"] {
        let key = plain(path);
        let asked = capacity(&KeySpec::default(), &[b"https", b"example.com", path.as_bytes()]);
        assert!(key.bytes.len() <= asked, "{path}");
    }
    let spec = KeySpec {
        headers: vec!["x-lang".into()],
        cookies: vec!["sid".into()],
        identity: Some(Identity::Cookie("user".into())),
        ..Default::default()
    };
    let key = of(&spec, "/a?b", &[("x-lang", "de"), ("cookie", "sid=1; user=2")]);
    assert!(key.bytes.len() <= capacity(&spec, &[b"https", b"example.com", b"/a?b"]));
}

#[test]
fn a_digest_is_written_as_32_digits() {
    let mut out = b"bw:2:".to_vec();
    Digest([0x00, 0x0f, 0xf0, 0x9a, 0xa9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]).write_hex(&mut out);
    assert_eq!(out, b"bw:2:000ff09aa90102030405060708090aff");
    assert_eq!(plain("/").digest().0, blake3::hash(plain("/").bytes()).as_bytes()[..16]);
}

/// A naive twin: sort by name, stably, and join.
fn sorted(query: &str) -> String {
    let mut list = query.split('&').collect::<Vec<_>>();
    list.sort_by_key(|parameter| parameter.split('=').next());
    list.join("&")
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn any_bytes_make_a_key_or_are_refused(path in prop::collection::vec(any::<u8>(), 0..80), authority in prop::collection::vec(any::<u8>(), 0..20), cookie in prop::collection::vec(any::<u8>(), 0..40)) {
        let request = Fields::of([(&b":authority"[..], &authority[..]), (b":path", &path), (b"cookie", &cookie)]);
        let spec = KeySpec { cookies: vec!["a".into()], ..query_spec(&["a*", ""], Some(&["*b", "c"]), true) };
        prop_assert!(key(&spec, &request).is_ok());
        prop_assert!(key(&KeySpec::default(), &request).is_ok());
    }

    #[test]
    fn a_query_is_sorted_as_a_naive_sort_does(query in "[abA=&1]{0,60}") {
        let expected = of(&query_spec(&[], None, false), &format!("/?{}", sorted(&query)), &[]);
        prop_assert_eq!(plain(&format!("/?{query}")), expected);
    }

    #[test]
    fn different_urls_have_different_keys(a in "[a&=?]{0,6}", b in "[a&=?]{0,6}", c in "[a&=?]{0,6}", d in "[a&=?]{0,6}") {
        let spec = query_spec(&[], None, false);
        let make = |host: &str, path: &str| key(&spec, &fields(&[(":scheme", "http"), (":authority", host), (":path", path)])).unwrap();
        prop_assert_eq!(make(&a, &b) == make(&c, &d), (&a, &b) == (&c, &d));
    }

    /// Its parts can be told apart again, so no text in one can pass for another.
    #[test]
    fn a_key_is_read_back_part_by_part(host in "[a-z.\\x00-\\x02]{0,9}", path in "/[a-zA-Z\\x00-\\x7f&&[^?]]{0,9}", query in prop::option::of("[a-c&=?]{0,9}"), value in prop::option::of("[a-z]{0,4}")) {
        let spec = KeySpec { headers: vec!["x".into()], ..query_spec(&[], None, false) };
        let target = path.clone() + &query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut pairs = vec![(":scheme", "ftp"), (":authority", &host[..]), (":path", &target)];
        pairs.extend(value.as_ref().map(|value| ("x", &value[..])));
        let key = key(&spec, &fields(&pairs)).unwrap();
        let mut parts = Vec::new();
        let mut rest = key.bytes();
        while let [tag, low, high, tail @ ..] = rest {
            let (part, tail) = tail.split_at(usize::from(u16::from_le_bytes([*low, *high])));
            parts.push((*tag, part.to_vec()));
            rest = tail;
        }
        prop_assert!(rest.is_empty());
        let mut expected = vec![(b's', b"ftp".to_vec()), (b'a', host.into_bytes()), (b'p', path.into_bytes())];
        expected.extend(query.map(|query| (b'q', query.into_bytes())));
        prop_assert_eq!(&parts[..expected.len()], &expected[..]);
        prop_assert_eq!(&parts[expected.len()], &(b'h', b"x".to_vec()));
        prop_assert_eq!(parts[expected.len() + 1].1.is_empty(), value.is_none());
        prop_assert_eq!(parts.len(), expected.len() + 2);
    }

    /// With the names as another parser decodes them.
    #[test]
    fn parameters_are_left_out_as_a_naive_reader_leaves_them_out(query in prop::collection::vec(("(a|b|ab|A|%61|%62|c|;)?", "(=[a;]?)?"), 1..6), ignore in prop::collection::vec("(a|b|c|%61)\\*?", 0..3), allow in prop::option::of(prop::collection::vec("(a|b)\\*?", 0..3)), sort in any::<bool>()) {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}{value}")).collect();
        let takes = |pattern: &str, name: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        let stays = |parameter: &str| {
            let raw = parameter.split('=').next().unwrap();
            let decoded = form_urlencoded::parse(raw.as_bytes()).next().map(|(name, _)| name.to_lowercase()).unwrap_or_default();
            let allowed = allow.as_ref().is_none_or(|list| list.iter().any(|pattern| takes(pattern, &decoded)));
            parameter.contains(';') || (allowed && !ignore.iter().any(|pattern| takes(pattern, raw)))
        };
        let mut kept: Vec<&str> = query.iter().map(String::as_str).filter(|parameter| stays(parameter)).collect();
        if sort {
            kept.sort_by_key(|parameter| parameter.split('=').next().unwrap());
        }
        let spec = KeySpec { query: QuerySpec { ignore: ignore.clone(), allow: allow.clone(), sort }, ..Default::default() };
        let found = of(&spec, &format!("/?{}", query.join("&")), &[]);
        let whole = query_spec(&[], None, false);
        let expected = if kept.is_empty() { of(&whole, "/", &[]) } else { of(&whole, &format!("/?{}", kept.join("&")), &[]) };
        prop_assert_eq!(found, expected, "{:?} of {:?}", kept, query);
    }
}

#[test]
fn a_body_is_part_of_the_key_with_what_says_how_it_is_to_be_read() {
    let of = |method: &str, more: &[(&str, &str)], body: &str| {
        plain("/a").with_body(method.as_bytes(), &request("/a", more), body.as_bytes()).unwrap()
    };
    let one = of("QUERY", &[("content-type", "text/plain")], "x");
    assert_eq!(
        one,
        of("QUERY", &[("accept", "*/*"), ("content-type", "text/plain"), ("content-length", "1")], "x")
    );
    assert_eq!(one.resource(), Some(plain("/a").digest()));
    let others = [
        of("QUERY", &[], "x"),
        of("QUERY", &[("content-type", "text/csv")], "x"),
        of("QUERY", &[("content-type", "text/plain"), ("content-encoding", "gzip")], "x"),
        of("QUERY", &[("content-type", "text/plain"), ("content-language", "de")], "x"),
        of("QUERY", &[("content-language", "text/plain")], "x"),
        of("QUERY", &[("content-type", "text/plain")], "y"),
        of("POST", &[("content-type", "text/plain")], "x"),
    ];
    for (place, other) in others.iter().enumerate() {
        assert!(*other != one && !others[..place].contains(other), "{place}");
        assert_ne!(other.digest(), one.digest());
    }
}
