//! What the client is told about its answer's way: Cache-Status (RFC 9211).
//!
//! One member of a list of structured fields, e.g. `breakwater; hit; ttl=3; detail=l1`, with its parameters in a fixed
//! order. A member says either that the answer came from the store, or why the request went forward and what came of
//! it; never both (§2.2).

use super::key::Digest;
use super::reason::Reason;
use std::io::Write;

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    /// The cache was not to handle it.
    Bypass,
    /// Its method is not answered from a store.
    Method,
    /// Nothing was stored for the URL.
    UriMiss,
    /// Something was, but for other request fields.
    VaryMiss,
    /// Nothing suitable was stored.
    Miss,
    /// The request itself did not allow a stored answer.
    Request,
    /// What was stored was stale.
    Stale,
    /// What was stored was incomplete.
    Partial,
}

impl Fwd {
    /// The token.
    pub fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl Reason {
    /// How a request that went forward for this reason is reported. Reasons that concern the response alone, or a tier,
    /// say nothing about the request: a miss.
    pub fn fwd(self) -> Fwd {
        match self {
            Self::Disabled | Self::RequestBody | Self::Tunnel | Self::Range | Self::KeyTooLong => Fwd::Bypass,
            Self::Method => Fwd::Method,
            Self::Precondition | Self::RequestNoStore | Self::RequestDirectives | Self::OnlyIfCached => {
                Fwd::Request
            }
            Self::UriMiss => Fwd::UriMiss,
            Self::VaryMiss => Fwd::VaryMiss,
            Self::Stale => Fwd::Stale,
            _ => Fwd::Miss,
        }
    }
}

/// One member of Cache-Status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// The answer came from the store, without the upstream. What is said about forwarding is then left out.
    pub hit: bool,
    /// Why the request went forward.
    pub fwd: Option<Fwd>,
    /// What the upstream answered.
    pub fwd_status: Option<u16>,
    /// Whether that was kept.
    pub stored: bool,
    /// Whether the request waited for another's answer (`true`), or might have and did not (`false`).
    pub collapsed: Option<bool>,
    /// Seconds of freshness left; below zero for a stale answer.
    pub ttl: Option<i64>,
    /// The digest of the key, by which operators find it in Redis.
    pub key: Option<Digest>,
    /// More, for people: a tier or the word of a [`Reason`].
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Appends the member to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME);
        if self.hit {
            out.extend_from_slice(b"; hit");
        } else {
            if let Some(fwd) = self.fwd {
                out.extend_from_slice(b"; fwd=");
                out.extend_from_slice(fwd.word().as_bytes());
            }
            if let Some(status) = self.fwd_status {
                out.extend_from_slice(b"; fwd-status=");
                write_integer(i64::from(status), out);
            }
            if self.stored {
                out.extend_from_slice(b"; stored");
            }
            match self.collapsed {
                Some(true) => out.extend_from_slice(b"; collapsed"),
                Some(false) => out.extend_from_slice(b"; collapsed=?0"),
                None => {}
            }
        }
        if let Some(ttl) = self.ttl {
            out.extend_from_slice(b"; ttl=");
            write_integer(ttl, out);
        }
        if let Some(key) = self.key {
            out.extend_from_slice(b"; key=\"");
            key.write_hex(out);
            out.push(b'"');
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            write_text(detail, out);
        }
    }
}

/// An sf-integer (RFC 8941 §3.3.1), held within its fifteen digits.
fn write_integer(number: i64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{}", number.clamp(-LARGEST_INTEGER, LARGEST_INTEGER));
}

/// An sf-token where `text` is one, else an sf-string without what has no place in it (RFC 8941 §3.3.3, §3.3.4).
fn write_text(text: &str, out: &mut Vec<u8>) {
    let is_token = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*')
        && text.bytes().all(|byte| super::cache_control::is_token(byte) || byte == b':' || byte == b'/');
    if is_token {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(text, out);
    }
}

/// An sf-string; bytes that have no place in one become blanks.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => out.push(b' '),
        }
    }
    out.push(b'"');
}

