//! Is this the plugin's own request, and what does it ask of Redis?
//!
//! The bridge's only client is Envoy's HTTP/1.1 codec, carrying the plugin's callouts. So just enough of RFC 9112
//! is read to be sure where the body ends, and every doubt is a refusal: a request whose end two readers may see
//! at different places is how bytes of one request become commands of another.
//!
//! Commands are checked too: behind the bridge is a connection that others use as well, and `SELECT`, `MULTI` or
//! `QUIT` would change it for all of them. What may pass is what the plugin sends: `GET key`,
//! `SET key value PX milliseconds [NX]`, `APPEND key value`, `PEXPIRE key milliseconds`, `DEL key …`, and `EVAL` of the
//! scripts in [`super::script`], to the letter; each of them gets exactly one reply.

use super::bridge::CloseReason;
use super::resp::command;
use super::scan::{Grammar, Progress, Scanner};
use super::script;

/// Longest request head in bytes, its empty line included.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most commands in one pipeline.
pub const MAX_COMMANDS: usize = 64;

/// The part of a request that its head decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    /// Length of the head, its empty line included.
    pub(super) head_bytes: usize,
    /// Length of the body, as announced.
    pub(super) body_bytes: usize,
}

impl Framing {
    /// Length of the whole request.
    pub(super) fn total_bytes(self) -> usize {
        self.head_bytes.saturating_add(self.body_bytes)
    }
}

/// Reads the head `buffer` begins with; nothing while it is incomplete.
///
/// `searched` is the length of the buffer that earlier calls have seen without finding the head's end.
pub(super) fn framing(buffer: &[u8], searched: &mut usize) -> Result<Option<Framing>, CloseReason> {
    // The empty line may have begun in what was seen before.
    let from = searched.saturating_sub(3);
    let window = buffer.get(from..buffer.len().min(MAX_HEAD_BYTES)).unwrap_or_default();
    let Some(found) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
        *searched = buffer.len();
        return if buffer.len() >= MAX_HEAD_BYTES { Err(CloseReason::HeadTooLarge) } else { Ok(None) };
    };
    let lines_end = from.saturating_add(found);
    let body_bytes = body_length(buffer.get(..lines_end).unwrap_or_default())?;
    Ok(Some(Framing { head_bytes: lines_end.saturating_add(4), body_bytes }))
}

/// The announced length of the body of a `POST`, from its head without the empty line.
fn body_length(head: &[u8]) -> Result<usize, CloseReason> {
    let head = std::str::from_utf8(head).map_err(|_| CloseReason::HeadInvalid)?;
    let mut lines = head.split("\r\n");
    request_line(lines.next().unwrap_or_default())?;
    let mut announced = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(CloseReason::HeadInvalid)?;
        if name.is_empty() || !name.bytes().all(is_token) || value.contains(['\r', '\n', '\0']) {
            return Err(CloseReason::HeadInvalid);
        }
        // RFC 9112 §6.3: a message with both codings may be an attempt at request smuggling.
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(CloseReason::TransferEncoding);
        }
        // Whoever expects `100 Continue` waits for words the bridge does not have.
        if name.eq_ignore_ascii_case("expect") {
            return Err(CloseReason::HeadInvalid);
        }
        if name.eq_ignore_ascii_case("content-length") {
            let length = decimal(value.trim_matches([' ', '\t'])).ok_or(CloseReason::ContentLengthInvalid)?;
            if announced.replace(length).is_some() {
                return Err(CloseReason::ContentLengthInvalid);
            }
        }
    }
    announced.ok_or(CloseReason::ContentLengthMissing)
}

fn request_line(line: &str) -> Result<(), CloseReason> {
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let valid_target =
        target.is_some_and(|target| !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic()));
    if !valid_target || version != Some("HTTP/1.1") || words.next().is_some() {
        return Err(CloseReason::HeadInvalid);
    }
    if method == Some("POST") { Ok(()) } else { Err(CloseReason::MethodNotPost) }
}

/// RFC 9110 §8.6: `1*DIGIT`. A number too long for the machine is too long for any limit, too.
fn decimal(text: &str) -> Option<usize> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(usize::MAX))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// How many commands a complete body holds, all of them complete and permitted.
pub(super) fn pipeline(body: &[u8]) -> Result<usize, CloseReason> {
    let mut scanner = Scanner::new(Grammar::Commands);
    let mut start = 0;
    let mut commands: usize = 0;
    while start < body.len() {
        let end = match scanner.advance(body) {
            Progress::Complete { end } => end,
            Progress::NeedMore { .. } | Progress::Invalid(_) => return Err(CloseReason::RequestInvalid),
        };
        commands = commands.saturating_add(1);
        if commands > MAX_COMMANDS {
            return Err(CloseReason::TooManyCommands);
        }
        let words =
            command(body.get(start..end).unwrap_or_default()).map_err(|_| CloseReason::RequestInvalid)?;
        if !is_permitted(&words) {
            return Err(CloseReason::CommandRefused);
        }
        start = end;
    }
    if commands == 0 { Err(CloseReason::PipelineEmpty) } else { Ok(commands) }
}

fn is_permitted(words: &[&[u8]]) -> bool {
    let Some((name, arguments)) = words.split_first() else {
        return false;
    };
    if name.eq_ignore_ascii_case(b"GET") {
        matches!(arguments, [_])
    } else if name.eq_ignore_ascii_case(b"SET") {
        match arguments {
            [_, _, px, lifetime] => is_lifetime(px, lifetime),
            [_, _, px, lifetime, nx] | [_, _, nx, px, lifetime] if nx.eq_ignore_ascii_case(b"NX") => {
                is_lifetime(px, lifetime)
            }
            _ => false,
        }
    } else if name.eq_ignore_ascii_case(b"APPEND") {
        matches!(arguments, [_, _])
    } else if name.eq_ignore_ascii_case(b"PEXPIRE") {
        matches!(arguments, [_, lifetime] if is_milliseconds(lifetime))
    } else if name.eq_ignore_ascii_case(b"EVAL") {
        match arguments {
            [script::RELEASE, b"1", _, _, _] | [script::MARK, b"1", _, _, _, _] => true,
            [script::RENEW, b"1", _, _, _, lifetime] => is_milliseconds(lifetime),
            _ => false,
        }
    } else {
        name.eq_ignore_ascii_case(b"DEL") && !arguments.is_empty()
    }
}

/// `PX` with a positive number of milliseconds: nothing the plugin keeps in Redis lives for ever.
fn is_lifetime(px: &[u8], lifetime: &[u8]) -> bool {
    px.eq_ignore_ascii_case(b"PX") && is_milliseconds(lifetime)
}

fn is_milliseconds(digits: &[u8]) -> bool {
    matches!(digits, [b'1'..=b'9', rest @ ..] if rest.len() < 15 && rest.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests;
