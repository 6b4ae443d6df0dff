use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn of(lines: &[(&str, &str)]) -> Tags {
    let fields = Fields::of(lines.iter().map(|(name, line)| (name.as_bytes(), line.as_bytes())));
    let names = ["Cache-Tag", "Surrogate-Key", "Cache-Groups", "X-Other"].map(str::to_owned);
    read(&fields, &names)
}

/// Tags of exactly these texts.
fn tags(texts: &[&str]) -> Tags {
    let mut digests: Vec<_> = texts.iter().map(|text| digest(text.as_bytes())).collect();
    digests.sort();
    digests.dedup();
    Tags { digests, overflow: false }
}

#[test]
fn each_field_is_read_as_it_is_written() {
    for (name, line, expected) in [
        ("cache-tag", "a", &["a"][..]),
        ("cache-tag", "a,b ,\tc d,, A,", &["a", "b", "c d", "A"]),
        ("cache-tag", "\"a\", b", &["\"a\"", "b"]),
        ("cache-tag", "", &[]),
        ("cache-tag", " , ", &[]),
        ("surrogate-key", "a", &["a"]),
        ("surrogate-key", " a  b,c\td ", &["a", "b,c", "d"]),
        ("surrogate-key", "", &[]),
        ("cache-groups", "\"a\"", &["a"]),
        ("cache-groups", "\"a\";revalidate, \"b c\", \"d,e\",\"\\\"\"", &["a", "b c", "d,e", "\""]),
        ("cache-groups", "\"\"", &[]),
        ("cache-groups", "", &[]),
        ("x-unknown", "a", &[]),
    ] {
        assert_eq!(of(&[(name, line)]), tags(expected), "{name}: {line}");
    }
}

#[test]
fn what_may_be_written_either_way_is_read_both_ways() {
    for (line, expected) in [
        ("a", &["a"][..]),
        ("a,b", &["a", "b", "a,b"]),
        ("a, b", &["a", "b"]),
        ("a b", &["a", "b", "a b"]),
        ("a b, c,d", &["a b", "c", "d", "a", "b", "c,d"]),
        (",a, ,", &["a"]),
        (" ,, ", &[]),
    ] {
        assert_eq!(of(&[("x-other", line)]), tags(expected), "{line}");
    }
    // No list of Strings, so nobody knows what was meant.
    for (line, expected) in [
        ("a, b", &["a", "b"][..]),
        ("a b", &["a b", "a", "b"]),
        ("\"a\", b", &["\"a\"", "b"]),
        ("\"a", &["\"a"]),
        ("(\"a\")", &["(\"a\")"]),
        ("1", &["1"]),
    ] {
        assert_eq!(of(&[("cache-groups", line)]), tags(expected), "{line}");
    }
}

#[test]
fn tags_of_all_lines_and_fields_are_one_set() {
    let all = of(&[
        ("surrogate-key", "a b"),
        ("cache-tag", "b"),
        ("cache-tag", "c"),
        ("cache-groups", "\"d\""),
        ("cache-groups", "\"a\""),
        ("x-other", "e"),
    ]);
    assert_eq!(all, tags(&["a", "b", "c", "d", "e"]));
    assert_eq!(of(&[]).encode(), b"");
}

#[test]
fn a_name_is_configured_in_any_case() {
    let fields = Fields::of([(&b"surrogate-key"[..], &b"a b"[..])]);
    for name in ["surrogate-key", "Surrogate-Key", "SURROGATE-KEY"] {
        assert_eq!(read(&fields, &[name.to_owned()]), tags(&["a", "b"]), "{name}");
    }
    assert_eq!(read(&fields, &["cache-tag".to_owned()]), Tags::default());
    assert_eq!(read(&fields, &[]), Tags::default());
}

