use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn read(lines: &[&str]) -> Option<NoVarySearch> {
    let fields = lines.iter().map(|line| (&b"no-vary-search"[..], line.as_bytes()));
    NoVarySearch::read(&Fields::of(fields))
}

fn said(any_order: bool, only: bool, names: &[&str]) -> Option<NoVarySearch> {
    Some(NoVarySearch { any_order, only, names: names.iter().map(|name| name.to_string()).collect() })
}

#[test]
fn each_member_is_read() {
    for (line, expected) in [
        ("key-order", said(true, false, &[])),
        ("key-order=?1", said(true, false, &[])),
        ("key-order, params=()", said(true, false, &[])),
        ("params=(\"a\")", said(false, false, &["a"])),
        ("params=(\"b\" \"a\" \"b\")", said(false, false, &["a", "b"])),
        ("params=(\"a\"), key-order", said(true, false, &["a"])),
        ("params=(\"a\"), key-order=?0", said(false, false, &["a"])),
        ("params=(\"\")", said(false, false, &[""])),
        ("except=(\"x\")", said(false, true, &["x"])),
        ("except=(\"x\"), key-order", said(true, true, &["x"])),
        ("except=()", said(false, true, &[])),
        ("key-order, except=()", said(true, true, &[])),
        // Unknown members and parameters are ignored.
        ("key-order, new=(1 2), params=(\"a\";q=1 \"b\");r", said(true, false, &["a", "b"])),
        // Of a member that stands twice the last one counts.
        ("params=?1, params=(\"a\")", said(false, false, &["a"])),
    ] {
        assert_eq!(read(&[line]), expected, "{line}");
    }
    assert_eq!(read(&["key-order", "except=(\"x\")"]), said(true, true, &["x"]));
}

#[test]
fn names_are_decoded_as_those_of_a_query() {
    for (raw, name) in [
        ("%C3%A9+%E6%B0%97", "é 気"),
        ("%61", "a"),
        ("a%2Bb", "a+b"),
        ("a&b=c", "a&b=c"),
        ("%zz%", "%zz%"),
        ("%f6", "\u{fffd}"),
        ("%ef%bb%bfa", "\u{feff}a"),
        ("\\\"\\\\", "\"\\"),
    ] {
        assert_eq!(read(&[&format!("params=(\"{raw}\")")]), said(false, false, &[name]), "{raw}");
    }
}

#[test]
fn what_is_invalid_or_says_nothing_is_none() {
    for line in [
        "",
        "params=()",
        "key-order=?0",
        "params=(), key-order=?0",
        "unknown-key",
        "key-order=\"not a boolean\"",
        "key-order=1",
        "key-order=()",
        "params",
        "params=?0",
        "params=?1",
        "params=\"not an inner list\"",
        "params=(not-a-string)",
        "params=(\"a\" 1)",
        "params, except=(\"x\")",
        "params=(\"a\"), except=(\"x\")",
        "params=(), except=()",
        "params=?0, except=(\"x\")",
        "except",
        "except=?1",
        "except=\"not an inner list\"",
        "except=(not-a-string)",
        "key-order, params=1",
        "Key-Order",
        "key-order,",
        "params=(\"a\"",
        "params=(\"a\" \"b\"))",
        "params=(\"é\")",
    ] {
        assert_eq!(read(&[line]), None, "{line}");
    }
    assert_eq!(read(&[]), None);
    assert_eq!(read(&["key-order", ""]), None);
}

#[test]
fn more_or_longer_names_than_allowed_are_none() {
    let list = |names: std::ops::Range<usize>| {
        let names: Vec<_> = names.map(|number| format!("\"n{number}\"")).collect();
        format!("params=({})", names.join(" "))
    };
    assert_eq!(read(&[&list(0..MAX_NAMES)]).map(|said| said.names.len()), Some(MAX_NAMES));
    assert_eq!(read(&[&list(0..MAX_NAMES + 1)]), None);
    let one = |length: usize| read(&[&format!("except=(\"{}\")", "%61".repeat(length))]);
    assert!(one(MAX_NAME_BYTES).is_some());
    assert_eq!(one(MAX_NAME_BYTES + 1), None);
}

