use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn vary(lines: &[&str]) -> Vary {
    Vary::read(&fields(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()))
}

/// Whether a response with `Vary: nominated`, asked for with `first`, answers `second`.
fn answers(nominated: &str, first: &[(&str, &str)], second: &[(&str, &str)]) -> bool {
    matches(&vary(&[nominated]).selecting_fields(&fields(first)), &fields(second))
}

#[test]
fn names_are_read_once_each_in_any_case_and_order() {
    let expected = Vary::Fields(vec![b"a".to_vec(), b"b".to_vec()]);
    for lines in [&["a, b"][..], &["B,A"], &["b", "a"], &[" b ,, a ,", "A"], &["a\t,b"]] {
        assert_eq!(vary(lines), expected, "{lines:?}");
    }
    for lines in [&[][..], &[""], &[" , "]] {
        assert_eq!(vary(lines), Vary::None, "{lines:?}");
    }
}

#[test]
fn a_star_anywhere_is_a_star() {
    for lines in [&["*"][..], &["*, *"], &["a, *"], &["*, a"], &[", *"], &["*,"], &["a", "*"], &["*", "a"]] {
        assert_eq!(vary(lines), Vary::Star, "{lines:?}");
    }
}

#[test]
fn what_is_no_field_name_is_a_star() {
    assert_eq!(vary(&["accept-encoding cookie"]), Vary::Star);
    assert_eq!(vary(&["\"a\""]), Vary::Star);
    assert_eq!(vary(&[&"a".repeat(256)]), Vary::Star);
    assert_ne!(vary(&[&"a".repeat(255)]), Vary::Star);
}

#[test]
fn more_fields_than_allowed_are_a_star() {
    let names = |n: usize| (0..n).map(|i| format!("f{i}")).collect::<Vec<_>>().join(",");
    assert!(matches!(vary(&[&names(MAX_FIELDS)]), Vary::Fields(names) if names.len() == MAX_FIELDS));
    assert!(matches!(vary(&[&format!("{},f0", names(MAX_FIELDS))]), Vary::Fields(_)));
    assert_eq!(vary(&[&names(MAX_FIELDS + 1)]), Vary::Star);
}

#[test]
fn only_a_request_that_agrees_in_all_nominated_fields_is_answered() {
    let asked = [("foo", "1"), ("bar", "x"), ("other", "7")];
    for (nominated, second, expected) in [
        ("foo", &[("foo", "1")][..], true),
        ("foo", &[("foo", "2")], false),
        ("foo", &[], false),
        ("foo", &[("foo", "")], false),
        ("absent", &[], true),
        ("absent", &[("absent", "")], false),
        ("foo, bar", &[("bar", "x"), ("foo", "1")], true),
        ("foo, bar", &[("bar", "y"), ("foo", "1")], false),
        ("bar, foo", &[("foo", "1")], false),
        ("foo, bar, absent", &[("foo", "1"), ("bar", "x")], true),
        ("foo, bar, absent", &[("foo", "1"), ("bar", "x"), ("absent", "1")], false),
        ("Foo", &[("foo", "1"), ("other", "8")], true),
    ] {
        assert_eq!(answers(nominated, &asked, second), expected, "{nominated} {second:?}");
    }
}

#[test]
fn values_are_compared_in_one_form() {
    assert!(answers("foo", &[("foo", "1, 2")], &[("foo", "1"), ("foo", "2")]));
    assert!(answers("foo", &[("foo", "1,2")], &[("foo", " 1 ,\t2 ")]));
    assert!(answers("accept-language", &[("accept-language", "en, DE")], &[("accept-language", "EN,de")]));
    assert!(!answers("foo", &[("foo", "\"1, 2\"")], &[("foo", "\"1,2\"")]));
    assert!(!answers("foo", &[("foo", "a")], &[("foo", "A")]));
    assert!(!answers("foo", &[("foo", "1 2")], &[("foo", "12")]));
    assert!(!answers("foo", &[("foo", "1"), ("foo", "2")], &[("foo", "2"), ("foo", "1")]));
}

