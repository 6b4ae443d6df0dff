use super::*;
use crate::testing::cases;
use proptest::prelude::*;

const NOW: Wall = Wall(1_767_225_600_000);
/// 1994-11-06 08:49:37, in its three forms, and the seconds around it.
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const RFC850: &str = "Sunday, 06-Nov-94 08:49:37 GMT";
const ASCTIME: &str = "Sun Nov  6 08:49:37 1994";
const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const THEN: Wall = Wall(784_111_777_000);

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn text(fields: &Fields) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    fields.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn asked_of(stored: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8(value).unwrap());
    condition_for(fields(stored).as_block())
        .map(|condition| (text(condition.if_none_match), text(condition.if_modified_since)))
        .unwrap_or_default()
}

/// Whether a stored 200 answers `request` with a 304; it came at `THEN`.
fn answers_304(stored: &[(&str, &str)], request: &[(&str, &str)]) -> bool {
    not_modified(&fields(request), fields(stored).as_block(), 200, THEN, NOW)
}

/// Whether a stored response with `tag` answers If-None-Match with a 304.
fn is_held(tag: &str, if_none_match: &[&str]) -> bool {
    let lines: Vec<_> = if_none_match.iter().map(|line| ("if-none-match", *line)).collect();
    answers_304(&[("etag", tag)], &lines)
}

#[test]
fn the_upstream_is_asked_with_what_it_gave_byte_for_byte() {
    for (stored, tag, modified) in [
        (&[("etag", "\"a\""), ("last-modified", DATE)][..], Some("\"a\""), Some(DATE)),
        (&[("etag", "W/\"a\"")], Some("W/\"a\""), None),
        (&[("last-modified", RFC850)], None, Some(RFC850)),
        (&[("last-modified", ASCTIME)], None, Some(ASCTIME)),
        (&[("etag", "abc")], Some("abc"), None),
        (&[("etag", "w/\"a\"")], Some("w/\"a\""), None),
        (&[("etag", "\"a\",\"b\"")], Some("\"a\",\"b\""), None),
        (&[("etag", "\"a\""), ("etag", "\"b\"")], Some("\"a\""), None),
        (&[("etag", "\"a\""), ("last-modified", "yesterday")], Some("\"a\""), None),
    ] {
        assert_eq!(asked_of(stored), (tag.map(str::to_owned), modified.map(str::to_owned)), "{stored:?}");
    }
}

#[test]
fn without_a_usable_validator_nothing_is_asked() {
    for stored in [
        &[][..],
        &[("etag", "")],
        &[("etag", " ")],
        // "Is there anything?" would always be answered with a 304.
        &[("etag", "*")],
        &[("last-modified", "0")],
        &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT,Sun, 06 Nov 1994 08:49:37 GMT")],
        &[("last-modified", DATE), ("last-modified", DATE)],
        &[("date", DATE)],
    ] {
        assert_eq!(condition_for(fields(stored).as_block()), None, "{stored:?}");
    }
}

#[test]
fn tags_are_compared_as_the_table_of_the_rfc_says() {
    for (a, b, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
        ("\"1\"", "\"2\"", false, false),
        ("\"a\"", "\"A\"", false, false),
        ("\"\"", "\"\"", true, true),
        ("W/\"\"", "\"\"", false, true),
        // What is no entity tag equals only itself, and never strongly.
        ("1", "1", false, true),
        ("1", "\"1\"", false, false),
        ("W/1", "1", false, false),
        ("w/\"1\"", "w/\"1\"", false, true),
        ("w/\"1\"", "\"1\"", false, false),
        ("W/W/\"1\"", "W/\"1\"", false, false),
        ("W\\\"1\"", "W\\\"1\"", false, true),
        ("\"1", "\"1", false, true),
        ("\"", "\"", false, true),
        ("\"a\"b\"", "\"a\"b\"", false, true),
        ("\"a b\"", "\"a b\"", false, true),
        ("", "", false, false),
        ("W/", "", false, false),
    ] {
        assert_eq!(strong_eq(a.as_bytes(), b.as_bytes()), strong, "{a} {b}");
        assert_eq!(strong_eq(b.as_bytes(), a.as_bytes()), strong, "{b} {a}");
        assert_eq!(weak_eq(a.as_bytes(), b.as_bytes()), weak, "{a} {b}");
        assert_eq!(weak_eq(b.as_bytes(), a.as_bytes()), weak, "{b} {a}");
    }
    assert!(strong_eq(b"\"\xfc\"", b"\"\xfc\""));
}

