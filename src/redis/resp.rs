//! What do the bytes of RESP2 say?
//!
//! Every value starts with a line: a type byte, text, CRLF. Two types announce more: `$n` is followed by n bytes
//! and CRLF, `*n` by n values. [`head`] reads that line and is shared by the parser here and by the scanner.
//!
//! Reading is strict, since a reply that is misread by one byte hands one key's value to another key: integers
//! have one spelling only, lines end in CRLF and hold no other CR or LF, nothing may follow the last reply. And it
//! is bounded: nesting, elements, lines and bulks have limits, and no allocation is sized by an announced number.

use std::fmt;

/// Most arrays that may be open inside one another. The deepest reply of use, `XRANGE`'s, has three.
pub const MAX_DEPTH: usize = 8;
/// Most elements of one array.
pub const MAX_ELEMENTS: usize = 65_536;
/// Longest bulk string in bytes: Envoy's own limit for the body of a callout's response.
pub const MAX_BULK_BYTES: usize = 32 * 1024 * 1024;
/// Longest line in bytes, type byte and CRLF not counted: status and error texts are short.
pub const MAX_LINE_BYTES: usize = 4096;
/// Most words of one command, its name included: a `DEL` of 64 keys.
pub const MAX_ARGUMENTS: usize = 65;

/// One reply of Redis, borrowed from the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A status such as `OK`.
    Simple(&'a [u8]),
    /// An error text, beginning with its kind in capitals by convention, which `redis_proxy` does not keep.
    Error(&'a [u8]),
    /// A number.
    Integer(i64),
    /// A string of any bytes.
    Bulk(&'a [u8]),
    /// No value: the null bulk string or the null array.
    Nil,
    /// Several replies in order.
    Array(Vec<Reply<'a>>),
}

/// Why bytes are not the RESP that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespError {
    /// The bytes end inside a value, or before the last expected one.
    Truncated,
    /// More bytes follow the last expected value.
    Trailing,
    /// A type byte RESP2 does not have, or one that may not stand here.
    UnexpectedType,
    /// A line holds a CR or LF of its own.
    BadLine,
    /// A number is not in its one canonical spelling, or does not fit.
    BadInteger,
    /// A bulk string is not followed by CRLF.
    BadBulk,
    /// A line is longer than [`MAX_LINE_BYTES`].
    LineTooLong,
    /// A bulk string is longer than [`MAX_BULK_BYTES`].
    BulkTooLong,
    /// An array has more than [`MAX_ELEMENTS`] elements, or a command more than [`MAX_ARGUMENTS`] words or none.
    BadArrayLength,
    /// More than [`MAX_DEPTH`] arrays are open.
    TooDeep,
}

impl RespError {
    /// The word for logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
            Self::UnexpectedType => "unexpected-type",
            Self::BadLine => "bad-line",
            Self::BadInteger => "bad-integer",
            Self::BadBulk => "bad-bulk",
            Self::LineTooLong => "line-too-long",
            Self::BulkTooLong => "bulk-too-long",
            Self::BadArrayLength => "bad-array-length",
            Self::TooDeep => "too-deep",
        }
    }
}

impl fmt::Display for RespError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Appends one command to a pipeline: an array of bulk strings.
pub fn encode(out: &mut Vec<u8>, command: &[&[u8]]) {
    line(out, b'*', command.len());
    for word in command {
        line(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn line(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Reads exactly `expected` complete replies.
///
/// # Errors
/// The first thing that is wrong with the bytes, from left to right; bytes behind the last reply included.
pub fn replies(bytes: &[u8], expected: usize) -> Result<Vec<Reply<'_>>, RespError> {
    let mut reader = Reader { rest: bytes };
    let replies = reader.several(expected, 0)?;
    if reader.rest.is_empty() { Ok(replies) } else { Err(RespError::Trailing) }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn several(&mut self, count: usize, depth: usize) -> Result<Vec<Reply<'a>>, RespError> {
        // Room grows with what is there, not with what is announced.
        let mut replies = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            replies.push(self.one(depth)?);
        }
        Ok(replies)
    }

    fn one(&mut self, depth: usize) -> Result<Reply<'a>, RespError> {
        let (head, behind) = head(self.rest, &mut 0)?.ok_or(RespError::Truncated)?;
        self.rest = self.rest.get(behind..).ok_or(RespError::Truncated)?;
        Ok(match head {
            Head::Simple(text) => Reply::Simple(text),
            Head::Error(text) => Reply::Error(text),
            Head::Integer(number) => Reply::Integer(number),
            Head::Nil => Reply::Nil,
            Head::Bulk(length) => Reply::Bulk(self.bulk(length)?),
            Head::Array(_) if depth >= MAX_DEPTH => return Err(RespError::TooDeep),
            Head::Array(count) => Reply::Array(self.several(count, depth.saturating_add(1))?),
        })
    }

    fn bulk(&mut self, length: usize) -> Result<&'a [u8], RespError> {
        let (text, rest) = self.rest.split_at_checked(length).ok_or(RespError::Truncated)?;
        self.rest = bulk_end(rest)?.ok_or(RespError::Truncated)?;
        Ok(text)
    }
}

