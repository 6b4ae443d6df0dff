//! The tags a response carries, by which it can be purged: Cache-Tag, Surrogate-Key, Cache-Groups (RFC 9875) and others.
//!
//! Each field has its own way to write a list: Cache-Tag with commas, Surrogate-Key with blanks, Cache-Groups as a list
//! of Strings (RFC 9651 §3.1). A field of another name is read both ways, and each reading's tags count, since a tag too
//! many purges too much and a tag too few leaves what should be gone; so is a Cache-Groups that is no such list. Tags
//! are compared byte by byte, wherever they stood.
//!
//! Stored form: the first [`DIGEST`] bytes of each tag's BLAKE3, sorted, each once; no tag, no byte. Tags may be long,
//! and are never shown again. Two tags with the same digest purge each other, which does no harm. More than
//! [`MAX_TAGS`] are one byte instead, which stands for any tag.

use super::fields::Fields;
use super::structured::{self, Value};
use std::borrow::Cow;

/// The tags of one response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Sorted, each once.
    digests: Vec<[u8; DIGEST]>,
    /// Whether there were more than are kept.
    overflow: bool,
}

/// Reads the tags in the fields with these `names`, of any case.
pub fn read(fields: &Fields, names: &[String]) -> Tags {
    let mut tags = Tags::default();
    for name in names {
        let is_named = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        let lines = fields.iter().filter(|(found, _)| is_named(found)).map(|(_, line)| line);
        let writing = Writing::of(name);
        if writing == Writing::Strings {
            let whole = structured::join(lines.clone());
            if let Some(members) = strings(&whole) {
                members.iter().for_each(|tag| tags.add(tag.as_bytes()));
                continue;
            }
        }
        lines.for_each(|line| tags.add_line(line, writing));
    }
    tags
}

/// Whether a response with these tags carries `tag`; bytes that are not of the stored form carry every tag.
pub fn carries(stored: &[u8], tag: &[u8]) -> bool {
    let (digests, rest) = stored.as_chunks();
    !rest.is_empty() || digests.contains(&digest(tag))
}

/// Whether the bytes are of the stored form.
pub fn is_sound(stored: &[u8]) -> bool {
    let (digests, rest) = stored.as_chunks::<DIGEST>();
    stored == ANY || rest.is_empty() && digests.len() <= MAX_TAGS && digests.is_sorted_by(|a, b| a < b)
}

impl Tags {
    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        if self.overflow { ANY.to_vec() } else { self.digests.concat() }
    }

    /// Adds a tag; nothing is none.
    fn add(&mut self, tag: &[u8]) {
        if tag.is_empty() || self.overflow {
            return;
        }
        let digest = digest(tag);
        if let Err(place) = self.digests.binary_search(&digest) {
            self.overflow = self.digests.len() >= MAX_TAGS;
            self.digests.insert(place, digest);
        }
    }

    /// Adds what the line holds if commas separate, if blanks do, or both.
    fn add_line(&mut self, line: &[u8], writing: Writing) {
        if writing != Writing::Blanks {
            line.split(|byte| *byte == b',').for_each(|tag| self.add(tag.trim_ascii()));
        }
        if writing != Writing::Commas {
            let tag = |word| if writing == Writing::Blanks { word } else { without_commas(word) };
            line.split(u8::is_ascii_whitespace).for_each(|word| self.add(tag(word)));
        }
    }
}

/// How the tags of a field are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Commas,
    Blanks,
    Strings,
    Either,
}

impl Writing {
    fn of(name: &str) -> Self {
        let known = KNOWN.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map_or(Self::Either, |(_, writing)| *writing)
    }
}

/// The members of a list of Strings; `None` if it is no such list.
fn strings(whole: &[u8]) -> Option<Vec<Cow<'_, str>>> {
    let string = |member| match member {
        Value::String(text) => Some(text),
        _ => None,
    };
    structured::list(whole)?.into_iter().map(string).collect()
}

/// `word` without commas at its ends: those of a list that has both separators.
fn without_commas(mut word: &[u8]) -> &[u8] {
    while let [b',', rest @ ..] | [rest @ .., b','] = word {
        word = rest;
    }
    word
}

fn digest(tag: &[u8]) -> [u8; DIGEST] {
    blake3::hash(tag).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// Most tags kept of one response: more than the 32 groups that RFC 9875 §2 demands.
pub const MAX_TAGS: usize = 128;
/// Bytes of a tag's digest: that two of a million tags share one has a chance of one in forty million.
pub const DIGEST: usize = 8;
const ANY: &[u8] = b"*";
const KNOWN: [(&str, Writing); 3] =
    [("cache-tag", Writing::Commas), ("surrogate-key", Writing::Blanks), ("cache-groups", Writing::Strings)];

#[cfg(test)]
mod tests;
