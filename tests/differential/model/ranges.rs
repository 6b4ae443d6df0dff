//! Ranges, and the parts that answer them (RFC 9110 §14, §15.3.7; RFC 9111 §3.3, §3.4).

use super::conditions::Tag;
use super::directives::Odds;
use super::fields;
use super::rules::{Breach, Rule, breach};
use super::stored::Stored;
use super::storing::Judgement;
use super::update::updated;
use crate::history::{Fields, Response};

/// Which bytes of a representation of perhaps known length; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub first: u64,
    pub last: u64,
    pub complete: Option<u64>,
}

impl Part {
    fn is_whole(self) -> bool {
        self.first == 0 && self.complete == Some(self.last + 1)
    }
}

/// One member of a Range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    From(u64, Option<u64>),
    Last(u64),
}

impl Spec {
    /// The bytes it means in a representation of this length; `None` if there are none.
    fn resolve(self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match self {
            Self::From(first, last) if first <= end => Some((first, last.unwrap_or(end).min(end))),
            Self::Last(count) if count > 0 => Some((length - count.min(length), end)),
            _ => None,
        }
    }
}

/// What Range asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    Nothing,
    /// By the grammar.
    Sound(Vec<Spec>),
    /// Not by the grammar, but some understand it so; or nobody does.
    Odd(Option<Vec<Spec>>),
}

pub fn asked(request: &Fields) -> Asked {
    let lines = fields::lines(request, "range");
    let Some(text) = fields::value(request, "range") else { return Asked::Nothing };
    let Some((unit, set)) = text.split_once('=') else { return Asked::Odd(None) };
    if !fields::blankless(unit).eq_ignore_ascii_case("bytes") {
        return Asked::Odd(None);
    }
    let members: Vec<&str> = set.split(',').map(fields::blankless).filter(|m| !m.is_empty()).collect();
    let specs: Option<Vec<Spec>> = members.iter().map(|member| spec(member)).collect();
    let specs = specs.filter(|specs| !specs.is_empty());
    let plain =
        unit == "bytes" && !set.starts_with([' ', '\t', ',']) && !set.ends_with(',') && !set.contains(",,");
    match specs {
        Some(specs) if plain && lines.len() == 1 => Asked::Sound(specs),
        specs => Asked::Odd(specs),
    }
}

