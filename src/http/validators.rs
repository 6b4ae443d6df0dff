//! Whether what one side holds is still what the other side has (RFC 9110 §8.8, §13; RFC 9111 §4.3).
//!
//! Two conversations use the same marks. Towards the upstream a stored response asks "has this changed?" with its own
//! validators, and a 304 must be known to be about that response and no other before it renews it. Towards the client
//! the stored response is the one that is asked. In both the two possible mistakes differ in weight: a change missed
//! leaves somebody with old bytes that are called current, a change imagined costs one transfer. So whatever is
//! badly written, missing or ambiguous counts as changed.
//!
//! Entity tags that are no entity tags (unquoted, `w/`, two lines joined to one) are common enough to be carried: they
//! go back to the upstream as they came, and equal nothing but themselves, byte for byte. If-Match and
//! If-Unmodified-Since are not for caches (RFC 9111 §4.3.2).

use super::date;
use super::fields::{self, Fields};
use crate::time::Wall;
use std::time::Duration;

/// The precondition fields of a request that validates a stored response; at least one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its entity tag, byte for byte.
    pub if_none_match: Option<Vec<u8>>,
    /// Its Last-Modified, byte for byte: servers may compare it as text.
    pub if_modified_since: Option<Vec<u8>>,
}

/// What to ask the upstream about the stored response `block` (RFC 9111 §4.3.1); `None` if it has no validator.
pub fn condition_for(block: &[u8]) -> Option<Condition> {
    let validators = Validators::of(fields::iterate(block));
    validators.are_there().then(|| Condition {
        if_none_match: validators.tag.map(<[u8]>::to_vec),
        if_modified_since: validators.modified.map(<[u8]>::to_vec),
    })
}

/// Whether the 304 `update` to [`condition_for`]`(stored)` is about the stored response and renews it (RFC 9111
/// §4.3.4). If not, the response must be fetched anew.
pub fn selects(stored: &[u8], update: &Fields) -> bool {
    let ours = Validators::of(fields::iterate(stored));
    let theirs = Validators::of(update.iter());
    // Nothing was asked about this one: a 304 then answers the client's own condition, and says nothing of ours.
    if !ours.are_there() {
        return false;
    }
    let same_date = || theirs.modified.is_some() && theirs.modified == ours.modified;
    match (theirs.tag, ours.tag) {
        (Some(new), Some(old)) if is_opaque_tag(new) => strong_eq(new, old),
        (Some(new), Some(old)) => weak_eq(new, old),
        // A compressor on the way removes the tag from a 200 and leaves it in a 304. A strong tag asks for a strong
        // validator in common, which a date can be as well.
        (Some(new), None) => same_date() && (!is_opaque_tag(new) || has_strong_date(stored)),
        (None, _) if theirs.modified.is_some() && ours.modified.is_some() => same_date(),
        // It says nothing that could be compared, so it is about what was asked: this response alone.
        (None, _) => true,
    }
}

/// Whether a client's own validators make the answer from this stored response a 304 (RFC 9111 §4.3.2). `request` is a
/// GET or HEAD that it may answer.
///
/// Only a 200 can be meant by a client that has "the" response; §4.3.2 adds the 206, but a part that is held here
/// proves nothing about the whole that the client holds. `now` places two-digit years: a date ahead of it is as good
/// as any (RFC 9110 §13.1.3 dropped the rule of RFC 2616 against them), since it is the upstream's clock that counts.
pub fn not_modified(request: &Fields, block: &[u8], status: u16, received_at: Wall, now: Wall) -> bool {
    if status != 200 {
        return false;
    }
    // Its mere presence counts: where it says nothing intelligible, the other is not asked instead.
    if request.get(b"if-none-match").is_some() {
        return matches_any(request, block);
    }
    unmodified_since(request, block, received_at, now)
}

/// The fields of that 304, in their order (RFC 9110 §15.4.5).
///
/// Beside those the RFC demands: Last-Modified where there is no tag to go by; CDN-Cache-Control, which guides the
/// caches on the way as Cache-Control does; and the `Access-Control-*` fields, without which a script of another
/// origin may not see the answer to its own condition. They are not metadata of the representation, which is what the
/// RFC wants left out. Set-Cookie stays out: it is news for one client.
pub fn not_modified_fields(block: &[u8]) -> Fields {
    let has_tag = Validators::of(fields::iterate(block)).tag.is_some();
    Fields::of(fields::iterate(block).filter(|(name, _)| match *name {
        b"cache-control" | b"cdn-cache-control" | b"content-location" | b"date" | b"etag" | b"expires"
        | b"vary" => true,
        b"last-modified" => !has_tag,
        name => name.starts_with(b"access-control-"),
    }))
}

