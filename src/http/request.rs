//! What a request asks of the cache (RFC 9110 §9.2, §13.1, §14.2; RFC 9111 §5.2.1).
//!
//! One pass over the fields gathers all that the decisions need; [`RequestHead::handling`] then says which of three
//! ways the request goes. Pragma is not looked at (RFC 9111 §5.4 deprecates it).

use super::cache_control::RequestDirectives;
use super::fields::Fields;
use super::reason::Reason;

/// What a method means to a cache (RFC 9110 §9.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS, TRACE, QUERY: changes nothing, and is not answered from the store.
    Safe,
    /// Every other one, unknown ones too: may change the resource.
    Unsafe,
}

impl Method {
    /// The class of a method's name, whose case counts (RFC 9110 §9.1).
    pub fn of(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"OPTIONS" | b"TRACE" | b"QUERY" => Self::Safe,
            _ => Self::Unsafe,
        }
    }
}

/// Whether a request's method, as it was sent, changes nothing.
pub fn is_safe(fields: &Fields) -> bool {
    fields.get(b":method").is_some_and(|method| Method::of(method) != Method::Unsafe)
}

/// What the cache wants to know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method's class.
    pub method: Method,
    /// Its Cache-Control.
    pub directives: RequestDirectives,
    /// Whether it carries Authorization, even an empty one.
    pub authorization: bool,
    /// Whether it asks for a range, which GET alone can (RFC 9110 §14.2).
    pub range: bool,
    /// CONNECT, gRPC, or an upgrade of a method that changes nothing: not request and response, but a stream.
    pub tunnel: bool,
    /// Whether it carries any precondition (RFC 9110 §13.1).
    pub conditional: bool,
    /// Whether it carries If-Range.
    pub if_range: bool,
    /// Whether it carries If-Match or If-Unmodified-Since, which the upstream alone can judge (RFC 9111 §4.3.2).
    pub precondition: bool,
    /// Whether its fields announce a body; one that is merely streamed is not seen here.
    pub has_body: bool,
}

impl RequestHead {
    /// Reads a request's fields, pseudo fields included.
    pub fn read(fields: &Fields) -> Self {
        let mut head = Self {
            method: Method::Unsafe,
            directives: RequestDirectives::default(),
            authorization: false,
            range: false,
            tunnel: false,
            conditional: false,
            if_range: false,
            precondition: false,
            has_body: false,
        };
        let mut upgrade = false;
        for (name, value) in fields.iter() {
            match name {
                b":method" => {
                    head.method = Method::of(value);
                    head.tunnel |= value == b"CONNECT";
                }
                b"cache-control" => head.directives.read_line(value),
                b"authorization" => head.authorization = true,
                b"range" => head.range = true,
                b"upgrade" => upgrade = true,
                b"content-type" => head.tunnel |= is_grpc(value),
                b"if-none-match" | b"if-modified-since" => head.conditional = true,
                b"if-range" => {
                    head.conditional = true;
                    head.if_range = true;
                }
                b"if-match" | b"if-unmodified-since" => {
                    head.conditional = true;
                    head.precondition = true;
                }
                b"content-length" => {
                    head.has_body |= value.is_empty() || value.iter().any(|byte| *byte != b'0')
                }
                b"transfer-encoding" => head.has_body = true,
                _ => {}
            }
        }
        head.range &= head.method == Method::Get;
        // Else whoever writes could keep the change from being noticed by offering an upgrade.
        head.tunnel |= upgrade && head.method != Method::Unsafe;
        head
    }

    /// Which way the request goes.
    pub fn handling(&self) -> Handling {
        match self.method {
            _ if self.tunnel => Handling::Pass(Reason::Tunnel),
            Method::Unsafe => Handling::Invalidates,
            Method::Safe => Handling::Pass(Reason::Method),
            Method::Get | Method::Head if self.has_body => Handling::Pass(Reason::RequestBody),
            Method::Get | Method::Head if self.precondition => Handling::Pass(Reason::Precondition),
            Method::Get | Method::Head if self.directives.no_store => Handling::Pass(Reason::RequestNoStore),
            Method::Get | Method::Head => Handling::Cacheable,
        }
    }
}

/// What the cache does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handling {
    /// It may be answered from the store, wait for another's answer, and fill the store.
    Cacheable,
    /// It goes to the upstream; if it succeeds, what is stored under its URL is invalid (RFC 9111 §4.4).
    Invalidates,
    /// It goes to the upstream untouched.
    Pass(Reason),
}

