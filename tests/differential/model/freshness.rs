//! How long a response is fresh and how old it is (RFC 9111 §4.2).

use super::dates;
use super::directives::{LARGEST, Number, Odds, delta_seconds};
use super::fields;
use super::policy;
use super::stored::Stored;
use super::targeted::{Reading, readings};
use crate::history::{Fields, Ms, Span};

/// A lifetime: Breakwater has promised the least of it, RFC 9111 allows the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub at_least: Ms,
    pub at_most: Ms,
}

const NONE: Lifetime = Lifetime { at_least: 0, at_most: 0 };

/// Whether a response is fresh at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// Within what cannot be known.
    Near,
    Stale,
}

pub fn freshness(stored: &Stored, now: Span) -> Freshness {
    let lifetime = lifetime(stored);
    let age = current_age(stored, now);
    if lifetime.at_least > age.to + policy::SLACK {
        Freshness::Fresh
    } else if lifetime.at_most + policy::SLACK > age.from && lifetime.at_most > 0 {
        Freshness::Near
    } else {
        Freshness::Stale
    }
}

/// §4.2.1, over all readings of the response.
pub fn lifetime(stored: &Stored) -> Lifetime {
    let readings = readings(&stored.response.fields);
    let lifetimes: Vec<Lifetime> = readings.iter().map(|reading| one(reading, stored)).collect();
    Lifetime {
        at_least: lifetimes.iter().map(|lifetime| lifetime.at_least).min().unwrap_or(0),
        at_most: lifetimes.iter().map(|lifetime| lifetime.at_most).max().unwrap_or(0),
    }
}

/// Whether the response states a lifetime, be it none.
pub fn is_explicit(reading: &Reading, response: &Fields) -> bool {
    reading.directives.s_maxage.is_some()
        || reading.directives.max_age.is_some()
        || (!reading.targeted && fields::has(response, "expires"))
}

fn one(reading: &Reading, stored: &Stored) -> Lifetime {
    let directives = &reading.directives;
    let by_expires = || if reading.targeted { None } else { by_expires(stored) };
    let stated = seconds(directives.s_maxage).or(seconds(directives.max_age)).or_else(by_expires);
    let guessed = || heuristic(reading, stored);
    let lifetime = stated.unwrap_or_else(guessed);
    if !directives.doubtful {
        return lifetime;
    }
    // Which of them it states nobody knows.
    let all = [seconds(directives.s_maxage), seconds(directives.max_age), by_expires(), Some(guessed())];
    let most = all.iter().flatten().map(|lifetime| lifetime.at_most).max().unwrap_or(0);
    Lifetime { at_least: 0, at_most: most }
}

fn seconds(number: Option<Number>) -> Option<Lifetime> {
    number.map(|number| Lifetime { at_least: number.at_least * 1000, at_most: number.at_most * 1000 })
}

/// §5.3: Expires minus Date. Invalid is the past; of two lines either the first counts or they are invalid (§4.2.1).
fn by_expires(stored: &Stored) -> Option<Lifetime> {
    let lines = fields::lines(&stored.response.fields, "expires");
    let first = fields::text(lines.first()?);
    let Some((expires, odds)) = dates::date(&first, stored.received.to) else { return Some(NONE) };
    let dates = date_choices(stored);
    let least = dates.iter().map(|date| expires - date.to).min().unwrap_or(0).max(0);
    let most = dates.iter().map(|date| expires - date.from).max().unwrap_or(0).max(0);
    let certain = lines.len() == 1 && odds == Odds::Yes;
    Some(Lifetime { at_least: if certain { least } else { 0 }, at_most: most })
}

/// When the response was made, or confirmed. Without a Date that can be read: when that came (RFC 9110 §6.6.1).
fn date_choices(stored: &Stored) -> Vec<Span> {
    let lines = fields::lines(&stored.response.fields, "date");
    let read = lines.first().and_then(|line| dates::date(&fields::text(line), stored.received.to));
    match read {
        Some((date, Odds::Yes)) if lines.len() == 1 && !stored.undated => vec![Span::new(date, date)],
        Some((date, _)) => vec![Span::new(date, date), stored.received],
        None => vec![stored.received],
    }
}

/// §4.2.2: only where nothing is stated, and the status or `public` allows a guess.
fn heuristic(reading: &Reading, stored: &Stored) -> Lifetime {
    let by_status = matches!(
        stored.response.status,
        200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501
    );
    let allowed = if by_status { Odds::Yes } else { reading.directives.public };
    let lines = fields::lines(&stored.response.fields, "last-modified");
    let read = lines.first().and_then(|line| dates::date(&fields::text(line), stored.received.to));
    let (Some((changed, odds)), true) = (read, allowed > Odds::No) else { return NONE };
    let share =
        |made: Ms| ((made - changed).max(0) * policy::HEURISTIC_PERCENT / 100).min(policy::LONGEST_HEURISTIC);
    let dates = date_choices(stored);
    let least = dates.iter().map(|date| share(date.from)).min().unwrap_or(0);
    let most = dates.iter().map(|date| share(date.to)).max().unwrap_or(0);
    let certain = allowed == Odds::Yes && odds == Odds::Yes && lines.len() == 1 && !reading.targeted;
    Lifetime { at_least: if certain { least } else { 0 }, at_most: most }
}

/// §4.2.3, each quantity between its bounds.
pub fn current_age(stored: &Stored, now: Span) -> Span {
    let age_value = age_value(&stored.response.fields);
    // A Date tells its second, not the moment in it.
    let apparent = |date: Span| stored.received.since(Span::new(date.from, date.to + 999));
    let apparent: Vec<Span> = date_choices(stored).into_iter().map(apparent).collect();
    let apparent_age = Span {
        from: apparent.iter().map(|age| age.from).min().unwrap_or(0),
        to: apparent.iter().map(|age| age.to).max().unwrap_or(0),
    };
    let response_delay = stored.received.since(stored.requested);
    let corrected_age_value = age_value.plus(response_delay);
    let corrected_initial_age = apparent_age.max(corrected_age_value);
    corrected_initial_age.plus(now.since(stored.received))
}

/// §5.1: the first of several counts, what is no number counts nothing; or whichever a cache would rather believe.
fn age_value(response: &Fields) -> Span {
    let Some(value) = fields::value(response, "age") else { return Span::new(0, 0) };
    let members: Vec<Option<i64>> =
        value.split(',').map(|member| delta_seconds(fields::blankless(member))).collect();
    let first = members.first().copied().flatten().unwrap_or(0);
    if members.len() == 1 {
        return Span::new(first * 1000, first * 1000);
    }
    let valid = || members.iter().flatten().copied();
    let least = valid().min().unwrap_or(0).min(first);
    let most = valid().max().unwrap_or(0).min(LARGEST);
    Span::new(least * 1000, most * 1000)
}
