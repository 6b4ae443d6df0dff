//! What one stored part of a representation is good for (RFC 9111 §3.3, §3.4).
//!
//! A part answers requests that want nothing beyond it, and grows by other parts of the same representation until it
//! is the whole. "The same" is a strong validator that both state, and nothing less: two parts of different versions
//! put together are a response that nobody ever sent. For the same reason a content whose length contradicts its
//! place is no part, and parts that overlap must agree in every byte they share.

use super::content_range::ContentRange;
use super::end_to_end::end_to_end;
use super::fields::{self, Fields};
use super::range::{self, Part, Spec};
use crate::time::Wall;

/// The part that answers a request for `wanted`, if the stored one has all of it.
///
/// Only a request for a single range is answered. Where the representation ends must be known to tell what `5-` and
/// `-3` want; `0-4` needs it only where the part ends sooner.
pub fn holds(stored: &ContentRange, wanted: &[Spec]) -> Option<Part> {
    let [spec] = wanted else { return None };
    let part = match (stored.complete, *spec) {
        (Some(length), spec) => spec.within(length)?,
        (None, Spec::Closed { first, last }) => Part { first, last },
        (None, Spec::Open { .. } | Spec::Suffix { .. }) => return None,
    };
    (stored.first <= part.first && part.last <= stored.last).then_some(part)
}

/// Fields and body of the 206 that answers with `part`, as [`holds`] found it, of the stored part; `None` if it does
/// not have it.
pub fn answer(block: &[u8], stored: &ContentRange, body: &[u8], part: Part) -> Option<(Fields, Vec<u8>)> {
    if !stored.fits(body.len()) || part.first > part.last || part.last > stored.last {
        return None;
    }
    let within =
        Part { first: part.first.checked_sub(stored.first)?, last: part.last.checked_sub(stored.first)? };
    Some((range::one_part(block, part, stored.complete), within.of(body).to_vec()))
}

/// The range to ask for so that the stored part becomes the whole; `None` if it is that already, or begins too late
/// for one range to complete it.
///
/// To be sent with [`validator`] as If-Range: a representation that has changed then comes whole.
pub fn rest(stored: &ContentRange) -> Option<Spec> {
    let first = stored.last.checked_add(1)?;
    (stored.first == 0 && !stored.is_whole()).then_some(Spec::Open { first })
}

/// The strong validator that a response states: its entity tag or, without any, its Last-Modified.
pub fn validator(block: &[u8], now: Wall) -> Option<&[u8]> {
    if range::has(block, range::ETAG) {
        range::strong_tag(block)
    } else {
        range::strong_last_modified(block, now)
    }
}

/// The stored part and that of a new response as one: fields and body.
///
/// `None` if they are not of the same representation, or contradict each other or themselves, or leave a gap. What
/// comes out has a Content-Range unless it is the whole, which is then kept as a 200.
pub fn combine(
    stored_block: &[u8],
    stored_range: &ContentRange,
    stored_body: &[u8],
    update: &Fields,
    update_range: &ContentRange,
    update_body: &[u8],
    now: Wall,
) -> Option<(Fields, Vec<u8>)> {
    let same = validator(stored_block, now)? == validator(update.as_block(), now)?
        && agrees(stored_block, update.as_block());
    if !same || !stored_range.fits(stored_body.len()) || !update_range.fits(update_body.len()) {
        return None;
    }
    let stored = (stored_range.part(), stored_body);
    let new = (update_range.part(), update_body);
    let (low, high) = if stored.0.first <= new.0.first { (stored, new) } else { (new, stored) };
    let body = union(low, high)?;
    let part = low.0.with(high.0);
    let range = ContentRange {
        first: part.first,
        last: part.last,
        complete: one_length(stored_range.complete, update_range.complete)?,
    };
    range.fits(body.len()).then(|| (updated(stored_block, update, &range), body))
}

/// Whether nothing in the new response denies that its content continues the stored one's: many parts are no part,
/// and bytes of two codings do not add up.
fn agrees(stored: &[u8], update: &[u8]) -> bool {
    let values = |block, name: &'static [u8]| {
        fields::iterate(block).filter(move |(other, _)| *other == name).map(|(_, value)| value)
    };
    let is_multipart = |block| values(block, range::CONTENT_TYPE).any(is_byteranges);
    let states_coding = values(update, b"content-encoding").next().is_some();
    let same_coding = values(update, b"content-encoding").eq(values(stored, b"content-encoding"));
    !is_multipart(stored) && !is_multipart(update) && (same_coding || !states_coding)
}

fn is_byteranges(content_type: &[u8]) -> bool {
    let name = b"multipart/byteranges";
    content_type.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// The length that both know of; `None` if they know of different ones.
fn one_length(one: Option<u64>, other: Option<u64>) -> Option<Option<u64>> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (one, other) => Some(one.or(other)),
    }
}

/// The bytes of both, of which `low` begins first; `None` if they leave a gap, or differ where they overlap.
fn union((low, low_body): (Part, &[u8]), (high, high_body): (Part, &[u8])) -> Option<Vec<u8>> {
    let before = usize::try_from(high.first.checked_sub(low.first)?).ok()?;
    // None of it where they merely touch; a gap is where not even that is there.
    let low_rest = low_body.get(before..)?;
    let shared = low_rest.len().min(high_body.len());
    let (high_shared, high_rest) = high_body.split_at_checked(shared)?;
    if !low_rest.starts_with(high_shared) {
        return None;
    }
    Some([low_body, high_rest].concat())
}

/// The stored fields, replaced by those the new response states (RFC 9111 §3.2), for the part they now belong to.
fn updated(stored: &[u8], update: &Fields, range: &ContentRange) -> Fields {
    let update = end_to_end(update);
    let states = |name: &[u8]| update.iter().any(|(other, _)| other == name);
    let kept = fields::iterate(stored).filter(|(name, _)| !range::is_of_the_whole(name) && !states(name));
    let new = update.iter().filter(|(name, _)| !range::is_of_the_whole(name));
    let mut content_range = Vec::new();
    range.write(&mut content_range);
    let place = (!range.is_whole()).then_some((range::CONTENT_RANGE, &content_range[..]));
    Fields::of(kept.chain(new).chain(place))
}

#[cfg(test)]
mod tests;