fn spec(text: &str) -> Option<Spec> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let (first, last) = text.split_once('-')?;
    match (first.is_empty(), last.is_empty()) {
        (true, _) => number(last).map(Spec::Last),
        (false, true) => number(first).map(|first| Spec::From(first, None)),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// The part that a 206 with one Content-Range is.
pub fn part(response: &Response) -> Option<Part> {
    let part = content_range(&fields::only(&response.fields, "content-range")?)?;
    (part.last - part.first + 1 == response.body.len() as u64).then_some(part)
}

/// `bytes 0-4/10`
fn content_range(text: &str) -> Option<Part> {
    let (unit, rest) = text.split_once(' ')?;
    let (range, complete) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    let complete = if complete == "*" { None } else { Some(complete.parse::<u64>().ok()?) };
    let sound =
        unit.eq_ignore_ascii_case("bytes") && first <= last && complete.is_none_or(|length| last < length);
    sound.then_some(Part { first, last, complete })
}

/// §3.4: what two responses make together, if they share a strong validator and leave no gap.
pub fn joined(old: &Stored, new: &Stored) -> Option<Stored> {
    let same = old.request.url == new.request.url && share_validator(old, new);
    let (first, second) = (old.part?, new.part?);
    if !same || second.first > first.last + 1 || first.first > second.last + 1 {
        return None;
    }
    let union = Part {
        first: first.first.min(second.first),
        last: first.last.max(second.last),
        complete: first.complete.or(second.complete),
    };
    let mut body = vec![0; usize::try_from(union.last - union.first + 1).ok()?];
    for (part, stored) in [(first, old), (second, new)] {
        let start = usize::try_from(part.first - union.first).ok()?;
        body[start..start + stored.response.body.len()].copy_from_slice(&stored.response.body);
    }
    let whole = union.is_whole();
    let (mut fields, mut former) = updated(&old.response.fields, &new.response.fields);
    former.extend(old.former.clone());
    if whole {
        fields = fields::without(&fields, &["content-range", "content-length"]);
    }
    let status = if whole { 200 } else { 206 };
    let part = if whole { None } else { Some(union) };
    let judgement =
        if old.judgement.is_forbidden() { old.judgement } else { new.judgement.and(Judgement::Open) };
    let response = Response { status, fields, body };
    Some(Stored { response, former, part, judgement, updated: true, ..new.clone() })
}

/// A strong tag; or else the date of the last change, which may be as strong (RFC 9110 §8.8.2.2).
fn share_validator(old: &Stored, new: &Stored) -> bool {
    let value = |stored: &Stored, name| fields::only(&stored.response.fields, name);
    match (value(old, "etag"), value(new, "etag")) {
        (None, None) => {
            let changed = value(old, "last-modified");
            changed.is_some() && changed == value(new, "last-modified")
        }
        (Some(old), Some(new)) => old == new && Tag::read(&old).is_some_and(|tag| !tag.weak),
        _ => false,
    }
}

/// RFC 9110 §15.3.7.3: a part that is all there is.
pub fn all_of(part: &Stored) -> Option<Stored> {
    part.part.filter(|part| part.is_whole())?;
    let fields = fields::without(&part.response.fields, &["content-range"]);
    let response = Response { status: 200, fields, ..part.response.clone() };
    let judgement = part.judgement.and(Judgement::Open);
    Some(Stored { response, part: None, judgement, ..part.clone() })
}

/// What is wrong with `answer`, a 206 or 416, as an answer to `request` from what is stored.
pub fn check(request: &Fields, holds: Odds, stored: &Stored, answer: &Response) -> Vec<Breach> {
    let specs = match asked(request) {
        Asked::Nothing | Asked::Odd(None) if answer.status == 416 => return Vec::new(),
        Asked::Nothing | Asked::Odd(None) => return vec![breach(Rule::Partial, "no range was asked for")],
        Asked::Sound(specs) | Asked::Odd(Some(specs)) => specs,
    };
    if holds == Odds::No {
        return vec![breach(Rule::IfRange, "If-Range does not name what is stored")];
    }
    // Where the stored bytes lie, and how long the representation is.
    let (start, length) = match stored.part {
        None => (0, Some(stored.response.body.len() as u64)),
        Some(part) => (part.first, part.complete),
    };
    let resolved = |length: u64| specs.iter().filter_map(|spec| spec.resolve(length)).collect::<Vec<_>>();
    if answer.status == 416 {
        let told = fields::only(&answer.fields, "content-range");
        return match length {
            Some(length) if !resolved(length).is_empty() => {
                vec![breach(Rule::Unsatisfiable, format!("of {length} bytes some were asked for"))]
            }
            // "SHOULD"
            Some(length) if told.as_ref().is_some_and(|told| *told != format!("bytes */{length}")) => {
                vec![breach(Rule::Unsatisfiable, format!("Content-Range is {told:?} of {length} bytes"))]
            }
            _ => Vec::new(),
        };
    }
    let wanted = resolved(length.unwrap_or(u64::MAX));
    let pieces = match pieces(answer) {
        Ok(pieces) => pieces,
        Err(what) => return vec![breach(Rule::Partial, what)],
    };
    let mut breaches = Vec::new();
    for (piece, bytes) in &pieces {
        let at = |position: u64| position.checked_sub(start).and_then(|at| usize::try_from(at).ok());
        let held = at(piece.first).zip(at(piece.last)).and_then(|(a, b)| stored.response.body.get(a..=b));
        if held != Some(bytes) || (length.is_some() && piece.complete.is_some() && piece.complete != length) {
            breaches.push(breach(Rule::Partial, format!("{piece:?} is not what is stored")));
        }
    }
    let covered =
        |position: u64| pieces.iter().any(|(piece, _)| (piece.first..=piece.last).contains(&position));
    for (first, last) in &wanted {
        if !covered(*first) || !covered(*last) {
            breaches.push(breach(Rule::Partial, format!("bytes {first}-{last} were asked for and not sent")));
        }
    }
    let single = specs.len() == 1 && pieces.len() == 1;
    if single && wanted.first().is_none_or(|wanted| *wanted != (pieces[0].0.first, pieces[0].0.last)) {
        breaches.push(breach(Rule::Partial, format!("{wanted:?} was asked for, {:?} sent", pieces[0].0)));
    }
    breaches
}

/// The parts in a 206.
fn pieces(answer: &Response) -> Result<Vec<(Part, Vec<u8>)>, String> {
    if let Some(range) = fields::only(&answer.fields, "content-range") {
        let part = content_range(&range).ok_or_else(|| format!("Content-Range: {range}"))?;
        if part.last - part.first + 1 != answer.body.len() as u64 {
            return Err(format!("Content-Range: {range} with {} bytes", answer.body.len()));
        }
        return Ok(vec![(part, answer.body.clone())]);
    }
    multipart(answer).ok_or_else(|| "a 206 with neither Content-Range nor whole parts".to_owned())
}

/// RFC 9110 §14.6, RFC 2046 §5.1.1.
fn multipart(answer: &Response) -> Option<Vec<(Part, Vec<u8>)>> {
    let media_type = fields::only(&answer.fields, "content-type")?;
    let boundary =
        media_type.strip_prefix("multipart/byteranges")?.split_once("boundary=")?.1.trim_matches('"');
    let body = format!("\r\n{}", fields::text(&answer.body));
    let mut chunks = body.split(&format!("\r\n--{boundary}")).skip(1).collect::<Vec<_>>();
    let end = chunks.pop()?;
    end.starts_with("--").then_some(())?;
    let read = |chunk: &str| {
        let (head, bytes) = chunk.strip_prefix("\r\n")?.split_once("\r\n\r\n")?;
        let named = |line: &&str| line.to_ascii_lowercase().starts_with("content-range:");
        let range = head.split("\r\n").find(named)?.split_once(':')?.1.trim();
        let part = content_range(range)?;
        let bytes: Vec<u8> = bytes.chars().map(|c| c as u8).collect();
        (part.last - part.first + 1 == bytes.len() as u64).then_some((part, bytes))
    };
    chunks.into_iter().map(read).collect()
}