/// Whether two entity tags name the same bytes (RFC 9110 §8.8.3.2, strong comparison).
pub fn strong_eq(a: &[u8], b: &[u8]) -> bool {
    a == b && is_opaque_tag(a)
}

/// Whether two entity tags name equivalent representations (RFC 9110 §8.8.3.2, weak comparison). What is no entity
/// tag equals only itself.
pub fn weak_eq(a: &[u8], b: &[u8]) -> bool {
    match (opaque_tag(a), opaque_tag(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b && !a.is_empty(),
    }
}

/// What a response can be recognised by.
struct Validators<'a> {
    tag: Option<&'a [u8]>,
    modified: Option<&'a [u8]>,
}

impl<'a> Validators<'a> {
    fn of(response: fields::Iter<'a>) -> Self {
        let tag = response.clone().find_map(|(name, value)| (name == b"etag").then_some(value));
        Self {
            // A star would be asked as "is there anything?", and the answer would always renew the response.
            tag: tag.filter(|tag| !matches!(tag.trim_ascii(), b"" | b"*")),
            modified: only(response, b"last-modified").filter(|date| date::parse(date, Wall(0)).is_some()),
        }
    }

    fn are_there(&self) -> bool {
        self.tag.is_some() || self.modified.is_some()
    }
}

/// Whether Last-Modified is a strong validator: no second change can hide in its second, because the response was
/// made after that second (RFC 9110 §8.8.2.2).
fn has_strong_date(block: &[u8]) -> bool {
    let made = only(fields::iterate(block), b"date").and_then(|date| date::parse(date, Wall(0)));
    let is_later = |made: Wall| {
        let modified =
            only(fields::iterate(block), b"last-modified").and_then(|date| date::parse(date, made));
        modified.is_some_and(|modified| made.since(modified) >= DATE_GRAIN)
    };
    made.is_some_and(is_later)
}

/// If-None-Match is false (RFC 9110 §13.1.2).
fn matches_any(request: &Fields, block: &[u8]) -> bool {
    if only(request.iter(), b"if-none-match").is_some_and(|line| line.trim_ascii() == b"*") {
        return true;
    }
    let tag = Validators::of(fields::iterate(block)).tag;
    let holds = |tag| request.values(b"if-none-match").flat_map(members).any(|held| weak_eq(held, tag));
    tag.is_some_and(holds)
}

/// If-Modified-Since is false (RFC 9110 §13.1.3). A response without Last-Modified was last modified when it was made,
/// or when it came, at the latest (RFC 9111 §4.3.2).
fn unmodified_since(request: &Fields, block: &[u8], received_at: Wall, now: Wall) -> bool {
    let since = only(request.iter(), b"if-modified-since").and_then(|date| date::parse(date, now));
    let stated = |name| only(fields::iterate(block), name).and_then(|date| date::parse(date, received_at));
    let modified = stated(b"last-modified").or_else(|| stated(b"date")).unwrap_or(received_at);
    since.is_some_and(|since| modified <= since)
}

/// The members of a list of entity tags; a comma within quotes is part of a tag.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    line.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
    .map(<[u8]>::trim_ascii)
}

/// An entity tag without the mark of weakness.
fn opaque_tag(tag: &[u8]) -> Option<&[u8]> {
    Some(tag.strip_prefix(b"W/").unwrap_or(tag)).filter(|tag| is_opaque_tag(tag))
}

/// Whether `tag` is an entity tag, and strong (RFC 9110 §8.8.3).
fn is_opaque_tag(tag: &[u8]) -> bool {
    let is_etagc = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
    matches!(tag, [b'"', inner @ .., b'"'] if inner.iter().all(is_etagc))
}

/// The value of `name` if it has exactly one line.
fn only<'a>(fields: fields::Iter<'a>, name: &[u8]) -> Option<&'a [u8]> {
    let mut values = fields.filter(|(found, _)| *found == name).map(|(_, value)| value);
    values.next().filter(|_| values.next().is_none())
}

const DATE_GRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
