//! Every event in every phase, compared with `table.txt` beside this file.
//!
//! Each phase is reached by real events. An event that does nothing there, the commonest case, is left out of the
//! table. When a change of behaviour is meant, the failing test prints the new table to be put there.

use super::*;
use crate::config::plan::{Fallback, Overflow, Scope};
use std::fmt::Write;

type Arrange = fn() -> Driven;
type Happen = fn() -> Event;

fn holding(held: Held) -> Driven {
    Driven::holding("GET", &[], Some(held))
}

fn only_if_cached() -> Driven {
    Driven::new("GET", &[("cache-control", "only-if-cached")])
}

fn without_redis(mut driven: Driven) -> Driven {
    driven.remote = false;
    driven
}

fn uncached(mut driven: Driven) -> Driven {
    driven.rule.cache.enabled = false;
    driven
}

fn refetching(now: Wall) -> Driven {
    let mut driven = holding(stale()).fetches().after([head("304", &[("etag", "\"2\"")])]);
    driven.now = now;
    driven
}

fn beside(held: Held) -> Driven {
    holding(held).after([routed(), watching_a_refresh()])
}

/// Leads for its Envoy, and looks whether the fleet's lease is to be had.
fn of_fleet(held: Option<Held>) -> Driven {
    in_fleet(Driven::holding("GET", &[], held)).leads()
}

fn in_fleet(mut driven: Driven) -> Driven {
    driven.rule.coalesce.scope = Scope::Fleet;
    driven
}

fn detaching(mut driven: Driven) -> Driven {
    driven.rule.coalesce.detach = true;
    driven
}

/// The plugin's own, to lead a flight for a client.
fn detached() -> Driven {
    let mut driven = detaching(Driven::get());
    driven.exchange.sender = Sender::Detached(TOKEN);
    driven
}

fn said(standing: Standing) -> Event {
    Event::Found(Lookup::Nothing, standing)
}

fn left(outcome: Outcome) -> Event {
    said(Standing::Ended(outcome))
}

fn no_fallback(mut driven: Driven) -> Driven {
    driven.rule.breaker.fallback = Fallback::Error;
    driven
}

fn refusing(mut driven: Driven) -> Driven {
    driven.rule.coalesce.overflow = Overflow::Refuse;
    driven
}

fn refresh() -> Driven {
    let mut driven = holding(stale());
    driven.exchange.sender = Sender::Refresh(NOW);
    driven
}

