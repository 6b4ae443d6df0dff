//! Whether a response may be stored, and whether Breakwater has promised to (RFC 9111 §3).

use super::directives::{Directives, Odds};
use super::fields;
use super::freshness::is_explicit;
use super::policy;
use super::rules::Rule;
use super::stored::refers;
use super::targeted::{Reading, readings};
use crate::history::{Request, Response};

/// What is said of a use: the RFC or a promise forbids it, nobody says anything, or it has been promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Forbidden(Rule),
    Open,
    Expected,
}

impl Judgement {
    /// Both must hold.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Forbidden(rule), _) | (_, Self::Forbidden(rule)) => Self::Forbidden(rule),
            (Self::Open, _) | (_, Self::Open) => Self::Open,
            (Self::Expected, Self::Expected) => Self::Expected,
        }
    }

    /// Either may be the case.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Forbidden(rule), Self::Forbidden(_)) => Self::Forbidden(rule),
            (Self::Expected, Self::Expected) => Self::Expected,
            _ => Self::Open,
        }
    }

    pub fn is_forbidden(self) -> bool {
        matches!(self, Self::Forbidden(_))
    }

    /// `rule` forbids it if `odds` are that it applies.
    pub fn forbids(rule: Rule, odds: Odds) -> Self {
        match odds {
            Odds::Yes => Self::Forbidden(rule),
            Odds::Maybe => Self::Open,
            Odds::No => Self::Expected,
        }
    }
}

/// Whether `response` to `request` may be in the store at all.
pub fn storing(request: &Request, response: &Response) -> Judgement {
    let asked = Directives::of(&request.fields);
    let by_request =
        Judgement::forbids(Rule::RequestNoStore, asked.no_store).and(by_method(request, response));
    let readings = readings(&response.fields);
    let by_response = readings.iter().map(|reading| by_reading(reading, request, response));
    by_request.and(by_response.reduce(Judgement::or).unwrap_or(Judgement::Open))
}

/// "the request method is understood by the cache"
fn by_method(request: &Request, response: &Response) -> Judgement {
    match request.method.as_str() {
        "GET" if is_ordinary(request) == Odds::Yes && !fields::has(&request.fields, "range") => {
            Judgement::Expected
        }
        // What a cache does with the answers to these is its own affair.
        "GET" | "HEAD" => Judgement::Open,
        // RFC 9110 §9.3.3: with explicit freshness and a Content-Location that is the target, it answers later GETs.
        "POST" => {
            let locations = fields::lines(&response.fields, "content-location");
            let is_target = locations
                .iter()
                .filter_map(|line| refers(&fields::text(line), &request.url))
                .any(|(url, _)| url == request.url);
            let explicit = readings(&response.fields).iter().any(|r| is_explicit(r, &response.fields));
            if is_target && explicit { Judgement::Open } else { Judgement::Forbidden(Rule::Method) }
        }
        _ => Judgement::Forbidden(Rule::Method),
    }
}

/// A GET or HEAD that Breakwater takes for the cache's: README, "The request is not for the cache".
pub fn is_ordinary(request: &Request) -> Odds {
    let asked = Directives::of(&request.fields);
    let body = fields::value(&request.fields, "content-length").is_some_and(|length| length != "0");
    let past = policy::PAST_THE_CACHE.iter().any(|name| fields::has(&request.fields, name));
    if !request.is_retrieval() || body || past || fields::has(&request.fields, "transfer-encoding") {
        return Odds::No;
    }
    match asked.no_store {
        Odds::Yes => Odds::No,
        Odds::Maybe => Odds::Maybe,
        Odds::No => Odds::Yes,
    }
}

fn by_reading(reading: &Reading, request: &Request, response: &Response) -> Judgement {
    let directives = &reading.directives;
    let understood = policy::is_understood(response.status);
    let status = match response.status {
        // A part, which may be kept as such (§3.3).
        206 => Judgement::Open,
        status if policy::is_failure(status) && !is_explicit(reading, &response.fields) => Judgement::Open,
        200..=599 => Judgement::Expected,
        _ => Judgement::Forbidden(Rule::NothingPermits),
    };
    let must_understand = match directives.must_understand {
        Odds::No => Judgement::Expected,
        odds if !understood => Judgement::forbids(Rule::MustUnderstand, odds),
        _ => Judgement::Expected,
    };
    // §5.2.2.3: must-understand lifts no-store for whoever understands the status.
    let lifted = if understood { directives.must_understand } else { Odds::No };
    let no_store = match (directives.no_store, lifted) {
        (Odds::No, _) | (_, Odds::Yes) => Judgement::Expected,
        (Odds::Yes, Odds::No) => Judgement::Forbidden(Rule::NoStore),
        _ => Judgement::Open,
    };
    let private = Judgement::forbids(Rule::Private, directives.private);
    let cookie = fields::has(&response.fields, "set-cookie") || fields::has(&response.fields, "set-cookie2");
    let cookie = Judgement::forbids(Rule::SetCookie, if cookie { Odds::Yes } else { Odds::No });
    let doubtful = if directives.doubtful { Judgement::Open } else { Judgement::Expected };
    status
        .and(must_understand)
        .and(no_store)
        .and(private)
        .and(cookie)
        .and(doubtful)
        .and(authorization(directives, request))
        .and(permitted(reading, response))
}

/// §3.5.
fn authorization(directives: &Directives, request: &Request) -> Judgement {
    if !fields::has(&request.fields, "authorization") {
        return Judgement::Expected;
    }
    match permits_authorized(directives) {
        Odds::Yes => Judgement::Expected,
        Odds::Maybe => Judgement::Open,
        Odds::No => Judgement::Forbidden(Rule::Authorization),
    }
}

/// Whether the response may be shared although it answers an authorized request.
pub fn permits_authorized(directives: &Directives) -> Odds {
    let s_maxage = if directives.s_maxage.is_some() { Odds::Yes } else { Odds::No };
    let found = directives.public.max(directives.must_revalidate).max(s_maxage);
    if directives.doubtful && found == Odds::Yes { Odds::Maybe } else { found }
}

/// "the response contains at least one of the following": §3, last condition.
fn permitted(reading: &Reading, response: &Response) -> Judgement {
    let directives = &reading.directives;
    let by_status =
        matches!(response.status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501);
    if by_status || directives.public == Odds::Yes || is_explicit(reading, &response.fields) {
        Judgement::Expected
    } else if directives.public == Odds::Maybe || directives.doubtful {
        Judgement::Open
    } else {
        Judgement::Forbidden(Rule::NothingPermits)
    }
}
