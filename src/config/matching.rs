//! Which rule a request falls under.
//!
//! The first rule that matches, in the operator's order; where none does, the default rule. Hosts are compared
//! without case, port and final dot (RFC 9110 §4.2.3, RFC 3986 §3.2.2), IPv6 literals as addresses; paths as raw
//! bytes before the query. Runs for each request and allocates nothing.

use crate::config::plan::{Match, PathMatch, Plan, Rule};
use std::net::Ipv6Addr;

impl Plan {
    /// The rule for a request, with its index; the default rule's is one past the last.
    ///
    /// `authority` is `:authority` or Host, `path` is `:path` with its query.
    pub fn rule_for(&self, method: &[u8], authority: &[u8], path: &[u8]) -> (usize, &Rule) {
        let (host, path) = (host(authority), before_query(path));
        let mut rules = self.rules.iter().enumerate();
        rules
            .find(|(_, rule)| rule.matches.admits(method, host, path))
            .unwrap_or((self.rules.len(), &self.default_rule))
    }
}

impl Match {
    /// Whether a request is matched; arguments as for [`Plan::rule_for`].
    pub fn matches(&self, method: &[u8], authority: &[u8], path: &[u8]) -> bool {
        self.admits(method, host(authority), before_query(path))
    }

    fn admits(&self, method: &[u8], host: &[u8], path: &[u8]) -> bool {
        let methods = &self.methods;
        (methods.is_empty() || methods.iter().any(|m| m.as_bytes() == method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| is_host(pattern, host)))
            && self.path.admits(path)
    }
}

impl PathMatch {
    /// Whether `path`, which has no query, is matched.
    fn admits(&self, path: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.as_bytes() == path,
            Self::Prefix(prefix) => path.starts_with(prefix.as_bytes()),
            Self::Template(template) => {
                let Some(path) = path.strip_prefix(b"/") else { return false };
                let mut segments = path.split(|b| *b == b'/');
                template.iter().all(|expected| {
                    segments.next().is_some_and(|segment| match expected {
                        Some(literal) => literal.as_bytes() == segment,
                        None => !segment.is_empty(),
                    })
                }) && segments.next().is_none()
            }
        }
    }
}

/// The host of an authority: without port, without the dot that ends an absolute name.
fn host(authority: &[u8]) -> &[u8] {
    let colon = authority.iter().rposition(|b| *b == b':');
    let host = match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) if is_port(port) && !is_open_literal(host) => host,
        _ => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// A colon and digits, or none (RFC 3986 §3.2.3).
fn is_port(text: &[u8]) -> bool {
    text.iter().skip(1).all(u8::is_ascii_digit)
}

/// Whether an IPv6 literal begins here and goes on behind.
fn is_open_literal(host: &[u8]) -> bool {
    host.first() == Some(&b'[') && host.last() != Some(&b']')
}

fn before_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    path.get(..end).unwrap_or(path)
}

fn is_host(pattern: &str, host: &[u8]) -> bool {
    if let Some(parent) = pattern.strip_prefix('*') {
        // `parent` keeps its dot: `example.com` itself is no subdomain, and neither is `.example.com`.
        let start = host.len().checked_sub(parent.len());
        return match start.and_then(|start| host.split_at_checked(start)) {
            Some((below, end)) => !below.is_empty() && end.eq_ignore_ascii_case(parent.as_bytes()),
            None => false,
        };
    }
    host.eq_ignore_ascii_case(pattern.as_bytes())
        || address(pattern.as_bytes()).is_some_and(|expected| address(host) == Some(expected))
}

/// The address of an IPv6 literal in brackets.
fn address(host: &[u8]) -> Option<Ipv6Addr> {
    let inner = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(inner).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
