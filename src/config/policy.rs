//! What is done with requests: `cache`, `coalesce` and `breaker`, in `defaults` and in each rule.
//!
//! A field that is not written keeps the value of what the section builds on: for `defaults` the shipped values, for
//! a rule those of `defaults`. Lists are replaced, never joined.

use crate::config::cursor::Cursor;
use crate::config::errors::quoted;
use crate::config::kinds::{CountIn, DurationIn, Flag, OneOf, Share, Written, number};
use crate::config::plan::{Breaker, Cache, Coalesce, Fallback, Scope};
use crate::config::{defaults, forms, limits};
use crate::http::key::{Identity, KeySpec, QuerySpec};
use serde_json::Value;
use std::time::Duration;

/// The three sections together.
#[derive(Clone)]
pub(super) struct Policy {
    pub(super) cache: Cache,
    pub(super) coalesce: Coalesce,
    pub(super) breaker: Breaker,
}

impl Policy {
    /// What holds where the operator writes nothing.
    pub(super) fn shipped() -> Self {
        Self {
            cache: Cache {
                enabled: defaults::CACHE_ENABLED,
                default_ttl: defaults::DEFAULT_TTL,
                heuristic_percent: defaults::HEURISTIC_PERCENT,
                stale_if_error: defaults::STALE_IF_ERROR,
                key: KeySpec {
                    query: QuerySpec { sort: defaults::QUERY_SORT, ..QuerySpec::default() },
                    ..KeySpec::default()
                },
            },
            coalesce: Coalesce {
                scope: defaults::SCOPE,
                wait_timeout: defaults::WAIT_TIMEOUT,
                lease: defaults::LEASE,
                max_waiters: defaults::MAX_WAITERS,
            },
            breaker: Breaker {
                enabled: defaults::BREAKER_ENABLED,
                window: defaults::WINDOW,
                min_requests: defaults::MIN_REQUESTS,
                consecutive_failures: defaults::CONSECUTIVE_FAILURES,
                failure_rate: defaults::FAILURE_RATE,
                open_for: defaults::OPEN_FOR,
                max_open_for: defaults::MAX_OPEN_FOR,
                half_open_probes: defaults::HALF_OPEN_PROBES,
                fallback: defaults::FALLBACK,
            },
        }
    }

    /// Reads the sections at `at`, on top of `base`; `l2_timeout` is the longest wait for Redis, if there is one.
    pub(super) fn read(at: &mut Cursor<'_>, base: &Self, l2_timeout: Option<Duration>) -> Self {
        Self {
            cache: at.section("cache", |at| cache(at, &base.cache)),
            coalesce: at.section("coalesce", |at| coalesce(at, &base.coalesce, l2_timeout)),
            breaker: at.section("breaker", |at| breaker(at, &base.breaker)),
        }
    }
}

fn cache(at: &mut Cursor<'_>, base: &Cache) -> Cache {
    at.elsewhere(&[
        ("ttl", "default_ttl"),
        ("query", "key.query"),
        ("headers", "key.headers"),
        ("cookies", "key.cookies"),
        ("identity", "key.identity"),
    ]);
    let lifetime = DurationIn(limits::LIFETIME);
    let cache = Cache {
        enabled: at.field_or("enabled", base.enabled, &Flag),
        default_ttl: at.field_or("default_ttl", base.default_ttl, &lifetime),
        heuristic_percent: base.heuristic_percent,
        stale_if_error: at.field_or("stale_if_error", base.stale_if_error, &lifetime),
        key: at.section("key", |at| key(at, &base.key)),
    };
    at.later_at_all("override_ttl");
    at.later_at_all("max_ttl");
    at.later("stale_while_revalidate", "\"0s\"", |value| value == "0s");
    at.later("statuses", "{}", |value| value.as_object().is_some_and(|statuses| statuses.is_empty()));
    at.later("early_refresh", "0", |value| number(value) == Some(0.0));
    at.later("request_directives", "\"ignore\"", |value| value == "ignore");
    at.later("etag", "\"off\"", |value| value == "off" || value == &Value::Bool(false));
    at.later("tags", "[] or [Cache-Tag, Surrogate-Key, Cache-Groups]", is_default_tags);
    cache
}

fn is_default_tags(value: &Value) -> bool {
    let known = ["cache-tag", "surrogate-key", "cache-groups"];
    let is_known = |tag: &Value, known: &str| tag.as_str().is_some_and(|tag| tag.eq_ignore_ascii_case(known));
    value.as_array().is_some_and(|tags| {
        tags.is_empty()
            || tags.len() == known.len() && tags.iter().zip(known).all(|(tag, known)| is_known(tag, known))
    })
}

