//! What is done with requests: `cache`, `coalesce` and `breaker`, in `defaults` and in each rule.
//!
//! A field that is not written keeps the value of what the section builds on: for `defaults` the shipped values, for
//! a rule those of `defaults`. Lists, and lifetimes by status code, are replaced, never joined.

use crate::config::cursor::Cursor;
use crate::config::errors::quoted;
use crate::config::kinds::{CountIn, DurationIn, FailuresIn, Flag, NumberIn, OneOf, Share, SizeIn, Written};
use crate::config::plan::{
    Advice, Answer, Breaker, Cache, Coalesce, Etag, Fallback, Mode, Overflow, Release, Scope, Stance,
};
use crate::config::{defaults, forms, limits};
use crate::http::key::{BodySpec, Identity, KeySpec, QuerySpec};
use crate::http::storing::SetCookie;
use crate::http::{StatusSet, StoringPolicy};
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
                storing: StoringPolicy {
                    default_ttl: defaults::DEFAULT_TTL,
                    override_ttl: None,
                    max_ttl: None,
                    statuses: Vec::new(),
                    heuristic_percent: defaults::HEURISTIC_PERCENT,
                    stale_if_error: defaults::STALE_IF_ERROR,
                    stale_while_revalidate: defaults::STALE_WHILE_REVALIDATE,
                    set_cookie: defaults::SET_COOKIE,
                },
                key: KeySpec {
                    query: QuerySpec { sort: defaults::QUERY_SORT, ..QuerySpec::default() },
                    body: BodySpec { methods: Vec::new(), max_bytes: defaults::KEY_BODY_BYTES },
                    ..KeySpec::default()
                },
                request_directives: defaults::REQUEST_DIRECTIVES,
                early_refresh: defaults::EARLY_REFRESH,
                etag: defaults::ETAG,
                targeted: defaults::TARGETED.map(Into::into).to_vec(),
                tags: defaults::TAGS.map(Into::into).to_vec(),
                max_variants: defaults::MAX_VARIANTS,
                tell_key: defaults::TELL_KEY,
            },
            coalesce: Coalesce {
                scope: defaults::SCOPE,
                wait_timeout: defaults::WAIT_TIMEOUT,
                lease: defaults::LEASE,
                max_waiters: defaults::MAX_WAITERS,
                overflow: defaults::OVERFLOW,
                detach: defaults::DETACH,
                release: Release { parallel: None },
            },
            breaker: Breaker {
                enabled: defaults::BREAKER_ENABLED,
                mode: defaults::MODE,
                stance: defaults::STANCE,
                window: defaults::WINDOW,
                min_requests: defaults::MIN_REQUESTS,
                consecutive_failures: defaults::CONSECUTIVE_FAILURES,
                failure_rate: defaults::FAILURE_RATE,
                failure_statuses: StatusSet::FAILURES,
                outlier_sigma: defaults::OUTLIER_SIGMA,
                slow_call: None,
                open_for: defaults::OPEN_FOR,
                max_open_for: defaults::MAX_OPEN_FOR,
                half_open_probes: defaults::HALF_OPEN_PROBES,
                fallback: defaults::FALLBACK,
                answer: None,
                fleet_hint: defaults::FLEET_HINT,
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
        ("body", "key.body"),
    ]);
    let fields = limits::RESPONSE_FIELDS;
    Cache {
        enabled: at.field_or("enabled", base.enabled, &Flag),
        storing: storing(at, &base.storing),
        key: at.section("key", |at| key(at, &base.key)),
        request_directives: at.field_or("request_directives", base.request_directives, &ADVICE),
        early_refresh: at.field_or("early_refresh", base.early_refresh, &NumberIn(limits::EARLY_REFRESH)),
        etag: at.field_or("etag", base.etag, &ETAGS),
        targeted: at.list_up_to("targeted", fields, &forms::HEADER).unwrap_or_else(|| base.targeted.clone()),
        tags: at.list_up_to("tags", fields, &forms::HEADER).unwrap_or_else(|| base.tags.clone()),
        max_variants: at.field_or("max_variants", base.max_variants, &CountIn(limits::MAX_VARIANTS)),
        tell_key: at.field_or("tell_key", base.tell_key, &Flag),
    }
}

