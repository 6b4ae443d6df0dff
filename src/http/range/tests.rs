use super::*;
use crate::testing::cases;
use proptest::prelude::*;

/// 2026-01-01.
const NOW: Wall = Wall(1_767_225_600_000);
const CHANGED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const A_SECOND_LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn closed(first: u64, last: u64) -> Spec {
    Spec::Closed { first, last }
}

fn open(first: u64) -> Spec {
    Spec::Open { first }
}

fn suffix(length: u64) -> Spec {
    Spec::Suffix { length }
}

fn part(first: u64, last: u64) -> Part {
    Part { first, last }
}

fn parts(of: &[(u64, u64)]) -> Cut {
    Cut::Parts(of.iter().map(|(first, last)| part(*first, *last)).collect())
}

fn cut(line: &str, length: u64) -> Option<Cut> {
    Some(resolve(&parse(line.as_bytes())?, length))
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

#[test]
fn a_set_of_byte_ranges_is_read() {
    for (line, expected) in [
        ("bytes=0-1", vec![closed(0, 1)]),
        ("bytes=5-", vec![open(5)]),
        ("bytes=-3", vec![suffix(3)]),
        ("bytes=-0", vec![suffix(0)]),
        ("bytes=7-7", vec![closed(7, 7)]),
        ("bytes=0-1,5-,-3", vec![closed(0, 1), open(5), suffix(3)]),
        ("BYTES=0-1", vec![closed(0, 1)]),
        ("bYtEs=0-1", vec![closed(0, 1)]),
        (" \tbytes=0-1\t ", vec![closed(0, 1)]),
        ("bytes= 0-1 ,\t5- ", vec![closed(0, 1), open(5)]),
        ("bytes=,0-1,, ,5-,", vec![closed(0, 1), open(5)]),
        ("bytes=007-0008", vec![closed(7, 8)]),
        ("bytes=18446744073709551615-", vec![open(u64::MAX)]),
        ("bytes=18446744073709551616-", vec![open(u64::MAX)]),
        ("bytes=0-99999999999999999999999999999999999999999", vec![closed(0, u64::MAX)]),
        ("bytes=-99999999999999999999", vec![suffix(u64::MAX)]),
    ] {
        assert_eq!(parse(line.as_bytes()), Some(expected), "{line}");
    }
}

#[test]
fn what_is_no_set_of_byte_ranges_is_ignored() {
    for line in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes= , ",
        "bytes 0-1",
        "bytes =0-1",
        "byte=0-1",
        "bytess=0-1",
        "items=0-1",
        "none",
        "0-1",
        "=0-1",
        "bytes=-",
        "bytes=--1",
        "bytes=0",
        "bytes=0--1",
        "bytes=0-1-2",
        "bytes=0 - 1",
        "bytes=0- 1",
        "bytes=+0-1",
        "bytes=0-+1",
        "bytes=0x0-1",
        "bytes=a-b",
        "bytes=0-1;5-6",
        "bytes=0-1 5-6",
        "bytes==0-1",
        "bytes=0-1,bytes=5-6",
        "bytes=\"0-1\"",
        "bytes=0.0-1",
        "bytes=0-1\u{b}",
        // RFC 9110 §14.1.1: one invalid range makes the whole set invalid.
        "bytes=2-1",
        "bytes=0-1,2-1",
        "bytes=2-1,0-1",
        "bytes=0-1,x",
    ] {
        assert_eq!(parse(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn a_set_at_the_limit_is_read_and_one_range_more_is_ignored() {
    let line = |n: usize| format!("bytes={}", vec!["0-1"; n].join(","));
    assert_eq!(parse(line(MAX_SPECS).as_bytes()).map(|specs| specs.len()), Some(MAX_SPECS));
    assert_eq!(parse(line(MAX_SPECS + 1).as_bytes()), None);
    // Empty members do not count.
    let with_empty = format!("{}{}", line(MAX_SPECS), ",".repeat(1000));
    assert_eq!(parse(with_empty.as_bytes()).map(|specs| specs.len()), Some(MAX_SPECS));
}

#[test]
fn a_range_ends_where_the_representation_does() {
    for (line, length, expected) in [
        ("bytes=0-0", 1, parts(&[(0, 0)])),
        ("bytes=0-9", 10, parts(&[(0, 9)])),
        ("bytes=0-10", 10, parts(&[(0, 9)])),
        ("bytes=0-", 10, parts(&[(0, 9)])),
        ("bytes=9-", 10, parts(&[(9, 9)])),
        ("bytes=10-", 10, Cut::Unsatisfiable),
        ("bytes=9-20", 10, parts(&[(9, 9)])),
        ("bytes=10-20", 10, Cut::Unsatisfiable),
        ("bytes=-1", 10, parts(&[(9, 9)])),
        ("bytes=-9", 10, parts(&[(1, 9)])),
        ("bytes=-10", 10, parts(&[(0, 9)])),
        ("bytes=-11", 10, parts(&[(0, 9)])),
        ("bytes=-0", 10, Cut::Unsatisfiable),
        ("bytes=99999999999999999999-", 10, Cut::Unsatisfiable),
        ("bytes=5-99999999999999999999", 10, parts(&[(5, 9)])),
        ("bytes=-99999999999999999999", 10, parts(&[(0, 9)])),
        ("bytes=18446744073709551614-", u64::MAX, parts(&[(u64::MAX - 1, u64::MAX - 1)])),
        ("bytes=18446744073709551615-", u64::MAX, Cut::Unsatisfiable),
    ] {
        assert_eq!(cut(line, length), Some(expected), "{line} of {length}");
    }
}

#[test]
fn ranges_that_are_not_there_are_dropped_while_one_is() {
    assert_eq!(cut("bytes=20-30,0-1,-0,10-", 10), Some(parts(&[(0, 1)])));
    assert_eq!(cut("bytes=20-30,-0,10-", 10), Some(Cut::Unsatisfiable));
}

#[test]
fn an_empty_representation_is_sent_whole() {
    for line in ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-9,-3"] {
        assert_eq!(cut(line, 0), Some(Cut::Whole), "{line}");
    }
    assert_eq!(resolve(&[], 10), Cut::Whole);
}

#[test]
fn parts_come_in_the_order_in_which_they_were_asked() {
    assert_eq!(cut("bytes=8-9,0-1,4-5", 10), Some(parts(&[(8, 9), (0, 1), (4, 5)])));
}

#[test]
fn ranges_that_overlap_or_touch_are_one_part_at_the_place_of_the_first() {
    for (line, expected) in [
        ("bytes=0-4,4-8", vec![(0, 8)]),
        ("bytes=0-4,5-8", vec![(0, 8)]),
        ("bytes=0-4,6-8", vec![(0, 4), (6, 8)]),
        ("bytes=5-8,0-4", vec![(0, 8)]),
        ("bytes=6-8,0-4", vec![(6, 8), (0, 4)]),
        ("bytes=0-9,2-3", vec![(0, 9)]),
        ("bytes=2-3,0-9", vec![(0, 9)]),
        ("bytes=8-9,0-1,3-4,2-2", vec![(8, 9), (0, 4)]),
        ("bytes=0-1,8-9,4-5,2-7", vec![(0, 9)]),
        ("bytes=4-5,0-0,9-9,5-6", vec![(4, 6), (0, 0), (9, 9)]),
        ("bytes=0-0,-1", vec![(0, 0), (9, 9)]),
        ("bytes=0-0,0-0,0-0", vec![(0, 0)]),
    ] {
        assert_eq!(cut(line, 10), Some(parts(&expected)), "{line}");
    }
}

#[test]
fn a_hostile_set_gets_no_byte_twice() {
    // RFC 9110 §17.15: every range reaches to the end.
    let overlapping = (0..MAX_SPECS).map(|first| format!("{first}-")).collect::<Vec<_>>().join(",");
    assert_eq!(cut(&format!("bytes={overlapping}"), 1_000), Some(parts(&[(0, 999)])));
    let scattered = (0..MAX_SPECS).rev().map(|n| format!("{0}-{0}", n * 2)).collect::<Vec<_>>().join(",");
    let Some(Cut::Parts(found)) = cut(&format!("bytes={scattered}"), 32) else { panic!("no parts") };
    assert_eq!(found.len(), MAX_SPECS);
    let (_, body) = partial(b"", &[b'x'; 32], &found, "b");
    assert!(body.len() < 32 + MAX_SPECS * 64, "{}", body.len());
}

#[test]
fn only_a_whole_200_is_cut() {
    let plain = fields(&[("etag", "\"a\"")]);
    let already = fields(&[("content-range", "bytes 0-4/10")]);
    for (status, block, expected) in [
        (200, &plain, true),
        (200, &already, false),
        (203, &plain, false),
        (206, &plain, false),
        (206, &already, false),
        (304, &plain, false),
        (404, &plain, false),
    ] {
        assert_eq!(may_be_cut(status, block.as_block()), expected, "{status} {block:?}");
    }
}

#[test]
fn one_part_is_marked_on_the_fields_and_all_others_stay() {
    let stored = fields(&[
        ("cache-control", "max-age=5"),
        ("content-type", "text/plain"),
        ("etag", "\"a\""),
        ("a", "1"),
        ("a", "2"),
        ("content-digest", "sha-256=:AA==:"),
        ("content-md5", "AA=="),
        ("repr-digest", "sha-256=:AA==:"),
    ]);
    let (found, body) = partial(stored.as_block(), b"0123456789", &[part(2, 4)], "b");
    let expected = fields(&[
        ("cache-control", "max-age=5"),
        ("content-type", "text/plain"),
        ("etag", "\"a\""),
        ("a", "1"),
        ("a", "2"),
        // A digest of the representation holds for a part of it too; those of the content do not.
        ("repr-digest", "sha-256=:AA==:"),
        ("content-range", "bytes 2-4/10"),
    ]);
    assert_eq!(found, expected);
    assert_eq!(body, b"234");
}

#[test]
fn several_parts_are_each_marked_and_the_fields_are_not() {
    let stored = fields(&[("content-type", "text/plain; charset=utf-8"), ("etag", "\"a\"")]);
    let (found, body) = partial(stored.as_block(), b"0123456789", &[part(8, 9), part(0, 1)], "cut");
    let expected = fields(&[("etag", "\"a\""), ("content-type", "multipart/byteranges; boundary=cut")]);
    assert_eq!(found, expected);
    let expected = "\r\n--cut\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes 8-9/10\r\n\r\n89\
                    \r\n--cut\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes 0-1/10\r\n\r\n01\
                    \r\n--cut--\r\n";
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[test]
fn parts_of_a_response_without_type_have_none() {
    let (found, body) = partial(b"", b"0123456789", &[part(0, 0), part(9, 9)], "cut");
    assert_eq!(found, fields(&[("content-type", "multipart/byteranges; boundary=cut")]));
    let expected = "\r\n--cut\r\ncontent-range: bytes 0-0/10\r\n\r\n0\
                    \r\n--cut\r\ncontent-range: bytes 9-9/10\r\n\r\n9\r\n--cut--\r\n";
    assert_eq!(String::from_utf8(body).unwrap(), expected);
}

#[test]
fn a_boundary_is_of_its_body_and_fits_its_grammar() {
    let found = boundary(b"0123456789");
    // RFC 2046 §5.1.1.
    assert!(found.len() <= 70 && found.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(found, boundary(b"012345678"));
}

#[test]
fn a_refusal_says_the_length_and_nothing_of_the_representation() {
    let stored = fields(&[
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("cache-control", "max-age=3600"),
        ("cdn-cache-control", "max-age=3600"),
        ("content-encoding", "gzip"),
        ("content-type", "text/plain"),
        ("cross-origin-resource-policy", "same-site"),
        ("date", CHANGED),
        ("etag", "\"a\""),
        ("expires", A_SECOND_LATER),
        ("last-modified", CHANGED),
        ("link", "<a>"),
        ("set-cookie", "a=b"),
        ("vary", "origin"),
    ]);
    let expected = fields(&[
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "same-site"),
        ("vary", "origin"),
        ("content-range", "bytes */10"),
        ("cache-control", "no-store"),
    ]);
    assert_eq!(unsatisfiable(stored.as_block(), 10), expected);
}

#[test]
fn a_tag_in_if_range_holds_by_strong_comparison_only() {
    for (stored, value, expected) in [
        ("\"a\"", "\"a\"", true),
        ("\"a\"", " \"a\"\t", true),
        ("\"\"", "\"\"", true),
        ("\"a\"", "\"b\"", false),
        ("\"a\"", "\"A\"", false),
        ("\"a\"", "W/\"a\"", false),
        ("W/\"a\"", "\"a\"", false),
        // RFC 9110 §8.8.3.2: two weak tags never agree strongly, however equal.
        ("W/\"a\"", "W/\"a\"", false),
        ("a", "a", false),
        ("\"a", "\"a", false),
        ("\"", "\"", false),
        ("", "", false),
        ("\"a\",\"b\"", "\"a\",\"b\"", false),
        ("\"a\",\"b\"", "\"a\"", false),
        ("\"a\"", "\"a\", \"b\"", false),
        ("\"a\"", "*", false),
    ] {
        let block = fields(&[("etag", stored)]);
        assert_eq!(if_range_holds(value.as_bytes(), block.as_block(), NOW), expected, "{stored} {value}");
    }
    let twice = fields(&[("etag", "\"a\""), ("etag", "\"a\"")]);
    assert!(!if_range_holds(b"\"a\"", twice.as_block(), NOW));
    assert!(!if_range_holds(b"\"a\"", b"", NOW));
}

#[test]
fn a_date_in_if_range_holds_if_it_is_that_of_a_strong_last_modified() {
    let held = [("last-modified", CHANGED), ("date", A_SECOND_LATER)];
    for (block, value, expected) in [
        (&held[..], CHANGED, true),
        (&held, A_SECOND_LATER, false),
        // Earlier is not the same (§13.1.5).
        (&held, "Sun, 06 Nov 1994 08:49:36 GMT", false),
        (&held, "Sunday, 06-Nov-94 08:49:37 GMT", false),
        // Made in the second of the change, or before it, or nobody knows when: weak (§8.8.2.2).
        (&[("last-modified", CHANGED), ("date", CHANGED)], CHANGED, false),
        (&[("last-modified", A_SECOND_LATER), ("date", CHANGED)], A_SECOND_LATER, false),
        (&[("last-modified", CHANGED)], CHANGED, false),
        (&[("last-modified", CHANGED), ("date", "now")], CHANGED, false),
        (&[("date", A_SECOND_LATER)], CHANGED, false),
        (&[("last-modified", "x"), ("date", A_SECOND_LATER)], "x", false),
        (&[("last-modified", ""), ("date", A_SECOND_LATER)], "", false),
        (&[("last-modified", CHANGED), ("last-modified", CHANGED), ("date", A_SECOND_LATER)], CHANGED, false),
        (&[("last-modified", CHANGED), ("date", A_SECOND_LATER), ("etag", "\"a\"")], CHANGED, true),
        // A weak tag says that bytes may differ in spite of the date.
        (&[("last-modified", CHANGED), ("date", A_SECOND_LATER), ("etag", "W/\"a\"")], CHANGED, false),
    ] {
        let block = fields(block);
        assert_eq!(if_range_holds(value.as_bytes(), block.as_block(), NOW), expected, "{block:?} {value}");
    }
}

/// What a naive reader finds: the bytes each range wants, one by one.
fn wanted(specs: &[Spec], length: u64) -> Vec<Vec<u64>> {
    let wants = |spec: &Spec, at: u64| match *spec {
        Spec::Closed { first, last } => first <= at && at <= last,
        Spec::Open { first } => first <= at,
        Spec::Suffix { length: n } => length - at <= n,
    };
    let of = |spec: &Spec| (0..length).filter(|at| wants(spec, *at)).collect::<Vec<_>>();
    specs.iter().map(of).filter(|bytes| !bytes.is_empty()).collect()
}

fn a_spec(most: u64) -> impl Strategy<Value = Spec> {
    prop_oneof![
        (0..=most, 0..=most).prop_map(|(a, b)| closed(a.min(b), a.max(b))),
        (0..=most).prop_map(open),
        (0..=most).prop_map(suffix),
    ]
}

fn some_specs(most: u64) -> impl Strategy<Value = Vec<Spec>> {
    prop::collection::vec(a_spec(most), 1..=MAX_SPECS)
}

/// What may be a set of ranges or not.
fn near_a_line() -> impl Strategy<Value = String> {
    "(bytes|Bytes|items)=( ?[0-9]{0,3}-[0-9]{0,3}( ?, ?[0-9]{0,3}-[0-9]{0,22}){0,5}|[-0-9, +]{0,12})"
}

/// Sets of ranges as they are written.
fn some_lines() -> impl Strategy<Value = String> {
    prop::collection::vec(a_spec(1_300), 1..6).prop_map(|specs| {
        let mut line = Vec::new();
        write(&specs, &mut line);
        String::from_utf8(line).unwrap()
    })
}

/// Reads a multipart/byteranges body back: (Content-Range, bytes) of each part.
fn parts_of(body: &[u8], boundary: &str) -> Vec<(String, Vec<u8>)> {
    let text: String = body.iter().map(|byte| char::from(*byte)).collect();
    let delimiter = format!("\r\n--{boundary}");
    let (parts, end) = text.rsplit_once(&delimiter).unwrap();
    assert_eq!(end, "--\r\n");
    let read = |part: &str| {
        let (head, bytes) = part.strip_prefix("\r\n").unwrap().split_once("\r\n\r\n").unwrap();
        let range = head.lines().find_map(|line| line.strip_prefix("content-range: ")).unwrap();
        (range.to_owned(), bytes.chars().map(|c| u8::try_from(c).unwrap()).collect())
    };
    parts.split(&delimiter).skip(1).map(read).collect()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_bytes_are_read_without_panic(line in prop::collection::vec(any::<u8>(), 0..60), block in prop::collection::vec(any::<u8>(), 0..60), ends in (any::<u64>(), any::<u64>()), now in any::<u64>(), length in any::<u64>()) {
        if let Some(specs) = parse(&line) {
            resolve(&specs, length);
        }
        if_range_holds(&line, &block, Wall(now));
        may_be_cut(200, &block);
        unsatisfiable(&block, length);
        partial(&block, &line, &[part(ends.0, ends.1)], "b");
        partial(&block, &line, &[part(ends.0, ends.1), part(ends.1, ends.0)], "b");
    }

    #[test]
    fn text_near_the_grammar_is_read_without_panic(line in "[bB]ytes ?=[0-9]{0,22}-?[0-9]{0,22}( ?,[0-9]{0,3}-[0-9]{0,3}){0,20}", length in any::<u64>()) {
        if let Some(specs) = parse(line.as_bytes()) {
            prop_assert!(specs.len() <= MAX_SPECS);
            prop_assert!(cut(&line, length).is_some());
        }
    }

    #[test]
    fn what_is_written_is_read_back(specs in prop_oneof![some_specs(50), some_specs(u64::MAX)]) {
        let mut line = Vec::new();
        write(&specs, &mut line);
        prop_assert_eq!(parse(&line), Some(specs));
    }

    #[test]
    fn the_bytes_are_those_a_naive_reader_finds(specs in some_specs(24), length in 1_u64..20) {
        let wanted = wanted(&specs, length);
        let mut all = wanted.concat();
        all.sort_unstable();
        all.dedup();
        match resolve(&specs, length) {
            Cut::Parts(found) => {
                let mut sent = found.iter().flat_map(|part| part.first..=part.last).collect::<Vec<_>>();
                // The first part holds what was asked first.
                prop_assert!((found[0].first..=found[0].last).contains(&wanted[0][0]));
                let count = sent.len();
                sent.sort_unstable();
                sent.dedup();
                prop_assert_eq!(sent.len(), count, "no byte twice");
                prop_assert_eq!(sent, all);
                for (at, part) in found.iter().enumerate() {
                    prop_assert!(part.first <= part.last && part.last < length);
                    prop_assert!(found[at + 1..].iter().all(|other| !part.touches(*other)));
                }
            }
            Cut::Unsatisfiable => prop_assert!(all.is_empty()),
            Cut::Whole => prop_assert!(false, "only an empty one is whole"),
        }
    }

    #[test]
    fn the_parts_of_a_206_are_the_bytes_they_say(specs in some_specs(40), body in prop::collection::vec(any::<u8>(), 1..40)) {
        let length = u64::try_from(body.len()).unwrap();
        if let Cut::Parts(found) = resolve(&specs, length) {
            let boundary = boundary(&body);
            let (fields, content) = partial(b"", &body, &found, &boundary);
            let read = match fields.get(b"content-range") {
                Some(range) => vec![(String::from_utf8(range.to_vec()).unwrap(), content)],
                None => parts_of(&content, &boundary),
            };
            let expected = found.iter().map(|part| {
                let bytes = body[usize::try_from(part.first).unwrap()..=usize::try_from(part.last).unwrap()].to_vec();
                (format!("bytes {}-{}/{length}", part.first, part.last), bytes)
            });
            prop_assert_eq!(read, expected.collect::<Vec<_>>());
        }
    }

    /// Intended differences: blanks at the end of the line are part of no value here; a set is ignored above 16
    /// ranges, not 100; any number of digits and of empty members is read; ranges that overlap are joined, not
    /// refused; and an empty representation is sent whole, where the other finds nothing or refuses.
    #[test]
    fn what_another_reader_finds_is_found(line in prop_oneof![near_a_line(), some_lines()], length in 1_u64..1_200) {
        let line = line.trim_end();
        let ours = parse(line.as_bytes());
        let theirs = http_range_header::parse_range_header(line).ok();
        prop_assert_eq!(ours.is_some(), theirs.is_some(), "{}", line);
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            let mut asked = Vec::new();
            ours.iter().filter_map(|spec| spec.within(length)).for_each(|part| asked.push(part.first..=part.last));
            match theirs.validate(length) {
                Ok(found) => prop_assert_eq!(found, asked),
                Err(http_range_header::RangeUnsatisfiableError::Unsatisfiable) => prop_assert_eq!(resolve(&ours, length), Cut::Unsatisfiable),
                Err(_) => prop_assert!(asked.len() > 2, "more than two overlap"),
            }
        }
    }
}
