//! All that a cache may have in its store, and how it got there (RFC 9111 §3, §3.2, §3.4, §4.3.4, §4.3.5, §4.4).
//!
//! The model keeps every response it ever saw, with what may be done with it; an update does not replace a response
//! but adds the updated one beside it. So an answer is judged by looking for a response in here that explains it.

use super::conditions::validators_agree;
use super::directives::Odds;
use super::fields;
use super::freshness::{Freshness, current_age, freshness, lifetime};
use super::policy;
use super::ranges::{self, Part};
use super::rules::Rule;
use super::selecting::selects;
use super::storing::{Judgement, is_ordinary, storing};
use super::targeted::readings;
use super::update::updated;
use crate::history::{Exchange, Fields, Ms, Reply, Request, Response, Span, Upstream};

/// A response that may be stored.
#[derive(Clone, Debug)]
pub struct Stored {
    pub request: Request,
    /// Its fields are up to date; its body is whole unless `part` says which part it is.
    pub response: Response,
    /// Field lines an update replaced or held back: for some fields a cache may choose (§3.2).
    pub former: Fields,
    /// When the response that made it, or brought it up to date, was asked for and came.
    pub requested: Span,
    pub received: Span,
    /// The update that made it said nothing of when: its own Date may be older.
    pub undated: bool,
    pub part: Option<Part>,
    /// Whether it may be used for others, and whether that is promised.
    pub judgement: Judgement,
    /// The requests for which the origin confirmed it.
    pub confirming: Vec<Fields>,
    /// Whether a 304, or a 200 to HEAD, made it what it is.
    pub updated: bool,
    /// A later response took its place: for certain, perhaps.
    pub replaced: Odds,
    /// Number of the exchange that made it.
    pub exchange: usize,
}

impl Stored {
    /// The number the origin gave it, so that an answer can be traced.
    pub fn serial(&self) -> Option<String> {
        fields::only(&self.response.fields, "x-serial")
    }

    /// The origin's answers in their order.
    fn number(&self) -> u64 {
        self.serial().map_or(0, |text| number_of(&text))
    }

    /// In words, for whoever looks at what was broken.
    pub fn told(&self, now: Span) -> String {
        let serial = self.serial().unwrap_or_else(|| "?".to_owned());
        let lifetime = lifetime(self);
        let age = current_age(self, now);
        format!(
            "response {serial} of exchange {}, lifetime {} to {} ms, age {} to {} ms",
            self.exchange + 1,
            lifetime.at_least,
            lifetime.at_most,
            age.from,
            age.to
        )
    }

    /// Whether it was fresh when it came, and so worth keeping for what it is.
    pub fn was_fresh(&self) -> bool {
        let asks =
            readings(&self.response.fields).iter().any(|reading| reading.directives.no_cache > Odds::No);
        freshness(self, self.received) == Freshness::Fresh && !asks
    }
}

/// The store of a cache that forgets nothing.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub responses: Vec<Stored>,
    /// When responses for a URL were last taken out.
    cleared: Vec<(String, Ms)>,
}

impl Store {
    /// Takes in what the origin said in one exchange. What comes of it is at the end, from the returned place on.
    pub fn learn(&mut self, number: usize, exchange: &Exchange) -> usize {
        let before = self.responses.len();
        for upstream in &exchange.upstream {
            match upstream.request.method.as_str() {
                "GET" => self.learn_get(number, exchange, upstream),
                "HEAD" => self.learn_head(number, exchange, upstream),
                "OPTIONS" | "TRACE" | "QUERY" => {}
                _ => self.learn_unsafe(number, exchange, upstream),
            }
        }
        before
    }

    /// Takes in what a refresh brought: it may be there when the next request comes, or not yet.
    pub fn learn_in_background(&mut self, number: usize, refresh: &Exchange) {
        let replaced: Vec<Odds> = self.responses.iter().map(|stored| stored.replaced).collect();
        let new = self.learn(number, refresh);
        for (place, stored) in self.responses.iter_mut().enumerate() {
            if place >= new {
                stored.judgement = stored.judgement.and(Judgement::Open);
            } else if stored.replaced != replaced[place] {
                stored.replaced = Odds::Maybe;
            }
        }
    }

    fn learn_get(&mut self, number: usize, exchange: &Exchange, upstream: &Upstream) {
        match &upstream.reply {
            Reply::Whole(response) if response.status == 304 => {
                self.freshen(number, exchange, upstream, response)
            }
            Reply::Whole(response) => {
                let mut new = Stored::new(number, exchange, upstream, response);
                if self.was_cleared(&exchange.request.url, exchange.sent) {
                    new.judgement = new.judgement.and(Judgement::Open);
                }
                self.join_parts(&new);
                self.responses.extend(ranges::all_of(&new));
                self.replace(&new);
                self.responses.push(new);
            }
            // §3.3: what broke off is no whole response. It may have pushed out what was there.
            Reply::Cut(response) => {
                let mut new = Stored::new(number, exchange, upstream, response);
                new.judgement = Judgement::Forbidden(Rule::Incomplete);
                self.doubt(&exchange.request.url);
                self.responses.push(new);
            }
            Reply::Dropped => {}
        }
    }

