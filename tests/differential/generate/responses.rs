//! Responses: what an origin may say about how long, for whom and for what its answer is good.

use super::Theme;
use super::values::{age, date, flag, list, seconds, tag, text, vary};
use crate::rng::Rng;
use crate::script::{Manner, NotModifiedFields, Resource, ScriptFields, Sequence, Url, Value};

/// A new representation, with a number of its own.
pub fn resource(rng: &mut Rng, theme: Theme, sequence: &Sequence, number: u64) -> Resource {
    let mut resource = Resource {
        status: status(rng, theme),
        body: body(rng, theme, number),
        representation: representation(rng, theme, number),
        fields: ScriptFields::new(),
        manner: manner(rng),
        failure: None,
        delay: if rng.chance(2) { 1_200 } else { 0 },
    };
    refresh(rng, theme, sequence, &mut resource);
    resource
}

/// The same representation, with other words about it.
pub fn refresh(rng: &mut Rng, theme: Theme, sequence: &Sequence, resource: &mut Resource) {
    resource.fields = fields(rng, theme, sequence);
    resource.manner = manner(rng);
}

/// The answer to a write.
pub fn written(rng: &mut Rng, sequence: &Sequence, url: Url, resource: &Resource) -> Resource {
    let status =
        rng.weighted(&[(40, 200), (15, 201), (15, 204), (10, 303), (5, 301), (7, 400), (8, 500), (5, 503)]);
    let mut fields = ScriptFields::new();
    // What is written is seldom what it names: that would go anyway.
    let others = [Url::A, Url::AQuery, Url::B];
    let other = rng.pick(&others);
    let elsewhere = sequence.url(if other == url { rng.pick(&others) } else { other });
    for name in ["location", "content-location"] {
        if rng.chance(45) {
            fields.push((name.to_owned(), text(place(rng, &elsewhere))));
        }
    }
    if rng.chance(10) {
        fields.push(("content-location".to_owned(), text(sequence.url(url))));
    }
    if rng.chance(30) {
        fields.push(("cache-control".to_owned(), text("max-age=60")));
    }
    let body = if status == 204 { Vec::new() } else { format!("written {}", rng.below(1000)).into_bytes() };
    let representation = ScriptFields::new();
    Resource { status, body, fields, representation, failure: None, delay: 0, ..resource.clone() }
}

/// A reference to a URL in one of its forms, or to another origin's.
fn place(rng: &mut Rng, path: &str) -> String {
    match rng.below(10) {
        0..=3 => path.to_owned(),
        4 | 5 => format!("http://wall.test{path}"),
        6 => format!("http://elsewhere.test{path}"),
        7 => format!("https://wall.test{path}"),
        8 => path.rsplit('/').next().unwrap_or_default().to_owned(),
        _ => format!("{path}#part"),
    }
}

fn status(rng: &mut Rng, theme: Theme) -> u16 {
    let plain = if theme == Theme::Statuses { 20 } else { 92 };
    if rng.chance(plain) {
        return 200;
    }
    rng.pick(&[
        200, 201, 202, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 403, 404, 405, 410, 414, 418, 451,
        499, 500, 501, 502, 503, 504, 505, 599,
    ])
}

fn body(rng: &mut Rng, theme: Theme, number: u64) -> Vec<u8> {
    let length = match theme {
        Theme::Parts => rng.pick(&[0, 1, 6, 10, 26, 300]),
        _ => rng.weighted(&[(5, 0), (5, 1), (70, 26), (15, 300), (5, 20_000)]),
    };
    let text = format!("representation {number} ");
    text.bytes().chain(b'a'..=b'z').cycle().take(length).collect()
}

fn representation(rng: &mut Rng, theme: Theme, number: u64) -> ScriptFields {
    let mut fields = ScriptFields::new();
    let near_misses = if theme == Theme::Validation { 12 } else { 6 };
    if rng.chance(if theme == Theme::Heuristic { 30 } else { 60 }) {
        let tags = tag(rng, number, near_misses);
        fields.extend(tags.into_iter().map(|tag| ("etag".to_owned(), Value::Text(tag))));
    }
    if rng.chance(if theme == Theme::Heuristic { 90 } else { 45 }) {
        // Ten, a hundred and a thousand seconds of heuristic freshness; hardly any; none.
        let changed = rng.pick(&[-100, -1_000, -10_000, -10_000, -864_000, -5, 100]);
        fields.push(("last-modified".to_owned(), date(rng, changed, true, near_misses)));
    }
    fields.push(("x-representation".to_owned(), text(number.to_string())));
    if rng.chance(50) {
        fields.push((
            "content-type".to_owned(),
            text(rng.pick(&["text/plain", "Text/Html; charset=utf-8", "x"])),
        ));
    }
    if rng.chance(15) {
        fields.push(("content-language".to_owned(), text(rng.pick(&["de", "en"]))));
    }
    fields
}

fn manner(rng: &mut Rng) -> Manner {
    let not_modified = rng.weighted(&[
        (50, NotModifiedFields::Needed),
        (30, NotModifiedFields::All),
        (8, NotModifiedFields::Bare),
        (12, NotModifiedFields::Odd),
    ]);
    Manner { conditions: rng.chance(92), ranges: rng.chance(88), chunked: rng.chance(20), not_modified }
}

