//! The copy made of a response while it passes, to be stored or handed to waiters.
//!
//! Only end-to-end fields are copied (RFC 9111 §3.1, RFC 9110 §7.6.1). `Age` is left out because it is computed anew
//! whenever the copy is used, `content-length` because the host states it for every reply.

use crate::exchange::event::Head;
use crate::http::Fields;
use crate::http::key::Key;
use crate::http::storing::Lifetime;
use crate::store::Entry;
use crate::store::entry::Meta;
use crate::time::Wall;
use std::time::Duration;

/// A response on its way into an entry.
#[derive(Debug)]
pub struct Copy {
    meta: Meta,
    kept: bool,
    requested_at: Wall,
    selecting: Vec<u8>,
    fields: Fields,
    body: Vec<u8>,
}

impl Copy {
    /// Begins a copy; without a lifetime it can be shared with those who wait for it, but not kept.
    pub fn begin(
        head: &Head,
        request: &Fields,
        lifetime: Option<Lifetime>,
        requested_at: Wall,
        now: Wall,
    ) -> Self {
        let directives = &head.response.directives;
        let kept = lifetime.is_some();
        let fresh_for = lifetime.as_ref().map_or(Duration::ZERO, |lifetime| lifetime.fresh_for);
        let stale_for = lifetime.as_ref().map_or(Duration::ZERO, |lifetime| lifetime.stale_if_error);
        let initial_age = lifetime.map_or(head.response.age, |lifetime| lifetime.initial_age);
        let fresh_until = now.after(fresh_for);
        let body = head.response.content_length.and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        Self {
            meta: Meta {
                status: head.response.status,
                received_at: now,
                initial_age,
                fresh_until,
                stale_until: fresh_until.after(stale_for),
                authorized: directives.public || directives.must_revalidate || directives.s_maxage.is_some(),
            },
            kept,
            requested_at,
            selecting: head.response.vary.selecting_fields(request),
            fields: end_to_end(&head.fields),
            body: Vec::with_capacity(body.min(LARGEST_RESERVE)),
        }
    }

    /// Adds a piece of the body; `false` if it became larger than is worth copying.
    pub fn add(&mut self, piece: &[u8], max_body_bytes: usize) -> bool {
        if self.body.len().saturating_add(piece.len()) > max_body_bytes {
            return false;
        }
        self.body.extend_from_slice(piece);
        true
    }

    /// The response's status.
    pub fn status(&self) -> u16 {
        self.meta.status
    }

    /// Whether the copy may be kept, not only shared.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    /// When the response was asked for: what changed the resource later makes it untrue.
    pub fn requested_at(&self) -> Wall {
        self.requested_at
    }

    /// The complete response as stored bytes.
    pub fn into_entry(self, key: Option<&Key>) -> Vec<u8> {
        let key = key.map_or(&[][..], Key::bytes);
        let entry = Entry {
            meta: self.meta,
            key,
            selecting: &self.selecting,
            fields: self.fields.as_block(),
            body: &self.body,
        };
        entry.encode()
    }
}

/// The fields that travel from end to end.
fn end_to_end(fields: &Fields) -> Fields {
    let named: Vec<Vec<u8>> = fields
        .values(b"connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(|name| name.trim_ascii().to_ascii_lowercase())
        .collect();
    Fields::of(fields.iter().filter(|(name, _)| {
        !name.starts_with(b":")
            && !name.starts_with(b"x-envoy-")
            && !HOP_BY_HOP.contains(name)
            && !named.iter().any(|other| other == name)
    }))
}

const HOP_BY_HOP: [&[u8]; 12] = [
    b"age",
    b"connection",
    b"content-length",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authentication-info",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// What a content-length may make us reserve before a byte of the body has come.
const LARGEST_RESERVE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_and_those_connection_names_are_left_out() {
        let fields = Fields::of([
            (&b":status"[..], &b"200"[..]),
            (b"connection", b"close, X-Secret"),
            (b"x-secret", b"1"),
            (b"transfer-encoding", b"chunked"),
            (b"age", b"7"),
            (b"x-envoy-upstream-service-time", b"3"),
            (b"etag", b"\"a\""),
            (b"link", b"a"),
            (b"link", b"b"),
        ]);
        let expected = Fields::of([(&b"etag"[..], &b"\"a\""[..]), (b"link", b"a"), (b"link", b"b")]);
        assert_eq!(end_to_end(&fields), expected);
    }
}