#[test]
fn a_304_renews_only_the_response_it_is_about() {
    let made_later = &[("last-modified", DATE), ("date", LATER)][..];
    for (stored, update, expected) in [
        // A strong tag must be the same strong tag.
        (&[("etag", "\"a\"")][..], &[("etag", "\"a\"")][..], true),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
        (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], false),
        // Even if the date agrees.
        (&[("etag", "\"a\""), ("last-modified", DATE)], &[("etag", "\"b\""), ("last-modified", DATE)], false),
        (&[("etag", "\"a\""), ("last-modified", DATE)], &[("etag", "\"a\""), ("last-modified", LATER)], true),
        // A weak one may have lost its strength on the way.
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], true),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], true),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"b\"")], false),
        // What is no tag is compared byte for byte.
        (&[("etag", "a")], &[("etag", "a")], true),
        (&[("etag", "a")], &[("etag", "\"a\"")], false),
        (&[("etag", "\"a\"")], &[("etag", "a")], false),
        // Without a tag the dates decide, as text.
        (&[("last-modified", DATE)], &[("last-modified", DATE)], true),
        (&[("last-modified", DATE)], &[("last-modified", EARLIER)], false),
        (&[("last-modified", DATE)], &[("last-modified", RFC850)], false),
        (&[("etag", "\"a\""), ("last-modified", DATE)], &[("last-modified", LATER)], false),
        (&[("etag", "\"a\"")], &[("last-modified", DATE)], true),
        // A tag that the stored response lacks: the date is common ground, if it is as strong as the tag.
        (made_later, &[("etag", "\"a\""), ("last-modified", DATE)], true),
        (made_later, &[("etag", "\"a\""), ("last-modified", EARLIER)], false),
        (made_later, &[("etag", "\"a\"")], false),
        (&[("last-modified", DATE), ("date", DATE)], &[("etag", "\"a\""), ("last-modified", DATE)], false),
        (&[("last-modified", DATE)], &[("etag", "\"a\""), ("last-modified", DATE)], false),
        (&[("last-modified", DATE)], &[("etag", "W/\"a\""), ("last-modified", DATE)], true),
        (&[("last-modified", DATE)], &[("etag", "W/\"a\"")], false),
        // A bare 304 is about what was asked.
        (&[("etag", "\"a\"")], &[], true),
        (&[("last-modified", DATE)], &[], true),
        (&[("last-modified", DATE)], &[("etag", ""), ("last-modified", "0")], true),
        // Nothing was asked about a response without validators.
        (&[], &[], false),
        (&[], &[("etag", "\"a\"")], false),
        (&[("date", DATE)], &[("last-modified", DATE)], false),
    ] {
        assert_eq!(selects(fields(stored).as_block(), &fields(update)), expected, "{stored:?} {update:?}");
    }
}

#[test]
fn only_a_200_is_answered_with_a_304() {
    let stored = fields(&[("etag", "\"a\""), ("last-modified", DATE)]);
    for request in [[("if-none-match", "\"a\"")], [("if-none-match", "*")], [("if-modified-since", DATE)]] {
        for status in 0..1000 {
            let found = not_modified(&fields(&request), stored.as_block(), status, THEN, NOW);
            assert_eq!(found, status == 200, "{status} {request:?}");
        }
    }
}

#[test]
fn a_client_that_holds_the_tag_has_the_response() {
    for (tag, lines) in [
        ("\"a\"", &["\"a\""][..]),
        ("W/\"a\"", &["W/\"a\""]),
        ("W/\"a\"", &["\"a\""]),
        ("\"a\"", &["W/\"a\""]),
        ("\"a\"", &["\"a\", \"b\", \"c\""]),
        ("\"b\"", &["\"a\", \"b\", \"c\""]),
        ("\"c\"", &["\"a\", \"b\", \"c\""]),
        ("\"c\"", &["\"a\",W/\"b\",W/\"c\""]),
        ("\"c\"", &["\"a\"", "\"b\", \"c\""]),
        ("\"c\"", &[" ,, \"a\" ,\t\"c\" ,"]),
        ("\"a,b\"", &["\"x\", \"a,b\""]),
        ("\"\"", &["\"\""]),
        ("\"abcdef\u{fc}\"", &["\"abcdef\u{fc}\""]),
        // What is no tag is held if it is the same bytes.
        ("a", &["a"]),
        ("a", &["\"x\", a"]),
        ("w/\"a\"", &["w/\"a\""]),
        ("W\\\"a\"", &["W\\\"a\""]),
        ("W\"a\"", &["W\"a\""]),
        // A star is any.
        ("\"a\"", &["*"]),
        ("\"a\"", &[" * "]),
        ("", &["*"]),
    ] {
        assert!(is_held(tag, lines), "{tag} {lines:?}");
    }
}