    /// README: what is fetched while a write is under way is not kept; nor need it be in the very moment thereafter.
    fn was_cleared(&self, url: &str, sent: Ms) -> bool {
        self.cleared.iter().any(|(cleared, at)| cleared == url && sent <= at + MOMENT)
    }

    /// §4.3.4: a 304 brings the stored responses that it is about up to date.
    fn freshen(&mut self, number: usize, exchange: &Exchange, upstream: &Upstream, response: &Response) {
        let mut fresh = Vec::new();
        if fields::has(&response.fields, "set-cookie") {
            self.cleared.push((exchange.request.url.clone(), exchange.answered));
        }
        for stored in &mut self.responses {
            let agree = validators_agree(&stored.response.fields, &response.fields);
            if stored.request.url != exchange.request.url || agree == Odds::No {
                continue;
            }
            let mut updated = stored.updated_by(number, exchange, upstream, response);
            // §4.3.4 leaves it open what a 304 is about that names no validator, or another one than is stored.
            if agree == Odds::Maybe {
                updated.judgement = updated.judgement.and(Judgement::Open);
            }
            fresh.push(updated);
            stored.replaced = stored.replaced.max(Odds::Maybe);
        }
        self.responses.extend(fresh);
    }

    /// §4.3.5: a 200 to HEAD may bring a stored GET response up to date, or make it invalid.
    fn learn_head(&mut self, number: usize, exchange: &Exchange, upstream: &Upstream) {
        let Reply::Whole(response) = &upstream.reply else { return };
        if matches!(response.status, 200 | 304) {
            self.freshen(number, exchange, upstream, response);
        }
        if response.status != 304 {
            self.cleared.push((exchange.request.url.clone(), exchange.answered));
            self.doubt(&exchange.request.url);
            self.responses.push(Stored::new(number, exchange, upstream, response));
        }
    }

    /// §4.4.
    fn learn_unsafe(&mut self, number: usize, exchange: &Exchange, upstream: &Upstream) {
        let (response, whole) = match &upstream.reply {
            Reply::Whole(response) => (response, true),
            Reply::Cut(response) => (response, false),
            // Whether it succeeded nobody knows.
            Reply::Dropped => return self.doubt(&exchange.request.url),
        };
        if (200..400).contains(&response.status) {
            let places = ["location", "content-location"];
            let lines = places.iter().flat_map(|name| fields::lines(&response.fields, name));
            let base = &exchange.request.url;
            let others: Vec<(String, Odds)> =
                lines.filter_map(|line| refers(&fields::text(&line), base)).collect();
            let urls = others.iter().map(|(url, _)| url).chain([base]);
            self.cleared.extend(urls.map(|url| (url.clone(), exchange.answered)));
            for stored in &mut self.responses {
                // A refresh may have been under way, and its answer come later.
                if stored.number()
                    > fields::only(&response.fields, "x-serial").map_or(u64::MAX, |text| number_of(&text))
                {
                    stored.judgement = stored.judgement.and(Judgement::Open);
                    continue;
                }
                if stored.request.url == exchange.request.url {
                    stored.judgement = Judgement::Forbidden(Rule::Invalidated);
                }
                for (_, odds) in others.iter().filter(|(url, _)| *url == stored.request.url) {
                    stored.judgement =
                        stored.judgement.and(Judgement::forbids(Rule::InvalidatedOther, *odds));
                }
            }
        }
        if whole {
            self.responses.push(Stored::new(number, exchange, upstream, response));
        }
    }

    /// A new response takes the place of those that the same request would have been answered with.
    fn replace(&mut self, new: &Stored) {
        for old in self.responses.iter_mut().filter(|old| old.request.url == new.request.url) {
            let same = selects(old, &new.request.fields).min(selects(new, &old.request.fields));
            let kept = new.judgement == Judgement::Expected && new.was_fresh();
            let alike = new.part.is_some() == old.part.is_some();
            // Variants are kept side by side where all agree on what they vary by (README).
            let beside = same == Odds::No && varies_by(old) == varies_by(new);
            let odds = if beside || (kept && alike && same == Odds::Yes) { same } else { Odds::Maybe };
            old.replaced = old.replaced.max(odds);
        }
    }

    fn doubt(&mut self, url: &str) {
        for stored in self.responses.iter_mut().filter(|stored| stored.request.url == *url) {
            stored.replaced = stored.replaced.max(Odds::Maybe);
        }
    }

