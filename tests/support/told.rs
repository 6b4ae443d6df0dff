//! What the wall tells of an answer's way, Cache-Status (RFC 9211), read by a parser that is not the wall's.

use super::wire::Head;
use sfv::{BareItem, List, ListEntry, Parser};

/// The wall's own member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The answer came from the store.
    pub hit: bool,
    /// Why the request went forward.
    pub fwd: Option<String>,
    /// What the upstream answered.
    pub fwd_status: Option<i64>,
    /// Whether that was kept.
    pub stored: bool,
    /// Whether the request waited for another's answer, or might have and did not.
    pub collapsed: Option<bool>,
    /// Seconds of freshness left.
    pub ttl: Option<i64>,
    /// The key's digest.
    pub key: Option<String>,
    /// A tier, or a reason's word.
    pub detail: Option<String>,
}

/// The member that the wall has added to the answer with this head; `None` if it added none.
///
/// # Panics
/// When it is not as RFC 9211 wants it: the test has failed.
pub fn told(head: &Head) -> Option<Told> {
    // Those of others stand in lines before, and may be odd.
    let (_, line) = head.fields.iter().rfind(|(name, _)| name == "cache-status")?;
    if !line.windows(10).any(|word| word == b"breakwater") {
        return None;
    }
    let shown = String::from_utf8_lossy(line);
    let list: List = Parser::new(line).parse().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let Some(ListEntry::Item(member)) = list.last() else { panic!("{shown}: its last member is a list") };
    assert_eq!(member.bare_item.as_token().map(|token| token.as_str()), Some("breakwater"), "{shown}");
    let mut told = Told::default();
    for (name, value) in &member.params {
        match (name.as_str(), value) {
            ("hit", BareItem::Boolean(true)) => told.hit = true,
            ("stored", BareItem::Boolean(true)) => told.stored = true,
            ("collapsed", BareItem::Boolean(collapsed)) => told.collapsed = Some(*collapsed),
            ("fwd", BareItem::Token(why)) => told.fwd = Some(why.as_str().to_owned()),
            ("fwd-status", BareItem::Integer(status)) => told.fwd_status = Some(i64::from(*status)),
            ("ttl", BareItem::Integer(seconds)) => told.ttl = Some(i64::from(*seconds)),
            ("key", BareItem::String(key)) => told.key = Some(key.as_str().to_owned()),
            ("detail", BareItem::Token(word)) => told.detail = Some(word.as_str().to_owned()),
            _ => panic!("{shown}: {name:?} is none of RFC 9211's, or not in its type"),
        }
    }
    assert!(!(told.hit && told.fwd.is_some()), "{shown}: a hit did not go forward (RFC 9211 §2.2)");
    Some(told)
}
