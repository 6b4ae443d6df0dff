//! What the client is told when there is no answer to give: Proxy-Status (RFC 9209).
//!
//! One member of a list of structured fields, e.g. `breakwater; error=destination_unavailable; details="circuit open"`.

use super::cache_status::{NAME, write_string};

/// The kinds of failure this proxy itself answers for (RFC 9209 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// The upstream is known not to answer; it was not asked.
    DestinationUnavailable,
    /// The upstream answered, but not as HTTP has it.
    HttpProtocolError,
    /// The answer is this proxy's own; the upstream was not asked, and there may be nothing wrong with it.
    ProxyInternalResponse,
}

impl ProxyError {
    /// The token.
    pub fn word(self) -> &'static str {
        match self {
            Self::DestinationUnavailable => "destination_unavailable",
            Self::HttpProtocolError => "http_protocol_error",
            Self::ProxyInternalResponse => "proxy_internal_response",
        }
    }

    /// Appends the member to `out`, with `details` for people; they are left out when empty.
    pub fn write(self, details: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME);
        out.extend_from_slice(b"; error=");
        out.extend_from_slice(self.word().as_bytes());
        if !details.is_empty() {
            out.extend_from_slice(b"; details=");
            write_string(details, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_is_read_by_another_parser() {
        for (error, details, expected) in [
            (
                ProxyError::DestinationUnavailable,
                "circuit open",
                "breakwater; error=destination_unavailable; details=\"circuit open\"",
            ),
            (
                ProxyError::DestinationUnavailable,
                "a\"b",
                "breakwater; error=destination_unavailable; details=\"a\\\"b\"",
            ),
            (ProxyError::DestinationUnavailable, "", "breakwater; error=destination_unavailable"),
            (ProxyError::HttpProtocolError, "", "breakwater; error=http_protocol_error"),
            (ProxyError::ProxyInternalResponse, "", "breakwater; error=proxy_internal_response"),
        ] {
            let mut out = Vec::new();
            error.write(details, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
            let list: sfv::List = sfv::Parser::new(&out).parse().unwrap();
            let [sfv::ListEntry::Item(item)] = &list[..] else { panic!("{expected} is not one member") };
            assert_eq!(item.params["error"].as_token().unwrap().as_str(), error.word());
            let found =
                item.params.get("details").map_or("", |details| details.as_string().unwrap().as_str());
            assert_eq!(found, details);
        }
    }
}
