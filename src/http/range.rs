//! Which part of a representation a request wants, and the answer cut from a whole stored response (RFC 9110 §14).
//!
//! A server may ignore Range at any time (§14.2), so whatever is not plainly a set of byte ranges is ignored and the
//! whole goes out: another unit, bad syntax, one invalid range among good ones, more ranges than anybody needs. What
//! is plain is answered. Ranges that overlap or touch become one, at the place of the first of them (§15.3.7.2): no
//! byte is sent twice, so a hostile set (§17.15) gets no more than the whole plus the heads of [`MAX_SPECS`] parts.
//!
//! If-Range, if there is one, is asked first ([`if_range_holds`]), and only a response that would have gone out as a
//! 200 is cut ([`may_be_cut`]).

use super::date;
use super::fields::{self, Fields};
use crate::time::Wall;
use std::time::Duration;

/// One range of the set, as the request wrote it (§14.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// `first-last`: both ends count, `first` is not above `last`.
    Closed {
        /// Position of the first byte wanted.
        first: u64,
        /// Position of the last byte wanted.
        last: u64,
    },
    /// `first-`: from there to the end.
    Open {
        /// Position of the first byte wanted.
        first: u64,
    },
    /// `-length`: the last so many bytes.
    Suffix {
        /// How many bytes are wanted.
        length: u64,
    },
}

/// A range of bytes that are there: both ends count, `first` is not above `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
}

/// How a request with ranges is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As if it had none: the stored response as it is.
    Whole,
    /// With these parts in this order, at least one: [`partial`].
    Parts(Vec<Part>),
    /// With a refusal, since no range lies within the representation: [`unsatisfiable`].
    Unsatisfiable,
}

