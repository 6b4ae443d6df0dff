use super::*;
use crate::testing::cases;
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// 2026-01-01.
const NOW: Wall = Wall(1_767_225_600_000);

fn at(value: &str) -> Option<Wall> {
    parse(value.as_bytes(), NOW)
}

fn seconds(n: u64) -> Option<Wall> {
    Some(Wall(n * 1000))
}

#[test]
fn the_three_forms_name_the_same_moment() {
    for value in
        ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
    {
        assert_eq!(at(value), seconds(784_111_777), "{value}");
    }
    assert_eq!(at("Wed Nov 16 08:49:37 1994"), seconds(784_975_777));
}

#[test]
fn names_may_be_in_any_case() {
    for value in [
        "SUN, 06 NOV 1994 08:49:37 gmt",
        "sun, 06 nOv 1994 08:49:37 GMT",
        "sunday, 06-NOV-94 08:49:37 Gmt",
        "sUN nOV  6 08:49:37 1994",
    ] {
        assert_eq!(at(value), seconds(784_111_777), "{value}");
    }
}

#[test]
fn what_is_not_valid_is_refused() {
    for value in [
        "",
        "0",
        "-1",
        "tomorrow",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 AEST",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT",
        "Sun, 06  Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994  08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37  GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT,Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 GMT",
    ] {
        assert_eq!(at(value), None, "{value}");
    }
}

#[test]
fn the_ends_of_months_days_and_words_are_right() {
    for (value, expected) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
        ("Sun, 01 Jan 0000 00:00:00 GMT", 0),
        ("Tue, 29 Feb 2000 00:00:00 GMT", 951_782_400),
        ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
        ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ("Tue, 19 Jan 2038 03:14:07 GMT", 2_147_483_647),
        ("Tue, 19 Jan 2038 03:14:08 GMT", 2_147_483_648),
        ("Sat, 20 Nov 2286 17:46:40 GMT", 10_000_000_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ] {
        assert_eq!(at(value), seconds(expected), "{value}");
    }
}

#[test]
fn a_short_year_more_than_fifty_years_ahead_is_the_past_centurys() {
    // Seen from 2026-01-01.
    assert_eq!(at("Tuesday, 31-Dec-75 00:00:00 GMT"), at("Tue, 31 Dec 2075 00:00:00 GMT"));
    assert_eq!(at("Thursday, 01-Jul-76 00:00:00 GMT"), at("Thu, 01 Jul 1976 00:00:00 GMT"));
    assert_eq!(at("Thursday, 01-Jan-26 00:00:00 GMT"), Some(NOW));
    // Seen from late in a century, the next one is near.
    let late = parse(b"Thu, 01 Jan 2099 00:00:00 GMT", NOW).unwrap();
    assert_eq!(parse(b"Thursday, 01-Jan-01 00:00:00 GMT", late), at("Sat, 01 Jan 2101 00:00:00 GMT"));
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn any_bytes_at_any_time_are_read_without_panic(value in prop::collection::vec(any::<u8>(), 0..40), now in any::<u64>()) {
        parse(&value, Wall(now));
    }

    #[test]
    fn text_near_the_grammar_is_read_without_panic(value in "(Sun|Sunday),? [0-9]{2}[ -]Nov[ -][0-9]{2,4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", now in any::<u64>()) {
        parse(value.as_bytes(), Wall(now));
    }

    #[test]
    fn what_another_formatter_writes_is_read_back(second in 0_u64..253_402_300_800) {
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        prop_assert_eq!(at(&text), seconds(second));
    }

    /// The other parser always splits the centuries at 1970; seen from 2026 both agree on these years.
    #[test]
    fn dates_of_the_old_forms_agree_with_another_parser(year in 1977_u64..2070, month in 0_usize..12, day in 1_u64..=31, second in 0_u64..86_400) {
        let month = std::str::from_utf8(MONTHS[month]).unwrap();
        let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
        for text in [format!("Sun {month} {day:2} {time} {year}"), format!("Sunday, {day:02}-{month}-{:02} {time} GMT", year % 100)] {
            if let (Some(ours), Ok(theirs)) = (at(&text), httpdate::parse_http_date(&text)) {
                prop_assert_eq!(ours.0, u64::try_from(theirs.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap(), "{}", text);
            }
        }
    }

    #[test]
    fn the_year_of_a_moment_is_found(second in 0_u64..253_402_300_800) {
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        prop_assert_eq!(year_of(Wall(second * 1000)).to_string(), text[12..16].trim_start_matches('0'));
    }

    /// Intended differences. Here: the name of the day need not fit the date, names are known in any case, a leap second
    /// is a second, what lies before 1970 is 1970. There: blanks around a date are none of it, a short year always lies
    /// between 1970 and 2069, and whatever stands between it and the time is taken for a blank.
    #[test]
    fn what_another_parser_reads_is_read(second in 0_u64..FROM_2070, form in 0_usize..3, at in any::<prop::sample::Index>(), cut in 0_usize..2, with in "[0-9A-Za-z,: -]{0,2}", whole in any::<bool>()) {
        let [imf, short, old, _] = forms(second);
        let mut text = [imf, short, old][form].clone();
        if !whole {
            let at = at.index(text.len() + 1);
            text.replace_range(at..(at + cut).min(text.len()), &with);
        }
        let text = text.trim();
        let theirs = httpdate::parse_http_date(text).ok().map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs());
        match (parse(text.as_bytes(), NOW).map(|moment| moment.0 / 1000), theirs) {
            (None, None) => {}
            (Some(ours), Some(theirs)) => prop_assert!(ours == theirs || (form == 1 && ours >= FROM_2070), "{}", text),
            (None, Some(_)) => prop_assert!(form == 1 && text.as_bytes()[text.len() - 13] != b' ', "{}", text),
            (Some(ours), None) => {
                let is_moment = forms(ours).iter().any(|form| without_day(form) == without_day(text));
                prop_assert!(is_moment || ours == 0 || text.contains(":60"), "{}", text);
            }
        }
    }
}

/// The first second that no short year of the other parser's reaches.
const FROM_2070: u64 = 3_155_760_000;

/// A moment in the three forms, the last one with either filling of its day.
fn forms(second: u64) -> [String; 4] {
    let imf = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
    let (day, rest) = imf.split_once(", ").unwrap();
    let [date, month, year, time, _] = rest.split(' ').collect::<Vec<_>>()[..] else { panic!("{imf}") };
    let long =
        LONG_DAYS.iter().map(|name| std::str::from_utf8(name).unwrap()).find(|name| name.starts_with(day));
    let short = format!("{}, {date}-{month}-{} {time} GMT", long.unwrap(), &year[2..]);
    let filled = |date: &str| format!("{day} {month} {date} {time} {year}");
    let old = [filled(&format!("{:>2}", date.trim_start_matches('0'))), filled(date)];
    let [blank, zero] = old;
    [imf, short, blank, zero]
}

fn without_day(text: &str) -> String {
    text.trim_start_matches(|letter: char| letter.is_ascii_alphabetic()).to_lowercase()
}
