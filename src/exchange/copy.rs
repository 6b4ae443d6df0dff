//! The copy made of a response while it passes, to be stored or handed to waiters.
//!
//! Only end-to-end fields are copied (`http::end_to_end`).

use crate::exchange::event::Head;
use crate::http::Fields;
use crate::http::end_to_end::end_to_end;
use crate::http::key::Key;
use crate::http::storing::{Lifetime, permits_authorized};
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
                authorized: permits_authorized(&head.response, now),
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

/// What a content-length may make us reserve before a byte of the body has come.
const LARGEST_RESERVE: usize = 256 * 1024;

#[cfg(test)]
mod tests;
