//! A response passes: its head is judged, its body copied, its end completes the copy.

use super::{At, Worker};
use crate::breaker;
use crate::exchange::{Event, Head};
use crate::host::{Flow, Host, Source, StreamId};
use crate::http::ResponseHead;

impl<H: Host> Worker<H> {
    pub(super) fn responded(&mut self, stream: StreamId, end: bool) -> Flow {
        if !self.streams.contains_key(&stream) {
            return Flow::Continue;
        }
        let source = self.host.response_source(stream);
        if source == Source::Own {
            return Flow::Continue;
        }
        let fields = self.host.response_fields(stream);
        let response = ResponseHead::read(&fields, self.host.wall());
        let outcome = match source {
            Source::UpstreamFailure => breaker::Outcome::Failure,
            Source::Upstream => breaker::Outcome::of_status(response.status),
            Source::Local | Source::Own => breaker::Outcome::Abandoned,
        };
        let flow = self.drive(stream, Event::Head(Head { response, fields, outcome }), At::Response);
        if end && flow == Flow::Continue {
            self.drive(stream, Event::Complete, At::Response);
        }
        flow
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