#[test]
fn a_client_that_does_not_clearly_hold_the_tag_gets_the_response() {
    for (tag, lines) in [
        ("\"a\"", &["\"b\""][..]),
        ("\"a\"", &["\"A\""]),
        ("\"a\"", &["a"]),
        ("a", &["\"a\""]),
        ("\"a\"", &["w/\"a\""]),
        ("\"a\"", &[""]),
        ("", &[""]),
        ("", &["\"\""]),
        ("*", &["\"*\""]),
        // A comma within quotes parts nothing.
        ("\"b\"", &["\"a,\"b\",c\""]),
        ("b", &["\"a,b,c\""]),
        // Two tags for one response are none.
        ("\"a\",\"b\"", &["\"a\""]),
        ("\"a\",\"b\"", &["\"a\",\"b\""]),
        // A star stands alone.
        ("\"a\"", &["*, \"b\""]),
        ("\"a\"", &["*", "\"b\""]),
        ("\"a\"", &["\"*\""]),
        ("*", &["*, \"b\""]),
    ] {
        assert!(!is_held(tag, lines), "{tag} {lines:?}");
    }
}

#[test]
fn a_tag_of_any_bytes_is_compared() {
    let stored = Fields::of([(&b"etag"[..], &b"\"abcdef\xfc\""[..])]);
    for (held, expected) in [(&b"\"abcdef\xfc\""[..], true), (b"\"abcdef\xc3\xbc\"", false), (b"\xfc", false)]
    {
        let request = Fields::of([(&b"if-none-match"[..], held)]);
        assert_eq!(not_modified(&request, stored.as_block(), 200, THEN, NOW), expected, "{held:?}");
    }
}

#[test]
fn if_none_match_wins_over_if_modified_since() {
    let stored = [("etag", "\"a\""), ("last-modified", DATE)];
    for (if_none_match, if_modified_since, expected) in [
        ("\"a\"", EARLIER, true),
        ("\"a\"", "0", true),
        ("\"b\"", DATE, false),
        ("", DATE, false),
        ("nonsense", DATE, false),
    ] {
        let request = [("if-none-match", if_none_match), ("if-modified-since", if_modified_since)];
        assert_eq!(answers_304(&stored, &request), expected, "{request:?}");
    }
    // Also where the stored response has no tag to compare.
    let request = [("if-none-match", "\"a\""), ("if-modified-since", DATE)];
    assert!(!answers_304(&[("last-modified", DATE)], &request));
}

#[test]
fn a_response_is_unmodified_since_its_last_modification() {
    for (stored, since, expected) in [
        (&[("last-modified", DATE)][..], DATE, true),
        (&[("last-modified", DATE)], RFC850, true),
        (&[("last-modified", DATE)], ASCTIME, true),
        (&[("last-modified", RFC850)], DATE, true),
        (&[("last-modified", DATE)], LATER, true),
        (&[("last-modified", DATE)], EARLIER, false),
        // Last-Modified counts, however late the response was made.
        (&[("last-modified", DATE), ("date", LATER)], DATE, true),
        // Without one, when it was made.
        (&[("date", DATE)], DATE, true),
        (&[("date", DATE)], LATER, true),
        (&[("date", DATE)], EARLIER, false),
        (&[("last-modified", "0"), ("date", DATE)], DATE, true),
        (&[("last-modified", EARLIER), ("last-modified", EARLIER), ("date", DATE)], EARLIER, false),
        // Without that, when it came: at DATE.
        (&[], DATE, true),
        (&[], EARLIER, false),
        (&[("date", "0")], DATE, true),
        (&[("date", "0")], EARLIER, false),
    ] {
        assert_eq!(answers_304(stored, &[("if-modified-since", since)]), expected, "{stored:?} {since}");
    }
}

