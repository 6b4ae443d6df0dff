//! The forms of text in a configuration: names, hosts, paths, methods, status codes, header fields, cookies,
//! parameters.
//!
//! Each reader takes the text as written and gives the form the rest of the house compares with, or advice.

use crate::config::kinds::Text;
use crate::config::limits;
use crate::config::plan::PathMatch;
use std::net::Ipv6Addr;

/// A rule's name: it becomes a metric label.
pub(super) const RULE_NAME: Text<String> = Text {
    allowed: "a name of 1 to 64 letters, digits, _, . or -",
    read: |text| {
        if text == RESERVED {
            return Err(Some("choose another name, since default is what applies where no rule matches"));
        }
        named(text, limits::RULE_NAME, b"_.-")
    },
};

/// The name that no rule may have.
pub(super) const RESERVED: &str = "default";

/// The name of a rule that there is, that of all the rest included.
pub(super) const KNOWN_RULE: Text<String> = Text {
    allowed: "the name of a rule, or \"default\" for what no rule matches",
    read: |text| if text == "default" { Ok(text.into()) } else { (RULE_NAME.read)(text) },
};

/// The prefix of Redis keys.
pub(super) const NAMESPACE: Text<String> =
    Text { allowed: "1 to 32 letters, digits, _ or -", read: |text| named(text, limits::NAMESPACE, b"_-") };

/// The name of one of Envoy's clusters.
pub(super) const CLUSTER: Text<String> = Text {
    allowed: "the name of an Envoy cluster, 1 to 256 bytes without control characters",
    read: |text| sound(text, limits::CLUSTER_NAME).map(Into::into).ok_or(None),
};

/// A host, or all hosts below one.
pub(super) const HOST: Text<String> = Text {
    allowed: "a host without port, such as \"api.example.com\", \"*.example.com\" or \"[2001:db8::1]\"",
    read: host,
};

/// A request method.
pub(super) const METHOD: Text<String> = Text {
    allowed: "a method such as \"GET\"",
    read: |text| token(text).map(|method| method.to_ascii_uppercase()).ok_or(None),
};

/// The method of a request that is told apart by its body.
pub(super) const BODY_METHOD: Text<String> = Text {
    allowed: "\"QUERY\" or \"POST\", since only these two may be answered from a cache by their body",
    read: |text| {
        let method = text.to_ascii_uppercase();
        if matches!(method.as_str(), "QUERY" | "POST") { Ok(method) } else { Err(None) }
    },
};

/// The status code of a whole response.
pub(super) const STATUS: Text<u16> = Text {
    allowed: "a status code from 200 to 599 but 206 and 304, since neither is a whole response",
    read: status,
};

/// The status code of an answer of the plugin's own.
pub(super) const ANSWER_STATUS: Text<u16> = Text {
    allowed: "a status code from 200 to 599 but 204, 205, 206 and 304, since these have no body or a part of one",
    read: |text| status(text).and_then(|code| if matches!(code, 204 | 205) { Err(None) } else { Ok(code) }),
};

/// A media type.
pub(super) const CONTENT_TYPE: Text<String> = Text {
    allowed: "a media type, such as \"text/html; charset=utf-8\"",
    read: |text| {
        let visible = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.trim() == text;
        if visible && text.contains('/') && text.len() <= limits::CONTENT_TYPE {
            Ok(text.into())
        } else {
            Err(None)
        }
    },
};

/// A body of the operator's own.
pub(super) const ANSWER_BODY: Text<String> = Text {
    allowed: "text of at most 64 KiB",
    read: |text| if text.len() <= limits::ANSWER_BODY { Ok(text.into()) } else { Err(None) },
};

/// Where operators reach the plugin.
pub(super) const ADMIN_PATH: Text<String> = Text {
    allowed: "a path with a slash at both ends, such as \"/.breakwater/\", of letters, digits and .-_~/",
    read: |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_~/".contains(&b);
        let framed = text.len() > 1 && text.starts_with('/') && text.ends_with('/') && !text.contains("//");
        if framed && text.bytes().all(plain) && text.len() <= limits::ADMIN_PATH {
            Ok(text.into())
        } else {
            Err(None)
        }
    },
};

/// A header field's name.
pub(super) const HEADER: Text<String> = Text {
    allowed: "the name of a header field, such as \"accept-language\"",
    read: |text| token(text).map(|name| name.to_ascii_lowercase()).ok_or(None),
};