#[test]
fn queries_have_one_form_if_they_are_equivalent() {
    for (field, first, second, expected) in [
        // The draft's own examples, of any field that says something.
        ("key-order", "", "&", true),
        ("key-order", "a=x", "%61=%78", true),
        ("key-order", "a=é", "a=%C3%A9", true),
        ("key-order", "a=%f6", "a=%ef%bf%bd", true),
        ("key-order", "a=x&&&&", "a=x", true),
        ("key-order", "a=", "a", true),
        ("key-order", "a=%20", "a= &", true),
        ("key-order", "a=+", "a= &", true),
        ("key-order", "a=%C3%A9", "a=e%CC%81", false),
        ("key-order", "a=1&b=2", "b=2&a=1", true),
        ("key-order", "a=1&b=2&a=3", "a=1&a=3&b=2", true),
        ("key-order", "a=1&a=2", "a=2&a=1", false),
        ("key-order", "a=1&b=2", "a=2&b=1", false),
        ("key-order", "a=1", "a=1&b", false),
        ("params=(\"b\")", "a=1&b=2", "a=1", true),
        ("params=(\"b\")", "%62=2&a=1&b", "a=1&b=9", true),
        ("params=(\"b\")", "b=1", "", true),
        ("params=(\"b\")", "a=1&c=2", "c=2&a=1", false),
        ("params=(\"b\")", "a=1", "a=2", false),
        ("params=(\"b\")", "B=1", "B=2", false),
        ("params=(\"\")", "=1&a", "a", true),
        ("params=(\"%f6\")", "%ff=1", "", true),
        ("except=(\"b\")", "a=1&b=2&c=3", "b=2", true),
        ("except=(\"b\")", "b=2", "b=3", false),
        ("except=(\"b\")", "b=1&b=2", "b=2&b=1", false),
        ("except=()", "a=1&b=2", "", true),
        ("except=(\"a\" \"b\")", "a&b", "b&a", false),
        ("except=(\"a\" \"b\"), key-order", "a&c&b", "b&a", true),
        ("params=(\"%C3%A9+%E6%B0%97\")", "é 気=1", "%C3%A9+%E6%B0%97=4", true),
        // What is encoded is no separator.
        ("key-order", "a=b%26c", "a=b&c", false),
        ("key-order", "a%3Db", "a=b", false),
        ("key-order", "a=%2B", "a=+", false),
        ("key-order", "a=%2541", "a=%41", false),
        ("params=(\"b\")", "a=1;b=2", "a=1", false),
    ] {
        let said = read(&[field]).unwrap();
        let same = said.normalise(first.as_bytes()) == said.normalise(second.as_bytes());
        assert_eq!(same, expected, "{field}: {first} and {second}");
    }
}

#[test]
fn a_form_is_a_query_of_its_own_class() {
    let said = read(&["key-order, params=(\"c\")"]).unwrap();
    assert_eq!(said.normalise(b"b=%3d&&c=1&a=+x&b"), b"a=+x&b=%3D&b=");
    assert_eq!(said.normalise(b"a=+x&b=%3D&b="), b"a=+x&b=%3D&b=");
}

#[test]
fn bytes_that_are_no_stored_form_are_refused() {
    let stored = said(true, true, &["a", "bc"]).unwrap().encode();
    assert_eq!(stored, b"\x03\x01a\x02bc");
    assert_eq!(NoVarySearch::decode(&stored), said(true, true, &["a", "bc"]));
    for bytes in [
        &b""[..],
        b"\x00",
        b"\x04",
        b"\x83\x01a",
        b"\x03\x01",
        b"\x03\x02a",
        b"\x03\x01a\x00\x00",
        b"\x03\x01b\x01a",
        b"\x03\x01a\x01a",
        b"\x03\x01\xff",
    ] {
        assert_eq!(NoVarySearch::decode(bytes), None, "{}", bytes.escape_ascii());
    }
    let long = [&[1, 129][..], &[b'a'; 129]].concat();
    assert_eq!(NoVarySearch::decode(&long), None);
    let many: Vec<u8> = std::iter::once(1).chain((0..=32).flat_map(|number| [1, b'0' + number])).collect();
    assert_eq!(NoVarySearch::decode(&many), None);
    assert!(NoVarySearch::decode(&many[..many.len() - 2]).is_some());
}

/// The draft's comparison (§6), step by step, on pairs that another parser reads.
fn are_equivalent(said: &NoVarySearch, first: &[u8], second: &[u8]) -> bool {
    let pairs = |query| {
        let mut pairs: Vec<_> = form_urlencoded::parse(query).into_owned().collect();
        pairs.retain(
            |(name, _)| if said.only { said.names.contains(name) } else { !said.names.contains(name) },
        );
        if said.any_order {
            pairs.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
        }
        pairs
    };
    pairs(first) == pairs(second)
}

