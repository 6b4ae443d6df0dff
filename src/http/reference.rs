//! Which resource of the same origin a response's Location or Content-Location names (RFC 3986 §5.2, RFC 9111 §4.4).
//!
//! A write may change other resources than its own, and says so in these fields. They are believed for the request's
//! own origin only: else one host could drive another's responses out of the store.

use super::fields::Fields;
use super::key::without_default_port;

/// The path and query of `reference`, resolved against the request's own; `None` if it is of another origin, or cannot
/// be the target of a request.
pub fn same_origin(reference: &[u8], request: &Fields) -> Option<Vec<u8>> {
    let scheme = request.get(b":scheme")?;
    let authority = without_default_port(scheme, request.get(b":authority")?);
    // A target without a path, such as the asterisk, is the root (RFC 9110 §7.1, RFC 3986 §5.2.3).
    let base = Some(request.get(b":path")?).filter(|path| path.starts_with(b"/")).unwrap_or(b"/");
    let reference = reference.trim_ascii().split(|byte| *byte == b'#').next()?;
    if !reference.iter().all(|byte| matches!(byte, 0x21..=0x7e)) {
        return None;
    }
    let ours = |theirs: &[u8]| without_default_port(scheme, theirs).eq_ignore_ascii_case(authority);
    let rest = match scheme_of(reference) {
        Some((theirs, rest)) => {
            let rest = rest.strip_prefix(b":").filter(|rest| rest.starts_with(b"//"))?;
            theirs.eq_ignore_ascii_case(scheme).then_some(rest)?
        }
        None => reference,
    };
    let Some(after) = rest.strip_prefix(b"//") else { return Some(merged(base, rest)) };
    let end = after.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(after.len());
    let (theirs, target) = after.split_at_checked(end)?;
    ours(theirs)
        .then(|| if target.starts_with(b"/") { merged(b"/", target) } else { [b"/", target].concat() })
}

/// A scheme, and what follows it with its colon.
fn scheme_of(reference: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = reference.iter().position(|byte| matches!(byte, b':' | b'/' | b'?'))?;
    let (scheme, rest) = reference.split_at_checked(end)?;
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (rest.starts_with(b":") && scheme.first()?.is_ascii_alphabetic() && scheme.iter().all(is_scheme))
        .then_some((scheme, rest))
}

/// A reference without scheme and authority, seen from the target `base`.
fn merged(base: &[u8], reference: &[u8]) -> Vec<u8> {
    let (base_path, _) = split_query(base);
    let (path, query) = split_query(reference);
    if path.is_empty() {
        let query = if reference.is_empty() { split_query(base).1 } else { query };
        return [base_path, query].concat();
    }
    let whole = if path.starts_with(b"/") {
        path.to_vec()
    } else {
        let end = base_path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at.saturating_add(1));
        [base_path.get(..end).unwrap_or_default(), path].concat()
    };
    [&without_dots(&whole)[..], query].concat()
}

/// The path, and the query with its `?`.
fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let at = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    target.split_at_checked(at).unwrap_or((target, &[]))
}

/// RFC 3986 §5.2.4.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/').collect();
    let last = segments.len().saturating_sub(1);
    for (place, segment) in segments.into_iter().enumerate() {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if place == last {
            kept.push(b"");
        }
    }
    [b"/", &kept.join(&b'/')[..]].concat()
}

#[cfg(test)]
mod tests;