const SITUATIONS: [(&str, Arrange); 52] = [
    ("arrived", || Driven::get()),
    ("arrived, a stale copy held", || holding(stale())),
    ("arrived, a fresh copy held past its time in L1", || holding(fresh())),
    ("arrived, a fresh copy held, no Redis", || without_redis(holding(fresh()))),
    ("arrived, a stale copy held, no Redis", || without_redis(holding(stale()))),
    ("arrived, only-if-cached, no Redis", || without_redis(only_if_cached())),
    ("arrived, those past the limit refused", || refusing(Driven::get())),
    ("arrived, only-if-cached, those past the limit refused", || refusing(only_if_cached())),
    ("arrived, a refresh", refresh),
    ("beside a refresh, a fresh copy held", || beside(fresh())),
    ("looking up, leading beside a refresh", || beside(fresh()).after([led()])),
    ("waiting", || Driven::get().waits()),
    ("waiting beside a refresh", || beside(fresh()).after([watching()])),
    ("waiting, with Authorization", || Driven::new("GET", &[("authorization", "x")]).waits()),
    ("waiting, no Redis", || without_redis(Driven::get().waits())),
    ("looking up for itself", || Driven::get().after([Event::Routed(Route::Lookup)])),
    ("looking up, leading", || Driven::get().leads()),
    ("looking up, leading, a stale copy held", || holding(stale()).leads()),
    ("looking up, leading, a fresh copy held", || holding(fresh()).leads()),
    ("looking up, leading, only-if-cached", || only_if_cached().leads()),
    ("looking up with the lease, leading", || of_fleet(None)),
    ("looking up with the lease, leading, a stale copy held", || of_fleet(Some(stale()))),
    ("looking up without the lease, for a fresh copy is held", || of_fleet(Some(fresh()))),
    ("looking up with the lease, seen a failure", || {
        let mut driven = in_fleet(Driven::get()).waits();
        driven.on(Event::Ended(Outcome::Failed(503)));
        driven.after([led()])
    }),
    ("looking up with the lease, with Authorization", || {
        in_fleet(Driven::new("GET", &[("authorization", "x")])).leads()
    }),
    ("looking up with the lease, a refresh", || {
        let mut driven = in_fleet(holding(stale()));
        driven.exchange.sender = Sender::Refresh(NOW);
        driven.leads()
    }),
    ("awaiting", || of_fleet(None).after([said(Standing::Elsewhere)])),
    ("awaiting, a stale copy held", || of_fleet(Some(stale())).after([said(Standing::Elsewhere)])),
    ("waiting, seen a failure", || {
        Driven::get().waits().after([Event::Ended(Outcome::Failed(503)), watching()])
    }),
    ("looking up, leading, to be detached", || detaching(Driven::get()).leads()),
    ("detached, leading elsewhere", || detaching(Driven::get()).leads().after([nothing()])),
    ("detached, and took the lead again", || {
        detaching(Driven::get()).leads().after([nothing(), watching(), led()])
    }),
    ("the plugin's own, to lead", detached),
    ("the plugin's own, leading", || detached().after([led()])),
    ("asking for itself", || Driven::get().after([Event::Routed(Route::Upstream)])),
    ("asking, leading", || Driven::get().leads().after([nothing()])),
    ("asking, leading, a stale copy held", || holding(stale()).leads().after([nothing()])),
    ("asking, leading, a stale copy held, no fallback", || {
        no_fallback(holding(stale()).leads().after([nothing()]))
    }),
    ("fetching for itself", || Driven::get().fetches_alone()),
    ("fetching for itself, HEAD", || Driven::new("HEAD", &[]).fetches_alone()),
    ("fetching, not for the cache", || Driven::new("OPTIONS", &[]).fetches_alone()),
    ("fetching, unsafe", || Driven::new("POST", &[]).fetches_alone()),
    ("fetching, leading", || Driven::get().fetches()),
    ("fetching, leading, a stale copy held", || holding(stale()).fetches()),
    ("fetching, leading, the cache disabled", || uncached(Driven::get().fetches())),
    ("refetching, a stale copy held", || refetching(NOW)),
    ("refetching, a copy held that is of no more use", || refetching(NOW.after(secs(120)))),
    ("copying for itself", || Driven::get().fetches_alone().after([cacheable_head()])),
    ("copying, leading", || Driven::get().fetches().after([cacheable_head(), piece(LARGEST_BODY - 1)])),
    ("copying, leading, not to be kept", || Driven::get().fetches().after([head("200", &[])])),
    ("relaying", || Driven::get().fetches().after([head("200", &[("cache-control", "private")])])),
    ("ended", || Driven::get().fetches().after([Event::Gone])),
];

