//! A response passes: its head is judged, its body copied, its end completes the copy.

use super::{At, Worker};
use crate::breaker;
use crate::exchange::{Event, Head};
use crate::host::{Flow, Host, Source, StreamId};
use crate::http::{Fields, ResponseHead, list};

/// Streams answered with a body of no stated type: Envoy states one, and it is taken off again.
pub(super) struct Untyped(hashbrown::HashSet<StreamId, ahash::RandomState>);

impl Untyped {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self(hashbrown::HashSet::with_hasher(hasher))
    }

    pub(super) fn note(&mut self, stream: StreamId, fields: &Fields, body: &[u8]) {
        if !body.is_empty() && fields.get(b"content-type").is_none() {
            self.0.insert(stream);
        }
    }

    /// Whether it was noted, and is no more. Nearly always nothing is, which is told without hashing.
    pub(super) fn take(&mut self, stream: StreamId) -> bool {
        !self.0.is_empty() && self.0.remove(&stream)
    }
}

impl<H: Host> Worker<H> {
    pub(super) fn responded(&mut self, stream: StreamId, end: bool) -> Flow {
        let Some(slot) = self.streams.get(&stream) else {
            if self.untyped.take(stream) {
                self.host.set_response_field(stream, "content-type", None);
            }
            return Flow::Continue;
        };
        let rule_index = slot.exchange.rule;
        let source = self.host.response_source(stream);
        if source == Source::Own {
            return Flow::Continue;
        }
        let fields = self.respaced(stream, self.host.response_fields(stream));
        let response = ResponseHead::read_for(
            &super::rule(&self.plan, rule_index).cache.targeted,
            &fields,
            self.host.wall(),
        );
        let outcome = match source {
            Source::UpstreamFailure => breaker::Outcome::Failure,
            Source::Upstream => breaker::Outcome::of_status(response.status),
            Source::Local | Source::Own => breaker::Outcome::Abandoned,
        };
        let may_need_copy = outcome == breaker::Outcome::Failure || response.status == 304;
        let slot = self.streams.get(&stream).filter(|_| may_need_copy);
        let changed_at = slot.map(|slot| self.mark(slot)).unwrap_or_default();
        let head = Head { response, fields, outcome, changed_at };
        let flow = self.drive(stream, Event::Head(head), At::Response);
        if end && flow == Flow::Continue {
            self.drive(stream, Event::Complete, At::Response);
        }
        flow
    }

    /// Mends the lists whose lines were joined on the way to here.
    fn respaced(&self, stream: StreamId, mut fields: Fields) -> Fields {
        for joined in list::JOINED {
            let mended = fields.get(joined.as_bytes()).and_then(list::spaced);
            let Some(mended) = mended.filter(|_| fields.values(joined.as_bytes()).count() == 1) else {
                continue;
            };
            self.host.set_response_field(stream, joined, Some(&mended));
            let mend = |(name, value)| (name, if name == joined.as_bytes() { &mended[..] } else { value });
            fields = Fields::of(fields.iter().map(mend));
        }
        fields
    }

    pub(super) fn passed(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        if !self.streams.contains_key(&stream) {
            return Flow::Continue;
        }
        if len > 0 {
            let piece = self.host.response_piece(stream, len);
            self.drive(stream, Event::Piece(piece), At::Response);
        }
        if end {
            self.drive(stream, Event::Complete, At::Response);
        }
        Flow::Continue
    }
}
