//! Does the model see what is wrong, and let pass what is right?
//!
//! Each rule has a story that breaks it, and one that differs from it by little and breaks none. A story is told line
//! by line: `+` lets milliseconds pass, `>` is the client's request, `^` what reaches the origin beside the client's
//! own fields, `=` what the origin says, `<` what the client gets (`< =`: the origin's words). Fields stand between
//! bars, the body in brackets.

use super::{Kind, Rule, judge};
use crate::history::{Exchange, Fields, Ms, Reply, Request, Response, Upstream};
use std::collections::BTreeSet;

#[test]
fn each_rule_is_broken_by_its_story_and_kept_by_its_twin() {
    let mut seen = BTreeSet::new();
    for (rule, breaking, keeping) in STORIES {
        assert_eq!(broken(breaking), BTreeSet::from([*rule]), "{rule}\n{breaking}");
        assert_eq!(broken(keeping), BTreeSet::new(), "{rule}\n{keeping}");
        seen.insert(*rule);
    }
    let untold: Vec<_> = Rule::ALL.iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(untold.is_empty(), "no story breaks {untold:?}");
    assert!(Rule::ALL.iter().any(|rule| rule.kind() == Kind::Missed));
}

#[test]
fn what_the_rfc_leaves_open_is_let_pass() {
    for story in OPEN {
        assert_eq!(broken(story), BTreeSet::new(), "{story}");
    }
}

fn broken(story: &str) -> BTreeSet<Rule> {
    let verdicts = judge(&told(story));
    verdicts.iter().flat_map(|verdict| &verdict.breaches).map(|breach| breach.rule).collect()
}

/// When the stories begin: a round second.
const BEGINNING: Ms = 1_767_225_600_000;

fn told(story: &str) -> Vec<Exchange> {
    let mut now = BEGINNING;
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (sign, rest) = line.split_at(1);
        let rest = rest.trim();
        match sign {
            "+" => now += rest.parse::<Ms>().expect("milliseconds"),
            ">" => {
                let (words, fields, _) = message(rest);
                let (method, url) = words.split_once(' ').expect("a method and a path");
                let request = Request { method: method.to_owned(), url: url.to_owned(), fields };
                exchanges.push(Exchange {
                    request,
                    sent: now,
                    answered: now + 2,
                    upstream: Vec::new(),
                    answer: None,
                });
            }
            "^" => {
                let (_, more, _) = message(rest);
                let exchange = exchanges.last_mut().expect("a request");
                let mut seen = exchange.request.clone();
                seen.fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
                seen.fields.extend(more.into_iter().filter(|(_, value)| value != b"none"));
                exchange.upstream.push(Upstream {
                    request: seen,
                    arrived: now + 1,
                    replied: now + 1,
                    reply: Reply::Dropped,
                });
            }
            "=" => {
                let exchange = exchanges.last_mut().expect("a request");
                if exchange.upstream.is_empty() {
                    let request = exchange.request.clone();
                    exchange.upstream.push(Upstream {
                        request,
                        arrived: now + 1,
                        replied: now + 1,
                        reply: Reply::Dropped,
                    });
                }
                let upstream = exchange.upstream.last_mut().expect("it was just made");
                upstream.reply = match rest.split_once(' ') {
                    None if rest == "dropped" => Reply::Dropped,
                    Some(("cut", rest)) => Reply::Cut(response(rest)),
                    _ => Reply::Whole(response(rest)),
                };
            }
            "<" => {
                let exchange = exchanges.last_mut().expect("a request");
                exchange.answer = answer(rest, exchange);
            }
            _ => panic!("{line}"),
        }
    }
    exchanges
}

fn answer(text: &str, exchange: &Exchange) -> Option<Response> {
    let mut answer = match (text, exchange.upstream.last().map(|upstream| &upstream.reply)) {
        ("nothing", _) => return None,
        ("=", Some(Reply::Whole(reply))) => reply.clone(),
        _ => response(text),
    };
    let status = if exchange.upstream.is_empty() { "breakwater; hit" } else { "breakwater; fwd=miss" };
    if !answer.fields.iter().any(|(name, _)| name == "cache-status") {
        answer.fields.push(("cache-status".to_owned(), status.into()));
    }
    Some(answer)
}

