//! The machine's decisions, by name; its table of phases and events; and its properties.

mod properties;
mod responses;
mod rules;
mod table;
mod validation;

use super::{
    Action, Context, Event, Exchange, Fetched, Formation, Head, Held, Interest, Lookup, Phase, Refusal,
    Route, Sender, Stock,
};
use crate::breaker::{self, Admission, Breaker, Permit};
use crate::config::plan::{Cache, Coalesce, Plan, Rule, Scope};
use crate::flight::lease::Standing;
use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::{Fields, Reason, RequestHead, ResponseHead, StatusSet, StoringPolicy, key};
use crate::store::Entry;
use crate::store::entry::Meta;
use crate::time::{Mono, Wall};
use std::rc::Rc;
use std::time::Duration;

const NOW: Wall = Wall(1_767_225_600_000);
const TOKEN: Token = Token(7);
const PLACE: u64 = 3;
const LARGEST_BODY: usize = 16;

/// A request on its way, with what its driver would tell it.
#[derive(Debug)]
struct Driven {
    exchange: Exchange,
    rule: Rule,
    now: Wall,
    remote: bool,
    refreshes: bool,
}

impl Driven {
    fn new(method: &str, more: &[(&str, &str)]) -> Self {
        Self::holding(method, more, None)
    }

    /// A request for which L1 holds something nevertheless.
    fn holding(method: &str, more: &[(&str, &str)], held: Option<Held>) -> Self {
        let plan = plan();
        let rule = Rule {
            cache: Cache {
                storing: StoringPolicy { stale_if_error: secs(60), ..plan.default_rule.cache.storing },
                ..plan.default_rule.cache
            },
            coalesce: Coalesce { scope: Scope::Instance, ..plan.default_rule.coalesce },
            ..plan.default_rule
        };
        let fields = request_fields(method, more);
        let request = RequestHead::read(&fields);
        let key = key::key(&rule.cache.key, &fields).unwrap();
        let interest = match method {
            "GET" | "HEAD" => Interest::Cacheable(key),
            "OPTIONS" => Interest::None,
            _ => Interest::Invalidates(key),
        };
        let exchange = Exchange::new(0, interest, request, fields, Reason::UriMiss, held);
        Self { exchange, rule, now: NOW, remote: true, refreshes: true }
    }

    fn get() -> Self {
        Self::new("GET", &[])
    }

    fn on(&mut self, event: Event) -> Vec<Action> {
        let context = Context {
            rule: &self.rule,
            now: self.now,
            remote: self.remote,
            refreshes: self.refreshes,
            max_body_bytes: LARGEST_BODY,
        };
        self.exchange.on(event, &context)
    }

    /// After these events.
    fn after<const N: usize>(mut self, events: [Event; N]) -> Self {
        for event in events {
            self.on(event);
        }
        self
    }

    fn leads(self) -> Self {
        self.after([routed(), led()])
    }

    fn waits(self) -> Self {
        self.after([routed(), watching()])
    }

    /// The upstream is asked on behalf of a flight.
    fn fetches(self) -> Self {
        self.leads().after([nothing(), admitted()])
    }

    /// The upstream is asked for this request alone.
    fn fetches_alone(self) -> Self {
        self.after([Event::Routed(Route::Upstream), admitted()])
    }

    fn is_ended(&self) -> bool {
        matches!(self.exchange.phase, Phase::Ended)
    }
}

fn plan() -> Plan {
    crate::config::parse(b"{}").unwrap()
}

