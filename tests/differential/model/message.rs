//! Whether an answer is what it should be, given what it was made from: field by field and byte by byte.

use super::conditions::{if_range, not_modified};
use super::directives::{Odds, delta_seconds};
use super::fields;
use super::freshness::current_age;
use super::ranges;
use super::reuse::Occasion;
use super::rules::{Breach, Rule, breach};
use super::stored::Stored;
use super::targeted::readings;
use super::update::{MAY_STAY, hop_by_hop};
use crate::history::{Exchange, Fields, Request, Response, Span};

/// Fields that Envoy or the plugin adds to an answer, or writes anew.
const ADDED: [&str; 9] = [
    "age",
    "cache-status",
    "connection",
    "content-length",
    "date",
    "proxy-status",
    "server",
    "transfer-encoding",
    "x-envoy-upstream-service-time",
];

/// RFC 9110 §15.4.5.
const OF_A_304: [&str; 6] = ["cache-control", "content-location", "date", "etag", "expires", "vary"];

/// What is wrong with `answer`, made from `stored`.
pub fn from_store(
    stored: &Stored,
    request: &Request,
    now: Span,
    occasion: Occasion,
    answer: &Response,
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if occasion != Occasion::Current || fields::has(&answer.fields, "age") {
        breaches.extend(age(stored, now, &answer.fields));
    }
    breaches.extend(kept_back(stored, occasion, &answer.fields));
    let shape = match answer.status {
        304 => as_304(stored, request, now, answer),
        206 | 416 if stored.response.status == 200 || stored.part.is_some() => {
            as_part(stored, request, now, answer)
        }
        _ => as_whole(stored, request, answer),
    };
    breaches.extend(shape);
    breaches
}

fn as_304(stored: &Stored, request: &Request, now: Span, answer: &Response) -> Vec<Breach> {
    let conditional =
        ["if-none-match", "if-modified-since"].iter().any(|name| fields::has(&request.fields, name));
    if !conditional {
        return vec![breach(Rule::NotModifiedUnasked, "the request had no condition")];
    }
    let mut breaches = Vec::new();
    if not_modified(&request.fields, stored, now.to) == Odds::No {
        let have = |fields: &Fields, name| fields::value(fields, name);
        breaches.push(breach(
            Rule::NotModified,
            format!(
                "the client has {:?} / {:?}, stored is {:?} / {:?}",
                have(&request.fields, "if-none-match"),
                have(&request.fields, "if-modified-since"),
                have(&stored.response.fields, "etag"),
                have(&stored.response.fields, "last-modified"),
            ),
        ));
    }
    for name in OF_A_304 {
        let lost = fields::has(&stored.response.fields, name) && !fields::has(&answer.fields, name);
        if lost && !may_lack(stored, name) {
            breaches.push(breach(Rule::NotModifiedFields, format!("{name} is missing")));
        }
    }
    breaches.extend(unchanged(stored, &answer.fields, &[]));
    breaches.extend(body(b"", &answer.body));
    breaches
}

fn as_part(stored: &Stored, request: &Request, now: Span, answer: &Response) -> Vec<Breach> {
    if request.method != "GET" {
        return vec![breach(Rule::Partial, format!("{} has no ranges", request.method))];
    }
    let holds = if_range(&request.fields, &stored.response.fields, now.to);
    let mut breaches = ranges::check(&request.fields, holds, stored, answer);
    if answer.status == 416 {
        return breaches;
    }
    let multipart = !fields::has(&answer.fields, "content-range");
    let other: &[&str] = if multipart { &["content-range", "content-type"] } else { &["content-range"] };
    breaches.extend(unchanged(stored, &answer.fields, other));
    let names: Vec<&str> = match fields::has(&request.fields, "if-range") {
        // "SHOULD NOT generate other representation header fields beyond those required"
        true => OF_A_304.to_vec(),
        false => stored.response.fields.iter().map(|(name, _)| name.as_str()).collect(),
    };
    breaches.extend(complete(stored, &answer.fields, &names, other));
    breaches
}