/// How this cache calls itself in Cache-Status and Proxy-Status.
pub(super) const NAME: &[u8] = b"breakwater";
const LARGEST_INTEGER: i64 = 999_999_999_999_999;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    fn written(status: CacheStatus) -> String {
        let mut out = Vec::new();
        status.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The parameters as another parser reads them.
    fn parameters(value: &str) -> Vec<(String, BareItem)> {
        let list: List = Parser::new(value).parse().unwrap();
        let [ListEntry::Item(item)] = &list[..] else { panic!("{value} is not one member") };
        assert_eq!(item.bare_item.as_token().unwrap().as_str(), "breakwater");
        item.params.iter().map(|(key, item)| (key.as_str().to_owned(), item.clone())).collect()
    }

    #[test]
    fn each_outcome_is_written_in_a_fixed_order() {
        let none = CacheStatus::default();
        for (status, expected) in [
            (
                CacheStatus { hit: true, ttl: Some(3), detail: Some("l1"), ..none },
                "breakwater; hit; ttl=3; detail=l1",
            ),
            (
                CacheStatus { hit: true, ttl: Some(-7), detail: Some("breaker-open"), ..none },
                "breakwater; hit; ttl=-7; detail=breaker-open",
            ),
            (
                CacheStatus {
                    fwd: Some(Fwd::UriMiss),
                    fwd_status: Some(200),
                    stored: true,
                    collapsed: Some(false),
                    ttl: Some(0),
                    ..none
                },
                "breakwater; fwd=uri-miss; fwd-status=200; stored; collapsed=?0; ttl=0",
            ),
            (
                CacheStatus { fwd: Some(Fwd::Miss), collapsed: Some(true), ..none },
                "breakwater; fwd=miss; collapsed",
            ),
            (
                CacheStatus { fwd: Some(Fwd::Bypass), detail: Some("request-body"), ..none },
                "breakwater; fwd=bypass; detail=request-body",
            ),
            (
                CacheStatus { detail: Some("two \"words\" \\ é"), ..none },
                "breakwater; detail=\"two \\\"words\\\" \\\\   \"",
            ),
            (
                CacheStatus {
                    hit: true,
                    ttl: Some(1),
                    key: Some(Digest([0xab; 16])),
                    detail: Some("l2"),
                    ..none
                },
                "breakwater; hit; ttl=1; key=\"abababababababababababababababab\"; detail=l2",
            ),
            (CacheStatus { detail: Some(""), ..none }, "breakwater; detail=\"\""),
            (CacheStatus { detail: Some("2nd"), ..none }, "breakwater; detail=\"2nd\""),
            (CacheStatus { ttl: Some(i64::MAX), ..none }, "breakwater; ttl=999999999999999"),
            (CacheStatus { ttl: Some(i64::MIN), ..none }, "breakwater; ttl=-999999999999999"),
            (none, "breakwater"),
        ] {
            let value = written(status);
            assert_eq!(value, expected);
            parameters(&value);
        }
    }

    #[test]
    fn a_hit_says_nothing_about_forwarding() {
        let status = CacheStatus {
            hit: true,
            fwd: Some(Fwd::Stale),
            fwd_status: Some(503),
            stored: true,
            collapsed: Some(true),
            ..Default::default()
        };
        assert_eq!(written(status), "breakwater; hit");
    }

    #[test]
    fn each_reason_of_the_request_has_its_word() {
        for (reason, word) in [
            (Reason::Disabled, "bypass"),
            (Reason::Method, "method"),
            (Reason::RequestBody, "bypass"),
            (Reason::Tunnel, "bypass"),
            (Reason::Range, "bypass"),
            (Reason::KeyTooLong, "bypass"),
            (Reason::Precondition, "request"),
            (Reason::RequestNoStore, "request"),
            (Reason::OnlyIfCached, "request"),
            (Reason::UriMiss, "uri-miss"),
            (Reason::VaryMiss, "vary-miss"),
            (Reason::Stale, "stale"),
            (Reason::Uncacheable, "miss"),
        ] {
            assert_eq!(reason.fwd().word(), word, "{reason:?}");
        }
    }

    #[test]
    fn each_reason_is_written_as_a_token() {
        for reason in Reason::ALL {
            let value = written(CacheStatus {
                fwd: Some(reason.fwd()),
                detail: Some(reason.word()),
                ..Default::default()
            });
            let (key, item) = parameters(&value).pop().unwrap();
            assert_eq!((key.as_str(), item.as_token().unwrap().as_str()), ("detail", reason.word()));
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn another_parser_reads_what_is_written(ttl in any::<Option<i64>>(), fwd_status in any::<Option<u16>>(), stored in any::<bool>(), collapsed in any::<Option<bool>>()) {
            let value = written(CacheStatus { fwd: Some(Fwd::Partial), fwd_status, stored, collapsed, ttl, ..Default::default() });
            let mut expected = vec![("fwd".to_owned(), sfv::TokenRef::constant("partial").to_owned().into())];
            expected.extend(fwd_status.map(|status| ("fwd-status".to_owned(), BareItem::Integer(status.into()))));
            expected.extend(stored.then_some(("stored".to_owned(), BareItem::Boolean(true))));
            expected.extend(collapsed.map(|collapsed| ("collapsed".to_owned(), BareItem::Boolean(collapsed))));
            let held = |ttl: i64| sfv::Integer::try_from(ttl.clamp(-LARGEST_INTEGER, LARGEST_INTEGER)).unwrap();
            expected.extend(ttl.map(|ttl| ("ttl".to_owned(), BareItem::Integer(held(ttl)))));
            prop_assert_eq!(parameters(&value), expected);
        }

        #[test]
        fn any_text_is_written_as_one_string(text in ".{0,20}") {
            let mut out = b"breakwater; detail=".to_vec();
            write_text(&text, &mut out);
            prop_assert_eq!(parameters(std::str::from_utf8(&out).unwrap()).len(), 1);
        }
    }
}
