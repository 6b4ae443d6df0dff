//! Requests: what a client may say about what it has, what it wants, and who it is.

use super::Theme;
use super::values::{flag, list, seconds, text};
use crate::rng::Rng;
use crate::script::{DateForm, ScriptFields, Url, Value};

pub fn method(rng: &mut Rng, theme: Theme) -> &'static str {
    match theme {
        Theme::Writes => rng.weighted(&[
            (48, "GET"),
            (12, "POST"),
            (12, "PUT"),
            (12, "DELETE"),
            (5, "PATCH"),
            (5, "M-SEARCH"),
            (3, "OPTIONS"),
            (3, "HEAD"),
        ]),
        Theme::Parts => rng.weighted(&[(92, "GET"), (5, "HEAD"), (3, "PUT")]),
        _ => rng.weighted(&[(86, "GET"), (8, "HEAD"), (3, "POST"), (1, "DELETE"), (2, "OPTIONS")]),
    }
}

pub fn url(rng: &mut Rng, theme: Theme) -> Url {
    match theme {
        Theme::Writes => rng.weighted(&[(50, Url::A), (20, Url::AQuery), (30, Url::B)]),
        _ => rng.weighted(&[(90, Url::A), (5, Url::AQuery), (5, Url::B)]),
    }
}

pub fn fields(rng: &mut Rng, theme: Theme) -> ScriptFields {
    let mut fields = ScriptFields::new();
    let mut add = |name: &str, value: Value| fields.push((name.to_owned(), value));
    if rng.chance(if theme == Theme::Directives { 45 } else { 10 }) {
        add("cache-control", text(cache_control(rng)));
    }
    if rng.chance(4) {
        add("pragma", text(rng.pick(&["no-cache", "foo"])));
    }
    if rng.chance(if theme == Theme::Callers { 50 } else { 3 }) {
        add("authorization", text(rng.pick(&["Basic YW5uYTox", "Basic YmVuOjI=", "Bearer x", ""])));
    }
    if rng.chance(if theme == Theme::Callers { 30 } else { 4 }) {
        add("cookie", text(rng.pick(&["user=anna", "user=ben", "a=b; user=anna"])));
    }
    if rng.chance(if theme == Theme::Variants { 85 } else { 8 }) {
        for line in rng.pick(LANGUAGES) {
            add("accept-language", text(*line));
        }
    }
    if rng.chance(if theme == Theme::Variants { 35 } else { 3 }) {
        add("x-variant", text(rng.pick(&["one", "two", "One", ""])));
    }
    if rng.chance(if theme == Theme::Validation { 55 } else { 6 }) {
        condition(rng, &mut add);
    }
    if rng.chance(if theme == Theme::Parts { 60 } else { 2 }) {
        range(rng, &mut add);
    }
    fields
}

/// Bodies of writes; of others hardly ever.
pub fn body(rng: &mut Rng, method: &str) -> Vec<u8> {
    match method {
        "POST" | "PUT" | "PATCH" => b"new state".to_vec(),
        "GET" if rng.chance(1) => b"odd".to_vec(),
        _ => Vec::new(),
    }
}

const LANGUAGES: &[&[&str]] = &[
    &["de"],
    &["en"],
    &["en"],
    &["fr"],
    &["de, en"],
    &["en, de"],
    &["de,en"],
    &["de", "en"],
    &["DE"],
    &["de;q=0.8, en;q=0.9"],
    &["en;q=0.9, de;q=0.8"],
    &[""],
];

fn cache_control(rng: &mut Rng) -> String {
    let mut directives = Vec::new();
    for _ in 0..1 + rng.below(2) {
        let number = rng.pick(&[0, 1, 2, 5, 60]);
        directives.push(match rng.below(9) {
            0 => seconds(rng, "max-age", number, 20),
            1 => flag(rng, "no-cache", 15),
            2 => flag(rng, "no-store", 25),
            3 | 4 => flag(rng, "only-if-cached", 25),
            5 => flag(rng, "max-stale", 10),
            6 => seconds(rng, "max-stale", number, 20),
            7 => seconds(rng, "min-fresh", number, 20),
            _ => (rng.pick(&["nothing-to-see-here", "no-transform", "stale-if-error=60", "x=\"no-store\""]))
                .to_owned(),
        });
    }
    list(rng, &directives)
}

fn condition(rng: &mut Rng, add: &mut impl FnMut(&str, Value)) {
    let by_tag = rng.chance(65);
    if by_tag {
        add("if-none-match", tags(rng));
    }
    if !by_tag || rng.chance(15) {
        add("if-modified-since", since(rng));
    }
    if rng.chance(6) {
        add("if-match", tags(rng));
    }
    if rng.chance(3) {
        add("if-unmodified-since", since(rng));
    }
}

fn tags(rng: &mut Rng) -> Value {
    let seen = |before, after| Value::Seen("etag", before, after, "\"r1\"");
    match rng.below(16) {
        0..=4 => seen("", ""),
        5 => seen("\"other\", ", ""),
        6 => seen("", ", \"other\""),
        7 => seen("\"x\",", ",W/\"y\""),
        8 => seen("W/", ""),
        9 => seen("w/", ""),
        10 => text("*"),
        11 => text("\"other\""),
        12 => text("r1"),
        13 => text("\"r\u{fc}1\""),
        14 => text("\"other\", *"),
        _ => text(""),
    }
}

fn since(rng: &mut Rng) -> Value {
    let seen = Value::Seen("last-modified", "", "", "Thu, 01 Jan 2026 00:00:00 GMT");
    match rng.below(10) {
        0..=4 => seen,
        5 => Value::Soon(0, DateForm::Imf),
        6 => Value::Fixed(-1_000_000, DateForm::Rfc850),
        7 => Value::Soon(3_600, DateForm::Asctime),
        8 => super::values::date(rng, -10, false, 100),
        _ => Value::Fixed(-5, DateForm::Lower),
    }
}

fn range(rng: &mut Rng, add: &mut impl FnMut(&str, Value)) {
    let ranges = rng.weighted(&[
        (14, "bytes=0-4"),
        (10, "bytes=0-0"),
        (10, "bytes=2-5"),
        (10, "bytes=5-"),
        (10, "bytes=-3"),
        (6, "bytes=0-"),
        (4, "bytes=0-99999999999999999999"),
        (6, "bytes=0-1,4-5"),
        (4, "bytes=0-1, -2"),
        (2, "bytes=0-9,5-12"),
        (4, "bytes=1000-"),
        (2, "bytes=-0"),
        (2, "bytes=5-2"),
        (2, "bytes=abc"),
        (2, "bytes=0-1,x"),
        (2, "bytes 0-1"),
        (2, "chars=0-1"),
        (2, "Bytes=0-1"),
        (2, "bytes= 0-1"),
        (2, "bytes=,0-1"),
        (2, "bytes=0-1,"),
        (2, "bytes="),
    ]);
    add("range", text(ranges));
    if rng.chance(30) {
        let value = match rng.below(7) {
            0..=2 => Value::Seen("etag", "", "", "\"r1\""),
            3 => Value::Seen("last-modified", "", "", "Thu, 01 Jan 2026 00:00:00 GMT"),
            4 => text("\"other\""),
            5 => Value::Seen("etag", "W/", "", "\"r1\""),
            _ => Value::Soon(0, DateForm::Imf),
        };
        add("if-range", value);
    }
}
