//! How a stored response is brought up to date (RFC 9111 §3.2).

use super::fields;
use crate::history::Fields;

/// Fields a cache may keep as they were, since what it stores depends on them; or that it had better not take over.
pub const MAY_STAY: [&str; 7] = [
    "content-encoding",
    "content-type",
    "content-range",
    "etag",
    "last-modified",
    "set-cookie",
    "set-cookie2",
];

/// The fields after the update, and the lines that were replaced or held back.
pub fn updated(stored: &Fields, update: &Fields) -> (Fields, Fields) {
    let mut result = stored.clone();
    let mut former = Fields::new();
    let gone = hop_by_hop(update);
    let mut names: Vec<&String> = update.iter().map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        // "The Content-Length header field" and those of the connection are not updated.
        if name == "content-length" || gone.contains(name) {
            continue;
        }
        let lines: Fields = update.iter().filter(|(n, _)| n == name).cloned().collect();
        if name == "set-cookie" || name == "set-cookie2" {
            former.extend(lines);
            continue;
        }
        former.extend(result.iter().filter(|(n, _)| n == name).cloned());
        if name == "vary" && !fields::has(stored, name) {
            former.push((name.clone(), Vec::new()));
        }
        if MAY_STAY.contains(&name.as_str()) && !fields::has(stored, name) {
            former.push((format!("may lack {name}"), Vec::new()));
        }
        result.retain(|(n, _)| n != name);
        result.extend(lines);
    }
    (result, former)
}

/// Names of the fields that belong to the connection (§3.1, RFC 9110 §7.6.1).
pub fn hop_by_hop(response: &Fields) -> Vec<String> {
    let known = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let named = fields::value(response, "connection").unwrap_or_default().to_ascii_lowercase();
    known.iter().map(|name| (*name).to_owned()).chain(fields::simple_list(&named)).collect()
}