fn storing(at: &mut Cursor<'_>, base: &StoringPolicy) -> StoringPolicy {
    let lifetime = DurationIn(limits::LIFETIME);
    let percent = CountIn(limits::HEURISTIC_PERCENT);
    StoringPolicy {
        default_ttl: at.field_or("default_ttl", base.default_ttl, &lifetime),
        override_ttl: at.field("override_ttl", &lifetime).or(base.override_ttl),
        max_ttl: at.field("max_ttl", &lifetime).or(base.max_ttl),
        statuses: statuses(at, &lifetime).unwrap_or_else(|| base.statuses.clone()),
        heuristic_percent: at.field_or("heuristic_percent", base.heuristic_percent, &percent),
        stale_while_revalidate: at.field_or("stale_while_revalidate", base.stale_while_revalidate, &lifetime),
        stale_if_error: at.field_or("stale_if_error", base.stale_if_error, &lifetime),
        set_cookie: at.field_or("set_cookie", base.set_cookie, &SET_COOKIES),
    }
}

/// Sorted by code.
fn statuses(at: &mut Cursor<'_>, lifetime: &DurationIn) -> Option<Vec<(u16, Duration)>> {
    let mut statuses = at.entries_up_to("statuses", limits::STATUSES, &forms::STATUS, lifetime)?;
    statuses.sort_unstable();
    Some(statuses)
}

