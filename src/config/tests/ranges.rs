//! Both sides of every limit.

use super::super::*;
use serde_json::{Value, json};

/// `value` at the end of `path`, in what else a configuration needs to be accepted.
fn configuration(path: &str, value: &Value) -> String {
    let mut inner = value.clone();
    for name in path.rsplit('.') {
        inner = match name {
            "[]" => json!([inner]),
            name => json!({ name: inner }),
        };
    }
    let needs: Value = match path {
        "l2.ttl" | "l2.timeout" | "l2.max_object_bytes" => json!({"l2": {"cluster": "redis"}}),
        "l3.ttl" => json!({"l2": {"cluster": "redis", "ttl": "1ms"}}),
        "l1.max_object_bytes" => json!({"l1": {"max_bytes": "64GiB"}}),
        "defaults.breaker.open_for" => json!({"defaults": {"breaker": {"max_open_for": "1d"}}}),
        "defaults.breaker.max_open_for" => json!({"defaults": {"breaker": {"open_for": "10ms"}}}),
        _ if path.starts_with("rules.[].") && path != "rules.[].name" => json!({"rules": [{"name": "r"}]}),
        _ => json!({}),
    };
    merged(needs, inner).to_string()
}

fn merged(below: Value, above: Value) -> Value {
    match (below, above) {
        (Value::Object(mut below), Value::Object(above)) => {
            for (name, value) in above {
                let old = below.remove(&name).unwrap_or(Value::Null);
                below.insert(name, merged(old, value));
            }
            Value::Object(below)
        }
        (Value::Array(below), Value::Array(above)) if below.len() == 1 && above.len() == 1 => {
            Value::Array(below.into_iter().zip(above).map(|(below, above)| merged(below, above)).collect())
        }
        (_, above) => above,
    }
}

fn check(parse_one: impl Fn(&[u8]) -> Option<Errors>, path: &str, within: &[Value], beyond: &[Value]) {
    for value in within {
        let errors = parse_one(configuration(path, value).as_bytes());
        assert_eq!(errors.map(|e| e.to_string()), None, "{path} takes {value}");
    }
    for value in beyond {
        let errors = parse_one(configuration(path, value).as_bytes());
        let errors = errors.unwrap_or_else(|| panic!("{path} took {value}"));
        let written = path.replace(".[]", "[0]");
        assert_eq!(errors.iter().count(), 1, "{path} {value}: {errors}");
        assert!(errors.to_string().starts_with(&written), "{path} {value}: {errors}");
    }
}

fn repeated(text: &str, times: usize) -> Value {
    Value::from(text.repeat(times))
}

fn listed(text: &str, times: usize) -> Value {
    Value::from(vec![text; times])
}