fn key(at: &mut Cursor<'_>, base: &KeySpec) -> KeySpec {
    at.elsewhere(&[
        ("ignore", "query.ignore"),
        ("allow", "query.allow"),
        ("sort", "query.sort"),
        ("header", "headers, or identity.header"),
        ("cookie", "cookies, or identity.cookie"),
    ]);
    KeySpec {
        query: at.section("query", |at| query(at, &base.query)),
        headers: at.list("headers", &forms::HEADER).unwrap_or_else(|| base.headers.clone()),
        cookies: at.list("cookies", &forms::COOKIE).unwrap_or_else(|| base.cookies.clone()),
        identity: at.section_if_written("identity", identity).unwrap_or_else(|| base.identity.clone()),
    }
}

fn query(at: &mut Cursor<'_>, base: &QuerySpec) -> QuerySpec {
    let query = QuerySpec {
        ignore: at.list("ignore", &forms::PARAMETER).unwrap_or_else(|| base.ignore.clone()),
        allow: at.list("allow", &forms::PARAMETER).or_else(|| base.allow.clone()),
        sort: at.field_or("sort", base.sort, &Flag),
    };
    if at.wrote("ignore") || at.wrote("allow") {
        for name in query.allow.iter().flatten() {
            if let Some(cover) = query.ignore.iter().find(|cover| forms::covers(cover, name)) {
                let allowed = format!("names that ignore does not cover, as its {} does", quoted(cover));
                at.report("allow", &quoted(name), &allowed, "remove it from one of the two lists");
            }
        }
    }
    query
}

fn identity(at: &mut Cursor<'_>) -> Option<Identity> {
    let header = at.field("header", &forms::HEADER).map(Identity::Header);
    let cookie = at.field("cookie", &forms::COOKIE).map(Identity::Cookie);
    at.exactly_one(&["header", "cookie"], "remove one", "name one, or leave identity out");
    header.or(cookie)
}

fn coalesce(at: &mut Cursor<'_>, base: &Coalesce, l2_timeout: Option<Duration>) -> Coalesce {
    let lease_in = DurationIn(limits::LEASE);
    let coalesce = Coalesce {
        scope: at.field_or("scope", base.scope, &SCOPES),
        wait_timeout: at.field_or("wait_timeout", base.wait_timeout, &DurationIn(limits::WAIT_TIMEOUT)),
        lease: at.field_or("lease", base.lease, &lease_in),
        max_waiters: at.field_or("max_waiters", base.max_waiters, &CountIn(limits::MAX_WAITERS)),
    };
    // What a rule takes over unchanged was weighed in `defaults`, unless it had no effect there.
    let weighed_here = at.wrote("lease") || base.scope == Scope::Off;
    if let Some(timeout) = l2_timeout
        && coalesce.lease < timeout
        && coalesce.scope != Scope::Off
        && weighed_here
    {
        let allowed = format!(
            "at least l2.timeout, which is {}, since a leader may spend it waiting for Redis",
            lease_in.written(&timeout)
        );
        at.report("lease", &lease_in.written(&coalesce.lease), &allowed, "raise it, or lower l2.timeout");
    }
    coalesce
}

fn breaker(at: &mut Cursor<'_>, base: &Breaker) -> Breaker {
    let (calls, open) = (CountIn(limits::CALLS), DurationIn(limits::OPEN_FOR));
    let breaker = Breaker {
        enabled: at.field_or("enabled", base.enabled, &Flag),
        window: at.field_or("window", base.window, &DurationIn(limits::WINDOW)),
        min_requests: at.field_or("min_requests", base.min_requests, &calls),
        consecutive_failures: at.field_or("consecutive_failures", base.consecutive_failures, &calls),
        failure_rate: at.field_or("failure_rate", base.failure_rate, &Share),
        open_for: at.field_or("open_for", base.open_for, &open),
        max_open_for: at.field_or("max_open_for", base.max_open_for, &open),
        half_open_probes: at.field_or(
            "half_open_probes",
            base.half_open_probes,
            &CountIn(limits::HALF_OPEN_PROBES),
        ),
        fallback: at.field_or("fallback", base.fallback, &FALLBACKS),
    };
    at.at_most(&open, ("open_for", &breaker.open_for), ("max_open_for", &breaker.max_open_for));
    at.later_at_all("outlier_sigma");
    at.later_at_all("slow_call");
    breaker
}

const SCOPES: OneOf<Scope> = OneOf {
    words: &[("off", Scope::Off), ("worker", Scope::Worker), ("instance", Scope::Instance)],
    later: &["fleet"],
};

const FALLBACKS: OneOf<Fallback> =
    OneOf { words: &[("stale", Fallback::Stale), ("error", Fallback::Error)], later: &[] };
