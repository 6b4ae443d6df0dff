//! Validators and the conditions made of them (RFC 9110 §8.8, §13.1; RFC 9111 §4.3.2, §4.3.4).

use super::dates;
use super::directives::Odds;
use super::fields;
use super::policy;
use super::stored::Stored;
use crate::history::{Fields, Ms};

/// An entity tag as RFC 9110 §8.8.3 has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub weak: bool,
    pub opaque: String,
}

impl Tag {
    pub fn read(text: &str) -> Option<Self> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let sound = opaque.chars().all(|c| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}');
        sound.then(|| Self { weak, opaque: opaque.to_owned() })
    }
}

/// Whether the client has already what is stored: then the answer to its GET or HEAD is a 304.
pub fn not_modified(request: &Fields, stored: &Stored, now: Ms) -> Odds {
    let odds = match fields::value(request, "if-none-match") {
        Some(tags) => none_match(&tags, &stored.response.fields),
        None => match fields::value(request, "if-modified-since") {
            Some(_) => modified_since(request, stored, now),
            None => Odds::No,
        },
    };
    match stored.response.status {
        200 => odds,
        // RFC 9110 §13.2.1: conditions are for what would succeed; which of those, a cache may choose.
        201..=299 => odds.min(Odds::Maybe),
        _ => Odds::No,
    }
}

/// RFC 9110 §13.1.2, weak comparison.
fn none_match(tags: &str, response: &Fields) -> Odds {
    if fields::blankless(tags) == "*" {
        return Odds::Yes;
    }
    let lines = fields::lines(response, "etag");
    let Some(stored) = lines.first().map(|line| fields::text(line)) else { return Odds::No };
    let asked = fields::simple_list(tags);
    let read: Vec<Option<Tag>> = asked.iter().map(|tag| Tag::read(tag)).collect();
    let sound = read.iter().all(Option::is_some);
    match Tag::read(&stored).filter(|_| lines.len() == 1) {
        Some(stored) if read.iter().flatten().any(|tag| tag.opaque == stored.opaque) => {
            if sound {
                Odds::Yes
            } else {
                Odds::Maybe
            }
        }
        // Tags with commas in them, or not quoted, or with a prefix of their own: some caches understand them.
        Some(tag) if !sound && tags.contains(&tag.opaque) => Odds::Maybe,
        None if !stored.is_empty() && tags.contains(&stored) => Odds::Maybe,
        _ => Odds::No,
    }
}

/// RFC 9110 §13.1.3; without a Last-Modified RFC 9111 §4.3.2 lets Date, or the time it came, stand in.
fn modified_since(request: &Fields, stored: &Stored, now: Ms) -> Odds {
    let Some((asked, certain)) =
        fields::only(request, "if-modified-since").and_then(|text| dates::date(&text, now))
    else {
        return Odds::No;
    };
    let certain = if asked > now + 1000 + policy::SLACK { Odds::Maybe } else { certain };
    let lines = fields::lines(&stored.response.fields, "last-modified");
    let changed = lines.first().and_then(|line| dates::date(&fields::text(line), now));
    match changed {
        Some((changed, odds)) if changed <= asked => {
            if lines.len() == 1 {
                certain.min(odds)
            } else {
                Odds::Maybe
            }
        }
        Some((_, Odds::Yes)) if lines.len() == 1 => Odds::No,
        _ => {
            let date = fields::only(&stored.response.fields, "date");
            let date = date.and_then(|date| dates::moment(&date, now)).unwrap_or(stored.received.from);
            if date.min(stored.received.from) <= asked + 999 { Odds::Maybe } else { Odds::No }
        }
    }
}

/// Whether a 304, or a 200 to HEAD, is about this stored response (§4.3.4).
pub fn validators_agree(stored: &Fields, update: &Fields) -> Odds {
    if let Some(theirs) = fields::only(update, "etag") {
        let Some(ours) = fields::only(stored, "etag") else { return Odds::Maybe };
        return match (Tag::read(&ours), Tag::read(&theirs)) {
            (Some(ours), Some(theirs)) if ours.opaque != theirs.opaque => Odds::No,
            (Some(ours), Some(theirs)) if theirs.weak || !ours.weak => Odds::Yes,
            (Some(_), Some(_)) => Odds::Maybe,
            _ if ours == theirs => Odds::Maybe,
            _ => Odds::No,
        };
    }
    match (fields::only(stored, "last-modified"), fields::only(update, "last-modified")) {
        (Some(ours), Some(theirs)) if ours == theirs => Odds::Yes,
        (Some(ours), Some(theirs)) => {
            // The same moment in another form, perhaps.
            match (dates::moment(&ours, 0), dates::moment(&theirs, 0)) {
                (Some(ours), Some(theirs)) if ours != theirs => Odds::No,
                _ => Odds::Maybe,
            }
        }
        _ => Odds::Maybe,
    }
}

/// Whether `If-Range` names what is stored (RFC 9110 §13.1.5): strong comparison, or the very date.
pub fn if_range(request: &Fields, response: &Fields, now: Ms) -> Odds {
    let Some(asked) = fields::value(request, "if-range") else { return Odds::Yes };
    let asked = fields::blankless(&asked);
    let tag = fields::only(response, "etag");
    if asked.contains('"') {
        return match (Tag::read(asked), tag.as_deref().and_then(Tag::read)) {
            (Some(asked), Some(stored)) if asked == stored && !asked.weak => Odds::Yes,
            _ => Odds::No,
        };
    }
    if dates::moment(asked, now).is_none() {
        // An unquoted tag that is the very same: not for any cache to guess.
        return if tag.as_deref() == Some(asked) { Odds::Maybe } else { Odds::No };
    }
    let changed = fields::only(response, "last-modified");
    let same = changed.as_deref() == Some(asked);
    let alike = changed.and_then(|changed| dates::moment(&changed, now)) == dates::moment(asked, now);
    // §8.8.2.2: whether a date is strong depends on the Date beside it.
    if same || alike { Odds::Maybe } else { Odds::No }
}
