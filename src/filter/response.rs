//! A response passes: its head is judged, its body copied, its end completes the copy.

use super::{At, Worker};
use crate::breaker;
use crate::exchange::{Event, Head};
use crate::host::{Flow, Host, Source, StreamId};
use crate::http::{Fields, ResponseHead, list, retry_after};

impl<H: Host> Worker<H> {
    pub(super) fn responded(&mut self, stream: StreamId, end: bool) -> Flow {
        if let Some(stated) = self.retyped.take(stream) {
            self.host.set_response_field(stream, "content-type", stated.as_deref());
            return Flow::Continue;
        }
        let Some(slot) = self.streams.get(&stream) else { return Flow::Continue };
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
            Source::UpstreamFailure => breaker::Outcome::NONE,
            Source::Upstream => {
                let failures = &super::rule(&self.plan, rule_index).breaker.failure_statuses;
                let again_after =
                    fields.get(b"retry-after").and_then(|v| retry_after::parse(v, self.host.wall()));
                breaker::Outcome::of_status(response.status, failures, again_after.unwrap_or_default())
            }
            Source::Local | Source::Own => breaker::Outcome::Abandoned,
        };
        let may_need_copy = outcome.is_failure() || response.status == 304;
        let slot = self.streams.get(&stream).filter(|_| may_need_copy);
        let changed_at = slot.map(|slot| self.mark(slot)).unwrap_or_default();
        let head = Head { response, fields, outcome, changed_at };
        let flow = self.drive(stream, Event::Head(head), At::Response);
        if end {
            self.came_whole(stream);
            if flow == Flow::Continue {
                self.drive(stream, Event::Complete, At::Response);
            }
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
        if end {
            self.came_whole(stream);
        }
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