fn any_field() -> impl Strategy<Value = NoVarySearch> {
    let name = prop_oneof!["[abcé&= +%]{0,2}", Just("\u{fffd}".to_owned()), Just("\u{10000}".to_owned())];
    let names = prop::collection::btree_set(name, 0..4);
    (any::<bool>(), any::<bool>(), names)
        .prop_map(|(any_order, only, names)| NoVarySearch {
            any_order,
            only,
            names: names.into_iter().collect(),
        })
        .prop_filter("says nothing", NoVarySearch::is_sound)
}

/// A few parameters, each in one of the ways to write it.
fn query() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = prop::sample::select(vec![
        &b"a"[..],
        b"%61",
        b"b",
        b"",
        b"%c3%a9",
        b"\xc3\xa9",
        b"%ff",
        b"\xff",
        b"%ef%bf%bd",
        b"+",
        b"%20",
        b"%26",
        b"%3D",
        b"%F0%90%80%80",
        b"%2",
    ]);
    let value = prop::sample::select(vec![&b""[..], b"=", b"=1", b"=%31", b"=+", b"=%2b", b"=1=1"]);
    prop::collection::vec((name, value).prop_map(|(name, value)| [name, value].concat()), 0..5)
}

proptest! {
    #![proptest_config(cases(2048))]

    #[test]
    fn equal_forms_are_what_the_draft_calls_equivalent(said in any_field(), first in query(), second in query()) {
        let (first, second) = (first.join(&b'&'), second.join(&b'&'));
        let same = said.normalise(&first) == said.normalise(&second);
        prop_assert_eq!(same, are_equivalent(&said, &first, &second));
    }

    #[test]
    fn so_are_those_of_queries_that_differ_in_order_or_by_one_parameter(said in any_field(), first in query(), at in any::<prop::sample::Index>(), other in query(), swap in any::<bool>()) {
        let mut second = first.clone();
        let at = at.index(first.len() + 1);
        if swap {
            second.rotate_left(at);
        } else {
            second.splice(at..at, other.into_iter().take(1));
        }
        let (first, second) = (first.join(&b'&'), second.join(&b'&'));
        let same = said.normalise(&first) == said.normalise(&second);
        prop_assert_eq!(same, are_equivalent(&said, &first, &second));
    }

    #[test]
    fn the_form_of_a_form_is_itself(said in any_field(), query in prop::collection::vec(any::<u8>(), 0..40)) {
        let form = said.normalise(&query);
        prop_assert_eq!(said.normalise(&form), form);
    }

    #[test]
    fn what_is_stored_is_read_back(said in any_field()) {
        prop_assert_eq!(NoVarySearch::decode(&said.encode()), Some(said));
    }

    #[test]
    fn what_is_read_is_within_the_limits_and_stored_as_it_was(bytes in prop::collection::vec(prop::sample::select(vec![0_u8, 1, 2, 3, b'a', b'b', 0xc3, 0xa9]), 0..9)) {
        if let Some(said) = NoVarySearch::decode(&bytes) {
            prop_assert_eq!(said.encode(), bytes);
        }
    }

    #[test]
    fn any_lines_are_read_within_the_limits(lines in prop::collection::vec(prop_oneof![prop::collection::vec(any::<u8>(), 0..30), "(key-order|params|except|=|\\(|\\)|\"|a|%|[ ,;?]|[01]){0,12}".prop_map(String::into_bytes)], 0..3)) {
        let said = NoVarySearch::read(&Fields::of(lines.iter().map(|line| (&b"no-vary-search"[..], &line[..]))));
        if let Some(said) = said {
            prop_assert!(said.is_sound());
            prop_assert_eq!(NoVarySearch::decode(&said.encode()), Some(said));
        }
    }

    #[test]
    fn what_is_written_in_the_field_is_read(said in any_field(), doubled in any::<bool>()) {
        let quoted = |name: &String| {
            let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
            format!("\"{encoded}\"")
        };
        let mut names: Vec<_> = said.names.iter().rev().map(quoted).collect();
        if doubled {
            names.extend(names.clone());
        }
        let list = format!("{}=({})", if said.only { "except" } else { "params" }, names.join(" "));
        let order = if said.any_order { "key-order, " } else { "" };
        let line = format!("{order}{list}");
        prop_assert_eq!(NoVarySearch::read(&Fields::of([(&b"no-vary-search"[..], line.as_bytes())])), Some(said), "{}", line);
    }
}