#[test]
fn both_ends_of_a_range_are_taken_and_the_next_values_are_not() {
    for (path, [below, low, high, above]) in [
        ("l1.ttl", ["0s", "1ms", "1h", "1h1ms"]),
        ("l1.max_bytes", ["1048575B", "1MiB", "64GiB", "68719476737B"]),
        ("l1.max_object_bytes", ["1023B", "1KiB", "64MiB", "67108865B"]),
        ("l2.ttl", ["0s", "1ms", "366d", "366d1ms"]),
        ("l2.timeout", ["0s", "1ms", "10s", "10s1ms"]),
        ("l2.max_object_bytes", ["1023B", "1KiB", "64MiB", "67108865B"]),
        ("l3.ttl", ["0s", "1ms", "366d", "366d1ms"]),
        ("defaults.cache.default_ttl", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.override_ttl", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.max_ttl", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.stale_while_revalidate", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.stale_if_error", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.statuses.404", ["-1s", "0s", "366d", "366d1ms"]),
        ("defaults.cache.key.body.max_bytes", ["1023B", "1KiB", "1MiB", "1048577B"]),
        ("defaults.coalesce.wait_timeout", ["0s", "1ms", "10m", "10m1ms"]),
        ("defaults.coalesce.lease", ["99ms", "100ms", "10m", "10m1ms"]),
        ("defaults.breaker.window", ["999ms", "1s", "10m", "10m1ms"]),
        ("defaults.breaker.slow_call", ["19ms", "20ms", "10m", "10m1ms"]),
        ("defaults.breaker.open_for", ["9ms", "10ms", "1d", "1d1ms"]),
        ("defaults.breaker.max_open_for", ["9ms", "10ms", "1d", "1d1ms"]),
        ("rules.[].breaker.window", ["999ms", "1s", "10m", "10m1ms"]),
    ] {
        check(|b| parse(b).err(), path, &[low.into(), high.into()], &[below.into(), above.into()]);
    }
    for path in ["max_request_bytes", "max_reply_bytes"] {
        let (within, beyond) = (["1KiB".into(), "256MiB".into()], ["1023B".into(), "268435457B".into()]);
        check(|b| parse_bridge(b).err(), path, &within, &beyond);
    }
}

#[test]
fn both_ends_of_a_count_are_taken_and_the_next_values_are_not() {
    for (path, low, high) in [
        ("defaults.cache.heuristic_percent", 0, 100),
        ("defaults.cache.max_variants", 1, 64),
        ("max_waiters", 1, 1_000_000),
        ("defaults.coalesce.max_waiters", 1, 1_000_000),
        ("defaults.coalesce.release.parallel", 1, 1_000_000),
        ("defaults.breaker.min_requests", 1, 1_000_000),
        ("defaults.breaker.consecutive_failures", 1, 1_000_000),
        ("defaults.breaker.half_open_probes", 1, 100),
    ] {
        let beyond = [(low - 1).into(), (high + 1).into(), (-1).into(), json!(1.5), json!(1e300), json!("x")];
        check(|b| parse(b).err(), path, &[low.into(), high.into()], &beyond);
    }
    let (within, beyond) =
        ([json!(0), json!(10), json!("10.0")], [json!(-0.1), json!(10.000_001), json!("inf"), json!(true)]);
    check(|b| parse(b).err(), "defaults.cache.early_refresh", &within, &beyond);
    check(|b| parse(b).err(), "defaults.breaker.outlier_sigma", &within, &beyond);
    let (within, beyond) =
        ([json!(1), json!(5e-324)], [json!(0), json!(-0.1), json!(1.000_000_1), json!("nan")]);
    check(|b| parse(b).err(), "defaults.breaker.failure_rate", &within, &beyond);
    let (within, beyond) = (
        [json!(400), json!("599"), json!(429.0), json!("5xx")],
        [json!(399), json!(600), json!("4xx"), json!(429.5)],
    );
    check(|b| parse(b).err(), "defaults.breaker.failure_statuses.[]", &within, &beyond);
    let (within, beyond) =
        ([json!("200"), json!("599")], [json!("204"), json!("304"), json!(503), json!("99")]);
    check(|b| parse(b).err(), "defaults.breaker.answer.status", &within, &beyond);
}

#[test]
fn the_codes_of_whole_final_responses_are_taken_and_no_others() {
    for code in 0..=1000 {
        let path = format!("defaults.cache.statuses.{code}");
        let taken = (200..600).contains(&code) && code != 206 && code != 304;
        let (within, beyond) = if taken { (vec![json!("1s")], vec![]) } else { (vec![], vec![json!("1s")]) };
        check(|b| parse(b).err(), &path, &within, &beyond);
    }
    for code in ["", "20", "0404", "+404", " 404", "4xx", "4XX", "default", "٤٠٤"] {
        let statuses = json!({"defaults": {"cache": {"statuses": {code: "1s"}}}}).to_string();
        let errors = parse(statuses.as_bytes()).err().unwrap_or_else(|| panic!("took {code:?}"));
        assert_eq!(errors.iter().count(), 1, "{code:?}: {errors}");
    }
}

#[test]
fn there_are_at_most_64_statuses() {
    let statuses = |n: u16| (400..400 + n).map(|code| (code.to_string(), json!("1s"))).collect::<Value>();
    check(|b| parse(b).err(), "defaults.cache.statuses", &[statuses(64)], &[statuses(65)]);
}

#[test]
fn texts_and_lists_have_a_longest() {
    for (path, within, beyond) in [
        ("namespace", repeated("n", 32), repeated("n", 33)),
        ("l2.cluster", repeated("c", 256), repeated("c", 257)),
        ("refresh.cluster", repeated("c", 256), repeated("c", 257)),
        ("rules.[].name", repeated("r", 64), repeated("r", 65)),
        ("rules.[].match.hosts", listed("h", 256), listed("h", 257)),
        ("rules.[].match.methods", listed("GET", 256), listed("GET", 257)),
        ("rules.[].match.methods.[]", repeated("M", 256), repeated("M", 257)),
        ("rules.[].match.hosts.[]", repeated("a", 63), repeated("a", 64)),
        ("rules.[].match.hosts.[]", repeated("a.", 127), repeated("a.", 128)),
        ("rules.[].match.path.exact", repeated("/", 2048), repeated("/", 2049)),
        ("rules.[].match.path.prefix", repeated("/", 2048), repeated("/", 2049)),
        ("rules.[].match.path.template", repeated("/{a}", 64), repeated("/{a}", 65)),
        ("defaults.cache.key.headers", listed("x", 256), listed("x", 257)),
        ("defaults.cache.key.headers.[]", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.cookies.[]", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.identity.header", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.identity.cookie", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.body.methods", listed("POST", 2), listed("POST", 3)),
        ("defaults.cache.targeted", listed("x", 8), listed("x", 9)),
        ("defaults.cache.targeted.[]", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.tags", listed("x", 8), listed("x", 9)),
        ("defaults.cache.tags.[]", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.query.ignore", listed("x", 256), listed("x", 257)),
        ("defaults.cache.key.query.ignore.[]", repeated("x", 256), repeated("x", 257)),
        ("defaults.cache.key.query.allow.[]", repeated("x", 256), repeated("x", 257)),
    ] {
        check(|b| parse(b).err(), path, &[within], &[beyond, "".into()]);
    }
}

#[test]
fn there_are_at_most_256_rules() {
    let rules = |n: usize| Value::from((0..n).map(|i| json!({"name": i.to_string()})).collect::<Vec<_>>());
    check(|b| parse(b).err(), "rules", &[rules(256)], &[rules(257)]);
}

#[test]
fn a_later_field_takes_its_value_without_effect_alone() {
    for (path, within, beyond) in [
        ("mode", vec![json!("enforce")], vec![json!("shadow"), json!(1)]),
        ("l2.encryption", vec![json!({})], vec![json!({"keys": ["k"]}), json!("k")]),
        ("rules.[].rollout", vec![json!(100), json!(100.0), json!("100.0")], vec![json!(99), json!("all")]),
    ] {
        check(|b| parse(b).err(), path, &within, &beyond);
        for value in beyond {
            let errors = parse(configuration(path, &value).as_bytes()).unwrap_err().to_string();
            assert!(errors.contains("not available in this version"), "{errors}");
        }
    }
}