fn request_fields(method: &str, more: &[(&str, &str)]) -> Fields {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", "/x")];
    fields(&[&pseudo, more].concat())
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    Fields::of(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An entry for the request of [`Driven::get`], fresh for so many seconds of `NOW`, or stale for as many below zero;
/// for a minute beyond it may stand in.
fn entry(fresh_for: i64, vary: &str) -> Held {
    entry_received_at(NOW.0.saturating_sub(10_000), fresh_for, vary)
}

fn entry_received_at(received_at: u64, fresh_for: i64, vary: &str) -> Held {
    let fresh_until = Wall(NOW.0.saturating_add_signed(fresh_for * 1_000));
    let request = request_fields("GET", &[("accept-language", vary)]);
    let key = key::key(&plan().default_rule.cache.key, &request).unwrap();
    let response = ResponseHead::read(&fields(&[("vary", "accept-language")]), NOW);
    let selecting = if vary.is_empty() { Vec::new() } else { response.vary.selecting_fields(&request) };
    let entry = Entry {
        meta: Meta {
            status: 200,
            received_at: Wall(received_at),
            initial_age: Duration::ZERO,
            fresh_until,
            stale_until: fresh_until.after(secs(60)),
            refresh_until: fresh_until,
            authorized: false,
            never_stale: false,
            etag_generated: false,
            took: Duration::ZERO,
        },
        key: key.bytes(),
        selecting: &selecting,
        tags: b"",
        fields: fields(&[("etag", "\"1\"")]).as_block(),
        body: b"hello",
    }
    .encode();
    Rc::new(entry)
}

fn fresh() -> Held {
    entry(60, "")
}

fn stale() -> Held {
    entry(-5, "")
}

fn routed() -> Event {
    Event::Routed(Route::Flight)
}

fn led() -> Event {
    Event::Led(TOKEN, None)
}

fn watching_a_refresh() -> Event {
    Event::Watching(Token::new(0, 7, true), PLACE)
}

fn watching() -> Event {
    Event::Watching(TOKEN, PLACE)
}

fn nothing() -> Event {
    Event::Found(Lookup::Nothing, Standing::Unasked)
}

fn found(entry: Held, origin: Origin) -> Event {
    Event::Found(Lookup::Found(entry, origin), Standing::Unasked)
}

const CALL: breaker::Call = breaker::Call { invited: false, timed: true };

fn permit() -> Permit {
    let mut breaker = Breaker::new(plan().default_rule.breaker);
    match breaker.admit(CALL, Mono(0), 0) {
        Admission::Pass(permit) | Admission::Probe(permit) => permit,
        Admission::Refuse(_) | Admission::Spared(_) => panic!("a new circuit refuses nothing"),
    }
}

fn admitted() -> Event {
    Event::Admitted(Some(permit()))
}

fn refused() -> Event {
    refused_with(Stock::default())
}

/// The breaker says no, and there is this in L1.
fn refused_with(stock: Stock) -> Event {
    let retry_after = Duration::from_millis(6_001);
    Event::Refused(Refusal { why: Reason::BreakerOpen, retry_after, stock })
}

fn in_l1(held: Held) -> Stock {
    Stock { in_l1: Some(held), changed_at: Wall(0) }
}

/// The upstream's own answer.
fn head(status: &str, more: &[(&str, &str)]) -> Event {
    let fields = fields(&[&[(":status", status)], more].concat());
    let response = ResponseHead::read(&fields, NOW);
    let outcome = breaker::Outcome::of_status(response.status, &StatusSet::FAILURES, Duration::ZERO);
    Event::Head(Head { response, fields, outcome, changed_at: Wall(0) })
}

fn cacheable_head() -> Event {
    head("200", &[("cache-control", "max-age=60")])
}

fn piece(len: usize) -> Event {
    Event::Piece(vec![b'x'; len])
}

fn refetched(status: u16) -> Event {
    Event::Refetched(Some(Fetched { status, fields: Fields::new(), body: Vec::new() }))
}

fn told(origin: Origin, entry: Held) -> Event {
    Event::Ended(Outcome::Answer(Answer::new(origin, entry)))
}

fn served(actions: &[Action]) -> Option<&Answer> {
    actions.iter().find_map(|action| match action {
        Action::Serve(answer) => Some(answer),
        _ => None,
    })
}

fn words(actions: &[Action]) -> String {
    actions.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn word(action: &Action) -> String {
    match action {
        Action::Join => "join".into(),
        Action::LookUp(None) => "look up".into(),
        Action::LookUp(Some(_)) => "look up with the lease".into(),
        Action::Detach(_) => "detach".into(),
        Action::AwaitLease(_) => "await the lease".into(),
        Action::Admit => "admit".into(),
        Action::Probe => "probe".into(),
        Action::Invite(_) => "invite".into(),
        Action::Forward(None) => "forward".into(),
        Action::Forward(Some(_)) => "forward to validate".into(),
        Action::Park => "park".into(),
        Action::Serve(answer) => format!("serve {}", answer_word(answer)),
        Action::Relay { stored: true, .. } => "relay stored".into(),
        Action::Relay { stored: false, reason } => {
            format!("relay {}", reason.map_or("", Reason::word)).trim_end().into()
        }
        Action::Fill(_) => "fill".into(),
        Action::Keep(..) => "keep".into(),
        Action::KeepPart(..) => "keep part".into(),
        Action::End(token, outcome) => {
            assert_eq!(*token, TOKEN);
            match outcome {
                Outcome::Answer(answer) => format!("end with {}", answer_word(answer)),
                Outcome::Alone(reason) => format!("end alone {}", reason.word()),
                Outcome::Failed(status) => format!("end failed {status}"),
                Outcome::Lost => "end lost".into(),
            }
        }
        Action::Refresh(_) => "refresh".into(),
        Action::Refetch => "refetch".into(),
        Action::Hand(fetched) => format!("hand {}", fetched.status),
        Action::Discard(_) => "discard".into(),
        Action::Vacate(token) => {
            assert_eq!(*token, TOKEN);
            "vacate".into()
        }
        Action::Leave(token, place) => {
            assert!([TOKEN, Token::new(0, 7, true)].contains(token));
            assert_eq!(*place, PLACE);
            "leave".into()
        }
        Action::Record(_, outcome) if outcome.is_failure() => "record failure".into(),
        Action::Record(_, outcome) => format!("record {outcome:?}").to_lowercase(),
        Action::Remember(Reason::Authorization) => "remember for the authorized".into(),
        Action::Remember(_) => "remember".into(),
        Action::Forget => "forget".into(),
        Action::Invalidate(_, keys) => format!("invalidate {}", keys.len()),
    }
}

fn answer_word(answer: &Answer) -> String {
    let status = Entry::read(&answer.entry).unwrap().meta.status;
    match answer.origin {
        Origin::StaleOnError(failure) => format!("stale for {failure}"),
        Origin::StaleOnOpen => "stale on open".into(),
        Origin::Refused => format!("own {status}"),
        origin => format!("{origin:?} {status}").to_lowercase(),
    }
}
