//! What of a stored response a client gets: all of it, the word that its own copy still holds, or the parts it wants.
//!
//! In the order of RFC 9110 §13.2.2: the client's validators first (RFC 9111 §4.3.2), then If-Range and Range
//! (RFC 9110 §14.2). The plugin's own refusals have neither validators nor parts.

use super::answer::{Served, marked};
use crate::flight::Origin;
use crate::http::range::{self, Cut};
use crate::http::request::Method;
use crate::http::{Fields, RequestHead, validators};
use crate::store::Entry;
use crate::time::Wall;
use std::borrow::Cow;

/// A reply to one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Its status code.
    pub status: u16,
    /// Its fields, without the length of the body.
    pub fields: Fields,
    /// Its body; to HEAD the one that is not sent.
    pub body: Cow<'a, [u8]>,
}

/// The reply from `entry` to a request with these fields.
pub fn reply<'a>(
    entry: &Entry<'a>,
    how: Served,
    request: &RequestHead,
    fields: &Fields,
    now: Wall,
) -> Reply<'a> {
    let whole = |status, block: &[u8], body| Reply { status, fields: marked(block, entry, how, now), body };
    let asks = request.conditional || request.range;
    if !asks || matches!(how.origin, Origin::Refused | Origin::Failed(_)) {
        return whole(entry.meta.status, entry.fields, Cow::Borrowed(entry.body));
    }
    let Entry { meta, .. } = entry;
    if validators::not_modified(fields, entry.fields, meta.status, meta.received_at, now) {
        let block = validators::not_modified_fields(entry.fields);
        return whole(304, block.as_block(), Cow::Borrowed(&[]));
    }
    let length = u64::try_from(entry.body.len()).unwrap_or(u64::MAX);
    match wanted(entry, request, fields, now, length) {
        Cut::Whole => whole(meta.status, entry.fields, Cow::Borrowed(entry.body)),
        Cut::Parts(parts) => {
            let (block, body) =
                range::partial(entry.fields, entry.body, &parts, &range::boundary(entry.body));
            whole(206, block.as_block(), Cow::Owned(body))
        }
        Cut::Unsatisfiable => {
            let block = range::unsatisfiable(entry.fields, length);
            whole(416, block.as_block(), Cow::Borrowed(&[]))
        }
    }
}

/// Which parts of a stored response are wanted; all of it where Range does not apply.
fn wanted(entry: &Entry<'_>, request: &RequestHead, fields: &Fields, now: Wall, length: u64) -> Cut {
    let applies =
        request.range && request.method == Method::Get && range::may_be_cut(entry.meta.status, entry.fields);
    let holds = |value| range::if_range_holds(value, entry.fields, now);
    let mut lines = fields.values(b"range");
    let (Some(line), None) = (lines.next(), lines.next()) else { return Cut::Whole };
    if !applies || !fields.get(b"if-range").is_none_or(holds) {
        return Cut::Whole;
    }
    range::parse(line).map_or(Cut::Whole, |specs| range::resolve(&specs, length))
}

#[cfg(test)]
mod tests;