fn as_whole(stored: &Stored, request: &Request, answer: &Response) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if answer.status != stored.response.status {
        breaches.push(breach(
            Rule::Fields,
            format!("status {} of a stored {}", answer.status, stored.response.status),
        ));
    }
    breaches.extend(unchanged(stored, &answer.fields, &[]));
    let names: Vec<&str> = stored.response.fields.iter().map(|(name, _)| name.as_str()).collect();
    breaches.extend(complete(stored, &answer.fields, &names, &[]));
    let bytes = &stored.response.body;
    match request.method == "HEAD" {
        true => {
            breaches.extend(body(b"", &answer.body));
            let length = fields::value(&answer.fields, "content-length");
            // The answer to a HEAD has no body of its own to count.
            let known = stored.request.method == "GET";
            if known && length.as_ref().is_some_and(|length| *length != bytes.len().to_string()) {
                breaches
                    .push(breach(Rule::Fields, format!("content-length is {length:?} of {}", bytes.len())));
            }
        }
        false => breaches.extend(body(bytes, &answer.body)),
    }
    breaches
}

fn body(expected: &[u8], found: &[u8]) -> Option<Breach> {
    let show =
        |bytes: &[u8]| format!("{} bytes {:?}", bytes.len(), fields::text(&bytes[..bytes.len().min(40)]));
    (expected != found).then(|| breach(Rule::Body, format!("{}, not {}", show(found), show(expected))))
}

/// No field that was not stored, and none with another value; `apart` are not looked at.
fn unchanged(stored: &Stored, answer: &Fields, apart: &[&str]) -> Vec<Breach> {
    let hop_by_hop = hop_by_hop(&stored.response.fields);
    let mut breaches = Vec::new();
    for name in names(answer) {
        let found = fields::lines(answer, &name);
        let values = fields::lines(&stored.response.fields, &name);
        let is_stored = !values.is_empty();
        if hop_by_hop.contains(&name) && !["connection", "transfer-encoding"].contains(&name.as_str()) {
            if is_stored {
                breaches.push(breach(Rule::HopByHop, format!("{name}: {}", shown(&found))));
            }
            continue;
        }
        let written_anew = ["age", "cache-status", "connection", "content-length", "transfer-encoding"];
        if apart.contains(&name.as_str()) || written_anew.contains(&name.as_str()) {
            continue;
        }
        if !is_stored && ADDED.contains(&name.as_str()) {
            continue;
        }
        let former = fields::lines(&stored.former, &name);
        let allowed = same_lines(&name, &values, &found)
            || (MAY_STAY.contains(&name.as_str())
                && !former.is_empty()
                && same_lines(&name, &former, &found));
        if !allowed {
            let what = format!("{name} is {}, stored is {}", shown(&found), shown(&values));
            breaches.push(breach(Rule::Fields, what));
        }
    }
    breaches
}

/// No stored field of these names is lost.
fn complete(stored: &Stored, answer: &Fields, wanted: &[&str], apart: &[&str]) -> Vec<Breach> {
    let hop_by_hop = hop_by_hop(&stored.response.fields);
    let held_back = held_back(stored);
    let left_out = |name: &str| {
        hop_by_hop.iter().chain(&held_back).any(|other| other == name)
            || apart.contains(&name)
            || ["age", "content-length"].contains(&name)
            || may_lack(stored, name)
    };
    let lost = names(&stored.response.fields)
        .into_iter()
        .filter(|name| wanted.contains(&name.as_str()) && !left_out(name) && !fields::has(answer, name));
    lost.map(|name| breach(Rule::Fields, format!("{name} is lost"))).collect()
}

/// An update added it, and a cache may have chosen not to take it over.
fn may_lack(stored: &Stored, name: &str) -> bool {
    fields::has(&stored.former, &format!("may lack {name}"))
}

/// Fields that `private` and `no-cache` name: not to be stored, or not to be sent without asking.
fn held_back(stored: &Stored) -> Vec<String> {
    let readings = readings(&stored.response.fields);
    let named = |reading: &super::targeted::Reading| {
        let directives = &reading.directives;
        [directives.private_fields.clone(), directives.no_cache_fields.clone()].concat()
    };
    readings.iter().flat_map(named).collect()
}