#[test]
fn a_response_carries_its_tags_byte_by_byte() {
    let stored = of(&[("cache-tag", "a, B c, Ä")]).encode();
    for (tag, expected) in
        [("a", true), ("B c", true), ("Ä", true), ("A", false), ("B", false), ("", false), (" a", false)]
    {
        assert_eq!(carries(&stored, tag.as_bytes()), expected, "{tag}");
    }
    assert!(!carries(b"", b"a"));
}

#[test]
fn more_tags_than_are_kept_are_any_tag() {
    let list = |count: usize| (0..count).map(|number| format!("t{number}")).collect::<Vec<_>>().join(" ");
    let full = of(&[("surrogate-key", &list(MAX_TAGS)), ("cache-tag", "t0,t127")]).encode();
    assert_eq!(full.len(), MAX_TAGS * DIGEST);
    assert!(is_sound(&full) && carries(&full, b"t127") && !carries(&full, b"t128"));
    for count in [MAX_TAGS + 1, MAX_TAGS + 2, MAX_TAGS * 3] {
        let over = of(&[("surrogate-key", &list(count))]).encode();
        assert_eq!(over, ANY, "{count}");
        assert!(is_sound(&over) && carries(&over, b"t0") && carries(&over, b"anything"));
    }
}

#[test]
fn bytes_that_are_no_stored_form_are_unsound_and_carry_every_tag() {
    let two = tags(&["a", "b"]).encode();
    let swapped = [&two[DIGEST..], &two[..DIGEST]].concat();
    let many: Vec<u8> = (0..=MAX_TAGS).flat_map(|number| number.to_be_bytes()).collect();
    assert!(is_sound(b"") && is_sound(&two) && is_sound(&many[DIGEST..]));
    for bytes in [&b"\0"[..], b"**", &two[1..], &swapped, &[&two[..DIGEST]; 2].concat(), &many] {
        assert!(!is_sound(bytes), "{}", bytes.escape_ascii());
        assert!(bytes.len() % DIGEST == 0 || carries(bytes, b"z"), "{}", bytes.escape_ascii());
    }
    assert!(carries(&swapped, b"a"));
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn no_tag_is_lost_however_it_is_written(texts in prop::collection::btree_set("[!-+.-~]{1,5}", 0..12), lines in 1_usize..4, blank in "[ \t]{0,2}") {
        let texts: Vec<_> = texts.into_iter().collect();
        let mut fields = Vec::new();
        for part in texts.chunks(texts.len().div_ceil(lines).max(1)) {
            let quoted: Vec<_> = part.iter().map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))).collect();
            fields.push(vec![
                ("cache-tag", part.join(&format!("{blank},{blank}"))),
                ("surrogate-key", part.join(&format!("{blank} {blank}"))),
                ("cache-groups", quoted.join(&format!("{blank},{blank}"))),
                ("x-other", part.join(&format!("{blank},{blank}"))),
                ("x-other", part.join(&format!("{blank} {blank}"))),
            ]);
        }
        for kind in 0..5 {
            let lines: Vec<_> = fields.iter().map(|line| (line[kind].0, line[kind].1.as_str())).collect();
            let stored = of(&lines).encode();
            prop_assert!(is_sound(&stored));
            for text in &texts {
                prop_assert!(carries(&stored, text.as_bytes()), "{text} of {lines:?}");
            }
            let expected: Vec<_> = texts.iter().map(String::as_str).collect();
            if kind < 3 {
                prop_assert_eq!(stored, tags(&expected).encode());
            }
        }
    }

    #[test]
    fn any_lines_are_read_and_any_bytes_asked_without_panic(lines in prop::collection::vec((0_usize..4, prop::collection::vec(any::<u8>(), 0..30)), 0..6), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let names = ["cache-tag", "surrogate-key", "cache-groups", "x-other"];
        let fields = Fields::of(lines.iter().map(|(name, line)| (names[*name].as_bytes(), &line[..])));
        let found = read(&fields, &names.map(str::to_owned));
        prop_assert!(is_sound(&found.encode()));
        carries(&bytes, &bytes);
        is_sound(&bytes);
    }
}