fn fields(rng: &mut Rng, theme: Theme, sequence: &Sequence) -> ScriptFields {
    let near = if theme == Theme::Directives { 30 } else { 6 };
    let mut fields = ScriptFields::new();
    let mut add = |name: &str, value: Value| fields.push((name.to_owned(), value));
    match rng.weighted(&[(78, "now"), (6, "past"), (4, "future"), (6, "none"), (6, "bent")]) {
        "now" => add("date", date(rng, 0, false, 0)),
        "past" => {
            let made = rng.pick(&[-10, -58, -100]);
            add("date", date(rng, made, false, 0));
        }
        "future" => add("date", date(rng, 10, false, 0)),
        "bent" => add("date", date(rng, 0, false, 100)),
        _ => {}
    }
    if rng.chance(if theme == Theme::Heuristic { 15 } else { 85 }) {
        for line in cache_control(rng, theme, near) {
            add("cache-control", text(line));
        }
    }
    if rng.chance(if theme == Theme::Directives { 35 } else { 12 }) {
        let ends = rng.pick(&[-10, 0, 3, 60, 60, 3_600]);
        let value = date(rng, ends, false, 25);
        add("expires", value.clone());
        if rng.chance(4) {
            add("expires", value);
        }
    }
    if rng.chance(12) {
        age(rng, 35).into_iter().for_each(|line| add("age", text(line)));
    }
    if rng.chance(if theme == Theme::Variants { 85 } else { 6 }) {
        vary(rng, 18).into_iter().for_each(|line| add("vary", text(line)));
    }
    if rng.chance(if theme == Theme::Callers { 20 } else { 2 }) {
        add("set-cookie", text("user=anna; Path=/"));
    }
    if rng.chance(if theme == Theme::Targeted { 80 } else { 2 }) {
        add("cdn-cache-control", text(targeted(rng)));
    }
    others(rng, sequence, &mut add);
    fields
}

/// Fields that say nothing to a cache, and must arrive; or belong to the connection, and must not be stored.
fn others(rng: &mut Rng, sequence: &Sequence, add: &mut impl FnMut(&str, Value)) {
    add("x-plain", text(rng.pick(&["1", "two  words", "a, b", "\u{fc}", "\"quoted, text\""])));
    if rng.chance(20) {
        add("link", text("</a>; rel=next"));
        add("link", text("</b>; rel=prev"));
    }
    if rng.chance(10) {
        add("connection", text(rng.pick(&["x-hop", "keep-alive, X-Hop", "x-hop,"])));
        add("x-hop", text("1"));
    }
    if rng.chance(4) {
        add(
            rng.pick(&["proxy-authenticate", "keep-alive", "proxy-authentication-info", "te"]),
            text("timeout=5"),
        );
    }
    if rng.chance(4) {
        add("pragma", text("no-cache"));
    }
    if rng.chance(6) {
        add("content-location", text(sequence.url(rng.pick(&[Url::A, Url::B]))));
    }
    if rng.chance(5) {
        add("cache-status", text("\"far, away\"; hit"));
    }
}

fn cache_control(rng: &mut Rng, theme: Theme, near: u32) -> Vec<String> {
    let lifetime = |rng: &mut Rng| rng.weighted(&[(8, 0), (22, 1), (8, 2), (12, 3), (50, 60)]);
    let mut directives = Vec::new();
    if rng.chance(85) {
        let number = lifetime(rng);
        directives.push(seconds(rng, "max-age", number, near));
    }
    if rng.chance(12) {
        let number = lifetime(rng);
        directives.push(seconds(rng, "s-maxage", number, near));
    }
    let restricting = if theme == Theme::Directives { 12 } else { 3 };
    for name in ["no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate"] {
        if rng.chance(restricting) {
            directives.push(flag(rng, name, near));
        }
    }
    if rng.chance(restricting) {
        directives.push(
            rng.pick(&["private=\"x-plain\"", "no-cache=\"x-plain\"", "no-cache=\"x-none\""]).to_string(),
        );
    }
    if rng.chance(if theme == Theme::Callers { 35 } else { 6 }) {
        directives.push(flag(rng, "public", near));
    }
    if rng.chance(if theme == Theme::Statuses { 15 } else { 2 }) {
        directives.push(flag(rng, "must-understand", near));
        if rng.chance(60) {
            directives.push("no-store".to_owned());
        }
    }
    if rng.chance(if theme == Theme::Failures { 50 } else { 5 }) {
        let number = rng.pick(&[0, 1, 60]);
        directives.push(seconds(rng, "stale-if-error", number, near));
    }
    if rng.chance(4) {
        let number = rng.pick(&[0, 1, 60]);
        directives.push(seconds(rng, "stale-while-revalidate", number, near));
    }
    if rng.chance(12) {
        let unknown =
            ["immutable", "no-transform", "foo", "foo=bar", "foo=\"no-store, private\"", "=60", "@"];
        directives.push((rng.pick(&unknown)).to_owned());
    }
    for place in (1..directives.len()).rev() {
        directives.swap(place, rng.below(place + 1));
    }
    if directives.len() > 1 && rng.chance(10) {
        let second = directives.split_off(1);
        return vec![list(rng, &directives), list(rng, &second)];
    }
    vec![list(rng, &directives)]
}

fn targeted(rng: &mut Rng) -> String {
    (rng.pick(&[
        "max-age=60",
        "max-age=60",
        "max-age=1",
        "max-age=0",
        "max-age=3",
        "no-store",
        "private",
        "no-cache",
        "no-store=?0, max-age=60",
        "max-age=60, must-revalidate",
        "max-age=60, foo=bar",
        "max-age=1, stale-if-error=60",
        "s-maxage=60",
        "public, max-age=60",
        "max-age=\"60\"",
        "max-age=60;",
        "max-age=60,",
        "max-age= 60",
        "MAX-AGE=60",
        "max-age=-1",
        "max-age=60.5",
        "max-age",
        "max-age=9999999999",
        "",
        "private=(\"x-plain\")",
        "no-store, max-age=60",
    ]))
    .to_owned()
}