fn key(at: &mut Cursor<'_>, base: &KeySpec) -> KeySpec {
    at.elsewhere(&[
        ("ignore", "query.ignore"),
        ("allow", "query.allow"),
        ("sort", "query.sort"),
        ("header", "headers, or identity.header"),
        ("cookie", "cookies, or identity.cookie"),
        ("methods", "body.methods"),
        ("max_bytes", "body.max_bytes"),
    ]);
    KeySpec {
        query: at.section("query", |at| query(at, &base.query)),
        headers: at.list("headers", &forms::HEADER).unwrap_or_else(|| base.headers.clone()),
        cookies: at.list("cookies", &forms::COOKIE).unwrap_or_else(|| base.cookies.clone()),
        identity: at.section_if_written("identity", identity).unwrap_or_else(|| base.identity.clone()),
        body: at.section("body", |at| body(at, &base.body)),
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

fn body(at: &mut Cursor<'_>, base: &BodySpec) -> BodySpec {
    let methods = at.list_up_to("methods", limits::KEY_BODY_METHODS, &forms::BODY_METHOD);
    BodySpec {
        methods: methods.unwrap_or_else(|| base.methods.clone()),
        max_bytes: at.field_or("max_bytes", base.max_bytes, &SizeIn(limits::KEY_BODY_BYTES)),
    }
}

fn coalesce(at: &mut Cursor<'_>, base: &Coalesce, l2_timeout: Option<Duration>) -> Coalesce {
    at.elsewhere(&[("parallel", "release.parallel")]);
    let lease_in = DurationIn(limits::LEASE);
    let coalesce = Coalesce {
        scope: at.field_or("scope", base.scope, &SCOPES),
        wait_timeout: at.field_or("wait_timeout", base.wait_timeout, &DurationIn(limits::WAIT_TIMEOUT)),
        lease: at.field_or("lease", base.lease, &lease_in),
        max_waiters: at.field_or("max_waiters", base.max_waiters, &CountIn(limits::MAX_WAITERS)),
        overflow: at.field_or("overflow", base.overflow, &OVERFLOWS),
        detach: at.field_or("detach", base.detach, &Flag),
        release: at.section("release", |at| release(at, &base.release)),
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
    let failures = FailuresIn(limits::FAILURE_STATUS);
    let all = |sets: Vec<StatusSet>| sets.into_iter().fold(StatusSet::EMPTY, StatusSet::and);
    let breaker = Breaker {
        enabled: at.field_or("enabled", base.enabled, &Flag),
        mode: at.field_or("mode", base.mode, &MODES),
        stance: at.field_or("state", base.stance, &STANCES),
        window: at.field_or("window", base.window, &DurationIn(limits::WINDOW)),
        min_requests: at.field_or("min_requests", base.min_requests, &calls),
        consecutive_failures: at.field_or("consecutive_failures", base.consecutive_failures, &calls),
        failure_rate: at.field_or("failure_rate", base.failure_rate, &Share),
        failure_statuses: at
            .list_up_to("failure_statuses", limits::STATUSES, &failures)
            .map_or(base.failure_statuses, all),
        outlier_sigma: at.field_or("outlier_sigma", base.outlier_sigma, &NumberIn(limits::OUTLIER_SIGMA)),
        slow_call: at.field("slow_call", &DurationIn(limits::SLOW_CALL)).or(base.slow_call),
        open_for: at.field_or("open_for", base.open_for, &open),
        max_open_for: at.field_or("max_open_for", base.max_open_for, &open),
        half_open_probes: at.field_or(
            "half_open_probes",
            base.half_open_probes,
            &CountIn(limits::HALF_OPEN_PROBES),
        ),
        fallback: at.field_or("fallback", base.fallback, &FALLBACKS),
        answer: at.section_if_written("answer", answer).or_else(|| base.answer.clone()),
        fleet_hint: at.field_or("fleet_hint", base.fleet_hint, &Flag),
    };
    at.at_most(&open, ("open_for", &breaker.open_for), ("max_open_for", &breaker.max_open_for));
    breaker
}

fn answer(at: &mut Cursor<'_>) -> Answer {
    Answer {
        status: at.field("status", &forms::ANSWER_STATUS).unwrap_or(503),
        content_type: at.field("content_type", &forms::CONTENT_TYPE).unwrap_or_else(|| "text/plain".into()),
        body: at.field("body", &forms::ANSWER_BODY).unwrap_or_default(),
    }
}

fn release(at: &mut Cursor<'_>, base: &Release) -> Release {
    Release { parallel: at.field("parallel", &CountIn(limits::RELEASE_PARALLEL)).or(base.parallel) }
}

const SCOPES: OneOf<Scope> = OneOf {
    words: &[
        ("off", Scope::Off),
        ("worker", Scope::Worker),
        ("instance", Scope::Instance),
        ("fleet", Scope::Fleet),
    ],
    later: &[],
};

const OVERFLOWS: OneOf<Overflow> =
    OneOf { words: &[("upstream", Overflow::Upstream), ("refuse", Overflow::Refuse)], later: &[] };

const ADVICE: OneOf<Advice> =
    OneOf { words: &[("ignore", Advice::Ignore), ("honor", Advice::Honor)], later: &[] };

const ETAGS: OneOf<Etag> = OneOf { words: &[("off", Etag::Off), ("generate", Etag::Generate)], later: &[] };

const SET_COOKIES: OneOf<SetCookie> =
    OneOf { words: &[("refuse", SetCookie::Refuse), ("store", SetCookie::Store)], later: &[] };

const MODES: OneOf<Mode> = OneOf { words: &[("hard", Mode::Hard), ("gradual", Mode::Gradual)], later: &[] };

pub(super) const STANCES: OneOf<Stance> = OneOf {
    words: &[
        ("auto", Stance::Auto),
        ("open", Stance::Open),
        ("closed", Stance::Closed),
        ("observe", Stance::Observe),
    ],
    later: &[],
};

const FALLBACKS: OneOf<Fallback> =
    OneOf { words: &[("stale", Fallback::Stale), ("error", Fallback::Error)], later: &[] };
