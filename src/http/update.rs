//! What a stored response says after news of it without a body: a 304, or a 200 to HEAD (RFC 9111 §3.2, §4.3.5).
//!
//! The news replaces what was stored, name by name, and what it does not mention stays. Left as they were are the
//! fields that say how the stored bytes are to be read or what they add up to. The bytes did not change, so the news
//! can at best agree, and there are servers that put the defaults of an empty response into a 304. §3.2 demands this
//! of Content-Length, and allows it where the integrity of what is stored depends on it.
//!
//! Set-Cookie is news for the one client whose request brought it, and never enters a response that others get. (It
//! once did in another cache: CVE-2016-10002.)

use super::end_to_end::end_to_end;
use super::fields::{self, Fields};

/// The fields of the stored response `block`, brought up to date by `update`: replaced lines stand where the first of
/// their name stood, new ones behind. The caller has made sure that the update is about this response.
pub fn updated(block: &[u8], update: &Fields) -> Fields {
    let update = end_to_end(update);
    let stored = || fields::iterate(block);
    let is_stored = |name: &[u8]| stored().any(|(other, _)| other == name);
    // A tag that agreed is at most weaker than the stored one.
    let has_tag = is_stored(b"etag");
    let stays = |name: &[u8]| STAYS.contains(&name) || (has_tag && name == b"etag");
    let news: Vec<(&[u8], &[u8])> = update.iter().filter(|(name, _)| !stays(name)).collect();
    let lines_of = |name| news.iter().copied().filter(move |(other, _)| *other == name);
    let mut merged: Vec<(&[u8], &[u8])> = Vec::with_capacity(news.len());
    for (name, value) in stored() {
        if lines_of(name).next().is_none() {
            merged.push((name, value));
        } else if !merged.iter().any(|(other, _)| *other == name) {
            merged.extend(lines_of(name));
        }
    }
    merged.extend(news.iter().filter(|(name, _)| !is_stored(name)));
    Fields::of(merged)
}

/// What an update neither changes nor adds. Content-Length is not stored at all.
const STAYS: [&[u8]; 8] = [
    b"content-digest",
    b"content-encoding",
    b"content-md5",
    b"content-range",
    b"digest",
    b"repr-digest",
    b"set-cookie",
    b"set-cookie2",
];

#[cfg(test)]
mod tests;
