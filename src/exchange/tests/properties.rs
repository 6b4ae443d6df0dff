//! What holds whatever happens, in whatever order.

use super::*;
use crate::testing::cases;
use proptest::prelude::*;

/// What can happen; an [`Event`] cannot be copied, since it may carry a permit.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Routed(Route),
    Led(Option<Stored>),
    Watching,
    Apart,
    Found(Option<(Stored, Origin)>, Said),
    Again,
    Failed,
    Unavailable,
    Admitted(bool),
    Refused,
    Offered(Option<Stored>),
    Opened(Option<Stored>),
    Head(u16, usize, Option<u64>),
    LocalHead(u16),
    Piece(usize),
    Complete,
    Told(Stored, Origin),
    Alone,
    Lost,
    TimedOut,
    Gone,
}

/// An entry that may turn up somewhere.
#[derive(Clone, Copy, Debug)]
enum Stored {
    Fresh,
    Stale,
    Past,
    OtherVary,
    Garbage,
}

impl Stored {
    fn bytes(self) -> Held {
        match self {
            Self::Fresh => fresh(),
            Self::Stale => stale(),
            Self::Past => entry(-600, ""),
            Self::OtherVary => entry(60, "de"),
            Self::Garbage => Rc::new(b"BW\x01".to_vec()),
        }
    }
}

/// What a lookup may say of the lease.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Ours,
    Elsewhere,
    Answer(Stored),
    Alone(Reason),
    Failed,
}

impl Said {
    fn standing(self) -> Standing {
        match self {
            Self::Nothing => Standing::Unasked,
            Self::Ours => Standing::Ours,
            Self::Elsewhere => Standing::Elsewhere,
            Self::Answer(stored) => {
                Standing::Ended(Outcome::Answer(Answer::new(Origin::Upstream, stored.bytes())))
            }
            Self::Alone(reason) => Standing::Ended(Outcome::Alone(reason)),
            Self::Failed => Standing::Ended(Outcome::Failed(503)),
        }
    }
}

const STATEMENTS: [&[(&str, &str)]; 7] = [
    &[],
    &[("cache-control", "max-age=60")],
    &[("cache-control", "public, max-age=60"), ("vary", "accept-language")],
    &[("cache-control", "private")],
    &[("set-cookie", "a=b")],
    &[("vary", "*")],
    &[("cache-control", "s-maxage=0")],
];

const REQUESTS: [(&str, &[(&str, &str)]); 7] = [
    ("GET", &[]),
    ("GET", &[("authorization", "x")]),
    ("GET", &[("cache-control", "only-if-cached")]),
    ("GET", &[("accept-language", "de")]),
    ("HEAD", &[]),
    ("POST", &[]),
    ("OPTIONS", &[]),
];

impl Happening {
    /// The event, or `None` if no driver could tell it now: each of these answers an action.
    fn event(self, awaited: &Awaited) -> Option<Event> {
        let event = match self {
            Self::Routed(route) if awaited.route => Event::Routed(route),
            Self::Led(stored) if awaited.join || awaited.parked => {
                Event::Led(TOKEN, stored.map(Stored::bytes))
            }
            Self::Watching if awaited.join => watching(),
            Self::Apart if awaited.join => Event::Apart(Reason::TooManyWaiters),
            Self::Admitted(with) if awaited.admission => Event::Admitted(with.then(permit)),
            Self::Refused if awaited.admission => refused(),
            Self::Offered(stored) if awaited.admission => Event::Offered(stock(stored)),
            _ => self.anytime()?,
        };
        Some(event)
    }