/// The words of `bytes`, which the scanner found to be one complete command.
pub(super) fn command(bytes: &[u8]) -> Result<Vec<&[u8]>, RespError> {
    let Some((Head::Array(count), behind)) = head(bytes, &mut 0)? else {
        return Err(RespError::UnexpectedType);
    };
    let mut reader = Reader { rest: bytes.get(behind..).ok_or(RespError::Truncated)? };
    let mut words = Vec::with_capacity(count.min(MAX_ARGUMENTS));
    for _ in 0..count {
        let Reply::Bulk(word) = reader.one(MAX_DEPTH)? else {
            return Err(RespError::UnexpectedType);
        };
        words.push(word);
    }
    if reader.rest.is_empty() { Ok(words) } else { Err(RespError::Trailing) }
}

/// What the first line of a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Nil,
    Bulk(usize),
    Array(usize),
}

/// Reads the line `bytes` begin with, and says how long it is with its CRLF; nothing while it is incomplete.
///
/// `searched` is how many bytes behind the type byte are known to hold no CR or LF, kept from call to call while
/// the line grows, so that no byte is looked at twice.
pub(super) fn head<'a>(
    bytes: &'a [u8],
    searched: &mut usize,
) -> Result<Option<(Head<'a>, usize)>, RespError> {
    let Some((&kind, tail)) = bytes.split_first() else {
        return Ok(None);
    };
    if !matches!(kind, b'+' | b'-' | b':' | b'$' | b'*') {
        return Err(RespError::UnexpectedType);
    }
    // A number's line is refused as soon as it is too long for a number.
    let longest = if matches!(kind, b'+' | b'-') { MAX_LINE_BYTES } else { LONGEST_NUMBER };
    let unsearched = tail.get(*searched..).unwrap_or_default();
    let Some(found) = unsearched.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
        *searched = tail.len();
        return if tail.len() > longest { Err(RespError::LineTooLong) } else { Ok(None) };
    };
    let length = searched.saturating_add(found);
    *searched = length;
    if length > longest {
        return Err(RespError::LineTooLong);
    }
    let (text, end) = tail.split_at_checked(length).unwrap_or_default();
    match end {
        [b'\r'] => return Ok(None),
        [b'\r', b'\n', ..] => {}
        _ => return Err(RespError::BadLine),
    }
    let head = match kind {
        b'+' => Head::Simple(text),
        b'-' => Head::Error(text),
        b':' => Head::Integer(integer(text)?),
        _ if text == b"-1" => Head::Nil,
        b'$' => Head::Bulk(length_of(text, MAX_BULK_BYTES, RespError::BulkTooLong)?),
        _ => Head::Array(length_of(text, MAX_ELEMENTS, RespError::BadArrayLength)?),
    };
    Ok(Some((head, length.saturating_add(3))))
}

/// What is behind the CRLF that ends a bulk string; nothing while the CRLF is incomplete.
pub(super) fn bulk_end(bytes: &[u8]) -> Result<Option<&[u8]>, RespError> {
    match bytes {
        [] | [b'\r'] => Ok(None),
        [b'\r', b'\n', rest @ ..] => Ok(Some(rest)),
        _ => Err(RespError::BadBulk),
    }
}

/// Canonical decimal only: no `+`, no leading zero, no `-0`.
fn integer(text: &[u8]) -> Result<i64, RespError> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => digits.len() == text.len(),
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return Err(RespError::BadInteger);
    }
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(RespError::BadInteger)
}

fn length_of(text: &[u8], most: usize, too_long: RespError) -> Result<usize, RespError> {
    let length = u64::try_from(integer(text)?).map_err(|_| RespError::BadInteger)?;
    match usize::try_from(length) {
        Ok(length) if length <= most => Ok(length),
        _ => Err(too_long),
    }
}

/// Digits and sign of the longest i64.
const LONGEST_NUMBER: usize = 20;

#[cfg(test)]
pub(super) mod tests;