const EVENTS: [(&str, Happen); 56] = [
    ("routed into a flight", routed),
    ("routed to the tiers", || Event::Routed(Route::Lookup)),
    ("routed to the upstream", || Event::Routed(Route::Upstream)),
    ("led", led),
    ("led, a fresh entry appeared", || Event::Led(TOKEN, Some(fresh()))),
    ("led, another's entry appeared", || Event::Led(TOKEN, Some(entry(60, "de")))),
    ("watching", watching),
    ("watching a refresh", watching_a_refresh),
    ("apart", || Event::Apart(Reason::TooManyWaiters)),
    ("found fresh in L2", || found(fresh(), Origin::L2)),
    ("found fresh in L3", || found(fresh(), Origin::L3)),
    ("found stale", || found(stale(), Origin::L3)),
    ("found of another Vary", || found(entry(60, "de"), Origin::L2)),
    ("found garbage", || found(Rc::new(b"garbage".to_vec()), Origin::L2)),
    ("found nothing", nothing),
    ("tiers unavailable", || Event::Found(Lookup::Unavailable, Standing::Unasked)),
    ("found nothing, the lease is ours", || said(Standing::Ours)),
    ("found nothing, the lease is another's", || said(Standing::Elsewhere)),
    ("found nothing, an answer left", || left(Outcome::Answer(Answer::new(Origin::Upstream, stale())))),
    ("found nothing, an answer of another Vary left", || {
        left(Outcome::Answer(Answer::new(Origin::Upstream, entry(60, "de"))))
    }),
    ("found nothing, left to go alone", || left(Outcome::Alone(Reason::NoStore))),
    ("found nothing, left for Authorization", || left(Outcome::Alone(Reason::Authorization))),
    ("found nothing, a failure left", || left(Outcome::Failed(503))),
    ("time to look again", || Event::Again),
    ("admitted", admitted),
    ("admitted without a breaker", || Event::Admitted(None)),
    ("refused", refused),
    ("refused, a stale copy in L1", || refused_with(in_l1(stale()))),
    ("offered", || Event::Offered(Stock::default())),
    ("offered, a stale copy in L1", || Event::Offered(in_l1(stale()))),
    ("the circuit opens, a stale copy in L1", || Event::Opened(in_l1(stale()))),
    ("head max-age", cacheable_head),
    ("head max-age, announced too large", || {
        head("200", &[("cache-control", "max-age=60"), ("content-length", "17")])
    }),
    ("head without a lifetime", || head("200", &[])),
    ("head private", || head("200", &[("cache-control", "private")])),
    ("head 304", || head("304", &[])),
    ("head 304 of another response", || head("304", &[("etag", "\"2\"")])),
    ("head 404", || head("404", &[])),
    ("head 503", || head("503", &[])),
    ("head 503, a cookie", || head("503", &[("set-cookie", "a=b")])),
    ("head of another filter", || {
        let Event::Head(head) = head("429", &[]) else { panic!("a head") };
        Event::Head(Head { outcome: breaker::Outcome::Abandoned, ..head })
    }),
    ("piece", || piece(1)),
    ("piece too large", || piece(LARGEST_BODY + 1)),
    ("complete", || Event::Complete),
    ("refetched", || refetched(200)),
    ("refetched a failure", || refetched(503)),
    ("refetched nothing", || Event::Refetched(None)),
    ("told an answer", || told(Origin::Upstream, fresh())),
    ("told an answer of another Vary", || told(Origin::Upstream, entry(60, "de"))),
    ("told an answer, stale", || told(Origin::StaleOnError(503), stale())),
    ("told garbage", || told(Origin::Upstream, Rc::new(Vec::new()))),
    ("told to go alone", || Event::Ended(Outcome::Alone(Reason::NoStore))),
    ("told of a failure", || Event::Ended(Outcome::Failed(503))),
    ("told the leader is lost", || Event::Ended(Outcome::Lost)),
    ("waited long enough", || Event::TimedOut),
    ("gone", || Event::Gone),
];

/// The phase, and what else the exchange shows.
fn state(exchange: &Exchange) -> String {
    let lead = |token: &Option<Token>| if token.is_some() { ", leads" } else { "" };
    let holds = |held: &Option<Held>| if held.is_some() { ", holds" } else { "" };
    let phase = match &exchange.phase {
        Phase::Arrived { held } => format!("arrived{}", holds(held)),
        Phase::Waiting { .. } => "waiting".into(),
        Phase::LookingUp { token, held, leases } => {
            let wish = if *leases { " with the lease" } else { "" };
            format!("looking up{wish}{}{}", lead(token), holds(held))
        }
        Phase::Awaiting { held, .. } => format!("awaiting, leads{}", holds(held)),
        Phase::Asking { token, held } => format!("asking{}{}", lead(token), holds(held)),
        Phase::Fetching { token, held, permit, .. } => {
            let permit = if permit.is_some() { "" } else { ", no permit" };
            format!("fetching{}{}{permit}", lead(token), holds(held))
        }
        Phase::Refetching(_) => "refetching".into(),
        Phase::Copying { token, copy } => {
            let kept = if copy.is_kept() { ", to keep" } else { "" };
            format!("copying{}{kept}", lead(token))
        }
        Phase::Relaying => "relaying".into(),
        Phase::Ended => "ended".into(),
    };
    let collapsed = match exchange.collapsed {
        None => "",
        Some(true) => ", collapsed",
        Some(false) => ", not collapsed",
    };
    let failure = if exchange.seen_failure { ", seen a failure" } else { "" };
    format!("{phase} ({}{collapsed}{failure})", exchange.why.word())
}

#[test]
fn every_event_in_every_phase_does_what_the_table_says() {
    let mut table = String::new();
    for (name, situation) in SITUATIONS {
        writeln!(table, "# {name}: {}", state(&situation().exchange)).unwrap();
        for (event, happen) in EVENTS {
            let mut driven = situation();
            let before = state(&driven.exchange);
            let actions = driven.on(happen());
            let after = state(&driven.exchange);
            if before != after || !actions.is_empty() {
                let line = format!("  {event:45} {after:64} {}", words(&actions));
                writeln!(table, "{}", line.trim_end()).unwrap();
            }
        }
    }
    assert!(table == include_str!("table.txt"), "the table is now:\n{table}");
}
