//! Each mistake as the operator reads it, word for word, and all of a configuration at once.

use super::super::*;

fn assert_told(text: &[u8], lines: &[&str]) {
    let errors = parse(text).expect_err("refused").to_string();
    assert_eq!(errors.lines().collect::<Vec<_>>(), lines, "{}", String::from_utf8_lossy(text));
}

#[test]
fn an_unknown_field_is_told_with_what_it_may_have_been() {
    assert_told(
        r#"{"namespce":"x","cache":{},"mod":1,"l1":{"maxBytes":"1MiB","x\ny\u2028":1},"extremely_long_unknown_name_that_goes_on_and_on_and_on_and_on_and_on":1}"#.as_bytes(),
        &[
            "l1.maxBytes: found an unknown field; allowed: ttl, max_bytes, max_object_bytes; did you mean max_bytes?",
            r#"l1["x\ny\u{2028}"]: found an unknown field; allowed: ttl, max_bytes, max_object_bytes; remove it"#,
            "cache: found an unknown field; allowed: mode, namespace, l1, l2, l3, refresh, admin, max_waiters, defaults, rules; did you mean defaults.cache?",
            r#"["extremely_long_unknown_name_that_goes_on_and_on_and_on_and_o…"]: found an unknown field; allowed: mode, namespace, l1, l2, l3, refresh, admin, max_waiters, defaults, rules; remove it"#,
            "mod: found an unknown field; allowed: mode, namespace, l1, l2, l3, refresh, admin, max_waiters, defaults, rules; did you mean mode?",
            "namespce: found an unknown field; allowed: mode, namespace, l1, l2, l3, refresh, admin, max_waiters, defaults, rules; did you mean namespace?",
        ],
    );
    assert_told(
        r#"{"defaults":{"cache":{"body":{},"ttl":"1s","key":{"ignore":[],"methods":["POST"],"body":{"max_byte":"1KiB"}}}},"rules":[{"name":"a","hosts":[],"match":{"prefix":"/"}}]}"#.as_bytes(),
        &[
            "defaults.cache.key.body.max_byte: found an unknown field; allowed: methods, max_bytes; did you mean max_bytes?",
            "defaults.cache.key.ignore: found an unknown field; allowed: query, headers, cookies, identity, body; did you mean query.ignore?",
            "defaults.cache.key.methods: found an unknown field; allowed: query, headers, cookies, identity, body; did you mean body.methods?",
            "defaults.cache.body: found an unknown field; allowed: enabled, default_ttl, override_ttl, max_ttl, statuses, heuristic_percent, stale_while_revalidate, stale_if_error, set_cookie, key, request_directives, early_refresh, etag, targeted, tags, max_variants, tell_key; did you mean key.body?",
            "defaults.cache.ttl: found an unknown field; allowed: enabled, default_ttl, override_ttl, max_ttl, statuses, heuristic_percent, stale_while_revalidate, stale_if_error, set_cookie, key, request_directives, early_refresh, etag, targeted, tags, max_variants, tell_key; did you mean default_ttl?",
            "rules[0].match.prefix: found an unknown field; allowed: hosts, path, methods; did you mean path.prefix?",
            "rules[0].hosts: found an unknown field; allowed: name, match, cache, coalesce, breaker, rollout; did you mean match.hosts?",
        ],
    );
    assert_told(
        r#"{"refresh":{"clutser":1},"admin":{"":1},"l3":{"tl":1}}"#.as_bytes(),
        &[
            "l3.tl: found an unknown field; allowed: ttl; did you mean ttl?",
            "refresh.clutser: found an unknown field; allowed: cluster; did you mean cluster?",
            r#"admin[""]: found an unknown field; allowed: path; remove it"#,
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_or_range_is_told_with_what_is_allowed() {
    assert_told(
        r#"{"mode":"shadow","namespace":"a b","max_waiters":"all","l1":{"ttl":100,"max_bytes":"64","max_object_bytes":"1MB"},"l2":{"cluster":"","timeout":"20s","ttl":"0"},"l3":[],"rules":{}}"#.as_bytes(),
        &[
            r#"mode: found "shadow"; allowed: "enforce" alone, since the rest is not available in this version; leave the field out"#,
            r#"namespace: found "a b"; allowed: 1 to 32 letters, digits, _ or -; change it, or leave the field out"#,
            r#"l1.ttl: found 100; allowed: a duration from 1ms to 1h in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or leave the field out for 100ms"#,
            r#"l1.max_bytes: found "64"; allowed: a size from 1MiB to 64GiB in B, KiB, MiB or GiB; write the unit, as in "256KiB" or "64MiB", or leave the field out for 64MiB"#,
            r#"l1.max_object_bytes: found "1MB"; allowed: a size from 1KiB to 64MiB in B, KiB, MiB or GiB; use a unit named here, or leave the field out for 256KiB"#,
            r#"l2.cluster: found ""; allowed: the name of an Envoy cluster, 1 to 256 bytes without control characters; change it, or leave the field out"#,
            r#"l2.ttl: found "0"; allowed: a duration from 1ms to 366d in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or leave the field out for 5m"#,
            r#"l2.timeout: found "20s"; allowed: a duration from 1ms to 10s in d, h, m, s or ms; change it, or leave the field out for 50ms"#,
            "l3: found a list; allowed: an object; write its fields, or leave the field out",
            r#"max_waiters: found "all"; allowed: a whole number from 1 to 1000000; change it, or leave the field out for 16384"#,
            "rules: found an object; allowed: a list of at most 256 objects; write a list, or leave the field out",
        ],
    );
    assert_told(
        r#"{"defaults":{"cache":{"enabled":"true","default_ttl":"5 s","stale_if_error":"30m1h","etag":true,"key":{"headers":"accept","cookies":["a b",true]}},"coalesce":{"scope":"globe","lease":"1h","max_waiters":1.5,"overflow":"reject","parallel":3,"release":{"parallel":0,"max":1},"wait_timeout":null},"breaker":{"failure_rate":1.5,"fallback":"stael","window":"1.5","min_requests":"many","slow_call":"1","enabled":0}}}"#.as_bytes(),
        &[
            r#"defaults.cache.enabled: found "true"; allowed: true or false; write it without quotes, or leave the field out for true"#,
            r#"defaults.cache.default_ttl: found "5 s"; allowed: a duration from 0s to 366d in d, h, m, s or ms; write a number and its unit without spaces, or leave the field out for 0s"#,
            r#"defaults.cache.stale_if_error: found "30m1h"; allowed: a duration from 0s to 366d in d, h, m, s or ms; write the larger unit first, each unit once, or leave the field out for 1h"#,
            r#"defaults.cache.key.headers: found "accept"; allowed: a list of at most 256, each the name of a header field, such as "accept-language"; write a list, as in ["…", "…"]"#,
            r#"defaults.cache.key.cookies[0]: found "a b"; allowed: the name of a cookie; change it, or remove it"#,
            "defaults.cache.key.cookies[1]: found true; allowed: the name of a cookie; put it in quotes, or remove it",
            r#"defaults.cache.etag: found true; allowed: "off" or "generate"; change it, or leave the field out for "off""#,
            r#"defaults.coalesce.scope: found "globe"; allowed: "off" or "worker" or "instance" or "fleet"; change it, or leave the field out for "fleet""#,
            "defaults.coalesce.wait_timeout: found null; allowed: a duration from 1ms to 10m in d, h, m, s or ms; change it, or leave the field out for 5s",
            r#"defaults.coalesce.lease: found "1h"; allowed: a duration from 100ms to 10m in d, h, m, s or ms; change it, or leave the field out for 2s"#,
            "defaults.coalesce.max_waiters: found 1.5; allowed: a whole number from 1 to 1000000; change it, or leave the field out for 1024",
            r#"defaults.coalesce.overflow: found "reject"; allowed: "upstream" or "refuse"; change it, or leave the field out for "upstream""#,
            "defaults.coalesce.release.parallel: found 0; allowed: a whole number from 1 to 1000000; change it, or leave the field out",
            "defaults.coalesce.release.max: found an unknown field; allowed: parallel; remove it",
            "defaults.coalesce.parallel: found an unknown field; allowed: scope, wait_timeout, lease, max_waiters, overflow, detach, release; did you mean release.parallel?",
            "defaults.breaker.enabled: found 0; allowed: true or false; change it, or leave the field out for true",
            r#"defaults.breaker.window: found "1.5"; allowed: a duration from 1s to 10m in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or leave the field out for 10s"#,
            r#"defaults.breaker.min_requests: found "many"; allowed: a whole number from 1 to 1000000; change it, or leave the field out for 40"#,
            "defaults.breaker.failure_rate: found 1.5; allowed: a number above 0 and at most 1; change it, or leave the field out for 0.25",
            r#"defaults.breaker.slow_call: found "1"; allowed: a duration from 20ms to 10m in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or leave the field out"#,
            r#"defaults.breaker.fallback: found "stael"; allowed: "stale" or "error"; write "stale", or leave the field out for "stale""#,
        ],
    );
    assert_told(
        r#"{"l2":{"cluster":"c","encryption":"s3cret"},"refresh":{"cluster":7},"admin":{"path":"/x"},"defaults":7}"#.as_bytes(),
        &[
            "l2.encryption: found text; allowed: nothing, since it is not available in this version; leave the field out",
            "refresh.cluster: found 7; allowed: the name of an Envoy cluster, 1 to 256 bytes without control characters; put it in quotes, or leave the field out",
            r#"admin.path: found "/x"; allowed: a path with a slash at both ends, such as "/.breakwater/", of letters, digits and .-_~/; change it, or leave the field out"#,
            "defaults: found a number; allowed: an object; write its fields, or leave the field out",
        ],
    );
}

#[test]
fn what_is_wrong_with_caching_is_told() {
    assert_told(
        r#"{"defaults":{"cache":{"stale_while_revalidate":0,"set_cookie":"strip","heuristic_percent":"10%","early_refresh":"often","request_directives":"honour","targeted":"CDN-Cache-Control","tags":["Cache Tag"],"max_variants":0,"tell_key":"true","key":{"body":{"methods":["GET","POST",true],"max_bytes":65536}}}}}"#.as_bytes(),
        &[
            r#"defaults.cache.heuristic_percent: found "10%"; allowed: a whole number from 0 to 100; change it, or leave the field out for 10"#,
            r#"defaults.cache.stale_while_revalidate: found 0; allowed: a duration from 0s to 366d in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or leave the field out for 0s"#,
            r#"defaults.cache.set_cookie: found "strip"; allowed: "refuse" or "store"; change it, or leave the field out for "refuse""#,
            r#"defaults.cache.key.body.methods: found a list of 3; allowed: a list of at most 2, each "QUERY" or "POST", since only these two may be answered from a cache by their body; shorten it"#,
            r#"defaults.cache.key.body.methods[0]: found "GET"; allowed: "QUERY" or "POST", since only these two may be answered from a cache by their body; change it, or remove it"#,
            r#"defaults.cache.key.body.max_bytes: found 65536; allowed: a size from 1KiB to 1MiB in B, KiB, MiB or GiB; write the unit, as in "256KiB" or "64MiB", or leave the field out for 64KiB"#,
            r#"defaults.cache.request_directives: found "honour"; allowed: "ignore" or "honor"; write "honor", or leave the field out for "ignore""#,
            r#"defaults.cache.early_refresh: found "often"; allowed: a number from 0 to 10; change it, or leave the field out for 0"#,
            r#"defaults.cache.targeted: found "CDN-Cache-Control"; allowed: a list of at most 8, each the name of a header field, such as "accept-language"; write a list, as in ["…", "…"]"#,
            r#"defaults.cache.tags[0]: found "Cache Tag"; allowed: the name of a header field, such as "accept-language"; change it, or remove it"#,
            "defaults.cache.max_variants: found 0; allowed: a whole number from 1 to 64; change it, or leave the field out for 16",
            r#"defaults.cache.tell_key: found "true"; allowed: true or false; write it without quotes, or leave the field out for false"#,
        ],
    );
    assert_told(
        r#"{"defaults":{"cache":{"statuses":{"206":"1s","404":10,"410":"2s","4xx":"1s","a b":7}}},"rules":[{"name":"r","cache":{"statuses":[]}}]}"#.as_bytes(),
        &[
            r#"defaults.cache.statuses.206: found "206"; allowed: a status code from 200 to 599 but 206 and 304, since neither is a whole response; change it, or remove it"#,
            r#"defaults.cache.statuses.404: found 10; allowed: a duration from 0s to 366d in d, h, m, s or ms; write the unit, as in "100ms" or "5m", or remove it"#,
            r#"defaults.cache.statuses.4xx: found "4xx"; allowed: a status code from 200 to 599 but 206 and 304, since neither is a whole response; write each code by itself, or remove it"#,
            r#"defaults.cache.statuses["a b"]: found "a b"; allowed: a status code from 200 to 599 but 206 and 304, since neither is a whole response; change it, or remove it"#,
            "rules[0].cache.statuses: found a list; allowed: an object; write its fields, or leave the field out",
        ],
    );
    let codes: Vec<_> = (400..465).map(|code| format!("\"{code}\":\"1s\"")).collect();
    assert_told(
        format!("{{\"defaults\":{{\"cache\":{{\"statuses\":{{{}}}}}}}}}", codes.join(",")).as_bytes(),
        &[
            "defaults.cache.statuses: found an object of 65; allowed: an object of at most 64, each a duration from 0s to 366d in d, h, m, s or ms; shorten it",
        ],
    );
}

#[test]
fn a_name_that_cannot_label_a_metric_or_is_taken_is_told() {
    assert_told(
        r#"{"rules":[{"name":"a"},{"name":"a"},{"name":"default"},{"name":""},{},{"name":5},{"name":"a/b"},7,{"name":"a"},{"name":"A"}]}"#.as_bytes(),
        &[
            r#"rules[2].name: found "default"; allowed: a name of 1 to 64 letters, digits, _, . or -; choose another name, since default is what applies where no rule matches"#,
            r#"rules[3].name: found ""; allowed: a name of 1 to 64 letters, digits, _, . or -; change it"#,
            "rules[4].name: found nothing; allowed: a name of 1 to 64 letters, digits, _, . or -; add the field",
            "rules[5].name: found 5; allowed: a name of 1 to 64 letters, digits, _, . or -; put it in quotes",
            r#"rules[6].name: found "a/b"; allowed: a name of 1 to 64 letters, digits, _, . or -; change it"#,
            "rules[7]: found a number; allowed: an object; write its fields, or remove it",
            r#"rules[1].name: found "a"; allowed: a name of its own, since rules[0] has this one; rename one of the two"#,
            r#"rules[8].name: found "a"; allowed: a name of its own, since rules[0] has this one; rename one of the two"#,
        ],
    );
}

#[test]
fn a_match_that_could_never_match_is_told() {
    assert_told(
        r#"{"rules":[{"name":"m","match":{"hosts":["a:80","*","http://x","ü.de","a..b",1,"a.*.b","[::1]:80"],"path":{"exact":"x"},"methods":["G T"]},"rollout":50},{"name":"n","match":{"hosts":"a","path":{"prefix":"/a?b"}}},{"name":"t","match":{"path":{"template":"/a*"}}},{"name":"u","match":{"path":{"template":"/{a}b"}}},{"name":"v","match":{"path":"/"}}]}"#.as_bytes(),
        &[
            r#"rules[0].match.hosts[0]: found "a:80"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; leave the port out, or remove it"#,
            r#"rules[0].match.hosts[1]: found "*"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; leave hosts out to match every host, or remove it"#,
            r#"rules[0].match.hosts[2]: found "http://x"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; write the host alone, or remove it"#,
            r#"rules[0].match.hosts[3]: found "ü.de"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; write it in its ASCII form (xn--…), or remove it"#,
            r#"rules[0].match.hosts[4]: found "a..b"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; change it, or remove it"#,
            r#"rules[0].match.hosts[5]: found 1; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; put it in quotes, or remove it"#,
            r#"rules[0].match.hosts[6]: found "a.*.b"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; change it, or remove it"#,
            r#"rules[0].match.hosts[7]: found "[::1]:80"; allowed: a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; leave the port out, or remove it"#,
            r#"rules[0].match.path.exact: found "x"; allowed: a path that begins with / and has no ?, # or space, at most 2048 bytes; change it, or leave the field out"#,
            r#"rules[0].match.methods[0]: found "G T"; allowed: a method such as "GET"; change it, or remove it"#,
            "rules[0].rollout: found 50; allowed: 100 alone, since the rest is not available in this version; leave the field out",
            r#"rules[1].match.hosts: found "a"; allowed: a list of at most 256, each a host without port, such as "api.example.com", "*.example.com" or "[2001:db8::1]"; write a list, as in ["…", "…"]"#,
            r#"rules[1].match.path.prefix: found "/a?b"; allowed: a path that begins with / and has no ?, # or space, at most 2048 bytes; leave the query out, since rules match the path before it, or leave the field out"#,
            r#"rules[2].match.path.template: found "/a*"; allowed: a path of at most 64 segments, each literal or one {name}, such as "/users/{id}/history"; let each {name} or literal fill its segment; * has no meaning here, or leave the field out"#,
            r#"rules[3].match.path.template: found "/{a}b"; allowed: a path of at most 64 segments, each literal or one {name}, such as "/users/{id}/history"; let each {name} or literal fill its segment; * has no meaning here, or leave the field out"#,
            "rules[4].match.path: found text; allowed: an object; write its fields, or leave the field out",
        ],
    );
}

#[test]
fn fields_that_contradict_each_other_are_told() {
    assert_told(
        r#"{"l1":{"max_bytes":"1MiB","max_object_bytes":"2MiB"},"l2":{"cluster":"c","ttl":"2h","timeout":"5s"},"l3":{"ttl":"1h"},"defaults":{"coalesce":{"lease":"1s"}},"rules":[{"name":"q","coalesce":{"scope":"worker"}},{"name":"o","breaker":{"open_for":"6m"},"coalesce":{"lease":"2s"}},{"name":"p","breaker":{"max_open_for":"1s"},"coalesce":{"scope":"off","lease":"3s"}}]}"#.as_bytes(),
        &[
            "l1.max_object_bytes: found 2MiB; allowed: at most max_bytes, which is 1MiB; lower it, or raise max_bytes",
            "l3.ttl: found 1h; allowed: at least l2.ttl, which is 2h, since L2 is asked first; raise it, or lower l2.ttl",
            "defaults.coalesce.lease: found 1s; allowed: at least l2.timeout, which is 5s, since a leader may spend it waiting for Redis; raise it, or lower l2.timeout",
            "rules[1].coalesce.lease: found 2s; allowed: at least l2.timeout, which is 5s, since a leader may spend it waiting for Redis; raise it, or lower l2.timeout",
            "rules[1].breaker.open_for: found 6m; allowed: at most max_open_for, which is 5m; lower it, or raise max_open_for",
            "rules[2].breaker.max_open_for: found 1s; allowed: at least open_for, which is 5s; raise it, or lower open_for",
        ],
    );
    assert_told(
        r#"{"l2":{"cluster":"c","timeout":"5s"},"defaults":{"coalesce":{"scope":"off","lease":"1s"}},"rules":[{"name":"q","coalesce":{"scope":"worker"}}]}"#.as_bytes(),
        &[
            "rules[0].coalesce.lease: found 1s; allowed: at least l2.timeout, which is 5s, since a leader may spend it waiting for Redis; raise it, or lower l2.timeout",
        ],
    );
    assert_told(
        r#"{"defaults":{"cache":{"key":{"query":{"ignore":["a*","b*c","d"],"allow":["c","ab","ac*","d"]},"identity":{"header":"a","cookie":"b"}}}},"rules":[{"name":"r","match":{"path":{"exact":"/","prefix":"/"}},"cache":{"key":{"query":{"ignore":["c"]},"identity":{}}}},{"name":"s","match":{"path":{}},"cache":{"key":{"query":{"sort":false}}}}]}"#.as_bytes(),
        &[
            r#"defaults.cache.key.query.ignore[1]: found "b*c"; allowed: the name of a query parameter, 1 to 256 bytes, with * at its end or nowhere; write * at the end alone, or remove it"#,
            r#"defaults.cache.key.query.allow: found "ab"; allowed: names that ignore does not cover, as its "a*" does; remove it from one of the two lists"#,
            r#"defaults.cache.key.query.allow: found "ac*"; allowed: names that ignore does not cover, as its "a*" does; remove it from one of the two lists"#,
            r#"defaults.cache.key.query.allow: found "d"; allowed: names that ignore does not cover, as its "d" does; remove it from one of the two lists"#,
            "defaults.cache.key.identity: found header and cookie; allowed: one of header, cookie; remove one",
            "rules[0].match.path: found exact and prefix; allowed: one of exact, prefix, template; keep one",
            r#"rules[0].cache.key.query.allow: found "c"; allowed: names that ignore does not cover, as its "c" does; remove it from one of the two lists"#,
            "rules[0].cache.key.identity: found none of them; allowed: one of header, cookie; name one, or leave identity out",
            "rules[1].match.path: found none of them; allowed: one of exact, prefix, template; name one, or leave path out for every path",
        ],
    );
    assert_told(
        r#"{"l3":{"ttl":"1h"}}"#.as_bytes(),
        &[
            "l3.ttl: found a tier without the way to Redis; allowed: l3 beside l2.cluster, the Envoy cluster that leads to Redis; name l2.cluster, or leave l3 out",
        ],
    );
    assert_told(
        r#"{"l2":{"ttl":"1h"}}"#.as_bytes(),
        &[
            "l2.cluster: found nothing; allowed: the name of the Envoy cluster that leads to Redis, since without it there is no L2; name it, or leave l2 out to do without Redis",
        ],
    );
    assert_told(
        r#"{"l2":{"cluster":"c","ttl":"x"},"l3":{"ttl":"1s"}}"#.as_bytes(),
        &[
            r#"l2.ttl: found "x"; allowed: a duration from 1ms to 366d in d, h, m, s or ms; write a number and its unit without spaces, or leave the field out for 5m"#,
        ],
    );
}

#[test]
fn a_text_that_is_no_json_object_is_one_mistake_with_its_place() {
    assert_told(
        r#"[]"#.as_bytes(),
        &[
            "configuration: found a value that is no object; allowed: a JSON object in UTF-8; write its fields between { and }",
        ],
    );
    assert_told(
        r#"null"#.as_bytes(),
        &[
            "configuration: found a value that is no object; allowed: a JSON object in UTF-8; write its fields between { and }",
        ],
    );
    assert_told(
        r#"{
  "l1": {,}
}"#
        .as_bytes(),
        &[
            "line 2, column 10: found text that is no JSON (key must be a string); allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
    assert_told(
        r#"{"l1": 1"#.as_bytes(),
        &[
            "line 1, column 8: found text that is no JSON (EOF while parsing an object); allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
    assert_told(
        r#"5 5"#.as_bytes(),
        &[
            "line 1, column 3: found text that is no JSON (trailing characters); allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
    assert_told(
        r#"{"a":1e999}"#.as_bytes(),
        &[
            "line 1, column 10: found text that is no JSON (number out of range); allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
    assert_told(
        "[".repeat(200).as_bytes(),
        &[
            "line 1, column 128: found text that is no JSON (recursion limit exceeded); allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
}

#[test]
fn bytes_that_are_no_utf8_are_one_mistake_with_its_place() {
    assert_told(
        b"{\n \"a\xff\"}",
        &[
            "line 2, column 4: found bytes that are no UTF-8; allowed: a JSON object in UTF-8; correct the text there",
        ],
    );
}
