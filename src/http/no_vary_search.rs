//! Which parts of the query a response does not depend on (No-Vary-Search, draft-ietf-httpbis-no-vary-search-10).
//!
//! A response may say that parameters with some names make no difference to it (`params`), or all but some (`except`),
//! or the order of names (`key-order`). Queries that are equivalent by what it says share it (§6). Rather than compare
//! them in pairs, each query is brought to one form: forms are equal if and only if the queries are equivalent, so
//! that a form can be looked up. Names and values are compared decoded, as a form's parser reads them; of parameters
//! with the same name the order always counts.
//!
//! What is invalid, beyond the limits, or says nothing is `None`: then queries are compared as they stand (§5.1).
//! Earlier drafts had `params` as a boolean, alone or beside `except`. That is invalid now, and costs hits only.
//!
//! Stored form: one byte of flags, then each name, sorted, behind a byte with its length.

use super::fields::Fields;
use super::form;
use super::structured::{self, Value};

/// What No-Vary-Search says, where that differs from its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoVarySearch {
    /// Whether the order of names makes no difference.
    any_order: bool,
    /// Whether the names are the only ones that make a difference, rather than the only ones that make none.
    only: bool,
    /// Decoded, sorted, each once.
    names: Vec<String>,
}

impl NoVarySearch {
    /// Reads the field of a response; `None` where each difference between queries counts.
    pub fn read(response: &Fields) -> Option<Self> {
        let whole = structured::join(response.values(b"no-vary-search"));
        let members = structured::dictionary(&whole)?;
        let any_order = match members.get("key-order") {
            None => false,
            Some(Value::Boolean(any_order)) => *any_order,
            Some(_) => return None,
        };
        let (only, items) = match (members.get("params"), members.get("except")) {
            (None, None) => (false, &[][..]),
            (Some(Value::List(items)), None) => (false, &items[..]),
            (None, Some(Value::List(items))) => (true, &items[..]),
            _ => return None,
        };
        let mut names = Vec::new();
        for item in items {
            let name = name(item)?;
            if let Err(place) = names.binary_search(&name) {
                if names.len() >= MAX_NAMES {
                    return None;
                }
                names.insert(place, name);
            }
        }
        Some(Self { any_order, only, names }).filter(Self::is_sound)
    }

    /// The form that `query` (without its `?`; empty if there is none) has in common with its equivalents alone.
    pub fn normalise(&self, query: &[u8]) -> Vec<u8> {
        let counts =
            |name: &str| self.only == self.names.binary_search_by(|known| (**known).cmp(name)).is_ok();
        let form = form::write(form::parameters(query).filter(|(name, _)| counts(name)));
        if !self.any_order {
            return form;
        }
        let mut parameters: Vec<_> = form.split(|byte| *byte == b'&').collect();
        form::sort(&mut parameters);
        parameters.join(&b'&')
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let mut stored = vec![flag(self.any_order, ANY_ORDER) | flag(self.only, ONLY)];
        for name in &self.names {
            stored.extend(u8::try_from(name.len()));
            stored.extend_from_slice(name.as_bytes());
        }
        stored
    }

    /// Reads the stored form; `None` if the bytes are none.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let (flags, mut rest) = stored.split_first()?;
        let mut names = Vec::new();
        while let Some((length, tail)) = rest.split_first() {
            let (name, tail) = tail.split_at_checked(usize::from(*length))?;
            names.push(std::str::from_utf8(name).ok()?.to_owned());
            rest = tail;
        }
        let known = flags & !(ANY_ORDER | ONLY) == 0;
        let decoded = Self { any_order: flags & ANY_ORDER != 0, only: flags & ONLY != 0, names };
        Some(decoded).filter(|decoded| known && decoded.is_sound())
    }

    /// Whether it says anything, and within the limits.
    fn is_sound(&self) -> bool {
        (self.any_order || self.only || !self.names.is_empty())
            && self.names.len() <= MAX_NAMES
            && self.names.iter().all(|name| name.len() <= MAX_NAME_BYTES)
            && self.names.is_sorted_by(|a, b| a < b)
    }
}

/// A member of `params` or `except` (§5.3).
fn name(item: &Value<'_>) -> Option<String> {
    match item {
        Value::String(raw) => Some(form::text(raw.as_bytes()).into_owned()),
        _ => None,
    }
}

/// Most names a response may list.
pub const MAX_NAMES: usize = 32;
/// Longest name, decoded.
pub const MAX_NAME_BYTES: usize = 128;
const ANY_ORDER: u8 = 1;
const ONLY: u8 = 2;

#[cfg(test)]
mod tests;
