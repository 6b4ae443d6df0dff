//! What becomes of a reply's Content-Type on its way through Envoy?
//!
//! Envoy gives every local reply with a body a type, `text/plain` where none is stated, and takes the type from every
//! local reply without a body. Neither is what was stored (RFC 9111 §4: fields are sent as they came). So such replies
//! are noted, and put right when their own head passes the plugin.
//!
//! A reply in place of a response whose head has come passes no filter any more. There a body without a type gets an
//! empty one: that is no media type, and readers treat it as none, whereas text/plain would be believed.

use super::{At, Worker};
use crate::host::{Host, StreamId};
use crate::http::Fields;

/// The type that each reply was given, where Envoy makes another of it; `None` for none at all.
pub(super) struct Retyped(hashbrown::HashMap<StreamId, Option<Box<[u8]>>, ahash::RandomState>);

impl Retyped {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self(hashbrown::HashMap::with_hasher(hasher))
    }

    /// Whether Envoy makes another type of a reply's.
    pub(super) fn concerns(fields: &Fields, body: &[u8]) -> bool {
        fields.get(b"content-type").is_some() == body.is_empty()
    }

    /// A stream was replied to.
    pub(super) fn note(&mut self, stream: StreamId, fields: &Fields, body: &[u8]) {
        if Self::concerns(fields, body) {
            self.0.insert(stream, fields.get(b"content-type").map(Box::from));
        }
    }

    /// What is to stand in the head of this stream's reply. Nearly always nothing is noted, which is told without
    /// hashing.
    pub(super) fn take(&mut self, stream: StreamId) -> Option<Option<Box<[u8]>>> {
        if self.0.is_empty() { None } else { self.0.remove(&stream) }
    }
}

impl<H: Host> Worker<H> {
    /// Answers a stream.
    pub(super) fn answer(&mut self, stream: StreamId, status: u16, fields: &Fields, body: &[u8], at: At) {
        match at {
            At::Response if !body.is_empty() && fields.get(b"content-type").is_none() => {
                let fields = Fields::extended(fields.as_block(), &[(b"content-type", b"")]);
                self.host.reply(stream, status, &fields, body);
            }
            At::Response => self.host.reply(stream, status, fields, body),
            At::Request | At::Later => {
                self.host.reply(stream, status, fields, body);
                self.retyped.note(stream, fields, body);
            }
        }
    }
}