    /// The event, if it can be told to any exchange at any time.
    fn anytime(self) -> Option<Event> {
        Some(match self {
            Self::Routed(_) | Self::Led(_) | Self::Watching | Self::Apart => return None,
            Self::Admitted(_) | Self::Refused | Self::Offered(_) => return None,
            Self::Opened(stored) => Event::Opened(stock(stored)),
            Self::Found(found, standing) => {
                let lookup = match found {
                    Some((stored, origin)) => Lookup::Found(stored.bytes(), origin),
                    None => Lookup::Nothing,
                };
                Event::Found(lookup, standing.standing())
            }
            Self::Again => Event::Again,
            Self::Failed => Event::Ended(Outcome::Failed(503)),
            Self::Unavailable => Event::Found(Lookup::Unavailable, Standing::Unasked),
            Self::Head(status, statement, length) => {
                let status = status.to_string();
                let length = length.map(|length| length.to_string());
                let length = length.iter().map(|length| ("content-length", length.as_str()));
                head(&status, &STATEMENTS[statement].iter().copied().chain(length).collect::<Vec<_>>())
            }
            Self::LocalHead(status) => {
                let Event::Head(head) = head(&status.to_string(), &[]) else { return None };
                Event::Head(Head { outcome: breaker::Outcome::Abandoned, ..head })
            }
            Self::Piece(len) => piece(len),
            Self::Complete => Event::Complete,
            Self::Told(stored, origin) => told(origin, stored.bytes()),
            Self::Alone => Event::Ended(Outcome::Alone(Reason::Private)),
            Self::Lost => Event::Ended(Outcome::Lost),
            Self::TimedOut => Event::TimedOut,
            Self::Gone => Event::Gone,
        })
    }

    /// The event, whether or not anybody would tell it now.
    fn anyway(self) -> Event {
        let all = Awaited { route: true, join: true, admission: true, parked: true };
        self.event(&all).expect("an event")
    }
}

/// What the driver owes an answer to.
#[derive(Default)]
struct Awaited {
    route: bool,
    join: bool,
    admission: bool,
    parked: bool,
}

fn stored() -> impl Strategy<Value = Stored> {
    prop::sample::select(vec![Stored::Fresh, Stored::Stale, Stored::Past, Stored::OtherVary, Stored::Garbage])
}

fn stock(stored: Option<Stored>) -> Stock {
    Stock { in_l1: stored.map(Stored::bytes), changed_at: Wall(0) }
}