fn response(text: &str) -> Response {
    let (status, fields, body) = message(text);
    Response { status: status.parse().expect("a status"), fields, body }
}

fn message(text: &str) -> (String, Fields, Vec<u8>) {
    let (text, body) = match text.strip_suffix(']').and_then(|text| text.split_once(" [")) {
        Some((text, body)) => (text, body),
        None => (text, ""),
    };
    let mut parts = text.split('|').map(str::trim);
    let first = parts.next().unwrap_or_default().to_owned();
    let field = |part: &str| {
        let (name, value) = part.split_once(':').expect("a field");
        (name.to_owned(), value.trim().as_bytes().to_vec())
    };
    (first, parts.map(field).collect(), body.as_bytes().to_vec())
}

/// A rule, a story that breaks it and nothing else, and one that breaks none.
const STORIES: &[(Rule, &str, &str)] = &[
    (
        Rule::Method,
        "> PUT /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> POST /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | content-location: /a [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | content-location: /a | age: 0 [a]",
    ),
    (
        Rule::MustUnderstand,
        "> GET /a
         = 299 | x-serial: 1 | cache-control: max-age=60, must-understand [a]
         < =
         > GET /a
         < 299 | x-serial: 1 | cache-control: max-age=60, must-understand | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, must-understand, no-store [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, must-understand, no-store | age: 0 [a]",
    ),
    (
        Rule::NoStore,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, No-Store [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, No-Store | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, x=\"no-store\" [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, x=\"no-store\" | age: 0 [a]",
    ),
    (
        Rule::RequestNoStore,
        "> GET /a | cache-control: no-store
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> GET /a | cache-control: no-cache
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
    ),
    (
        Rule::Private,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, private [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, private | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: private | cdn-cache-control: max-age=60 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: private | cdn-cache-control: max-age=60 | age: 0 [a]",
    ),
    (
        Rule::PrivateFields,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, private=\"x-me\" | x-me: anna [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, private=\"x-me\" | x-me: anna | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, private=\"x-me\" | x-me: anna [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, private=\"x-me\" | age: 0 [a]",
    ),
    (
        Rule::NoCache,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-cache [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, no-cache | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-cache | etag: \"1\" [a]
         < =
         > GET /a
         ^ | if-none-match: \"1\"
         = 304 | x-serial: 2 | etag: \"1\"
         < 200 | x-serial: 2 | cache-control: max-age=60, no-cache | etag: \"1\" [a]",
    ),
    (
        Rule::NoCacheFields,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-cache=\"x-me\" | x-me: anna [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, no-cache=\"x-me\" | x-me: anna | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-cache=\"x-me\" | x-me: anna [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60, no-cache=\"x-me\" | age: 0 [a]",
    ),
    (
        Rule::Authorization,
        "> GET /a | authorization: anna
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> GET /a | authorization: anna
         = 200 | x-serial: 1 | cache-control: max-age=60, public [a]
         < =
         > GET /a | authorization: ben
         < 200 | x-serial: 1 | cache-control: max-age=60, public | age: 0 [a]",
    ),
    (
        Rule::NothingPermits,
        "> GET /a
         = 302 | x-serial: 1 | etag: \"1\" [a]
         < =
         > GET /a | cache-control: max-stale
         < 302 | x-serial: 1 | etag: \"1\" | age: 0 [a]",
        "> GET /a
         = 404 | x-serial: 1 | etag: \"1\" [a]
         < =
         > GET /a | cache-control: max-stale
         < 404 | x-serial: 1 | etag: \"1\" | age: 0 [a]",
    ),
    (
        Rule::Incomplete,
        "> GET /a
         = cut 200 | x-serial: 1 | cache-control: max-age=60 [ab]
         < nothing
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [ab]",
        "> GET /a
         = cut 200 | x-serial: 1 | cache-control: max-age=60 [ab]
         < nothing
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [ab]
         < =",
    ),
    (
        Rule::Vary,
        "> GET /a | accept-language: de
         = 200 | x-serial: 1 | cache-control: max-age=60 | vary: Accept-Language [a]
         < =
         > GET /a | accept-language: en
         < 200 | x-serial: 1 | cache-control: max-age=60 | vary: Accept-Language | age: 0 [a]",
        "> GET /a | accept-language: de | accept-language: en
         = 200 | x-serial: 1 | cache-control: max-age=60 | vary: Accept-Language [a]
         < =
         > GET /a | accept-language: de,en
         < 200 | x-serial: 1 | cache-control: max-age=60 | vary: Accept-Language | age: 0 [a]",
    ),
    (
        Rule::Stale,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=3 | age: 2 [a]
         < =
         + 1500
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=3 | age: 3 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=3 | age: 2 [a]
         < =
         + 500
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=3 | age: 2 [a]",
    ),
    (
        Rule::Invalidated,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > DELETE /a
         = 204 | x-serial: 2
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > DELETE /a
         = 403 | x-serial: 2
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
    ),
    (
        Rule::Superseded,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1 [a]
         < =
         + 3000
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [b]
         < =
         > GET /a | cache-control: max-stale
         < 200 | x-serial: 1 | cache-control: max-age=1 | age: 3 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1 [a]
         < =
         + 3000
         > GET /a
         = 200 | x-serial: 2 | cache-control: no-store [b]
         < =
         > GET /a | cache-control: max-stale
         < 200 | x-serial: 1 | cache-control: max-age=1 | age: 3 [a]",
    ),
    (
        Rule::Age,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | date: Wed, 31 Dec 2025 23:59:40 GMT [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | date: Wed, 31 Dec 2025 23:59:40 GMT | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | date: Wed, 31 Dec 2025 23:59:40 GMT [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | date: Wed, 31 Dec 2025 23:59:40 GMT | age: 19 [a]",
    ),
    (
        Rule::Fields,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | x-a: 1 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | x-a: 1 | x-a: 2 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | x-a: 1,2 | age: 0 [a]",
    ),
    (
        Rule::HopByHop,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | connection: X-Hop | x-hop: 1 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | x-hop: 1 | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | connection: X-Hop | x-hop: 1 [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
    ),
    (
        Rule::Body,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [ab]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [ac]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [ab]
         < =
         > HEAD /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0",
    ),
    (
        Rule::NotModified,
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a | if-none-match: \"2\" | if-modified-since: Thu, 01 Jan 2026 00:00:00 GMT
         < 304 | cache-control: max-age=60 | etag: \"1\" | age: 0",
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: W/\"1\" [a]
         < =
         > GET /a | if-none-match: \"2\", \"1\"
         < 304 | cache-control: max-age=60 | etag: W/\"1\" | age: 0",
    ),
    (
        Rule::NotModifiedUnasked,
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a
         < 304 | cache-control: max-age=60 | etag: \"1\" | age: 0",
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a | if-none-match: *
         < 304 | cache-control: max-age=60 | etag: \"1\" | age: 0",
    ),
    (
        Rule::NotModifiedFields,
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a | if-none-match: \"1\"
         < 304 | etag: \"1\" | age: 0",
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" | x-a: 1 [a]
         < =
         > GET /a | if-none-match: \"1\"
         < 304 | cache-control: max-age=60 | etag: \"1\" | age: 0",
    ),
    (
        Rule::Partial,
        "> GET /a
         = 200 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=1-2
         < 206 | cache-control: max-age=60 | content-range: bytes 1-2/6 | age: 0 [cd]",
        "> GET /a
         = 200 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=-2
         < 206 | cache-control: max-age=60 | content-range: bytes 4-5/6 | age: 0 [ef]",
    ),
    (
        Rule::IfRange,
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: W/\"1\" [abcdef]
         < =
         > GET /a | range: bytes=1-2 | if-range: W/\"1\"
         < 206 | cache-control: max-age=60 | etag: W/\"1\" | content-range: bytes 1-2/6 | age: 0 [bc]",
        "> GET /a
         = 200 | cache-control: max-age=60 | etag: \"1\" [abcdef]
         < =
         > GET /a | range: bytes=1-2 | if-range: \"1\"
         < 206 | cache-control: max-age=60 | etag: \"1\" | content-range: bytes 1-2/6 | age: 0 [bc]",
    ),
    (
        Rule::Unsatisfiable,
        "> GET /a
         = 200 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=6-, 5-
         < 416 | content-range: bytes */6 | age: 0",
        "> GET /a
         = 200 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=6-
         < 416 | content-range: bytes */6 | age: 0",
    ),
    (
        Rule::Relay,
        "> GET /a
         = 200 | date: Thu, 01 Jan 2026 00:00:00 GMT [a]
         < 200 | date: Thu, 01 Jan 2026 00:00:01 GMT [a]",
        "> GET /a
         = 200 | x-a: 1 | x-a: 2 [a]
         < 200 | x-a: 1, 2 | date: Thu, 01 Jan 2026 00:00:01 GMT [a]",
    ),
    (
        Rule::Forwarded,
        "> PUT /a | if-none-match: *
         ^ | if-none-match: none
         = 200
         < =",
        "> GET /a | if-none-match: \"1\"
         ^ | if-none-match: none
         = 200
         < =",
    ),
    (
        Rule::ForeignValidator,
        "> GET /b
         = 200 | x-serial: 1 | etag: \"1\" [a]
         < =
         > GET /a
         ^ | if-none-match: \"1\"
         = 200 | x-serial: 2 [b]
         < =",
        "> GET /a
         = 200 | x-serial: 1 | etag: \"1\" [a]
         < =
         > GET /a
         ^ | if-none-match: \"1\"
         = 200 | x-serial: 2 [b]
         < =",
    ),
    (
        Rule::Fabricated,
        "> GET /a
         < 200 [a]",
        "> GET /a
         = dropped
         < 503 [a]",
    ),
    (
        Rule::Unanswered,
        "> GET /a
         = 200 [ab]
         < nothing",
        "> GET /a
         = cut 200 [ab]
         < nothing",
    ),
    (
        Rule::OnlyIfCached,
        "> GET /a | cache-control: only-if-cached
         = 200 [a]
         < =",
        "> GET /a | cache-control: only-if-cached
         < 504 | cache-status: breakwater; detail=only-if-cached",
    ),
    (
        Rule::SetCookie,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | set-cookie: a=b [a]
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | set-cookie: a=b | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | set-cookie: a=b [a]
         < =
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 | set-cookie: a=c [a]
         < =",
    ),
    (
        Rule::InvalidatedOther,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > POST /b
         = 201 | x-serial: 2 | location: http://wall.test/a
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [a]
         < =
         > POST /b
         = 201 | x-serial: 2 | location: http://elsewhere.test/a
         < =
         > GET /a
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [a]",
    ),
    (
        Rule::CacheStatus,
        "> GET /a
         = 200 [a]
         < 200 | cache-status: breakwater; hit [a]",
        "> GET /a
         = 200 | cache-status: \"far, away\"; hit [a]
         < 200 | cache-status: \"far, away\"; hit, breakwater; fwd=uri-miss; stored [a]",
    ),
    (
        Rule::MissedReuse,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, s-maxage=\"30\" [a]
         < =
         + 3000
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, s-maxage=2 [a]
         < =
         + 3000
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
    ),
    (
        Rule::MissedValidation,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-cache | etag: \"1\" [a]
         < =
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60, no-store | etag: \"1\" [a]
         < =
         > GET /a
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
    ),
    (
        Rule::MissedStale,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1, stale-if-error=5 [a]
         < =
         + 4000
         > GET /a
         = 503 | x-serial: 2
         < =",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1, stale-if-error=5, must-revalidate [a]
         < =
         + 4000
         > GET /a
         = 503 | x-serial: 2
         < =",
    ),
    (
        Rule::MissedMaxStale,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1 [a]
         < =
         + 4000
         > GET /a | cache-control: max-stale=5
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=1 [a]
         < =
         + 4000
         > GET /a | cache-control: max-stale=2
         = 200 | x-serial: 2 | cache-control: max-age=60 [a]
         < =",
    ),
    (
        Rule::MissedNotModified,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a | if-none-match: W/\"1\"
         < 200 | x-serial: 1 | cache-control: max-age=60 | etag: \"1\" | age: 0 [a]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 | etag: \"1\" [a]
         < =
         > GET /a | if-none-match: \"2\"
         < 200 | x-serial: 1 | cache-control: max-age=60 | etag: \"1\" | age: 0 [a]",
    ),
    (
        Rule::MissedPart,
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=1-2
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [abcdef]",
        "> GET /a
         = 200 | x-serial: 1 | cache-control: max-age=60 [abcdef]
         < =
         > GET /a | range: bytes=2-1
         < 200 | x-serial: 1 | cache-control: max-age=60 | age: 0 [abcdef]",
    ),
];

/// Either way is right.
const OPEN: &[&str] = &[
    // At the very end of a lifetime nobody can say from outside whether it was over.
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1 [a]
     < =
     + 1000
     > GET /a
     < 200 | x-serial: 1 | cache-control: max-age=1 | age: 1 [a]",
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1 [a]
     < =
     + 1000
     > GET /a
     = 200 | x-serial: 2 | cache-control: max-age=1 [a]
     < =",
    // A quote that is never closed: who knows what it hides?
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=60, x=\"no-store [a]
     < =
     > GET /a
     < 200 | x-serial: 1 | cache-control: max-age=60, x=\"no-store | age: 0 [a]",
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=60, x=\"no-store [a]
     < =
     > GET /a
     = 200 | x-serial: 2 | cache-control: max-age=60, x=\"no-store [a]
     < =",
    // A stale copy when the origin cannot be reached (§4.2.4), or fails (RFC 5861 §4).
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1 [a]
     < =
     + 3000
     > GET /a
     = dropped
     < 200 | x-serial: 1 | cache-control: max-age=1 | age: 3 [a]",
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1, stale-if-error=60 [a]
     < =
     + 3000
     > GET /a
     = 503 | x-serial: 2
     < 200 | x-serial: 1 | cache-control: max-age=1, stale-if-error=60 | age: 3 [a]",
    // A stale copy at once, and a refresh meanwhile (RFC 5861 §3), which may be there for the next request or not.
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1, stale-while-revalidate=60 [a]
     < =
     + 3000
     > GET /a
     = 200 | x-serial: 2 | cache-control: max-age=60 [b]
     < 200 | x-serial: 1 | cache-control: max-age=1, stale-while-revalidate=60 | age: 3 | cache-status: breakwater; hit [a]
     > GET /a
     < 200 | x-serial: 1 | cache-control: max-age=1, stale-while-revalidate=60 | age: 3 [a]
     > GET /a
     < 200 | x-serial: 2 | cache-control: max-age=60 | age: 0 [b]",
    // Two parts that make a whole (§3.4).
    "> GET /a | range: bytes=0-2
     = 206 | x-serial: 1 | cache-control: max-age=60 | etag: \"1\" | content-range: bytes 0-2/6 [abc]
     < =
     > GET /a
     ^ | range: bytes=3- | if-range: \"1\"
     = 206 | x-serial: 2 | cache-control: max-age=60 | etag: \"1\" | content-range: bytes 3-5/6 [def]
     < 200 | x-serial: 2 | cache-control: max-age=60 | etag: \"1\" [abcdef]",
    // A 304 brings the stored fields up to date, but not those of the body it does not have.
    "> GET /a
     = 200 | x-serial: 1 | cache-control: max-age=1 | etag: \"1\" | content-type: text/plain | content-length: 1 [a]
     < =
     + 3000
     > GET /a
     ^ | if-none-match: \"1\"
     = 304 | x-serial: 2 | cache-control: max-age=60 | etag: \"1\" | content-type: text/odd | content-length: 9
     < 200 | x-serial: 2 | cache-control: max-age=60 | etag: \"1\" | content-type: text/plain | content-length: 1 [a]
     > GET /a
     < 200 | x-serial: 2 | cache-control: max-age=60 | etag: \"1\" | content-type: text/plain | age: 0 [a]",
];
