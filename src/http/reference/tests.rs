use super::*;
use crate::testing::cases;
use proptest::prelude::*;
use url::Url;

/// The base of RFC 3986 §5.4, with a name of the documentation's.
const AUTHORITY: &str = "a.test";
const BASE: &str = "/b/c/d;p?q";

fn request(scheme: &str, authority: &str, path: &str) -> Fields {
    let fields = [(":scheme", scheme), (":authority", authority), (":path", path)];
    Fields::of(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn resolved_at(reference: &str, request: &Fields) -> Option<String> {
    same_origin(reference.as_bytes(), request).map(|target| String::from_utf8(target).unwrap())
}

fn resolved(reference: &str) -> Option<String> {
    resolved_at(reference, &request("http", AUTHORITY, BASE))
}

#[test]
fn a_reference_is_resolved_as_rfc_3986_shows() {
    for (reference, expected) in [
        // §5.4.1
        ("g", "/b/c/g"),
        ("./g", "/b/c/g"),
        ("g/", "/b/c/g/"),
        ("/g", "/g"),
        ("?y", "/b/c/d;p?y"),
        ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"),
        ("g#s", "/b/c/g"),
        ("g?y#s", "/b/c/g?y"),
        (";x", "/b/c/;x"),
        ("g;x", "/b/c/g;x"),
        ("g;x?y#s", "/b/c/g;x?y"),
        ("", "/b/c/d;p?q"),
        (".", "/b/c/"),
        ("./", "/b/c/"),
        ("..", "/b/"),
        ("../", "/b/"),
        ("../g", "/b/g"),
        ("../..", "/"),
        ("../../", "/"),
        ("../../g", "/g"),
        // §5.4.2
        ("../../../g", "/g"),
        ("../../../../g", "/g"),
        ("/./g", "/g"),
        ("/../g", "/g"),
        ("g.", "/b/c/g."),
        (".g", "/b/c/.g"),
        ("g..", "/b/c/g.."),
        ("..g", "/b/c/..g"),
        ("./../g", "/b/g"),
        ("./g/.", "/b/c/g/"),
        ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"),
        ("g;x=1/./y", "/b/c/g;x=1/y"),
        ("g;x=1/../y", "/b/c/y"),
        ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"),
        ("g#s/./x", "/b/c/g"),
        ("g#s/../x", "/b/c/g"),
    ] {
        assert_eq!(resolved(reference).as_deref(), Some(expected), "{reference}");
    }
    // A strict parser takes it for a scheme, and this one is strict.
    assert_eq!(resolved("http:g"), None);
    assert_eq!(resolved("g:h"), None);
}

#[test]
fn our_origin_is_known_however_it_is_written() {
    for (reference, expected) in [
        ("//a.test", "/"),
        ("//a.test/", "/"),
        ("//A.Test/x", "/x"),
        ("//a.test?y", "/?y"),
        ("//a.test#s", "/"),
        ("http://a.test", "/"),
        ("http://a.test/x?y", "/x?y"),
        ("http://a.test?y", "/?y"),
        ("http://a.test?y/../z", "/?y/../z"),
        ("HTTP://A.TEST:80/x", "/x"),
        ("http://a.test:80", "/"),
        ("http://a.test:/x", "/x"),
        ("//a.test:?y", "/?y"),
        ("http://a.test/x/../y/./z/..", "/y/"),
        ("http://a.test//x", "//x"),
        ("http://a.test/..//x", "//x"),
        (" \thttp://a.test/x \r\n", "/x"),
        // Only the path has dot segments, and only whole ones count; what is encoded is left as it is.
        ("/x/%2e%2e/y", "/x/%2e%2e/y"),
        ("/a:b", "/a:b"),
        ("./a:b", "/b/c/a:b"),
        ("/a@b:80//c", "/a@b:80//c"),
        ("1:2", "/b/c/1:2"),
    ] {
        assert_eq!(resolved(reference).as_deref(), Some(expected), "{reference}");
    }
}

#[test]
fn the_port_that_the_scheme_implies_is_none() {
    for (scheme, authority, reference, expected) in [
        ("http", "a.test:80", "http://a.test/x", Some("/x")),
        ("http", "a.test:", "http://a.test/x", Some("/x")),
        ("http", "a.test", "http://a.test:443/x", None),
        ("https", "a.test", "https://a.test:443/x", Some("/x")),
        ("https", "a.test:443", "//a.test/x", Some("/x")),
        ("https", "a.test", "https://a.test:80/x", None),
        ("https", "a.test", "http://a.test/x", None),
        ("https", "a.test", "http://a.test:443/x", None),
        ("http", "a.test:8080", "http://a.test:8080/x", Some("/x")),
        ("http", "a.test:8080", "http://a.test/x", None),
        ("http", "a.test:8080", "//a.test:80/x", None),
        ("http", "[::1]", "http://[::1]:80/x", Some("/x")),
        ("http", "[::1]:80", "//[::1]/x", Some("/x")),
        ("http", "[::1]", "//[::2]/x", None),
    ] {
        let found = resolved_at(reference, &request(scheme, authority, "/"));
        assert_eq!(found.as_deref(), expected, "{scheme}://{authority} {reference}");
    }
}

#[test]
fn another_origin_is_not_ours_to_speak_for() {
    for reference in [
        "http://b.test/x",
        "https://a.test/x",
        "//b.test/x",
        "//b.test",
        "http://a.test:81/x",
        "http://a.test.b.test/x",
        "http://xa.test/x",
        "http://a.tes/x",
        "http://a.test:80:80/x",
        "http://a.test%2f.b.test/x",
        "http://a.test\\@b.test/x",
        "http://b.test\\.a.test/x",
        "http://b.test?a.test/x",
        "http://b.test#a.test/x",
        "http://b.test/a.test",
        "http:///x",
        "http://",
        "//",
        "///x",
        "http:/x",
        "http:x",
        "http:",
        "mailto:a",
        "urn:x:/y",
        "javascript:alert(1)",
        // RFC 9110 §4.2.4: userinfo from elsewhere is an error, often an attempt to pass for another host.
        "http://a.test@b.test/x",
        "http://u@a.test/x",
        "http://u:p@a.test/x",
        "//@a.test/x",
    ] {
        assert_eq!(resolved(reference), None, "{reference}");
    }
}

#[test]
fn what_no_request_could_ask_for_is_none() {
    for reference in ["/a b", "/\u{e9}", "/a\tb", "/a\r\nb", "/a\0", "/\x7f", "http://a.test/\u{e9}", "#a b"]
    {
        assert_eq!(resolved(reference).is_some(), reference.starts_with('#'), "{reference:?}");
    }
}

#[test]
fn a_target_without_a_path_is_the_root() {
    // RFC 9110 §7.1: the path of the asterisk-form is empty; RFC 3986 §5.2.3: beside an authority that is the root.
    for base in ["*", "", "?q"] {
        for (reference, expected) in [("g", "/g"), ("?y", "/?y"), ("..", "/"), ("/x", "/x")] {
            let found = resolved_at(reference, &request("http", AUTHORITY, base));
            assert_eq!(found.as_deref(), Some(expected), "{base} {reference}");
        }
    }
    assert_eq!(resolved_at("", &request("http", AUTHORITY, "*")).as_deref(), Some("/"));
}

#[test]
fn a_request_without_an_origin_has_nothing_that_is_its_own() {
    let whole = [(":scheme", "http"), (":authority", AUTHORITY), (":path", "/")];
    for missing in 0..whole.len() {
        let fields = whole.iter().enumerate().filter(|(place, _)| *place != missing).map(|(_, field)| *field);
        let fields = Fields::of(fields.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        assert_eq!(same_origin(b"/x", &fields), None, "{missing}");
    }
}

/// Paths of requests: from the root, without dot segments.
fn base() -> impl Strategy<Value = String> {
    ("(/[a-c]{0,2}){1,4}", "(\\?[a-c/.?]{0,4})?").prop_map(|(path, query)| path + &query)
}

/// References made of what they are made of, in an order that often makes sense.
fn reference() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![6 => Just(""), 3 => Just("http:"), 1 => Just("https:"), 1 => Just("HTTP:"), 1 => Just("x:")];
    let authority = prop_oneof![
        8 => Just(""),
        4 => Just("//a.test"),
        1 => Just("//A.TEST"),
        1 => Just("//a.test:80"),
        1 => Just("//a.test:"),
        1 => Just("//a.test:443"),
        1 => Just("//a.test:080"),
        1 => Just("//b.test"),
        1 => Just("//u@a.test"),
        1 => Just("//a.test@b.test"),
        1 => Just("//"),
    ];
    let path = "(/?(\\.|\\.\\.|[a-c.;:@%=&+~-]{0,3})){0,5}";
    let rest = "(\\?[a-c/.?:@=&]{0,5})?(#[a-c/.?]{0,3})?";
    (scheme, authority, path, rest)
        .prop_map(|(scheme, authority, path, rest)| [scheme, authority, &path, &rest].concat())
}

/// Where the other parser finds our origin and this one does not, by intent: userinfo, which is an error here; a number
/// of slashes other than two behind the scheme, which that parser forgives; a port with leading zeros.
fn is_forgiven(reference: &str) -> bool {
    let scheme = reference.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http:"));
    let rest = if scheme { &reference[5..] } else { reference };
    let slashes = rest.len() - rest.trim_start_matches('/').len();
    let authority = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
    let has_authority = slashes > 1 || scheme;
    slashes > 2
        || (scheme && slashes != 2)
        || (has_authority && (authority.contains('@') || authority.contains(":0")))
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_bytes_are_a_target_or_none(reference in prop::collection::vec(any::<u8>(), 0..40), base in prop::collection::vec(any::<u8>(), 0..20), authority in prop::collection::vec(any::<u8>(), 0..9)) {
        let request = Fields::of([(&b":scheme"[..], &b"http"[..]), (b":authority", &authority), (b":path", &base)]);
        if let Some(target) = same_origin(&reference, &request) {
            prop_assert!(target.starts_with(b"/"));
        }
    }

    #[test]
    fn text_near_the_grammar_is_a_target_that_is_fit_to_be_one(reference in "(http:|//|a\\.test|:80|[a-c/.?#@:%\\\\ ]){0,12}", base in base()) {
        if let Some(target) = resolved_at(&reference, &request("http", AUTHORITY, &base)) {
            prop_assert!(target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{}", target);
        }
    }

    /// The other parser follows the URL standard, which reads what browsers read. Beside what [`is_forgiven`] lists, it
    /// takes an encoded dot for a dot, a backslash for a slash, and encodes some bytes of a query: none of them is
    /// generated here, and the tables above have what is to be made of them. Nor does it let `..` leave a segment that
    /// could be the letter of a drive, which an http URL does not have.
    #[test]
    fn what_another_parser_resolves_is_resolved_alike(reference in reference(), base in base()) {
        let is_drive = |segment: &str| segment.len() == 2 && segment.ends_with(':');
        prop_assume!(!reference.split('/').skip(1).any(is_drive));
        let ours = resolved_at(&reference, &request("http", AUTHORITY, &base));
        let whole = Url::parse(&format!("http://{AUTHORITY}{base}")).unwrap();
        let theirs = whole.join(&reference).ok().filter(|url| url.origin() == whole.origin());
        let theirs = theirs.map(|url| [url.path(), url.query().map(|query| format!("?{query}")).as_deref().unwrap_or_default()].concat());
        if ours.is_none() && is_forgiven(&reference) {
            return Ok(());
        }
        prop_assert_eq!(ours, theirs, "{} at {}", reference, base);
    }

    /// Written out as a URL, or as it is, a target names itself.
    #[test]
    fn a_target_is_resolved_to_itself(reference in reference(), base in base(), other in base()) {
        let Some(target) = resolved_at(&reference, &request("http", AUTHORITY, &base)) else { return Ok(()) };
        let elsewhere = request("http", AUTHORITY, &other);
        let whole = resolved_at(&format!("http://{AUTHORITY}{target}"), &elsewhere);
        prop_assert_eq!(whole.as_ref(), Some(&target));
        if !target.starts_with("//") {
            prop_assert_eq!(resolved_at(&target, &elsewhere), Some(target));
        }
    }

    #[test]
    fn no_path_leads_out_of_the_root(path in "(/(\\.|\\.\\.|[a-c%.]{0,3})){0,8}", base in base()) {
        let target = resolved_at(&path, &request("http", AUTHORITY, &base));
        prop_assume!(!path.starts_with("//"));
        let target = target.unwrap();
        let (path, _) = target.split_once('?').unwrap_or((&target, ""));
        prop_assert!(path.split('/').all(|segment| segment != "." && segment != ".."), "{}", target);
    }

    #[test]
    fn whoever_is_named_is_named_by_everybody_alike(host in "[a-c.]{1,4}", port in prop::option::of("(80|443|8080|1)"), https: bool, path in base()) {
        let (scheme, implied) = if https { ("https", ":443") } else { ("http", ":80") };
        let authority = host.clone() + &port.map(|port| format!(":{port}")).unwrap_or_default();
        let asked = request(scheme, &authority, &path);
        let expected = Some(path.clone());
        prop_assert_eq!(&resolved_at(&format!("{scheme}://{authority}{path}"), &asked), &expected);
        prop_assert_eq!(&resolved_at(&format!("//{}{path}", authority.to_uppercase()), &asked), &expected);
        if authority == host {
            prop_assert_eq!(&resolved_at(&format!("//{host}{implied}{path}"), &asked), &expected);
        }
        let (other, _) = if https { ("http", "") } else { ("https", "") };
        prop_assert_eq!(resolved_at(&format!("{other}://{authority}{path}"), &asked), None);
        prop_assert_eq!(resolved_at(&format!("//x{authority}{path}"), &asked), None);
    }
}