/// A cookie's name.
pub(super) const COOKIE: Text<String> =
    Text { allowed: "the name of a cookie", read: |text| token(text).map(Into::into).ok_or(None) };

/// A query parameter's name, or the beginning of several.
pub(super) const PARAMETER: Text<String> = Text {
    allowed: "the name of a query parameter, 1 to 256 bytes, with * at its end or nowhere",
    read: |text| {
        let stem = text.strip_suffix('*').unwrap_or(text);
        if stem.contains('*') {
            return Err(Some("write * at the end alone"));
        }
        sound(text, limits::TOKEN).map(Into::into).ok_or(None)
    },
};

/// One path.
pub(super) const EXACT: Text<PathMatch> =
    Text { allowed: PATH_ALLOWED, read: |text| path(text).map(|path| PathMatch::Exact(path.into())) };

/// All paths that begin alike.
pub(super) const PREFIX: Text<PathMatch> =
    Text { allowed: PATH_ALLOWED, read: |text| path(text).map(|path| PathMatch::Prefix(path.into())) };

/// Paths of one shape.
pub(super) const TEMPLATE: Text<PathMatch> = Text {
    allowed: "a path of at most 64 segments, each literal or one {name}, such as \"/users/{id}/history\"",
    read: template,
};

/// Whether whatever the parameter pattern `narrow` lets in is matched by `wide` too.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_suffix('*') {
        Some(stem) => narrow.strip_suffix('*').unwrap_or(narrow).starts_with(stem),
        None => wide == narrow,
    }
}

const PATH_ALLOWED: &str = "a path that begins with / and has no ?, # or space, at most 2048 bytes";

fn named(text: &str, most: usize, marks: &[u8]) -> Result<String, Option<&'static str>> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b));
    if plain && !text.is_empty() && text.len() <= most { Ok(text.into()) } else { Err(None) }
}

fn sound(text: &str, most: usize) -> Option<&str> {
    (!text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)).then_some(text)
}

/// A token of RFC 9110 §5.6.2.
fn token(text: &str) -> Option<&str> {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (!text.is_empty() && text.len() <= limits::TOKEN && text.bytes().all(is_tchar)).then_some(text)
}

fn status(text: &str) -> Result<u16, Option<&'static str>> {
    if text.to_ascii_lowercase().ends_with("xx") {
        return Err(Some("write each code by itself"));
    }
    let is_code = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    let code = text.parse().ok().filter(|code| is_code && limits::STATUS.contains(code));
    code.filter(|code| !matches!(code, 206 | 304)).ok_or(None)
}

fn host(text: &str) -> Result<String, Option<&'static str>> {
    if text == "*" {
        return Err(Some("leave hosts out to match every host"));
    }
    if text.contains('/') {
        return Err(Some("write the host alone"));
    }
    if !text.is_ascii() {
        return Err(Some("write it in its ASCII form (xn--…)"));
    }
    let bracketed = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    if let Ok(address) = bracketed.unwrap_or(text).parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    if text.contains(':') {
        return Err(Some("leave the port out"));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let labels = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        plain && !label.is_empty() && label.len() <= LABEL
    };
    if name.len() <= limits::HOST && labels.split('.').all(is_label) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(None)
    }
}

fn path(text: &str) -> Result<&str, Option<&'static str>> {
    if text.contains('?') {
        return Err(Some("leave the query out, since rules match the path before it"));
    }
    let is_sound = |b: u8| !b.is_ascii_control() && b != b' ' && b != b'#';
    (text.starts_with('/') && text.len() <= limits::PATH && text.bytes().all(is_sound))
        .then_some(text)
        .ok_or(None)
}

fn template(text: &str) -> Result<PathMatch, Option<&'static str>> {
    let segments = path(text)?.strip_prefix('/').ok_or(None)?.split('/');
    let read: Option<Vec<Option<String>>> = segments.map(segment).collect();
    let read = read.ok_or(Some("let each {name} or literal fill its segment; * has no meaning here"))?;
    if read.len() <= limits::SEGMENTS { Ok(PathMatch::Template(read)) } else { Err(None) }
}

/// `Some(None)`: any one segment; `None`: neither a literal nor a variable.
fn segment(text: &str) -> Option<Option<String>> {
    if let Some(variable) = text.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')) {
        let is_name =
            !variable.is_empty() && variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return is_name.then_some(None);
    }
    (!text.contains(['{', '}', '*'])).then(|| Some(text.into()))
}

/// Longest label of a DNS name (RFC 1035 §2.3.4).
const LABEL: usize = 63;
