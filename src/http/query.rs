//! How a query enters the key.
//!
//! Parameters are compared as raw bytes and never rewritten: what is equal in the key is equal on the wire but for
//! order, and for what the rule leaves out. The order of parameters with the same name always stays, for it has a
//! meaning to many servers. In doubt a parameter stays in the key, since one that the upstream sees and the key does
//! not lets a client choose what others get: names are let in decoded and in any case, but left out by their raw bytes
//! only, and a parameter with a `;` in it, which some servers read as two, is never left out.

use super::form;
use super::key::{Key, MAX_KEY_BYTES, QuerySpec};
use super::reason::Reason;

/// Appends `query` (without its `?`) to `key` as part `tag`, or nothing if every parameter was left out.
///
/// # Errors
/// `KeyTooLong` where the parameters that stay do not fit.
pub(super) fn append(key: &mut Key, tag: u8, query: &[u8], spec: &QuerySpec) -> Result<(), Reason> {
    let whole = spec.ignore.is_empty() && spec.allow.is_none();
    if whole && (!spec.sort || parameters(query).map(form::name).is_sorted()) {
        return key.append(tag, query);
    }
    let kept = parameters(query).filter(|parameter| whole || stays(parameter, spec));
    let mut count: usize = 0;
    let mut bytes: usize = 0;
    for parameter in kept.clone() {
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(parameter.len()).saturating_add(1);
        if bytes > MAX_KEY_BYTES {
            return Err(Reason::KeyTooLong);
        }
    }
    if count == 0 {
        return Ok(());
    }
    let mut few: [&[u8]; FEW] = [&[]; FEW];
    let mut many = Vec::new();
    let list = match few.get_mut(..count) {
        Some(list) => list,
        None => {
            many.resize(count, &[][..]);
            many.as_mut_slice()
        }
    };
    list.iter_mut().zip(kept).for_each(|(place, parameter)| *place = parameter);
    if spec.sort {
        form::sort(list);
    }
    key.append_joined(tag, list, b'&')
}

/// `query` without what the rule leaves out.
pub(super) fn kept(query: &[u8], spec: &QuerySpec) -> Vec<u8> {
    parameters(query).filter(|parameter| stays(parameter, spec)).collect::<Vec<_>>().join(&b'&')
}

fn parameters(query: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    query.split(|byte| *byte == b'&')
}

fn stays(parameter: &[u8], spec: &QuerySpec) -> bool {
    let name = form::name(parameter);
    let ignored = || spec.ignore.iter().any(|pattern| is_ignored(pattern.as_bytes(), name));
    let allowed = || {
        spec.allow.as_ref().is_none_or(|list| list.iter().any(|pattern| is_allowed(pattern.as_bytes(), name)))
    };
    parameter.contains(&b';') || (allowed() && !ignored())
}

fn is_ignored(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn is_allowed(pattern: &[u8], name: &[u8]) -> bool {
    let (start, any_ending) = match pattern.strip_suffix(b"*") {
        Some(start) => (start, true),
        None => (pattern, false),
    };
    let mut name = form::decoded(name);
    start.iter().all(|byte| name.next().is_some_and(|found| found.eq_ignore_ascii_case(byte)))
        && (any_ending || name.next().is_none())
}

/// Up to so many parameters are sorted without an allocation.
const FEW: usize = 16;