#[test]
fn a_value_is_not_stored_in_the_clear() {
    let stored = vary(&["cookie"]).selecting_fields(&fields(&[("cookie", "session=secret")]));
    assert!(!stored.windows(6).any(|window| window == b"secret"));
    assert_eq!(stored.len(), 1 + 6 + 1 + DIGEST);
}

#[test]
fn nothing_stored_agrees_with_every_request_and_unsound_bytes_with_none() {
    let request = fields(&[("foo", "1")]);
    assert!(matches(b"", &request));
    assert!(matches(b"\x01x\x00", &request));
    let sound = vary(&["foo, x"]).selecting_fields(&request);
    for end in 1..sound.len() {
        // A cut at the border between two fields leaves a sound list of one.
        assert_eq!(matches(&sound[..end], &request), end == 1 + 3 + 1 + DIGEST, "{end}");
    }
    assert!(!matches(b"\x01x\x02", &request));
    assert!(!matches(&[&sound[..], b"\x00"].concat(), &request));
}

/// What the lines of `name` come to, as a list: joined, without blanks, case forgotten where it has no meaning.
fn members(request: &[(String, String)], name: &str) -> Option<String> {
    let lines: Vec<_> =
        request.iter().filter(|(other, _)| other == name).map(|(_, line)| line.as_str()).collect();
    let joined = lines
        .join(",")
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .collect::<Vec<_>>()
        .join(",");
    let joined = if name.starts_with("accept-") { joined.to_lowercase() } else { joined };
    (!lines.is_empty()).then_some(joined)
}

fn some_request() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop::sample::select(vec!["a", "b", "accept-language", "c"]).prop_map(str::to_owned);
    prop::collection::vec((name, "[xyX]?[ \t]?,?[ \t]?[xyX]?"), 0..4)
}

fn block(pairs: &[(String, String)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_bytes_are_read_without_panic(line in prop::collection::vec(any::<u8>(), 0..99), stored in prop::collection::vec(0_u8..9, 0..99)) {
        let request = fields(&[("a", "1")]);
        let vary = Vary::read(&Fields::of([(&b"vary"[..], &line[..])]));
        prop_assert!(vary == Vary::Star || matches(&vary.selecting_fields(&request), &request));
        matches(&stored, &request);
    }

    #[test]
    fn a_request_agrees_with_itself(pairs in prop::collection::vec(("[a-e]", "[ -~]{0,9}"), 0..6), nominated in "[a-e](,[a-e]){0,5}") {
        let request = Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        prop_assert!(matches(&vary(&[&nominated]).selecting_fields(&request), &request));
    }

    #[test]
    fn a_naive_comparison_finds_the_same(first in some_request(), second in some_request(), nominated in prop::sample::subsequence(vec!["a", "b", "accept-language"], 0..=3)) {
        let alike = nominated.iter().all(|name| members(&first, name) == members(&second, name));
        let stored = vary(&[&nominated.join(",")]).selecting_fields(&block(&first));
        prop_assert_eq!(matches(&stored, &block(&second)), alike);
    }

    /// Intended differences: a name that is none, one of more than 255 bytes, and more than 32 of them are a star here.
    /// There, text in quotes is one name, and what is no text has none.
    #[test]
    fn another_reader_finds_the_same_names(lines in prop::collection::vec("[a-cA-C*]{0,2}([ \t]?,[ \t]?([a-cA-C-]{0,3}|\\*)){0,4}", 0..3)) {
        use headers::Header;
        let values: Vec<_> = lines.iter().map(|line| headers::HeaderValue::from_str(line).unwrap()).collect();
        let theirs = headers::Vary::decode(&mut values.iter()).unwrap();
        let names = theirs.iter_strs().filter(|name| !name.is_empty()).map(|name| name.to_lowercase().into_bytes());
        let names: std::collections::BTreeSet<_> = names.collect();
        let expected = match names.len() {
            _ if theirs.is_any() => Vary::Star,
            0 => Vary::None,
            _ => Vary::Fields(names.into_iter().collect()),
        };
        prop_assert_eq!(vary(&lines.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }
}