fn kept_back(stored: &Stored, occasion: Occasion, answer: &Fields) -> Vec<Breach> {
    if occasion == Occasion::Current {
        return Vec::new();
    }
    let readings = readings(&stored.response.fields);
    let [reading] = readings.as_slice() else { return Vec::new() };
    let sent = |names: &[String], rule| {
        let sent = names
            .iter()
            .filter(|name| fields::has(answer, name) && fields::has(&stored.response.fields, name));
        sent.map(|name| breach(rule, name.clone())).collect::<Vec<_>>()
    };
    let mut breaches = sent(&reading.directives.private_fields, Rule::PrivateFields);
    breaches.extend(sent(&reading.directives.no_cache_fields, Rule::NoCacheFields));
    breaches
}

/// §4: "MUST generate an Age header field"; it may be off by a second (§4.2.3 counts in seconds).
fn age(stored: &Stored, now: Span, answer: &Fields) -> Option<Breach> {
    let age = current_age(stored, now);
    let lines = fields::lines(answer, "age");
    let told = fields::only(answer, "age").and_then(|age| delta_seconds(&age));
    let (least, most) = (age.from / 1000 - 1, (age.to + 999) / 1000 + 1);
    let right =
        told.is_some_and(|told| (least..=most).contains(&told) || (told >= 2_147_483_647 && most >= told));
    (!right).then(|| breach(Rule::Age, format!("{} where {least} to {most} is right", shown(&lines))))
}

/// What is wrong with `answer`, which passes on the origin's `reply`.
pub fn relayed(reply: &Response, request: &Request, answer: &Response) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if answer.status != reply.status {
        breaches.push(breach(Rule::Relay, format!("status {} of a {}", answer.status, reply.status)));
    }
    let empty = request.method == "HEAD" || matches!(reply.status, 204 | 304);
    if answer.body != if empty { &b""[..] } else { &reply.body } {
        breaches.push(breach(Rule::Relay, "the body is another"));
    }
    let of_connection = hop_by_hop(&reply.fields);
    for name in names(&reply.fields) {
        let (sent, found) = (fields::lines(&reply.fields, &name), fields::lines(&answer.fields, &name));
        let framing = name == "content-length";
        if !framing
            && !of_connection.contains(&name)
            && name != "cache-status"
            && !same_lines(&name, &sent, &found)
        {
            breaches.push(breach(
                Rule::Relay,
                format!("{name} is {}, the origin said {}", shown(&found), shown(&sent)),
            ));
        }
    }
    for name in names(&answer.fields) {
        let added = ADDED.contains(&name.as_str()) && name != "age";
        if !added && !fields::has(&reply.fields, &name) {
            breaches.push(breach(Rule::Relay, format!("{name} was added")));
        }
    }
    breaches
}

/// Whether what is wrong is Envoy's way with the type of a reply that takes the place of a response: one without a type
/// it calls text/plain, so that Breakwater puts an empty one; and from one without a body it takes the type.
pub fn is_envoys_type(exchange: &Exchange, answer: &Response, breach: &Breach) -> bool {
    let kind = fields::only(&answer.fields, "content-type");
    let envoys = match kind.as_deref() {
        Some(kind) => kind.is_empty(),
        None => answer.body.is_empty(),
    };
    !exchange.upstream.is_empty() && breach.what.starts_with("content-type ") && envoys
}

fn names(fields: &Fields) -> Vec<String> {
    let mut names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The same bytes line by line; or, where lines were joined on the way (RFC 9110 §5.3), the same members. Envoy joins
/// Cache-Control before anybody sees how many lines it was: there, blanks beside commas say nothing.
fn same_lines(name: &str, sent: &[Vec<u8>], found: &[Vec<u8>]) -> bool {
    let members = |lines: &[Vec<u8>]| {
        let all = lines.iter().map(|line| fields::text(line)).collect::<Vec<_>>().join(",");
        fields::simple_list(&all)
    };
    let joined = (sent.len() > 1 && found.len() <= sent.len()) || name == "cache-control";
    sent == found || (joined && members(sent) == members(found))
}

fn shown(lines: &[Vec<u8>]) -> String {
    if lines.is_empty() {
        return "absent".to_owned();
    }
    lines.iter().map(|line| format!("{:?}", fields::text(line))).collect::<Vec<_>>().join(" and ")
}
