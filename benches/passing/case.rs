//! What is asked, and what of the answer is timed.

use crate::client::Timed;
use crate::origin::{Kind, path};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    method: &'static str,
    kind: Kind,
    /// Whether each request is for another URL.
    anew: bool,
    /// What the plugin says of each.
    says: &'static str,
}

const NEW: &str = "breakwater; fwd=uri-miss";
const REMEMBERED: &str = "breakwater; fwd=miss";

pub const CASES: [Case; 6] = [
    Case { name: "GET of new URLs", method: "GET", kind: Kind::Page, anew: true, says: NEW },
    Case {
        name: "GET of one URL, remembered",
        method: "GET",
        kind: Kind::Page,
        anew: false,
        says: REMEMBERED,
    },
    Case { name: "POST", method: "POST", kind: Kind::Page, anew: false, says: "breakwater; fwd=method" },
    Case { name: "stream, new URLs", method: "GET", kind: Kind::Stream, anew: true, says: NEW },
    Case { name: "stream, remembered", method: "GET", kind: Kind::Stream, anew: false, says: REMEMBERED },
    Case { name: "stream, storable", method: "GET", kind: Kind::Storable, anew: true, says: NEW },
];

/// So that no URL is new twice.
static NEXT: AtomicU64 = AtomicU64::new(1);

impl Case {
    /// The next request.
    pub fn request(&self, upstream_ms: u64) -> Vec<u8> {
        let number = if self.anew { NEXT.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let (method, path) = (self.method, path(self.kind, upstream_ms, number));
        let body = if method == "POST" {
            "content-length: 256\r\n\r\n".to_owned() + &"b".repeat(256)
        } else {
            "\r\n".to_owned()
        };
        format!("{method} {path} HTTP/1.1\r\nhost: passing.test\r\n{body}").into_bytes()
    }

    /// Whether the plugin did what this case is about.
    pub fn is_told_by(&self, cache_status: &str) -> bool {
        cache_status.starts_with(self.says)
    }

    /// A page counts when it is whole, a stream when it begins.
    pub fn time(&self, timed: &Timed) -> Duration {
        if self.kind == Kind::Page { timed.last } else { timed.first }
    }
}