/// Reads the value of Range; `None` if it is to be ignored. A number too large for `u64` is as large as that goes.
pub fn parse(line: &[u8]) -> Option<Vec<Spec>> {
    let (unit, set) = trim(line).split_at_checked(UNIT.len())?;
    if !unit.eq_ignore_ascii_case(UNIT) {
        return None;
    }
    let set = set.strip_prefix(b"=")?;
    let mut specs = Vec::new();
    // Empty members of a list are no members (§5.6.1.2).
    for member in set.split(|byte| *byte == b',').map(trim).filter(|member| !member.is_empty()) {
        if specs.len() == MAX_SPECS {
            return None;
        }
        specs.push(Spec::parse(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

/// Writes the value of Range.
pub fn write(specs: &[Spec], out: &mut Vec<u8>) {
    out.extend_from_slice(UNIT);
    let mut separator = b'=';
    for spec in specs {
        out.push(separator);
        separator = b',';
        match *spec {
            Spec::Closed { first, last } => Part { first, last }.write(out),
            Spec::Open { first } => {
                push_number(first, out);
                out.push(b'-');
            }
            Spec::Suffix { length } => {
                out.push(b'-');
                push_number(length, out);
            }
        }
    }
}

/// What of `specs` a representation of `length` bytes has.
///
/// An empty one is sent whole: no Content-Range could name a part of it, and a refusal would tell a client that reads
/// piece by piece that something is wrong with it (§14.2: Range may be ignored for it).
pub fn resolve(specs: &[Spec], length: u64) -> Cut {
    if length == 0 || specs.is_empty() {
        return Cut::Whole;
    }
    let mut parts = Vec::new();
    specs.iter().filter_map(|spec| spec.within(length)).for_each(|part| join(&mut parts, part));
    if parts.is_empty() { Cut::Unsatisfiable } else { Cut::Parts(parts) }
}

/// Whether a stored response with this status and these fields is one that ranges are cut from: it would go out as a
/// 200 (§14.2), and is not itself a part.
pub fn may_be_cut(status: u16, block: &[u8]) -> bool {
    status == 200 && !has(block, CONTENT_RANGE)
}

/// Fields and body of the 206 (§15.3.7) that answers with `parts`, as [`resolve`] found them, of the response stored
/// as `block` and `body`.
///
/// All its fields go along, since a client that asks for a part first has none of them. `boundary` parts several
/// parts, and must not be in the body: [`boundary`].
pub fn partial(block: &[u8], body: &[u8], parts: &[Part], boundary: &str) -> (Fields, Vec<u8>) {
    if let [part] = parts {
        let whole = u64::try_from(body.len()).ok();
        return (one_part(block, *part, whole), part.of(body).to_vec());
    }
    let mut extra = Vec::new();
    extra.extend_from_slice(b"multipart/byteranges; boundary=");
    extra.extend_from_slice(boundary.as_bytes());
    let kept = fields::iterate(block).filter(|(name, _)| !is_of_the_whole(name) && *name != CONTENT_TYPE);
    let fields = Fields::of(kept.chain([(CONTENT_TYPE, &extra[..])]));
    let content_type =
        fields::iterate(block).find_map(|(name, value)| (name == CONTENT_TYPE).then_some(value));
    (fields, multipart(body, parts, content_type, boundary))
}

/// Fields of a 206 with one part, of a representation whose length may be known.
pub(super) fn one_part(block: &[u8], part: Part, complete: Option<u64>) -> Fields {
    let mut content_range = Vec::new();
    part.write_content_range(complete, &mut content_range);
    let kept = fields::iterate(block).filter(|(name, _)| !is_of_the_whole(name));
    Fields::of(kept.chain([(CONTENT_RANGE, &content_range[..])]))
}

/// A boundary that is not in `body`: its own digest, which nobody can put into it.
pub fn boundary(body: &[u8]) -> String {
    blake3::hash(body).to_hex().to_string()
}

/// Fields of the 416 (§15.5.17) that refuses a part of a representation of `length` bytes, stored as `block`.
///
/// What describes the representation stays behind, its validators and its lifetime above all: a cache that keeps this
/// answer must not take it for the resource. What stays is how the resource may be reached.
pub fn unsatisfiable(block: &[u8], length: u64) -> Fields {
    let mut content_range = b"bytes */".to_vec();
    push_number(length, &mut content_range);
    let kept = fields::iterate(block).filter(|(name, _)| {
        OF_THE_RESOURCE.contains(name)
            || name.starts_with(b"access-control-")
            || name.starts_with(b"cross-origin-")
    });
    Fields::of(kept.chain([(CONTENT_RANGE, &content_range[..]), (b"cache-control", b"no-store")]))
}

/// Whether the condition of If-Range holds for the response stored as `block` (§13.1.5); if not, Range is ignored.
///
/// A wrong yes would splice two representations, so doubt is a no: tags are compared strongly, and a date is believed
/// only if it is that of Last-Modified to the byte and proves to be a strong validator, which a weak tag beside it
/// denies.
pub fn if_range_holds(value: &[u8], block: &[u8], now: Wall) -> bool {
    let value = trim(value);
    if has(block, ETAG) {
        let Some(tag) = strong_tag(block) else { return false };
        if strong_eq(value, tag) {
            return true;
        }
    }
    strong_last_modified(block, now).is_some_and(|date| date == value)
}

/// Whether two entity tags are the same by strong comparison (§8.8.3.2).
fn strong_eq(one: &[u8], other: &[u8]) -> bool {
    one == other && is_strong(one)
}

fn is_strong(tag: &[u8]) -> bool {
    let opaque = tag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    opaque.is_some_and(|opaque| !opaque.contains(&b'"'))
}

/// The entity tag of a response, if it is a strong one.
pub(super) fn strong_tag(block: &[u8]) -> Option<&[u8]> {
    only(block, ETAG).filter(|tag| is_strong(tag))
}

/// Last-Modified, if it is a strong validator (§8.8.2.2): Date shows that the response was made at least a second
/// later, so that no change can have hidden in the same second. One head states both, so one clock is taken for both.
pub(super) fn strong_last_modified(block: &[u8], now: Wall) -> Option<&[u8]> {
    let last_modified = only(block, b"last-modified")?;
    let changed = date::parse(last_modified, now)?;
    let made = date::parse(only(block, b"date")?, now)?;
    (changed.after(DATE_GRAIN) <= made).then_some(last_modified)
}

pub(super) fn has(block: &[u8], name: &[u8]) -> bool {
    fields::iterate(block).any(|(other, _)| other == name)
}

/// The value of `name` if the field stands in the block exactly once.
pub(super) fn only<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut values = fields::iterate(block).filter(|(other, _)| *other == name).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a field is true of a whole content alone, and so not of a part (RFC 9530 §2; Content-MD5 was the same).
pub(super) fn is_of_the_whole(name: &[u8]) -> bool {
    matches!(name, b"content-range" | b"content-length" | b"content-digest" | b"content-md5")
}

impl Spec {
    fn parse(member: &[u8]) -> Option<Self> {
        let dash = member.iter().position(|byte| *byte == b'-')?;
        let (first, rest) = member.split_at_checked(dash)?;
        match (first, rest.strip_prefix(b"-")?) {
            (b"", length) => Some(Self::Suffix { length: number(length)? }),
            (first, b"") => Some(Self::Open { first: number(first)? }),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::Closed { first, last })
            }
        }
    }

    /// What of it lies within a representation of `length` bytes (§14.1.2).
    pub(super) fn within(self, length: u64) -> Option<Part> {
        let end = length.checked_sub(1)?;
        let (first, last) = match self {
            Self::Closed { first, last } => (first, last.min(end)),
            Self::Open { first } => (first, end),
            Self::Suffix { length: 0 } => return None,
            Self::Suffix { length: wanted } => (length.saturating_sub(wanted), end),
        };
        (first <= last).then_some(Part { first, last })
    }
}

impl Part {
    /// Its bytes; none where `body` does not have them all.
    pub(super) fn of(self, body: &[u8]) -> &[u8] {
        let first = usize::try_from(self.first).unwrap_or(usize::MAX);
        let end = usize::try_from(self.last.saturating_add(1)).unwrap_or(usize::MAX);
        body.get(first..end).unwrap_or_default()
    }

    /// Whether no byte lies between the two.
    pub(super) fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// The two as one, and what lies between them.
    pub(super) fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    fn write(self, out: &mut Vec<u8>) {
        push_number(self.first, out);
        out.push(b'-');
        push_number(self.last, out);
    }

    /// The value of Content-Range (§14.4); `complete` is the length of the whole, where it is known.
    pub(super) fn write_content_range(self, complete: Option<u64>, out: &mut Vec<u8>) {
        out.extend_from_slice(UNIT);
        out.push(b' ');
        self.write(out);
        out.push(b'/');
        match complete {
            Some(length) => push_number(length, out),
            None => out.push(b'*'),
        }
    }
}

/// Adds `part` to those which it may overlap.
fn join(parts: &mut Vec<Part>, part: Part) {
    let (mut union, mut place) = (part, parts.len());
    while let Some(at) = parts.iter().position(|other| other.touches(union)) {
        union = union.with(parts.remove(at));
        place = place.min(at);
    }
    parts.insert(place, union);
}

/// The body of a multipart/byteranges response (§14.6).
fn multipart(body: &[u8], parts: &[Part], content_type: Option<&[u8]>, boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let whole = u64::try_from(body.len()).unwrap_or(u64::MAX);
    for part in parts {
        out.extend_from_slice(b"\r\n--");
        out.extend_from_slice(boundary.as_bytes());
        if let Some(content_type) = content_type {
            out.extend_from_slice(b"\r\ncontent-type: ");
            out.extend_from_slice(content_type);
        }
        out.extend_from_slice(b"\r\ncontent-range: ");
        part.write_content_range(Some(whole), &mut out);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(part.of(body));
    }
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary.as_bytes());
    out.extend_from_slice(b"--\r\n");
    out
}

/// All digits, and at least one.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |sum: u64, digit| {
        sum.saturating_mul(10).saturating_add(u64::from(digit.saturating_sub(b'0')))
    }))
}

fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Without the blanks around it (§5.6.3).
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// More ranges than this are asked by nobody who means well; the readers of documents that ask for several ask for a
/// handful.
pub const MAX_SPECS: usize = 16;
/// The only range unit there is (§14.1).
pub(super) const UNIT: &[u8] = b"bytes";
pub(super) const CONTENT_RANGE: &[u8] = b"content-range";
pub(super) const ETAG: &[u8] = b"etag";
pub(super) const CONTENT_TYPE: &[u8] = b"content-type";
/// Fields that say how a resource is reached, whatever the answer.
const OF_THE_RESOURCE: [&[u8]; 5] =
    [b"accept-ranges", b"strict-transport-security", b"timing-allow-origin", b"vary", b"via"];
/// HTTP dates count in seconds.
const DATE_GRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
