//! Whatever arrives: an answer, no panic, and every mistake on its line.

use super::super::*;
use crate::testing::cases;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const NAMES: [&str; 66] = [
    "mode",
    "namespace",
    "l1",
    "l2",
    "l3",
    "ttl",
    "max_bytes",
    "max_object_bytes",
    "cluster",
    "timeout",
    "encryption",
    "refresh",
    "admin",
    "path",
    "defaults",
    "rules",
    "cache",
    "coalesce",
    "breaker",
    "enabled",
    "default_ttl",
    "override_ttl",
    "max_ttl",
    "stale_while_revalidate",
    "stale_if_error",
    "set_cookie",
    "statuses",
    "404",
    "206",
    "heuristic_percent",
    "early_refresh",
    "request_directives",
    "etag",
    "targeted",
    "tags",
    "max_variants",
    "tell_key",
    "key",
    "body",
    "query",
    "ignore",
    "allow",
    "sort",
    "headers",
    "cookies",
    "identity",
    "header",
    "cookie",
    "scope",
    "wait_timeout",
    "lease",
    "max_waiters",
    "window",
    "min_requests",
    "failure_rate",
    "open_for",
    "max_open_for",
    "half_open_probes",
    "fallback",
    "name",
    "match",
    "hosts",
    "methods",
    "prefix",
    "template",
    "rollout",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,200}".prop_map(Value::from),
        "[0-9.]{1,20}(ms|s|m|h|d|B|KiB|MiB|GiB)?".prop_map(Value::from),
        prop::sample::select(vec!["off", "instance", "stale", "a.b", "*.c", "/d", "/e/{f}", "GET", "g*"])
            .prop_map(Value::from),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&NAMES[..]).prop_map(String::from),
        1 => "\\PC{0,9}",
        1 => "[\\x00-\\x7f]{0,90}",
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::vec((name(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A configuration with every field that can be set.
fn full() -> Value {
    let policy = json!({
        "cache": {"enabled": true, "default_ttl": "1s", "override_ttl": "2s", "max_ttl": "3s",
            "statuses": {"404": "10s", "503": "1s"}, "heuristic_percent": 5, "stale_while_revalidate": "1m",
            "stale_if_error": "1m", "set_cookie": "store", "request_directives": "honor", "early_refresh": 0.5,
            "etag": "generate", "targeted": ["t"], "tags": ["u", "v"], "max_variants": 3, "tell_key": true,
            "key": {"query": {"ignore": ["a"], "allow": ["b*"], "sort": false}, "headers": ["x"], "cookies": ["y"],
                "identity": {"header": "authorization"}, "body": {"methods": ["QUERY"], "max_bytes": "2KiB"}}},
        "coalesce": {"scope": "worker", "wait_timeout": "1s", "lease": "2s", "max_waiters": 5},
        "breaker": {"enabled": true, "window": "5s", "min_requests": 2, "consecutive_failures": 3,
            "failure_rate": 0.1, "open_for": "1s", "max_open_for": "2s", "half_open_probes": 1, "fallback": "error",
            "mode": "gradual", "state": "closed", "outlier_sigma": 2.5, "slow_call": "1s", "fleet_hint": true,
            "failure_statuses": ["5xx", 429], "answer": {"status": "200", "content_type": "a/b", "body": "c"}},
    });
    let mut rule = policy.clone();
    rule["name"] = json!("r");
    rule["match"] = json!({"hosts": ["a.example"], "path": {"exact": "/x"}, "methods": ["GET"]});
    json!({
        "namespace": "n",
        "l1": {"ttl": "1s", "max_bytes": "2MiB", "max_object_bytes": "1MiB"},
        "l2": {"cluster": "c", "ttl": "1m", "timeout": "10ms", "max_object_bytes": "2KiB"},
        "l3": {"ttl": "2h"},
        "refresh": {"cluster": "d"},
        "admin": {"path": "/a/"},
        "defaults": policy,
        "rules": [rule],
    })
}

/// The places of all values within `value`, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| places(v, &format!("{at}/{k}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{at}/{i}"), found))
        }
        _ => {}
    }
}

fn every_mistake_has_its_line(bytes: &[u8]) -> Result<(), TestCaseError> {
    for errors in [parse(bytes).err(), parse_bridge(bytes).err()].into_iter().flatten() {
        let lines = errors.to_string();
        prop_assert!(errors.iter().count() > 0);
        prop_assert_eq!(lines.lines().count(), errors.iter().count(), "{}", lines);
        prop_assert!(!lines.chars().any(|c| c.is_control() && c != '\n'), "{:?}", lines);
    }
    Ok(())
}

#[test]
fn a_full_configuration_is_accepted() {
    assert_eq!(parse(full().to_string().as_bytes()).err(), None);
}

proptest! {
    #![proptest_config(cases(192))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        every_mistake_has_its_line(&bytes)?;
    }

    #[test]
    fn a_cut_configuration_is_answered(at in any::<prop::sample::Index>()) {
        let text = full().to_string();
        let cut = &text.as_bytes()[..at.index(text.len())];
        every_mistake_has_its_line(cut)?;
        prop_assert!(cut.is_empty() || parse(cut).is_err());
    }

    #[test]
    fn any_json_is_answered(value in json_value()) {
        every_mistake_has_its_line(value.to_string().as_bytes())?;
    }

    #[test]
    fn a_strange_value_anywhere_is_answered(at in any::<prop::sample::Index>(), value in json_value()) {
        let mut configuration = full();
        let mut all = Vec::new();
        places(&configuration, "", &mut all);
        let place = at.get(&all);
        if let Some(slot) = configuration.pointer_mut(place) {
            *slot = value;
        }
        let bytes = configuration.to_string();
        every_mistake_has_its_line(bytes.as_bytes())?;
    }

    #[test]
    fn null_is_nowhere_taken_for_a_value(at in any::<prop::sample::Index>()) {
        let mut configuration = full();
        let mut all = Vec::new();
        places(&configuration, "", &mut all);
        let place = at.get(&all);
        if let Some(slot) = configuration.pointer_mut(place) {
            *slot = Value::Null;
        }
        let errors = parse(configuration.to_string().as_bytes()).unwrap_err();
        // JSON pointers become paths: `/rules/0/name` is `rules[0].name`; no list here is as long as a status code.
        let path = place.trim_start_matches('/').split('/').fold(String::new(), |path, step| {
            match (path.is_empty(), step.parse::<usize>()) {
                (true, _) => step.to_owned(),
                (false, Ok(index)) if index < 200 => format!("{path}[{index}]"),
                (false, _) => format!("{path}.{step}"),
            }
        });
        let path = if path.is_empty() { "configuration".to_owned() } else { path };
        prop_assert!(errors.iter().any(|problem| problem.path == path), "{path}: {errors}");
    }
}
