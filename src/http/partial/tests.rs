use super::*;
use crate::testing::cases;
use proptest::prelude::*;

/// 2026-01-01.
const NOW: Wall = Wall(1_767_225_600_000);
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const A_SECOND_LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
const WHOLE: &[u8] = b"0123456789";

fn range(first: u64, last: u64, complete: impl Into<Option<u64>>) -> ContentRange {
    ContentRange { first, last, complete: complete.into() }
}

fn closed(first: u64, last: u64) -> Spec {
    Spec::Closed { first, last }
}

fn open(first: u64) -> Spec {
    Spec::Open { first }
}

fn suffix(length: u64) -> Spec {
    Spec::Suffix { length }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn tagged() -> Fields {
    fields(&[("etag", "\"a\"")])
}

fn bytes(range: &ContentRange) -> &'static [u8] {
    range.part().of(WHOLE)
}

/// The two parts of [`WHOLE`] as one.
fn combined(stored: &ContentRange, update: &ContentRange) -> Option<(Fields, Vec<u8>)> {
    combine(tagged().as_block(), stored, bytes(stored), &tagged(), update, bytes(update), NOW)
}

/// Whether two halves with these fields are put together.
fn are_one(stored: &[(&str, &str)], update: &[(&str, &str)]) -> bool {
    let (low, high) = (range(0, 4, 10), range(5, 9, 10));
    combine(fields(stored).as_block(), &low, bytes(&low), &fields(update), &high, bytes(&high), NOW).is_some()
}

#[test]
fn a_part_answers_what_lies_within_it() {
    let (middle, end) = (range(2, 6, 10), range(4, 9, 10));
    let (unknown, from_start) = (range(2, 6, None), range(0, 9, 10));
    for (stored, spec, expected) in [
        (middle, closed(2, 6), Some((2, 6))),
        (middle, closed(3, 5), Some((3, 5))),
        (middle, closed(1, 6), None),
        (middle, closed(2, 7), None),
        (middle, closed(7, 8), None),
        (middle, closed(0, 1), None),
        (middle, open(2), None),
        (middle, suffix(5), None),
        (end, open(4), Some((4, 9))),
        (end, open(9), Some((9, 9))),
        (end, open(3), None),
        (end, open(10), None),
        (end, suffix(6), Some((4, 9))),
        (end, suffix(1), Some((9, 9))),
        (end, suffix(7), None),
        (end, suffix(0), None),
        (end, closed(6, 8), Some((6, 8))),
        // Wanted beyond the end, and the end is there (RFC 9110 §14.1.2).
        (end, closed(6, 99), Some((6, 9))),
        (end, closed(10, 99), None),
        (unknown, closed(2, 6), Some((2, 6))),
        (unknown, closed(3, 7), None),
        (unknown, open(2), None),
        (unknown, suffix(1), None),
        (from_start, suffix(99), Some((0, 9))),
        (from_start, open(0), Some((0, 9))),
    ] {
        let expected = expected.map(|(first, last)| Part { first, last });
        assert_eq!(holds(&stored, &[spec]), expected, "{stored:?} {spec:?}");
    }
}

#[test]
fn only_a_request_for_one_range_is_answered_from_a_part() {
    let stored = range(0, 9, 10);
    assert_eq!(holds(&stored, &[]), None);
    assert_eq!(holds(&stored, &[closed(0, 1), closed(4, 5)]), None);
}

#[test]
fn an_answer_from_a_part_says_where_it_is_in_the_whole() {
    let block = fields(&[("content-range", "bytes 4-9/10"), ("etag", "\"a\""), ("content-digest", "x")]);
    let body = b"456789";
    for (complete, expected) in [(Some(10), "bytes 6-8/10"), (None, "bytes 6-8/*")] {
        let found = answer(block.as_block(), &range(4, 9, complete), body, Part { first: 6, last: 8 });
        let expected = fields(&[("etag", "\"a\""), ("content-range", expected)]);
        assert_eq!(found, Some((expected, b"678".to_vec())));
    }
    for (first, last) in [(3, 8), (6, 10), (7, 6)] {
        assert_eq!(answer(b"", &range(4, 9, 10), body, Part { first, last }), None, "{first}-{last}");
    }
    assert_eq!(answer(b"", &range(4, 9, 10), b"45678", Part { first: 6, last: 8 }), None);
}

