//! The copy made of a response while it passes, to be stored or handed to waiters.
//!
//! Only end-to-end fields are copied (`http::end_to_end`).

use crate::config::plan::{Cache, Etag};
use crate::exchange::event::Head;
use crate::http::end_to_end::end_to_end;
use crate::http::freshness::initial_age;
use crate::http::key::Key;
use crate::http::storing::{Lifetime, permits_authorized};
use crate::http::{Digest, Fields, ResponseHead, tags};
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
    tags: Vec<u8>,
    fields: Fields,
    body: Vec<u8>,
    /// Whether an entity tag is to be made of the body.
    tagged: bool,
}

impl Copy {
    /// Begins a copy; without a lifetime it can be shared with those who wait for it, but not kept.
    pub fn begin(
        head: &Head,
        request: &Fields,
        rule: &Cache,
        lifetime: Option<Lifetime>,
        requested_at: Wall,
        now: Wall,
    ) -> Self {
        let body = head.response.content_length.and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        Self {
            meta: meta(&head.response, lifetime, requested_at, now),
            kept: lifetime.is_some(),
            requested_at,
            selecting: head.response.vary.selecting_fields(request),
            tags: stored_tags(&head.fields, &rule.tags),
            fields: end_to_end(&head.fields),
            tagged: rule.etag == Etag::Generate
                && head.response.status == 200
                && lifetime.is_some()
                && !head.response.has_validator,
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
        let tagged = self.tagged.then(|| with_etag(&self.fields, &self.body));
        let fields = tagged.as_ref().unwrap_or(&self.fields);
        let entry = Entry {
            meta: Meta { etag_generated: self.tagged, ..self.meta },
            key: key.map_or(&[][..], Key::bytes),
            selecting: &self.selecting,
            tags: &self.tags,
            fields: fields.as_block(),
            body: &self.body,
        };
        entry.encode()
    }
}

/// What a response is stored with; without a lifetime it is of this moment only.
pub(super) fn meta(
    response: &ResponseHead,
    lifetime: Option<Lifetime>,
    requested_at: Wall,
    now: Wall,
) -> Meta {
    let lifetime = lifetime.unwrap_or(Lifetime {
        lifetime: Duration::ZERO,
        initial_age: initial_age(response, requested_at, now),
        stale_if_error: Duration::ZERO,
        stale_while_revalidate: Duration::ZERO,
        never_stale: true,
    });
    // What came too old has been stale since it became so, not since it came.
    let expired_for = lifetime.initial_age.saturating_sub(lifetime.lifetime);
    let fresh_until = now.after(lifetime.fresh_for()).before(expired_for);
    Meta {
        status: response.status,
        received_at: now,
        initial_age: lifetime.initial_age,
        fresh_until,
        stale_until: fresh_until.after(lifetime.stale_if_error),
        refresh_until: fresh_until.after(lifetime.stale_while_revalidate),
        authorized: permits_authorized(response, now),
        never_stale: lifetime.never_stale,
        etag_generated: false,
        took: now.since(requested_at),
    }
}

/// The stored form of a response's tags.
pub(super) fn stored_tags(fields: &Fields, names: &[String]) -> Vec<u8> {
    tags::read(fields, names).encode()
}

/// A strong tag: the same bytes, and nothing else, have it (RFC 9110 §8.8.3).
fn with_etag(fields: &Fields, body: &[u8]) -> Fields {
    let etag = format!("\"{}\"", Digest::first_of(&blake3::hash(body)));
    Fields::extended(fields.as_block(), &[(b"etag", etag.as_bytes())])
}

/// What a content-length may make us reserve before a byte of the body has come.
const LARGEST_RESERVE: usize = 256 * 1024;

#[cfg(test)]
mod tests;