    /// §3.4: parts of one representation make a larger one.
    fn join_parts(&mut self, new: &Stored) {
        let joined = self.responses.iter().filter_map(|old| ranges::joined(old, new)).collect::<Vec<_>>();
        self.responses.extend(joined);
    }
}

impl Stored {
    fn new(number: usize, exchange: &Exchange, upstream: &Upstream, response: &Response) -> Self {
        let request = Request { method: upstream.request.method.clone(), ..exchange.request.clone() };
        // A failure that a stale copy stood in for was shown to nobody: nor need it be kept.
        let serial = |response: &Response| fields::only(&response.fields, "x-serial");
        let shown = exchange.answer.as_ref().is_some_and(|answer| serial(answer) == serial(response));
        let stood_in = policy::is_failure(response.status) && !shown;
        let stood_in = if stood_in { Judgement::Open } else { Judgement::Expected };
        Self {
            part: (response.status == 206).then(|| ranges::part(response)).flatten(),
            judgement: stood_in.and(storing(&request, response)),
            request,
            response: response.clone(),
            former: Fields::new(),
            requested: Span::new(exchange.sent, upstream.arrived),
            received: Span::new(upstream.replied, exchange.answered),
            confirming: Vec::new(),
            undated: false,
            updated: false,
            replaced: Odds::No,
            exchange: number,
        }
    }

    fn updated_by(&self, number: usize, exchange: &Exchange, upstream: &Upstream, update: &Response) -> Self {
        // Age counts from the last confirmation (§4.2.3): without one in the update it begins anew.
        let stored = fields::without(&self.response.fields, &["age"]);
        let (fields, mut former) = updated(&stored, &update.fields);
        former.extend(self.former.clone());
        let response = Response { fields, ..self.response.clone() };
        // What was invalid is valid again: the origin has just said so.
        let judgement = match self.judgement {
            Judgement::Forbidden(Rule::Invalidated | Rule::InvalidatedOther) => Judgement::Open,
            judgement => judgement,
        };
        // Whether the cookie or the credentials of one client are a reason not to keep an update is for the cache to
        // say; and what the origin confirms to somebody without credentials is not theirs.
        let authorized = |request: &Request| fields::has(&request.fields, "authorization");
        let personal = fields::has(&update.fields, "set-cookie") || authorized(&exchange.request);
        let past = is_ordinary(&exchange.request) < Odds::Yes;
        let personal = if personal || past { Judgement::Open } else { Judgement::Expected };
        let storing = match storing(&self.request, &response) {
            Judgement::Forbidden(Rule::Authorization) if !authorized(&exchange.request) => {
                Judgement::Open.and(storing(&exchange.request, &response))
            }
            judgement => judgement,
        };
        let judgement = match judgement {
            Judgement::Forbidden(Rule::Authorization) if !authorized(&exchange.request) => storing,
            judgement => judgement.and(storing),
        };
        let judgement = judgement.and(personal);
        let mut confirming = self.confirming.clone();
        confirming.push(exchange.request.fields.clone());
        Self {
            judgement,
            response,
            former,
            confirming,
            undated: !fields::has(&update.fields, "date"),
            requested: Span::new(exchange.sent, upstream.arrived),
            received: Span::new(upstream.replied, exchange.answered),
            updated: true,
            exchange: number,
            replaced: self.replaced.min(Odds::Maybe),
            request: self.request.clone(),
            part: self.part,
        }
    }
}

fn number_of(serial: &str) -> u64 {
    serial.parse().unwrap_or(0)
}

/// How close in time two things may be to be taken for one.
const MOMENT: Ms = 10;

/// Which request fields select it.
fn varies_by(stored: &Stored) -> Vec<String> {
    let vary = fields::value(&stored.response.fields, "vary").unwrap_or_default().to_ascii_lowercase();
    let mut names = fields::simple_list(&vary);
    names.sort();
    names.dedup();
    names
}

/// The URL of this origin that a Location or Content-Location in an answer for `base` names, if it names one; forms
/// that ask for more than a look may be understood.
pub fn refers(text: &str, base: &str) -> Option<(String, Odds)> {
    let (text, odds) = match text.split_once('#') {
        Some((text, _)) => (text, Odds::Maybe),
        None => (text, Odds::Yes),
    };
    if text.starts_with("//") {
        return text.strip_prefix("//wall.test").map(|path| (path.to_owned(), Odds::Maybe));
    }
    if text.starts_with('/') {
        return Some((text.to_owned(), odds));
    }
    let scheme = "http://wall.test/";
    if text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
        let odds = if text.starts_with(scheme) { odds } else { Odds::Maybe };
        return Some((text[scheme.len() - 1..].to_owned(), odds));
    }
    let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
    (!text.contains(':')).then(|| (format!("{folder}/{text}"), Odds::Maybe))
}