#[test]
fn if_modified_since_that_is_not_one_date_is_ignored() {
    let stored = [("last-modified", DATE)];
    for lines in [&[][..], &[""], &["0"], &["Sun, 06 Nov 1994 08:49:37 UTC"], &[LATER, LATER]] {
        let request: Vec<_> = lines.iter().map(|line| ("if-modified-since", *line)).collect();
        assert!(!answers_304(&stored, &request), "{lines:?}");
    }
}

#[test]
fn if_modified_since_may_lie_ahead() {
    assert!(answers_304(
        &[("last-modified", DATE)],
        &[("if-modified-since", "Sun, 06 Nov 2095 08:49:37 GMT")]
    ));
}

#[test]
fn a_response_that_came_within_a_second_is_newer_than_that_second() {
    let request = fields(&[("if-modified-since", DATE)]);
    for (received_at, expected) in [(THEN, true), (Wall(THEN.0 + 1), false), (Wall(THEN.0 - 1), true)] {
        assert_eq!(not_modified(&request, b"", 200, received_at, NOW), expected, "{received_at:?}");
    }
}

#[test]
fn preconditions_that_are_not_for_caches_are_not_evaluated() {
    let stored = [("etag", "\"a\""), ("last-modified", DATE)];
    for request in [("if-match", "\"b\""), ("if-unmodified-since", EARLIER), ("if-range", "\"a\"")] {
        assert!(!answers_304(&stored, &[request]), "{request:?}");
        assert!(answers_304(&stored, &[request, ("if-none-match", "\"a\"")]), "{request:?}");
    }
}

#[test]
fn a_304_carries_what_guides_caches_in_order() {
    let stored = fields(&[
        ("vary", "a"),
        ("content-type", "text/plain"),
        ("cache-control", "public"),
        ("cache-control", "max-age=5"),
        ("set-cookie", "a=b"),
        ("etag", "\"a\""),
        ("content-location", "/a"),
        ("last-modified", DATE),
        ("content-encoding", "gzip"),
        ("expires", DATE),
        ("x-unknown", "1"),
        ("cdn-cache-control", "max-age=9"),
        ("access-control-allow-origin", "*"),
        ("vary", "b"),
        ("date", DATE),
    ]);
    let expected = [
        ("vary", "a"),
        ("cache-control", "public"),
        ("cache-control", "max-age=5"),
        ("etag", "\"a\""),
        ("content-location", "/a"),
        ("expires", DATE),
        ("cdn-cache-control", "max-age=9"),
        ("access-control-allow-origin", "*"),
        ("vary", "b"),
        ("date", DATE),
    ];
    assert_eq!(text(&not_modified_fields(stored.as_block())), text(&fields(&expected)));
}

#[test]
fn a_304_carries_last_modified_where_there_is_no_tag() {
    let stored = fields(&[("last-modified", DATE), ("content-type", "a/b")]);
    assert_eq!(not_modified_fields(stored.as_block()), fields(&[("last-modified", DATE)]));
    let blank = fields(&[("etag", ""), ("last-modified", DATE)]);
    assert_eq!(not_modified_fields(blank.as_block()), blank);
}