fn said() -> impl Strategy<Value = Said> {
    prop_oneof![
        2 => Just(Said::Nothing),
        2 => Just(Said::Ours),
        3 => Just(Said::Elsewhere),
        1 => stored().prop_map(Said::Answer),
        1 => prop::sample::select(vec![Reason::Private, Reason::Authorization]).prop_map(Said::Alone),
        1 => Just(Said::Failed),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let origin = || prop::sample::select(vec![Origin::L2, Origin::L3]);
    let status = || prop::sample::select(vec![200_u16, 204, 206, 304, 404, 500, 503]);
    let length = prop::option::weighted(0.3, prop::sample::select(vec![0, 16, 17, u64::MAX]));
    prop_oneof![
        3 => prop::sample::select(vec![Route::Flight, Route::Lookup, Route::Upstream]).prop_map(Happening::Routed),
        3 => prop::option::weighted(0.2, stored()).prop_map(Happening::Led),
        3 => Just(Happening::Watching),
        1 => Just(Happening::Apart),
        4 => (prop::option::of((stored(), origin())), said()).prop_map(|(found, said)| Happening::Found(found, said)),
        2 => Just(Happening::Again),
        1 => Just(Happening::Failed),
        1 => Just(Happening::Unavailable),
        4 => any::<bool>().prop_map(Happening::Admitted),
        1 => Just(Happening::Refused),
        1 => prop::option::of(stored()).prop_map(Happening::Offered),
        1 => prop::option::of(stored()).prop_map(Happening::Opened),
        4 => (status(), 0..STATEMENTS.len(), length).prop_map(|(s, at, len)| Happening::Head(s, at, len)),
        1 => status().prop_map(Happening::LocalHead),
        3 => (0..LARGEST_BODY).prop_map(Happening::Piece),
        3 => Just(Happening::Complete),
        1 => (stored(), origin()).prop_map(|(stored, origin)| Happening::Told(stored, origin)),
        1 => Just(Happening::Alone),
        1 => Just(Happening::Lost),
        1 => Just(Happening::TimedOut),
        1 => Just(Happening::Gone),
    ]
}

fn driven() -> impl Strategy<Value = Driven> {
    (0..REQUESTS.len(), prop::option::of(stored()), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(request, held, remote, enabled, fleet)| {
            let (method, more) = REQUESTS[request];
            let mut driven = Driven::holding(method, more, held.map(Stored::bytes));
            driven.remote = remote;
            driven.rule.cache.enabled = enabled;
            driven.rule.coalesce.detach = enabled == fleet;
            driven.rule.coalesce.scope = if fleet { Scope::Fleet } else { Scope::Instance };
            driven
        },
    )
}

/// What has been done for one request.
#[derive(Debug, Default)]
struct Tally {
    leads: u32,
    flights_ended: u32,
    parks: u32,
    left: u32,
    permits: u32,
    records: u32,
    forwarded: u32,
    served: u32,
    relayed: u32,
    kept: u32,
}

impl Tally {
    fn count(&mut self, action: &Action) {
        let place = match action {
            Action::End(..) | Action::Vacate(_) | Action::Detach(_) => &mut self.flights_ended,
            Action::Park => &mut self.parks,
            Action::Leave(..) => &mut self.left,
            Action::Record(..) => &mut self.records,
            Action::Forward(_) => &mut self.forwarded,
            Action::Serve(_) => &mut self.served,
            Action::Relay { .. } => &mut self.relayed,
            Action::Keep(..) => &mut self.kept,
            _ => return,
        };
        *place += 1;
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn whatever_happens_each_flight_permit_and_client_is_settled_once(
        mut driven in driven(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut awaited = Awaited { route: true, ..Awaited::default() };
        let mut tally = Tally::default();
        for happening in happenings.into_iter().chain([Happening::Gone]) {
            let Some(event) = happening.event(&awaited) else { continue };
            // What is not for the cache has no business in a flight or the tiers.
            let event = match event {
                Event::Routed(_) if !driven.exchange.is_cacheable() => Event::Routed(Route::Upstream),
                event => event,
            };
            let was_over = driven.exchange.is_over();
            match &event {
                Event::Led(..) => tally.leads += 1,
                Event::Admitted(Some(_)) => tally.permits += 1,
                _ => {}
            }
            // Whoever is told something has been given the answer that was owed.
            if matches!(event, Event::Routed(_)) {
                awaited.route = false;
            }
            if matches!(event, Event::Led(..) | Event::Watching(..) | Event::Apart(_)) {
                awaited.join = false;
            }
            if matches!(event, Event::Admitted(_) | Event::Refused(_) | Event::Offered(_)) {
                awaited.admission = false;
            }
            let actions = driven.on(event);
            prop_assert!(!was_over || actions.is_empty(), "{actions:?} after the end");
            for action in &actions {
                awaited.join |= matches!(action, Action::Join);
                awaited.admission |= matches!(action, Action::Admit | Action::Probe);
                tally.count(action);
            }
            awaited.parked = matches!(driven.exchange.phase, Phase::Waiting { .. });
            if driven.exchange.is_over() {
                awaited = Awaited::default();
            }
            prop_assert!(tally.flights_ended <= tally.leads, "{tally:?}");
            prop_assert!(tally.records <= tally.permits, "{tally:?}");
            prop_assert!(tally.served + tally.relayed <= 1, "{tally:?}");
            prop_assert!(tally.relayed <= tally.forwarded && tally.forwarded <= 1, "{tally:?}");
            prop_assert!(tally.kept <= tally.relayed + tally.served, "{tally:?}");
        }
        prop_assert!(driven.exchange.is_over());
        prop_assert_eq!(tally.flights_ended, tally.leads);
        prop_assert_eq!(tally.records, tally.permits);
        prop_assert!(tally.left <= tally.parks);
    }

    #[test]
    fn no_order_of_events_panics_and_nothing_follows_the_end(
        mut driven in driven(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        for happening in happenings {
            let was_over = driven.exchange.is_over();
            let actions = driven.on(happening.anyway());
            prop_assert!(!was_over || actions.is_empty(), "{actions:?} after the end");
        }
    }

    #[test]
    fn only_what_may_be_shared_reaches_a_waiter(
        mut driven in driven(),
        happenings in prop::collection::vec(happening(), 0..40),
    ) {
        let mut forbidden = false;
        for happening in happenings {
            if let Happening::Head(_, statement, _) = happening {
                let fetching = matches!(driven.exchange.phase, Phase::Fetching { .. });
                forbidden |= fetching && [3, 4, 5].contains(&statement);
            }
            for action in driven.on(happening.anyway()) {
                let upstream = matches!(
                    &action,
                    Action::End(_, Outcome::Answer(Answer { origin: Origin::Upstream, .. })) | Action::Keep(..)
                );
                prop_assert!(!(forbidden && upstream), "{action:?}");
            }
        }
    }
}