/// `application/grpc` and its kin: `+proto`, `-web`, with parameters.
fn is_grpc(content_type: &[u8]) -> bool {
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

const GRPC: &[u8] = b"application/grpc";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;
    use std::time::Duration;

    fn read(method: &str, more: &[(&str, &str)]) -> RequestHead {
        let all = [&[(":path", "/"), (":method", method)], more].concat();
        RequestHead::read(&Fields::of(all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))))
    }

    #[test]
    fn each_method_has_its_class() {
        for (name, class) in [
            ("GET", Method::Get),
            ("HEAD", Method::Head),
            ("OPTIONS", Method::Safe),
            ("TRACE", Method::Safe),
            ("QUERY", Method::Safe),
            ("POST", Method::Unsafe),
            ("PUT", Method::Unsafe),
            ("DELETE", Method::Unsafe),
            ("PATCH", Method::Unsafe),
            ("M-SEARCH", Method::Unsafe),
            ("get", Method::Unsafe),
            ("", Method::Unsafe),
        ] {
            assert_eq!(read(name, &[]).method, class, "{name}");
        }
    }

    #[test]
    fn each_request_goes_its_way() {
        use Handling::{Cacheable, Invalidates, Pass};
        for (method, more, expected) in [
            ("GET", &[][..], Cacheable),
            ("HEAD", &[], Cacheable),
            ("GET", &[("content-length", "0")], Cacheable),
            ("GET", &[("content-length", "1")], Pass(Reason::RequestBody)),
            ("GET", &[("content-length", "10")], Pass(Reason::RequestBody)),
            ("GET", &[("content-length", "x")], Pass(Reason::RequestBody)),
            ("GET", &[("transfer-encoding", "chunked")], Pass(Reason::RequestBody)),
            ("GET", &[("range", "bytes=0-1")], Cacheable),
            ("HEAD", &[("range", "bytes=0-1")], Cacheable),
            ("GET", &[("if-match", "\"a\"")], Pass(Reason::Precondition)),
            ("GET", &[("if-unmodified-since", "x")], Pass(Reason::Precondition)),
            ("GET", &[("if-none-match", "\"a\"")], Cacheable),
            ("GET", &[("if-modified-since", "x")], Cacheable),
            ("GET", &[("if-range", "x")], Cacheable),
            ("GET", &[("cache-control", "No-Store")], Pass(Reason::RequestNoStore)),
            ("GET", &[("cache-control", "no-cache")], Cacheable),
            ("GET", &[("cache-control", "max-age=0")], Cacheable),
            ("GET", &[("cache-control", "only-if-cached")], Cacheable),
            ("GET", &[("cache-control", "nothing-to-see-here"), ("pragma", "foo")], Cacheable),
            ("GET", &[("pragma", "no-cache")], Cacheable),
            ("GET", &[("authorization", "x"), ("cookie", "a=b")], Cacheable),
            ("GET", &[("upgrade", "websocket")], Pass(Reason::Tunnel)),
            ("GET", &[("content-type", "text/plain")], Cacheable),
            ("CONNECT", &[], Pass(Reason::Tunnel)),
            ("POST", &[("content-type", "application/grpc")], Pass(Reason::Tunnel)),
            ("POST", &[("content-type", "Application/GRPC+proto")], Pass(Reason::Tunnel)),
            ("POST", &[("content-type", "application/grpc-web; x=y")], Pass(Reason::Tunnel)),
            ("POST", &[("content-type", "application/grp")], Invalidates),
            ("POST", &[], Invalidates),
            ("POST", &[("content-length", "5"), ("cache-control", "no-store")], Invalidates),
            ("PUT", &[("if-match", "\"a\""), ("range", "bytes=0-1")], Invalidates),
            ("POST", &[("upgrade", "h2c")], Invalidates),
            ("M-SEARCH", &[], Invalidates),
            ("OPTIONS", &[], Pass(Reason::Method)),
            ("QUERY", &[("content-length", "5")], Pass(Reason::Method)),
        ] {
            assert_eq!(read(method, more).handling(), expected, "{method} {more:?}");
        }
    }

    #[test]
    fn any_precondition_makes_a_request_conditional() {
        for name in ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"] {
            assert!(read("GET", &[(name, "x")]).conditional, "{name}");
        }
        assert!(!read("GET", &[("if-modified", "x")]).conditional);
    }

    #[test]
    fn a_range_is_for_get_alone_and_safe_is_what_changes_nothing() {
        for (method, range, safe) in [
            ("GET", true, true),
            ("HEAD", false, true),
            ("QUERY", false, true),
            ("POST", false, false),
            ("get", false, false),
        ] {
            assert_eq!(read(method, &[("range", "bytes=0-1")]).range, range, "{method}");
            assert_eq!(is_safe(&Fields::of([(&b":method"[..], method.as_bytes())])), safe, "{method}");
        }
        assert!(!is_safe(&Fields::new()));
    }

    #[test]
    fn the_lines_of_cache_control_are_one_list() {
        let head =
            read("GET", &[("cache-control", "max-age=9"), ("x", "y"), ("cache-control", "only-if-cached")]);
        assert!(head.directives.only_if_cached);
        assert_eq!(head.directives.max_age, Some(Duration::from_secs(9)));
    }

    #[test]
    fn authorization_counts_even_when_empty() {
        assert!(read("GET", &[("authorization", "")]).authorization);
        assert!(!read("GET", &[("proxy-authorization", "x")]).authorization);
    }

    proptest! {
        #![proptest_config(cases(64))]

        #[test]
        fn any_values_are_read_without_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
            for name in [&b":method"[..], b"cache-control", b"content-type", b"content-length"] {
                RequestHead::read(&Fields::of([(name, &value[..])])).handling();
            }
        }
    }
}