#[test]
fn the_rest_is_asked_for_where_the_beginning_is_there() {
    for (stored, expected) in [
        (range(0, 4, 10), Some(open(5))),
        (range(0, 8, 10), Some(open(9))),
        (range(0, 9, 10), None),
        (range(0, 4, None), Some(open(5))),
        (range(1, 4, 10), None),
        (range(5, 9, 10), None),
        (range(0, u64::MAX, None), None),
    ] {
        assert_eq!(rest(&stored), expected, "{stored:?}");
    }
}

#[test]
fn only_a_strong_validator_tells_versions_apart() {
    let made = ("date", A_SECOND_LATER);
    for (block, expected) in [
        (&[("etag", "\"a\"")][..], Some("\"a\"")),
        (&[("etag", "\"a\""), ("last-modified", CHANGED), made], Some("\"a\"")),
        (&[("last-modified", CHANGED), made], Some(CHANGED)),
        (&[("last-modified", CHANGED), ("date", CHANGED)], None),
        // A weak tag says that bytes may differ in spite of the date.
        (&[("etag", "W/\"a\""), ("last-modified", CHANGED), made], None),
        (&[("etag", "a"), ("last-modified", CHANGED), made], None),
        (&[("etag", "\"a\""), ("etag", "\"a\"")], None),
        (&[], None),
    ] {
        let block = fields(block);
        assert_eq!(validator(block.as_block(), NOW), expected.map(str::as_bytes), "{block:?}");
    }
}

#[test]
fn parts_that_meet_or_overlap_become_one() {
    for (stored, update, expected) in [
        (range(0, 4, 10), range(5, 9, 10), Some((range(0, 9, 10), true))),
        (range(5, 9, 10), range(0, 4, 10), Some((range(0, 9, 10), true))),
        (range(0, 6, 10), range(3, 9, 10), Some((range(0, 9, 10), true))),
        (range(3, 4, 10), range(0, 9, 10), Some((range(0, 9, 10), true))),
        (range(0, 9, 10), range(3, 4, 10), Some((range(0, 9, 10), true))),
        (range(2, 4, 10), range(5, 7, 10), Some((range(2, 7, 10), false))),
        (range(2, 4, 10), range(2, 4, 10), Some((range(2, 4, 10), false))),
        (range(2, 4, 10), range(6, 7, 10), None),
        (range(6, 7, 10), range(2, 4, 10), None),
        // One that knows the length tells it to both.
        (range(0, 4, None), range(5, 9, 10), Some((range(0, 9, 10), true))),
        (range(0, 4, 10), range(5, 9, None), Some((range(0, 9, 10), true))),
        (range(0, 4, None), range(5, 9, None), Some((range(0, 9, None), false))),
        (range(0, 4, 11), range(5, 9, 10), None),
        (range(0, 4, 5), range(5, 9, None), None),
    ] {
        let found = combined(&stored, &update);
        let expected = expected.map(|(union, whole)| {
            let mut value = Vec::new();
            union.write(&mut value);
            let value = String::from_utf8(value).unwrap();
            let place = [("etag", "\"a\""), ("content-range", &value)];
            (fields(if whole { &place[..1] } else { &place }), bytes(&union).to_vec())
        });
        assert_eq!(found, expected, "{stored:?} {update:?}");
    }
}

