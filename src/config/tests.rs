//! What is accepted, with which meaning, and what each mistake is told as.

mod mistakes;
mod ranges;
mod robustness;

use super::plan::*;
use super::*;
use crate::http::key::{BodySpec, Identity, KeySpec, QuerySpec};
use crate::http::storing::SetCookie;
use crate::http::{StatusSet, StoringPolicy};
use std::time::Duration;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn plan(text: &str) -> Plan {
    parse(text.as_bytes()).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// The defaults as the reference states them, written out.
fn stated_defaults() -> Plan {
    Plan {
        namespace: "bw".into(),
        l1: L1 { ttl: Duration::from_millis(100), max_bytes: 64 << 20, max_object_bytes: 256 << 10 },
        l2: None,
        refresh: None,
        admin_path: None,
        max_waiters: 16_384,
        rules: Vec::new(),
        default_rule: Rule {
            name: "default".into(),
            matches: Match::default(),
            cache: Cache {
                enabled: true,
                storing: StoringPolicy {
                    default_ttl: Duration::ZERO,
                    override_ttl: None,
                    max_ttl: None,
                    statuses: vec![],
                    heuristic_percent: 10,
                    stale_if_error: secs(3600),
                    stale_while_revalidate: Duration::ZERO,
                    set_cookie: SetCookie::Refuse,
                },
                key: KeySpec {
                    query: QuerySpec { ignore: vec![], allow: None, sort: true },
                    headers: vec![],
                    cookies: vec![],
                    identity: None,
                    body: BodySpec { methods: vec![], max_bytes: 64 << 10 },
                },
                request_directives: Advice::Ignore,
                early_refresh: 0.0,
                etag: Etag::Off,
                targeted: vec!["cdn-cache-control".into()],
                tags: vec!["cache-tag".into(), "surrogate-key".into(), "cache-groups".into()],
                max_variants: 16,
                tell_key: false,
            },
            coalesce: Coalesce {
                scope: Scope::Fleet,
                wait_timeout: secs(5),
                lease: secs(2),
                max_waiters: 1024,
                overflow: Overflow::Upstream,
                detach: false,
                release: Release { parallel: None },
            },
            breaker: Breaker {
                enabled: true,
                mode: Mode::Hard,
                stance: Stance::Auto,
                window: secs(10),
                min_requests: 40,
                consecutive_failures: 5,
                failure_rate: 0.25,
                failure_statuses: StatusSet::FAILURES,
                outlier_sigma: 3.0,
                slow_call: None,
                open_for: secs(5),
                max_open_for: secs(300),
                half_open_probes: 3,
                fallback: Fallback::Stale,
                answer: None,
                fleet_hint: false,
            },
        },
    }
}

#[test]
fn nothing_written_gives_the_stated_defaults() {
    for text in
        ["", " \n", "{}", r#"{"l1":{},"l2":{},"l3":{},"refresh":{},"admin":{},"defaults":{},"rules":[]}"#]
    {
        assert_eq!(plan(text), stated_defaults(), "{text:?}");
    }
}

#[test]
fn the_defaults_written_out_change_nothing() {
    let text = r#"{
        "mode": "enforce", "namespace": "bw", "max_waiters": 16384,
        "l1": {"ttl": "100ms", "max_bytes": "64MiB", "max_object_bytes": "256KiB"},
        "defaults": {
            "cache": {"enabled": true, "default_ttl": "0s", "stale_while_revalidate": "0s", "stale_if_error": "1h",
                "set_cookie": "refuse", "statuses": {}, "heuristic_percent": 10, "early_refresh": 0,
                "request_directives": "ignore", "etag": "off", "targeted": ["CDN-Cache-Control"],
                "tags": ["Cache-Tag", "Surrogate-Key", "Cache-Groups"], "max_variants": 16, "tell_key": false,
                "key": {"query": {"ignore": [], "sort": true}, "headers": [], "cookies": [],
                    "body": {"methods": [], "max_bytes": "64KiB"}}},
            "coalesce": {"scope": "fleet", "wait_timeout": "5s", "lease": "2s", "max_waiters": 1024,
                "overflow": "upstream", "detach": false, "release": {}},
            "breaker": {"enabled": true, "mode": "hard", "state": "auto", "window": "10s", "min_requests": 40,
                "consecutive_failures": 5, "failure_rate": 0.25, "outlier_sigma": 3, "open_for": "5s",
                "max_open_for": "5m", "half_open_probes": 3, "fallback": "stale", "fleet_hint": false,
                "failure_statuses": ["5xx"]}
        },
        "rules": []}"#;
    assert_eq!(plan(text), stated_defaults());
}

#[test]
fn a_cluster_brings_both_redis_tiers_with_their_defaults() {
    let l2 = L2 {
        cluster: "breakwater_l2".into(),
        ttl: secs(300),
        timeout: Duration::from_millis(50),
        max_object_bytes: 1 << 20,
        l3_ttl: secs(3600),
    };
    assert_eq!(plan(r#"{"l2":{"cluster":"breakwater_l2"}}"#).l2, Some(l2.clone()));
    let longer = plan(r#"{"l2":{"cluster":"breakwater_l2","ttl":"2h"}}"#).l2;
    assert_eq!(
        longer,
        Some(L2 { ttl: secs(7200), l3_ttl: secs(7200), ..l2.clone() }),
        "L3 never ends before L2"
    );
    let equal = plan(r#"{"l2":{"cluster":"breakwater_l2"},"l3":{"ttl":"5m"}}"#).l2;
    assert_eq!(equal, Some(L2 { l3_ttl: secs(300), ..l2 }));
}

#[test]
fn all_of_caching_is_read() {
    let text = r#"{
        "refresh": {"cluster": "breakwater_loop"},
        "defaults": {"cache": {
            "enabled": false, "default_ttl": "1s", "override_ttl": "2s", "max_ttl": "3s",
            "statuses": {"503": "0s", "404": "10s", "599": "1m", "200": "4s"}, "heuristic_percent": 20,
            "stale_while_revalidate": "5s", "stale_if_error": "6s", "set_cookie": "store",
            "key": {"query": {"ignore": ["a"], "allow": ["b"], "sort": false}, "headers": ["X-C"], "cookies": ["D"],
                "identity": {"cookie": "E"}, "body": {"methods": ["query", "POST"], "max_bytes": "1MiB"}},
            "request_directives": "honor", "early_refresh": 1.5, "etag": "generate",
            "targeted": ["Edge-Control", "CDN-Cache-Control"], "tags": ["X-Tags"], "max_variants": 2,
            "tell_key": true}}}"#;
    let plan = plan(text);
    assert_eq!(plan.refresh, Some("breakwater_loop".into()));
    assert_eq!(
        plan.default_rule.cache,
        Cache {
            enabled: false,
            storing: StoringPolicy {
                default_ttl: secs(1),
                override_ttl: Some(secs(2)),
                max_ttl: Some(secs(3)),
                statuses: vec![(200, secs(4)), (404, secs(10)), (503, secs(0)), (599, secs(60))],
                heuristic_percent: 20,
                stale_while_revalidate: secs(5),
                stale_if_error: secs(6),
                set_cookie: SetCookie::Store,
            },
            key: KeySpec {
                query: QuerySpec { ignore: vec!["a".into()], allow: Some(vec!["b".into()]), sort: false },
                headers: vec!["x-c".into()],
                cookies: vec!["D".into()],
                identity: Some(Identity::Cookie("E".into())),
                body: BodySpec { methods: vec!["QUERY".into(), "POST".into()], max_bytes: 1 << 20 },
            },
            request_directives: Advice::Honor,
            early_refresh: 1.5,
            etag: Etag::Generate,
            targeted: vec!["edge-control".into(), "cdn-cache-control".into()],
            tags: vec!["x-tags".into()],
            max_variants: 2,
            tell_key: true,
        }
    );
}

#[test]
fn lists_and_statuses_of_a_rule_replace_those_of_defaults() {
    let plan = plan(
        r#"{
        "defaults": {"cache": {"statuses": {"404": "10s", "410": "1m"}, "targeted": ["A"], "tags": ["B"],
            "key": {"body": {"methods": ["POST"], "max_bytes": "2KiB"}}}},
        "rules": [
            {"name": "same", "cache": {"key": {"body": {}}}},
            {"name": "other", "cache": {"statuses": {"500": "1s"}, "targeted": ["C"], "key": {"body": {"methods": ["QUERY"]}}}},
            {"name": "none", "cache": {"statuses": {}, "targeted": [], "tags": [], "key": {"body": {"methods": []}}}}]}"#,
    );
    let default = &plan.default_rule.cache;
    let [same, other, none] = &plan.rules[..] else { panic!("three rules") };
    assert_eq!(default.storing.statuses, [(404, secs(10)), (410, secs(60))]);
    assert_eq!(same.cache, *default);

    assert_eq!(other.cache.storing.statuses, [(500, secs(1))]);
    assert_eq!((&other.cache.targeted[..], &other.cache.tags[..]), (&["c".into()][..], &["b".into()][..]));
    assert_eq!(other.cache.key.body, BodySpec { methods: vec!["QUERY".into()], max_bytes: 2 << 10 });

    assert_eq!(none.cache.storing.statuses, []);
    assert_eq!((none.cache.targeted.len(), none.cache.tags.len()), (0, 0));
    assert_eq!(none.cache.key.body.methods.len(), 0);
}

#[test]
fn a_rule_builds_on_defaults_field_by_field() {
    let plan = plan(
        r#"{
        "defaults": {
            "cache": {"default_ttl": "7s", "key": {"headers": ["Accept-Language"], "query": {"ignore": ["utm_*"]},
                "identity": {"header": "Authorization"}}},
            "coalesce": {"lease": "20s", "release": {"parallel": 7}},
            "breaker": {"failure_statuses": ["5xx", 429], "failure_rate": 0.5, "slow_call": "2s", "answer": {"status": "200", "body": "later"}}},
        "rules": [
            {"name": "plain"},
            {"name": "own", "rollout": 100,
             "match": {"hosts": ["API.Example.com.", "*.Example.org", "2001:DB8::1", "[2001:db8:0::2]"],
                       "path": {"template": "/users/{id}/"}, "methods": ["get", "HEAD"]},
             "cache": {"enabled": false, "key": {"headers": [], "cookies": ["Sid"], "identity": {"cookie": "Sid"}}},
             "coalesce": {"scope": "off", "overflow": "refuse", "detach": true, "release": {"parallel": 1}},
             "breaker": {"fallback": "error", "mode": "gradual", "state": "observe", "failure_statuses": [418, "429"],
                         "answer": {"content_type": "text/html", "body": "<p>"}, "fleet_hint": true}}]}"#,
    );
    let [plain, own] = &plan.rules[..] else { panic!("two rules") };
    let default = &plan.default_rule;
    assert_eq!(*plain, Rule { name: "plain".into(), ..default.clone() });
    assert_eq!(default.cache.storing.default_ttl, secs(7));
    assert_eq!(default.cache.key.headers, ["accept-language"]);
    assert_eq!(default.cache.key.identity, Some(Identity::Header("authorization".into())));

    assert_eq!(own.matches.hosts, ["api.example.com", "*.example.org", "[2001:db8::1]", "[2001:db8::2]"]);
    assert_eq!(own.matches.methods, ["GET", "HEAD"]);
    assert_eq!(own.matches.path, PathMatch::Template(vec![Some("users".into()), None, Some(String::new())]));
    let key = KeySpec {
        headers: vec![],
        cookies: vec!["Sid".into()],
        identity: Some(Identity::Cookie("Sid".into())),
        ..default.cache.key.clone()
    };
    assert_eq!(own.cache, Cache { enabled: false, key, ..default.cache.clone() });
    let release = Release { parallel: Some(1) };
    let coalesce =
        Coalesce { scope: Scope::Off, overflow: Overflow::Refuse, detach: true, release, ..default.coalesce };
    assert_eq!(own.coalesce, coalesce);
    assert_eq!(default.coalesce.release.parallel, Some(7));
    let answer = |status, content_type: &str, body: &str| {
        Some(Answer { status, content_type: content_type.into(), body: body.into() })
    };
    let breaker = Breaker {
        fallback: Fallback::Error,
        mode: Mode::Gradual,
        stance: Stance::Observe,
        failure_statuses: StatusSet::EMPTY.with(429).with(418),
        answer: answer(503, "text/html", "<p>"),
        fleet_hint: true,
        ..default.breaker.clone()
    };
    assert_eq!(own.breaker, breaker);
    assert_eq!(default.breaker.failure_statuses, StatusSet::FAILURES.with(429));
    assert_eq!(default.breaker.answer, answer(200, "text/plain", "later"));
    assert_eq!((default.breaker.failure_rate, default.breaker.slow_call), (0.5, Some(secs(2))));
}

#[test]
fn numbers_are_taken_in_every_form_in_which_envoy_passes_them_on() {
    for number in ["7", "7.0", "7e0", "0.7e1", "\"7\"", "\"7.0\"", "\"7e0\""] {
        let text = format!(r#"{{"defaults":{{"coalesce":{{"max_waiters":{number}}}}}}}"#);
        assert_eq!(plan(&text).default_rule.coalesce.max_waiters, 7, "{number}");
    }
    for number in ["0.25", "25e-2", "\"0.25\""] {
        let text = format!(r#"{{"defaults":{{"breaker":{{"failure_rate":{number}}}}}}}"#);
        assert_eq!(plan(&text).default_rule.breaker.failure_rate, 0.25, "{number}");
        let text = format!(r#"{{"defaults":{{"cache":{{"early_refresh":{number}}}}}}}"#);
        assert_eq!(plan(&text).default_rule.cache.early_refresh, 0.25, "{number}");
    }
}

#[test]
fn a_bare_off_of_yaml_which_arrives_as_false_is_off() {
    let plan = plan(
        r#"{"defaults":{"cache":{"etag":"generate"}},
            "rules":[{"name":"a","cache":{"etag":false},"coalesce":{"scope":false}}]}"#,
    );
    assert_eq!((plan.default_rule.cache.etag, plan.rules[0].cache.etag), (Etag::Generate, Etag::Off));
    assert_eq!(plan.rules[0].coalesce.scope, Scope::Off);
}

#[test]
fn an_ignored_prefix_may_hold_within_what_is_allowed() {
    let text = r#"{"defaults":{"cache":{"key":{"query":{"allow":["*"],"ignore":["utm_*","ref"]}}}}}"#;
    assert_eq!(plan(text).default_rule.cache.key.query.allow, Some(vec!["*".into()]));
    let text = r#"{"defaults":{"cache":{"key":{"query":{"allow":[]}}}}}"#;
    assert_eq!(plan(text).default_rule.cache.key.query.allow, Some(vec![]), "an empty list lets nothing in");
}

#[test]
fn the_last_of_equal_fields_holds() {
    assert_eq!(plan(r#"{"namespace":"a","namespace":"b"}"#).namespace, "b");
}

#[test]
fn the_bridge_has_its_own_fields() {
    let defaults = BridgePlan { max_request_bytes: 8 << 20, max_reply_bytes: 32 << 20 };
    assert_eq!(parse_bridge(b""), Ok(defaults));
    assert_eq!(parse_bridge(b"{}"), Ok(defaults));
    let given = parse_bridge(br#"{"max_request_bytes":"1KiB","max_reply_bytes":"256MiB"}"#);
    assert_eq!(given, Ok(BridgePlan { max_request_bytes: 1 << 10, max_reply_bytes: 256 << 20 }));
    let errors = parse_bridge(br#"{"max_request_bytes":8,"max_reply_byte":"1MiB"}"#).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "max_request_bytes: found 8; allowed: a size from 1KiB to 256MiB in B, KiB, MiB or GiB; \
         write the unit, as in \"256KiB\" or \"64MiB\", or leave the field out for 8MiB\n\
         max_reply_byte: found an unknown field; allowed: max_request_bytes, max_reply_bytes; \
         did you mean max_reply_bytes?"
    );
}
