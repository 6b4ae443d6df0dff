//! Which request a stored response answers, beside its key (RFC 9111 §4.1).
//!
//! Vary names request fields; a stored response is used again only for a request that agrees in all of them. What
//! was asked is kept as a short list of names, each with a digest of its value: values such as Cookie are secrets
//! that have no place in a store, and may be long. Before that, values are brought to one form: lines joined, blanks
//! around commas dropped, case forgotten where the field has none. A field that is absent agrees with its absence only.
//!
//! Stored form: for each nominated field, sorted, a length byte, the name, then one byte `0` for an absent field or
//! `1` and [`DIGEST`] bytes. No field, no byte: the common case costs nothing.

use super::cache_control::is_token;
use super::fields::Fields;

/// What Vary says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: one response for all.
    #[default]
    None,
    /// No other request is ever answered by it; also what is not understood, or names more than [`MAX_FIELDS`].
    Star,
    /// These request fields select it: lower case, sorted, each once.
    Fields(Vec<Vec<u8>>),
}

impl Vary {
    /// Reads the Vary lines of a response.
    pub fn read(response: &Fields) -> Self {
        let mut vary = Self::None;
        response.values(b"vary").for_each(|line| vary.read_line(line));
        vary
    }

    /// Reads one more line.
    pub(super) fn read_line(&mut self, line: &[u8]) {
        for member in
            line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
        {
            let known =
                member.len() <= MAX_NAME_BYTES && member != b"*" && member.iter().all(|byte| is_token(*byte));
            if !known {
                *self = Self::Star;
            }
            let name = member.to_ascii_lowercase();
            match self {
                Self::Star => return,
                Self::None => *self = Self::Fields(vec![name]),
                Self::Fields(names) => match names.binary_search(&name) {
                    Ok(_) => {}
                    Err(_) if names.len() >= MAX_FIELDS => *self = Self::Star,
                    Err(place) => names.insert(place, name),
                },
            }
        }
    }

    /// What `request` says in the nominated fields, in the stored form; empty for `None` and for `Star`.
    pub fn selecting_fields(&self, request: &Fields) -> Vec<u8> {
        let Self::Fields(names) = self else { return Vec::new() };
        let mut stored =
            Vec::with_capacity(names.iter().map(|name| name.len().saturating_add(DIGEST + 2)).sum());
        for name in names {
            let Ok(length) = u8::try_from(name.len()) else { continue };
            stored.push(length);
            stored.extend_from_slice(name);
            match digest(name, request) {
                None => stored.push(ABSENT),
                Some(digest) => {
                    stored.push(PRESENT);
                    stored.extend_from_slice(&digest);
                }
            }
        }
        stored
    }
}

/// Whether `request` agrees with the selecting fields in `stored`; bytes that are not of the stored form never agree.
pub fn matches(stored: &[u8], request: &Fields) -> bool {
    let mut rest = stored;
    while !rest.is_empty() {
        match take(&mut rest) {
            Some((name, selected)) if selected == digest(name, request).as_ref() => {}
            _ => return false,
        }
    }
    true
}

/// What `request` says in the fields that selected another response, in the stored form; `None` if `stored` is not of it.
pub fn reselected(stored: &[u8], request: &Fields) -> Option<Vec<u8>> {
    let mut rest = stored;
    let mut names = Vec::new();
    while !rest.is_empty() {
        names.push(take(&mut rest)?.0.to_vec());
    }
    Some(Vary::Fields(names).selecting_fields(request))
}

/// Takes the first stored field: its name, and the digest of its value if it was present.
fn take<'a>(stored: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8; DIGEST]>)> {
    let (length, rest) = stored.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let (digest, rest) = match rest.split_first()? {
        (&ABSENT, rest) => (None, rest),
        (&PRESENT, rest) => rest.split_first_chunk().map(|(digest, rest)| (Some(digest), rest))?,
        _ => return None,
    };
    *stored = rest;
    Some((name, digest))
}

/// The digest of the value of `name`, brought to one form; `None` if there is no such field.
fn digest(name: &[u8], request: &Fields) -> Option<[u8; DIGEST]> {
    let mut values = request.values(name).peekable();
    values.peek()?;
    let mut one = Vec::new();
    for line in values {
        // A comma within a quoted string separates nothing.
        let quoted = line.contains(&b'"');
        for member in line.split(|byte| *byte == b',' && !quoted) {
            one.extend_from_slice(member.trim_ascii());
            one.push(b',');
        }
    }
    if WITHOUT_CASE.contains(&name) {
        one.make_ascii_lowercase();
    }
    blake3::hash(&one).as_bytes().first_chunk().copied()
}

/// Most fields one response may nominate.
pub const MAX_FIELDS: usize = 32;
const MAX_NAME_BYTES: usize = 255;
/// Bytes of a value's digest.
pub const DIGEST: usize = 16;
const ABSENT: u8 = 0;
const PRESENT: u8 = 1;
/// Fields whose values mean the same in any case (RFC 9110 §12.5).
const WITHOUT_CASE: [&[u8]; 3] = [b"accept-charset", b"accept-encoding", b"accept-language"];

#[cfg(test)]
mod tests;
