//! Whether a stored response may answer a request (RFC 9111 §4), stale ones included (§4.2.4, RFC 5861).

use super::directives::{Directives, Odds};
use super::fields;
use super::freshness::{Freshness, current_age, freshness, lifetime};
use super::policy;
use super::rules::Rule;
use super::selecting::selects;
use super::stored::Stored;
use super::storing::{Judgement, permits_authorized};
use super::targeted::{Reading, readings};
use crate::history::{Request, Span};

/// On what occasion a stored response is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The origin was not asked, or said nothing that changes anything.
    Alone,
    /// The origin answered with an error.
    Error,
    /// The origin could not be reached.
    Disconnected,
    /// The origin has just given it, or confirmed it.
    Current,
}

pub fn reuse(stored: &Stored, request: &Request, now: Span, occasion: Occasion) -> Judgement {
    let method = match (stored.request.method.as_str(), request.method.as_str()) {
        ("HEAD", "GET") => Judgement::Forbidden(Rule::Method),
        _ => Judgement::Expected,
    };
    if occasion == Occasion::Current {
        return method;
    }
    let selected = match selects(stored, &request.fields) {
        Odds::Yes => Judgement::Expected,
        Odds::Maybe => Judgement::Open,
        Odds::No => Judgement::Forbidden(Rule::Vary),
    };
    let superseded = Judgement::forbids(Rule::Superseded, stored.replaced);
    let readings = readings(&stored.response.fields);
    let by_reading = readings.iter().map(|reading| by_reading(reading, stored, request, now, occasion));
    // What holds in one reading of several is open.
    let by_reading = by_reading.reduce(|one, other| if one == other { one } else { Judgement::Open });
    method.and(stored.judgement).and(selected).and(superseded).and(by_reading.unwrap_or(Judgement::Open))
}

fn by_reading(
    reading: &Reading,
    stored: &Stored,
    request: &Request,
    now: Span,
    occasion: Occasion,
) -> Judgement {
    let directives = &reading.directives;
    // README: what was stored for everybody is not therefore for the authorized.
    let authorized = fields::has(&request.fields, "authorization");
    let authorization = match permits_authorized(directives) {
        Odds::Yes => Judgement::Expected,
        _ if authorized => Judgement::Open,
        _ => Judgement::Expected,
    };
    let no_cache = Judgement::forbids(Rule::NoCache, directives.no_cache);
    let fresh = match freshness(stored, now) {
        Freshness::Fresh => Judgement::Expected,
        Freshness::Near => Judgement::Open,
        Freshness::Stale => {
            // README: failures are kept only for as long as they say; and one is as good as another.
            let failure = stored.response.status >= 500;
            let failure = if failure { Judgement::Open } else { Judgement::Expected };
            failure.and(stale(directives, stored, request, now, occasion))
        }
    };
    authorization.and(no_cache).and(fresh)
}

/// §4.2.4: not where the response forbids it, and only where somebody permits it.
fn stale(
    directives: &Directives,
    stored: &Stored,
    request: &Request,
    now: Span,
    occasion: Occasion,
) -> Judgement {
    // §5.2.2.10: s-maxage has the meaning of proxy-revalidate.
    let s_maxage = if directives.s_maxage.is_some() { Odds::Yes } else { Odds::No };
    let never = directives.must_revalidate.max(directives.proxy_revalidate).max(s_maxage);
    let lifetime = lifetime(stored);
    let age = current_age(stored, now);
    let stale_for = Span::new(age.from - lifetime.at_most, age.to - lifetime.at_least);
    let within = |at_least: i64, at_most: i64| {
        if stale_for.to + policy::SLACK < at_least {
            Judgement::Expected
        } else if stale_for.from - policy::SLACK <= at_most {
            Judgement::Open
        } else {
            Judgement::Forbidden(Rule::Stale)
        }
    };
    let mut permissions = Vec::new();
    if let Some(seconds) = directives.stale_while_revalidate {
        permissions.push(within(0, seconds.at_most * 1000));
    }
    if occasion == Occasion::Error || occasion == Occasion::Disconnected {
        permissions.push(match directives.stale_if_error {
            Some(seconds) => within(seconds.at_least * 1000, seconds.at_most * 1000),
            None => within(policy::STALE_IF_ERROR, policy::STALE_IF_ERROR),
        });
    }
    if occasion == Occasion::Disconnected {
        permissions.push(Judgement::Open);
    }
    if let Some(seconds) = Directives::of(&request.fields).max_stale {
        // Nothing is kept for that alone: only as long as it may stand in for an error, where it says so itself.
        let kept = directives.stale_if_error.map_or(policy::STALE_IF_ERROR, |kept| kept.at_least * 1000);
        permissions.push(within(kept.min(seconds.at_least * 1000), seconds.at_most * 1000));
    }
    let best = permissions.into_iter().reduce(|one, other| match (one, other) {
        (Judgement::Expected, _) | (_, Judgement::Expected) => Judgement::Expected,
        (Judgement::Open, _) | (_, Judgement::Open) => Judgement::Open,
        (forbidden, _) => forbidden,
    });
    Judgement::forbids(Rule::Stale, never).and(best.unwrap_or(Judgement::Forbidden(Rule::Stale)))
}
