//! What reaches the origin: the client's request, and of the cache's own only validators that it has from there
//! (RFC 9110 §7.6; RFC 9111 §4.3.1).

use super::directives::Odds;
use super::fields;
use super::rules::{Breach, Rule, breach};
use super::stored::Store;
use super::storing::is_ordinary;
use crate::history::{Exchange, Reply, Upstream};

/// Fields that a cache may take away or replace when it asks in its own name.
const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

pub fn forwarding(exchange: &Exchange, store: &Store) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut confirmed = false;
    for upstream in &exchange.upstream {
        // Told of another response than it asked about, the cache may ask anew, and for all of it: a GET answers a HEAD
        // (RFC 9110 §9.3.2).
        let is_whole = confirmed && exchange.request.method == "HEAD" && upstream.request.method == "GET";
        let method = if is_whole { "GET" } else { &exchange.request.method };
        breaches.extend(one(exchange, method, upstream, store, &CONDITIONS));
        confirmed = matches!(&upstream.reply, Reply::Whole(reply) if reply.status == 304);
    }
    breaches
}

/// As [`forwarding`], of what the cache asks for itself: it says itself how fresh it wants the answer.
pub fn refreshing(exchange: &Exchange, store: &Store) -> Vec<Breach> {
    let own = [&CONDITIONS[..], &["cache-control", "pragma"]].concat();
    let method = &exchange.request.method;
    exchange.upstream.iter().flat_map(|upstream| one(exchange, method, upstream, store, &own)).collect()
}

fn one(exchange: &Exchange, method: &str, upstream: &Upstream, store: &Store, ours: &[&str]) -> Vec<Breach> {
    let (client, origin) = (&exchange.request, &upstream.request);
    let mut breaches = Vec::new();
    if (method, &client.url) != (&origin.method, &origin.url) {
        breaches.push(breach(Rule::Forwarded, format!("{} {}", origin.method, origin.url)));
    }
    let own = is_ordinary(client) > Odds::No;
    let mut names: Vec<&String> = client.fields.iter().map(|(name, _)| name).collect();
    names.dedup();
    for name in names {
        let may_differ = own && ours.contains(&name.as_str());
        let members = |fields| fields::value(fields, name).map(|value| fields::simple_list(&value));
        let (sent, seen) = (members(&client.fields), members(&origin.fields));
        if !may_differ && sent != seen {
            breaches
                .push(breach(Rule::Forwarded, format!("{name}: {sent:?} reached the origin as {seen:?}")));
        }
    }
    breaches.extend(validators(exchange, upstream, store));
    breaches
}

fn validators(exchange: &Exchange, upstream: &Upstream, store: &Store) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (condition, sources) in [
        ("if-none-match", &["etag"][..]),
        ("if-modified-since", &["last-modified", "date"]),
        ("if-range", &["etag", "last-modified"]),
    ] {
        let Some(value) = fields::value(&upstream.request.fields, condition) else { continue };
        if fields::value(&exchange.request.fields, condition).as_ref() == Some(&value) {
            continue;
        }
        let of_url = store.responses.iter().filter(|stored| stored.request.url == exchange.request.url);
        let known: Vec<String> = of_url
            .flat_map(|stored| sources.iter().flat_map(|name| fields::lines(&stored.response.fields, name)))
            .map(|line| fields::text(&line))
            .collect();
        let is_known = |text: &str| known.iter().any(|known| known == text);
        let client = fields::value(&exchange.request.fields, condition).unwrap_or_default();
        let client = fields::simple_list(&client);
        let each = |member: &String| is_known(member) || client.contains(member);
        if !is_known(&value) && !fields::simple_list(&value).iter().all(each) {
            breaches.push(breach(Rule::ForeignValidator, format!("{condition}: {value}")));
        }
    }
    breaches
}

/// RFC 9211: the last member is Breakwater's, and says `hit` if and only if the origin was not asked.
pub fn cache_status(exchange: &Exchange) -> Option<Breach> {
    let answer = exchange.answer.as_ref()?;
    let value = fields::value(&answer.fields, "cache-status").unwrap_or_default();
    let own = value.rsplit(',').next().map(fields::blankless).unwrap_or_default();
    let mut words = own.split(';').map(fields::blankless);
    let named = words.next() == Some("breakwater");
    let words: Vec<&str> = words.collect();
    let hit = words.contains(&"hit");
    let forwarded = words.iter().any(|word| word.starts_with("fwd="));
    let right = named && hit != forwarded && hit == exchange.upstream.is_empty();
    // A refusal is neither.
    // Answered by another's fetch, which is none of this exchange.
    let collapsed = named && forwarded && words.contains(&"collapsed") && exchange.upstream.is_empty();
    let refusal = named && !hit && !forwarded && exchange.upstream.is_empty() && answer.status == 504;
    (!right && !refusal && !collapsed)
        .then(|| breach(Rule::CacheStatus, format!("{own:?}, {} times asked", exchange.upstream.len())))
}
