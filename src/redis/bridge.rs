//! What does the network filter before `redis_proxy` do with the bytes of one connection?
//!
//! It serves one request after the other, each in three steps: collect a whole HTTP request, pass its body on as
//! commands; collect exactly as many replies as there were commands, pass them on behind an HTTP head; be idle.
//! Everything else ends the connection: after a byte too many or too few nobody could say which reply belongs to
//! which request, and a callout that fails costs a cache miss, whereas one that is mixed up costs an answer that
//! belongs to somebody else. Redis's own errors, though, are replies like any other and leave the connection whole.
//!
//! The answer is always `200`: how Redis fared is told by the replies.

use super::request::{Framing, framing, pipeline};
use super::scan::{Grammar, Progress, Scanner};

/// What one connection may make the bridge hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest body of a request.
    pub max_request_bytes: usize,
    /// Longest body of an answer: all replies of a request together.
    pub max_reply_bytes: usize,
}

/// What to do with the buffer of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep it: the next call must bring the same bytes again with more behind them.
    ///
    /// The caller had better collect them itself and leave Envoy's buffer empty: what a paused filter leaves in
    /// the downstream one counts against `per_connection_buffer_limit_bytes` (1 MiB), above which Envoy stops
    /// reading and the connection stalls.
    Wait,
    /// Pass this on in its place.
    Replace(Vec<u8>),
    /// Pass nothing on and close the connection.
    Close(CloseReason),
}

/// Why the bridge closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The request's head is longer than [`super::MAX_HEAD_BYTES`].
    HeadTooLarge,
    /// The head is not one Envoy's codec writes.
    HeadInvalid,
    /// The method is not `POST`.
    MethodNotPost,
    /// The body is chunked or otherwise encoded in transfer.
    TransferEncoding,
    /// The length of the body is not announced.
    ContentLengthMissing,
    /// The length of the body is announced twice or not as a number.
    ContentLengthInvalid,
    /// The announced body is longer than the limit.
    RequestTooLarge,
    /// The client ended its side inside a request.
    RequestTruncated,
    /// Bytes follow the body.
    RequestTrailing,
    /// More of a next request came before the answer to this one was complete.
    RequestOverlap,
    /// The body is not a sequence of complete commands.
    RequestInvalid,
    /// The body is empty.
    PipelineEmpty,
    /// The body holds more than [`super::MAX_COMMANDS`] commands.
    TooManyCommands,
    /// A command is not one of those the plugin sends.
    CommandRefused,
    /// Upstream sent bytes nobody asked for.
    ReplyUnexpected,
    /// Upstream sent something that is not RESP2.
    ReplyInvalid,
    /// The replies are longer than the limit.
    ReplyTooLarge,
    /// Upstream ended its side before the last reply was complete.
    ReplyTruncated,
    /// Bytes follow the last reply.
    ReplyTrailing,
}

impl CloseReason {
    /// The word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "head-too-large",
            Self::HeadInvalid => "head-invalid",
            Self::MethodNotPost => "method-not-post",
            Self::TransferEncoding => "transfer-encoding",
            Self::ContentLengthMissing => "content-length-missing",
            Self::ContentLengthInvalid => "content-length-invalid",
            Self::RequestTooLarge => "request-too-large",
            Self::RequestTruncated => "request-truncated",
            Self::RequestTrailing => "request-trailing",
            Self::RequestOverlap => "request-overlap",
            Self::RequestInvalid => "request-invalid",
            Self::PipelineEmpty => "pipeline-empty",
            Self::TooManyCommands => "too-many-commands",
            Self::CommandRefused => "command-refused",
            Self::ReplyUnexpected => "reply-unexpected",
            Self::ReplyInvalid => "reply-invalid",
            Self::ReplyTooLarge => "reply-too-large",
            Self::ReplyTruncated => "reply-truncated",
            Self::ReplyTrailing => "reply-trailing",
        }
    }
}

/// One connection's state.
#[derive(Clone, Debug)]
pub struct Bridge {
    limits: Limits,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// No request yet, or an incomplete head of which `searched` bytes hold no end.
    Head { searched: usize },
    /// The head is there, the body is incomplete.
    Body(Framing),
    /// The commands are passed on; `missing` replies are incomplete.
    Replies { missing: usize, scanner: Scanner, needs: usize },
    /// Over: whatever comes is refused for the same reason.
    Closed(CloseReason),
}

