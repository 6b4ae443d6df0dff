use crate::config::plan::Match;
use crate::config::{Plan, parse};
use crate::testing::cases;
use proptest::prelude::*;

fn plan(matches: &[&str]) -> Plan {
    let rules: Vec<_> =
        matches.iter().enumerate().map(|(nth, m)| format!(r#"{{"name":"r{nth}","match":{m}}}"#)).collect();
    parse(format!(r#"{{"rules":[{}]}}"#, rules.join(",")).as_bytes())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn match_of(text: &str) -> Match {
    plan(&[text]).rules.remove(0).matches
}

fn assert_hosts(pattern: &str, matched: &[&str], others: &[&str]) {
    let one = match_of(&format!(r#"{{"hosts":["{pattern}"]}}"#));
    for host in matched {
        assert!(one.matches(b"GET", host.as_bytes(), b"/"), "{pattern} matches {host}");
    }
    for host in others {
        assert!(!one.matches(b"GET", host.as_bytes(), b"/"), "{pattern} does not match {host}");
    }
}

fn assert_paths(matches: &str, matched: &[&str], others: &[&str]) {
    let one = match_of(&format!(r#"{{"path":{matches}}}"#));
    for path in matched {
        assert!(one.matches(b"GET", b"h", path.as_bytes()), "{matches} matches {path}");
    }
    for path in others {
        assert!(!one.matches(b"GET", b"h", path.as_bytes()), "{matches} does not match {path}");
    }
}

#[test]
fn a_host_is_compared_without_case_port_and_final_dot() {
    assert_hosts(
        "API.example.com",
        &[
            "api.example.com",
            "Api.Example.COM",
            "api.example.com:8443",
            "api.example.com:",
            "api.example.com.:80",
        ],
        &[
            "",
            ":80",
            "example.com",
            "xapi.example.com",
            "api.example.com.evil",
            "api.example.com:80x",
            "api.example.com..",
        ],
    );
}

#[test]
fn a_starred_host_matches_every_subdomain_and_not_its_parent() {
    assert_hosts(
        "*.example.com",
        &["a.example.com", "a.b.EXAMPLE.com:80", "a.example.com."],
        &["example.com", ".example.com", "aexample.com", "a.example.com.evil", "a.example.comx", "com", ""],
    );
}

#[test]
fn an_ipv6_literal_is_compared_as_an_address() {
    assert_hosts(
        "2001:DB8::1",
        &["[2001:db8::1]", "[2001:db8::1]:8080", "[2001:0DB8:0:0::0001]", "[2001:db8::1]:"],
        &[
            "[2001:db8::2]",
            "2001:db8::1",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]x",
            "[2001:db8::1]:x",
            "[]",
            "[",
        ],
    );
    assert_hosts("10.0.0.1", &["10.0.0.1", "10.0.0.1:80"], &["10.0.0.10", "10.0.0.1.1"]);
}

#[test]
fn a_path_is_matched_before_its_query_on_raw_bytes() {
    assert_paths(r#"{"exact":"/a"}"#, &["/a", "/a?", "/a?b=/c?d"], &["/", "/a/", "/A", "/%61", "", "?/a"]);
    assert_paths(r#"{"prefix":"/a"}"#, &["/a", "/ab", "/a/b?c"], &["/", "/?/a", "/b/a", "", "a"]);
}

#[test]
fn a_template_matches_segment_by_segment() {
    assert_paths(
        r#"{"template":"/users/{id}/history"}"#,
        &["/users/1/history", "/users/a%2Fb/history?x=/y"],
        &[
            "/users//history",
            "/users/1/history/",
            "/users/1",
            "/users/1/2/history",
            "/users/1/histor",
            "users/1/history",
            "",
        ],
    );
    assert_paths(r#"{"template":"/{a}/"}"#, &["/x/"], &["/x", "//", "/x/y"]);
    assert_paths(r#"{"template":"/"}"#, &["/", "/?a"], &["", "//", "/a"]);
}

#[test]
fn a_method_is_compared_as_it_is() {
    let one = match_of(r#"{"methods":["get","HEAD"]}"#);
    for (method, matched) in [("GET", true), ("HEAD", true), ("get", false), ("POST", false), ("", false)] {
        assert_eq!(one.matches(method.as_bytes(), b"h", b"/"), matched, "{method}");
    }
}

#[test]
fn every_condition_must_hold() {
    let one = match_of(r#"{"hosts":["h","i"],"methods":["GET"],"path":{"prefix":"/a"}}"#);
    for (method, host, path, matched) in [
        ("GET", "h", "/a", true),
        ("GET", "i:80", "/a", true),
        ("POST", "h", "/a", false),
        ("GET", "j", "/a", false),
        ("GET", "h", "/b", false),
    ] {
        assert_eq!(
            one.matches(method.as_bytes(), host.as_bytes(), path.as_bytes()),
            matched,
            "{method} {host} {path}"
        );
    }
}

#[test]
fn the_first_rule_that_matches_wins_and_the_default_is_last() {
    let plan = plan(&[
        r#"{"path":{"prefix":"/a/b"}}"#,
        r#"{"path":{"prefix":"/a"}}"#,
        r#"{"path":{"exact":"/a/b"}}"#,
    ]);
    for (path, index, name) in [("/a/b", 0, "r0"), ("/a?/b", 1, "r1"), ("/c", 3, "default")] {
        let (found, rule) = plan.rule_for(b"GET", b"h", path.as_bytes());
        assert_eq!((found, rule.name.as_str()), (index, name), "{path}");
    }
}

#[test]
fn a_rule_without_conditions_matches_all() {
    assert!(Match::default().matches(b"", b"", b""));
    assert!(match_of("{}").matches(b"\xff", b"\xff", b"\xff"));
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn any_request_finds_a_rule(method: Vec<u8>, authority in "[\\[\\]:.a-c0-9]{0,12}", raw: Vec<u8>, path: Vec<u8>) {
        let plan = plan(&[
            r#"{"hosts":["*.a","[::1]"],"path":{"template":"/{x}/y"}}"#,
            r#"{"methods":["GET"],"path":{"prefix":"/"}}"#,
        ]);
        for host in [authority.as_bytes(), &raw[..]] {
            let (index, rule) = plan.rule_for(&method, host, &path);
            prop_assert_eq!(plan.rules.get(index).unwrap_or(&plan.default_rule), rule);
        }
    }

    #[test]
    fn the_rule_found_is_the_first_that_matches(authority in "[ab.]{0,4}(:80)?", path in "/[ab/?]{0,5}") {
        let plan = plan(&[
            r#"{"hosts":["a"],"path":{"prefix":"/a"}}"#,
            r#"{"hosts":["*.a","b"]}"#,
            r#"{"path":{"template":"/{x}/b"}}"#,
        ]);
        let (method, authority, path) = (b"GET", authority.as_bytes(), path.as_bytes());
        let naive = plan.rules.iter().position(|rule| rule.matches.matches(method, authority, path));
        prop_assert_eq!(plan.rule_for(method, authority, path).0, naive.unwrap_or(3));
    }
}