/// Fields as they come from outside, dense in what the module looks at.
fn any_fields() -> impl Strategy<Value = Fields> {
    let name = prop::sample::select(vec![
        "etag",
        "last-modified",
        "date",
        "if-none-match",
        "if-modified-since",
        "cache-control",
        "x",
    ]);
    let value = prop_oneof![
        "[aW/\"*, ]{0,8}".prop_map(String::into_bytes),
        prop::sample::select(vec![DATE, RFC850, ASCTIME, EARLIER, LATER])
            .prop_map(|date| date.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec((name, value), 0..6)
        .prop_map(|pairs| Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), &value[..]))))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_bytes_panic(
        block in prop::collection::vec(any::<u8>(), 0..64),
        stored in any_fields(),
        request in any_fields(),
        received_at: u64,
        now: u64,
    ) {
        for block in [&block[..], stored.as_block()] {
            condition_for(block);
            selects(block, &request);
            not_modified(&request, block, 200, Wall(received_at), Wall(now));
            not_modified_fields(block);
        }
    }

    #[test]
    fn comparison_is_symmetric_and_strong_implies_weak(a in "[aW/\"]{0,6}", b in "[aW/\"]{0,6}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        prop_assert_eq!(weak_eq(a, b), weak_eq(b, a));
        prop_assert_eq!(strong_eq(a, b), strong_eq(b, a));
        prop_assert!(!strong_eq(a, b) || (a == b && weak_eq(a, b)));
        prop_assert_eq!(weak_eq(a, a), !a.is_empty());
    }

    /// A cache of ours downstream, which asks with what it stored, is told that nothing changed.
    #[test]
    fn who_asks_with_the_condition_of_a_response_has_it(stored in any_fields()) {
        let Some(condition) = condition_for(stored.as_block()) else { return Ok(()) };
        // Several tags in one are asked as several.
        prop_assume!(condition.if_none_match.as_ref().is_none_or(|tag| members(tag).eq([&tag[..]])));
        let asked = [
            condition.if_none_match.as_ref().map(|tag| (&b"if-none-match"[..], &tag[..])),
            condition.if_modified_since.as_ref().map(|date| (&b"if-modified-since"[..], &date[..])),
        ];
        let request = Fields::of(asked.into_iter().flatten());
        prop_assert!(not_modified(&request, stored.as_block(), 200, NOW, NOW));
        prop_assert!(selects(stored.as_block(), &not_modified_fields(stored.as_block())));
    }

    #[test]
    fn a_tag_is_found_wherever_it_stands_in_the_list(
        before in prop::collection::vec("(W/)?\"[a-c,]{0,3}\"", 0..4),
        tag in "\"[a-c,]{0,3}\"",
        after in prop::collection::vec("(W/)?\"[a-c,]{0,3}\"", 0..4),
        weak: bool,
        separator in "[ \t]{0,2},[ \t,]{0,2}",
    ) {
        let held = if weak { format!("W/{tag}") } else { tag.clone() };
        let others = [before.clone(), after.clone()].concat();
        let list = [before, vec![held], after].concat().join(&separator);
        prop_assert!(is_held(&tag, &[&list]));
        let found = others.iter().any(|other| other.trim_start_matches("W/") == tag);
        prop_assert_eq!(is_held(&tag, &[&others.join(&separator)]), found);
    }

    /// Intended differences: what is no entity tag equals itself here and nothing there; a star has blanks around it
    /// here; a list that is no text holds nothing there.
    #[test]
    fn another_reader_finds_the_same_tags(
        lines in prop::collection::vec(prop::collection::vec("(W/)?\"[a-c,]{0,2}\"|[aW/*]{0,3}", 0..4), 1..3),
        tag in "(W/)?\"[a-c,]{0,2}\"",
        other in "(W/)?\"[a-c,]{0,2}\"",
        star: bool,
    ) {
        use headers::Header;
        let lines: Vec<_> = if star { vec!["*".to_owned()] } else { lines.iter().map(|line| line.join(" , ")).collect() };
        let values: Vec<_> = lines.iter().map(|line| headers::HeaderValue::from_str(line).unwrap()).collect();
        let theirs = headers::IfNoneMatch::decode(&mut values.iter()).unwrap();
        let held = is_held(&tag, &lines.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(held, !theirs.precondition_passes(&tag.parse().unwrap()), "{:?}", lines);
        // Its tags are compared by the lists that have one.
        let list = headers::IfMatch::from(other.parse::<headers::ETag>().unwrap());
        prop_assert_eq!(strong_eq(tag.as_bytes(), other.as_bytes()), list.precondition_passes(&tag.parse().unwrap()));
        prop_assert_eq!(is_opaque_tag(tag.as_bytes()), !tag.starts_with('W'));
    }

    /// Which texts are entity tags. There, what stands between the quotes is whatever a field may hold; here it is what
    /// the grammar has, so a blank makes it none.
    #[test]
    fn another_reader_takes_the_same_for_tags(text in "(W/|w/|W)?\"?[a-c!~]{0,3}\"?[a-c]?\"?") {
        prop_assert_eq!(opaque_tag(text.as_bytes()).is_some(), text.parse::<headers::ETag>().is_ok(), "{}", text);
    }
}