impl Bridge {
    /// The bridge of a new connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, phase: Phase::IDLE }
    }

    /// Length of the downstream buffer below which [`Bridge::on_downstream`] would only say [`Step::Wait`], unless
    /// its stream has ended: a caller need not copy a shorter one.
    pub fn downstream_needs(&self) -> usize {
        match &self.phase {
            Phase::Body(framing) => framing.total_bytes(),
            Phase::Head { .. } | Phase::Replies { .. } | Phase::Closed(_) => 1,
        }
    }

    /// The same for the upstream buffer and [`Bridge::on_upstream`].
    pub fn upstream_needs(&self) -> usize {
        match &self.phase {
            Phase::Replies { needs, .. } => *needs,
            Phase::Head { .. } | Phase::Body(_) | Phase::Closed(_) => 1,
        }
    }

    /// Takes what the HTTP client has sent and was not passed on yet.
    pub fn on_downstream(&mut self, buffer: &[u8], end_of_stream: bool) -> Step {
        let step = self.request(buffer, end_of_stream);
        self.taken(step)
    }

    /// Takes what `redis_proxy` has sent and was not passed on yet.
    pub fn on_upstream(&mut self, buffer: &[u8], end_of_stream: bool) -> Step {
        let step = self.reply(buffer, end_of_stream);
        self.taken(step)
    }

    fn taken(&mut self, step: Result<Option<Vec<u8>>, CloseReason>) -> Step {
        match step {
            Ok(None) => Step::Wait,
            Ok(Some(bytes)) => Step::Replace(bytes),
            Err(reason) => {
                // ## any => Closed
                self.phase = Phase::Closed(reason);
                Step::Close(reason)
            }
        }
    }

    fn request(&mut self, buffer: &[u8], end_of_stream: bool) -> Result<Option<Vec<u8>>, CloseReason> {
        let framing = match &mut self.phase {
            Phase::Closed(reason) => return Err(*reason),
            // An empty buffer is the end of the stream, or nothing at all.
            _ if buffer.is_empty() => return Ok(None),
            Phase::Replies { .. } => return Err(CloseReason::RequestOverlap),
            Phase::Body(framing) => *framing,
            Phase::Head { searched } => match framing(buffer, searched)? {
                None if end_of_stream => return Err(CloseReason::RequestTruncated),
                None => return Ok(None),
                Some(framing) if framing.body_bytes > self.limits.max_request_bytes => {
                    return Err(CloseReason::RequestTooLarge);
                }
                // ## Head => Body
                Some(framing) => {
                    self.phase = Phase::Body(framing);
                    framing
                }
            },
        };
        if buffer.len() > framing.total_bytes() {
            return Err(CloseReason::RequestTrailing);
        }
        if buffer.len() < framing.total_bytes() {
            return if end_of_stream { Err(CloseReason::RequestTruncated) } else { Ok(None) };
        }
        let body = buffer.get(framing.head_bytes..).unwrap_or_default();
        let missing = pipeline(body)?;
        // ## Body => Replies
        self.phase = Phase::Replies { missing, scanner: Scanner::new(Grammar::Replies), needs: 1 };
        Ok(Some(body.to_vec()))
    }

    fn reply(&mut self, buffer: &[u8], end_of_stream: bool) -> Result<Option<Vec<u8>>, CloseReason> {
        let (missing, scanner, needs) = match &mut self.phase {
            Phase::Closed(reason) => return Err(*reason),
            Phase::Replies { missing, scanner, needs } => (missing, scanner, needs),
            _ if buffer.is_empty() => return Ok(None),
            Phase::Head { .. } | Phase::Body(_) => return Err(CloseReason::ReplyUnexpected),
        };
        let mut end = 0;
        while *missing > 0 {
            match scanner.advance(buffer) {
                Progress::Invalid(_) => return Err(CloseReason::ReplyInvalid),
                Progress::NeedMore { at_least } if at_least > self.limits.max_reply_bytes => {
                    return Err(CloseReason::ReplyTooLarge);
                }
                Progress::NeedMore { .. } if end_of_stream => return Err(CloseReason::ReplyTruncated),
                Progress::NeedMore { at_least } => {
                    *needs = at_least;
                    return Ok(None);
                }
                Progress::Complete { end: behind } => {
                    *missing = missing.saturating_sub(1);
                    end = behind;
                }
            }
        }
        if end > self.limits.max_reply_bytes {
            return Err(CloseReason::ReplyTooLarge);
        }
        if end != buffer.len() {
            return Err(CloseReason::ReplyTrailing);
        }
        // ## Replies => Head
        self.phase = Phase::IDLE;
        Ok(Some(answer(buffer)))
    }
}

impl Phase {
    const IDLE: Self = Self::Head { searched: 0 };
}

/// `replies` behind an HTTP head.
fn answer(replies: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncontent-type: application/octet-stream\r\n\r\n",
        replies.len()
    );
    let mut answer = Vec::with_capacity(head.len().saturating_add(replies.len()));
    answer.extend_from_slice(head.as_bytes());
    answer.extend_from_slice(replies);
    answer
}

#[cfg(test)]
mod tests;