#[test]
fn parts_of_different_or_unknown_versions_are_not_put_together() {
    let made = ("date", A_SECOND_LATER);
    for (stored, update, expected) in [
        (&[("etag", "\"a\"")][..], &[("etag", "\"a\"")][..], true),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
        (&[("etag", "\"a\"")], &[], false),
        (&[], &[("etag", "\"a\"")], false),
        (&[], &[], false),
        (&[("etag", "W/\"a\"")], &[("etag", "W/\"a\"")], false),
        (&[("last-modified", CHANGED), made], &[("last-modified", CHANGED), made], true),
        (&[("last-modified", CHANGED), made], &[("last-modified", CHANGED), ("date", CHANGED)], false),
        (&[("last-modified", CHANGED), ("date", CHANGED)], &[("last-modified", CHANGED), made], false),
        (&[("last-modified", CHANGED), made], &[("etag", "\"a\""), ("last-modified", CHANGED), made], false),
    ] {
        assert_eq!(are_one(stored, update), expected, "{stored:?} {update:?}");
    }
}

#[test]
fn a_content_of_another_coding_or_of_many_parts_does_not_fit() {
    let tag = ("etag", "\"a\"");
    let (gzip, br) = (("content-encoding", "gzip"), ("content-encoding", "br"));
    let text = ("content-type", "text/plain");
    let many = ("content-type", "Multipart/ByteRanges; boundary=x");
    for (stored, update, expected) in [
        (&[tag, gzip][..], &[tag, gzip][..], true),
        (&[tag, gzip], &[tag], true),
        (&[tag, gzip], &[tag, br], false),
        (&[tag], &[tag, gzip], false),
        (&[tag, text], &[tag, text], true),
        (&[tag, text], &[tag, many], false),
        (&[tag, many], &[tag, text], false),
    ] {
        assert_eq!(are_one(stored, update), expected, "{stored:?} {update:?}");
    }
}

#[test]
fn parts_that_contradict_each_other_or_themselves_are_not_put_together() {
    let (block, low, high) = (tagged(), range(0, 5, 10), range(4, 9, 10));
    let one = |stored: &[u8], new: &[u8]| {
        combine(block.as_block(), &low, stored, &block, &high, new, NOW).is_some()
    };
    assert!(one(b"012345", b"456789"));
    // The bytes both have.
    assert!(!one(b"012345", b"x56789"));
    assert!(!one(b"012345", b"4x6789"));
    assert!(one(b"012345", b"45x789"));
    // The length of either.
    assert!(!one(b"01234", b"456789"));
    assert!(!one(b"0123456", b"456789"));
    assert!(!one(b"012345", b"45678"));
    assert!(!one(b"012345", b"4567890"));
    assert!(!one(b"", b""));
}

#[test]
fn the_new_response_updates_the_fields() {
    let stored = fields(&[
        ("cache-control", "max-age=1"),
        ("etag", "\"a\""),
        ("a", "1"),
        ("a", "2"),
        ("b", "1"),
        ("content-type", "text/plain"),
        ("content-range", "bytes 2-4/10"),
        ("content-digest", "x"),
    ]);
    let update = fields(&[
        (":status", "206"),
        ("etag", "\"a\""),
        ("a", "3"),
        ("c", "1"),
        ("connection", "hop"),
        ("hop", "1"),
        ("age", "7"),
        ("content-length", "3"),
        ("content-range", "bytes 5-7/10"),
        ("content-digest", "y"),
        ("cache-control", "max-age=2"),
    ]);
    let (low, high) = (range(2, 4, 10), range(5, 7, 10));
    let (found, body) =
        combine(stored.as_block(), &low, bytes(&low), &update, &high, bytes(&high), NOW).unwrap();
    let expected = fields(&[
        ("b", "1"),
        ("content-type", "text/plain"),
        ("etag", "\"a\""),
        ("a", "3"),
        ("c", "1"),
        ("cache-control", "max-age=2"),
        ("content-range", "bytes 2-7/10"),
    ]);
    assert_eq!(found, expected);
    assert_eq!(body, b"234567");
}

fn some_part(length: u64) -> impl Strategy<Value = ContentRange> {
    (0..length, 0..length, any::<bool>())
        .prop_map(move |(a, b, known)| range(a.min(b), a.max(b), known.then_some(length)))
}

fn any_range() -> impl Strategy<Value = ContentRange> {
    (any::<u64>(), any::<u64>(), any::<Option<u64>>())
        .prop_map(|(first, last, complete)| range(first, last, complete))
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_parts_are_handled_without_panic(one in any_range(), other in any_range(), first in any::<u64>(), last in any::<u64>(), body in prop::collection::vec(any::<u8>(), 0..9), now in any::<u64>()) {
        for spec in [closed(first, last), open(first), suffix(first)] {
            holds(&one, &[spec]);
        }
        rest(&one);
        validator(&body, Wall(now));
        let part = Part { first, last };
        prop_assert!(answer(&body, &one, &body, part).is_none_or(|(_, cut)| cut.len() <= body.len()));
        prop_assert!(combine(tagged().as_block(), &one, &body, &tagged(), &other, &body, Wall(now)).is_none_or(|(_, union)| union.len() >= body.len()));
    }

    #[test]
    fn a_part_answers_as_the_whole_would(stored in some_part(10), first in 0_u64..12, last in 0_u64..12, kind in 0..3) {
        let spec = [closed(first.min(last), first.max(last)), open(first), suffix(first)][usize::try_from(kind).unwrap()];
        // What the whole would give, byte by byte.
        let wanted = spec.within(10).map(|part| (part.first..=part.last).collect::<Vec<_>>());
        let there = wanted.as_ref().is_some_and(|wanted| wanted.iter().all(|at| (stored.first..=stored.last).contains(at)));
        let clear = stored.complete.is_some() || matches!(spec, Spec::Closed { last, .. } if last < 10);
        match holds(&stored, &[spec]) {
            Some(part) => {
                prop_assert!(there && clear);
                prop_assert_eq!(Some((part.first..=part.last).collect::<Vec<_>>()), wanted);
                let (fields, body) = answer(b"", &stored, bytes(&stored), part).unwrap();
                prop_assert_eq!(body, part.of(WHOLE));
                prop_assert_eq!(ContentRange::of(fields.as_block()), Some(range(part.first, part.last, stored.complete)));
            }
            None => prop_assert!(!there || !clear),
        }
    }

    #[test]
    fn the_union_is_what_the_whole_has_there(one in some_part(10), other in some_part(10), flipped in prop::option::of(0_u64..10)) {
        let mut changed = WHOLE.to_vec();
        if let Some(at) = flipped {
            changed[usize::try_from(at).unwrap()] ^= 1;
        }
        let found = combine(tagged().as_block(), &one, bytes(&one), &tagged(), &other, other.part().of(&changed), NOW);
        let has = |range: &ContentRange, at: u64| range.first <= at && at <= range.last;
        let all = (0..10).filter(|at| has(&one, *at) || has(&other, *at)).collect::<Vec<_>>();
        let gap = all.windows(2).any(|pair| pair[0] + 1 != pair[1]);
        let differ = flipped.is_some_and(|at| has(&one, at) && has(&other, at));
        prop_assert_eq!(found.is_some(), !gap && !differ);
        if let Some((fields, body)) = found {
            let expected = all.iter().map(|at| {
                let at_index = usize::try_from(*at).unwrap();
                if has(&one, *at) { WHOLE[at_index] } else { changed[at_index] }
            });
            prop_assert_eq!(body, expected.collect::<Vec<_>>());
            let union = range(all[0], *all.last().unwrap(), one.complete.or(other.complete));
            prop_assert_eq!(ContentRange::of(fields.as_block()), (!union.is_whole()).then_some(union));
        }
    }

    #[test]
    fn the_rest_completes_the_part(last in 0_u64..9, known in any::<bool>()) {
        let stored = range(0, last, known.then_some(10));
        let part = rest(&stored).and_then(|spec| spec.within(10)).unwrap();
        let (fields, body) = combined(&stored, &range(part.first, part.last, 10)).unwrap();
        prop_assert_eq!(fields, tagged());
        prop_assert_eq!(body, WHOLE);
    }
}
