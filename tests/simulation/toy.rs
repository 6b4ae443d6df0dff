//! A small coalescer within one worker, or with leases in Redis among all, right as it stands and wrong on demand: the
//! yardstick for the judge.

use crate::scenario::MARK;
use breakwater::host::{CalloutId, Flow, Host, MetricKind, QueueId, Role, Source, StreamId, Version};
use breakwater::http::Fields;
use breakwater::time::Mono;
use leasing::{Lease, Leases};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What the toy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    None,
    /// Every request goes upstream.
    NoFlight,
    /// Waiters get whatever comes.
    IgnoresPermission,
    /// Waiters get what there is when the leader's answer breaks off.
    SharesFragments,
    /// A lost leader's waiters are forgotten.
    Strands,
    /// Writes do not end flights for those who come after.
    IgnoresWrites,
    /// Waiters are answered from the leader's callback.
    AnswersFromStream,
    /// All waiters are answered in one callback.
    AnswersAllAtOnce,
    /// Each request leaves a key in shared data.
    Leaks,
    /// Every answer is written to shared data.
    KeepsEverything,
    /// The last answer is served for ever.
    NeverExpires,
    /// Answers with an error now and then.
    FailsAtTimes,
    /// Leaves the mark of refreshes on requests.
    PassesTheMark,
    /// Refreshes whenever a request comes.
    RefreshesAlways,
    /// Takes for granted that every stream that ends had begun.
    Panics,
    /// Fetches whoever has the lease.
    IgnoresLeases,
    /// A lease that is lost stands for ever.
    LeasesForEver,
    /// Gives no lease back.
    KeepsLeases,
    /// Does not prolong its leases.
    LetsLeasesEnd,
    /// Gives leases back that others have.
    EndsLeasesOfOthers,
    /// Waits for what Redis says about a lease, if it be for ever.
    NeedsRedis,
}

type Key = (u64, Vec<u8>);

struct Flight {
    leader: StreamId,
    waiters: Vec<(StreamId, Mono)>,
    answer: Option<Answer>,
    /// Its name in the fleet, where it stands there, and how long its leader waits for that.
    name: String,
    lease: Lease,
    deadline: Mono,
}

#[derive(Clone)]
struct Answer {
    status: u16,
    head: Fields,
    body: Vec<u8>,
}

enum Part {
    Leads(Key, Authorized),
    Waits(Key, Authorized),
    Writes(Vec<u8>),
}

type Authorized = bool;

pub struct Toy<H: Host> {
    host: H,
    flaw: Flaw,
    wait_timeout: Duration,
    flights: BTreeMap<Key, Flight>,
    parts: BTreeMap<StreamId, Part>,
    outbox: VecDeque<(StreamId, Option<Answer>)>,
    refreshes: Vec<Fields>,
    queue: Option<QueueId>,
    last: BTreeMap<Vec<u8>, Answer>,
    leaked: u64,
    leases: Leases,
}

impl<H: Host> Toy<H> {
    pub fn new(host: H, flaw: Flaw, wait_timeout: Duration) -> Self {
        Self {
            host,
            flaw,
            wait_timeout,
            flights: BTreeMap::new(),
            parts: BTreeMap::new(),
            outbox: VecDeque::new(),
            refreshes: Vec::new(),
            queue: None,
            last: BTreeMap::new(),
            leaked: 0,
            leases: Leases::new(None),
        }
    }

    /// The same with leases that last so long.
    pub fn leasing(self, lasts: Duration) -> Self {
        Self { leases: Leases::new(Some(lasts)), ..self }
    }

    fn writes(&self, path: &[u8]) -> u64 {
        self.counter(path).0
    }

    fn counter(&self, path: &[u8]) -> (u64, Version) {
        self.host.shared(&counter(path)).map_or((0, Version::ABSENT), |(value, version)| {
            (u64::from_le_bytes(value.try_into().unwrap()), version)
        })
    }

    /// Makes flights that are under way unfit for those who come from now on, on all workers.
    fn note_write(&self, path: &[u8]) {
        if self.flaw == Flaw::IgnoresWrites {
            return;
        }
        loop {
            let (writes, version) = self.counter(path);
            if self.host.share(&counter(path), &(writes + 1).to_le_bytes(), Some(version)).is_ok() {
                return;
            }
        }
    }

    /// Has waiters answered, or sent upstream, from a root callback.
    fn post(&mut self, waiters: Vec<(StreamId, Mono)>, answer: Option<&Answer>) {
        if self.flaw == Flaw::AnswersFromStream {
            return waiters.into_iter().for_each(|(waiter, _)| self.settle(waiter, answer.cloned()));
        }
        for (waiter, _) in waiters {
            if self.outbox.len().is_multiple_of(32)
                && let Some(queue) = self.queue
            {
                self.host.send(queue, b"");
            }
            self.outbox.push_back((waiter, answer.cloned()));
        }
    }

    fn settle(&mut self, waiter: StreamId, answer: Option<Answer>) {
        self.parts.remove(&waiter);
        match answer {
            Some(answer) => self.host.reply(waiter, answer.status, &answer.head, &answer.body),
            None => self.host.resume(waiter),
        }
    }

    /// The leader is lost: the next waiter takes its place.
    fn promote(&mut self, key: Key) {
        let Some(mut flight) = self.flights.remove(&key) else { return };
        if self.flaw == Flaw::SharesFragments && flight.answer.is_some() {
            return self.post(flight.waiters, flight.answer.as_ref());
        }
        if self.flaw == Flaw::Strands || flight.waiters.is_empty() {
            return self.give_back(&key, &flight);
        }
        // A write may have come since: what is fetched now is fit for newcomers too.
        let now = (self.writes(&key.1), key.1.clone());
        for (waiter, _) in &flight.waiters {
            if let Some(Part::Waits(key, _)) = self.parts.get_mut(waiter) {
                key.clone_from(&now);
            }
        }
        if let Some(newer) = self.flights.get_mut(&now) {
            newer.waiters.append(&mut flight.waiters);
            return self.give_back(&key, &flight);
        }
        let (next, deadline) = flight.waiters.remove(0);
        let authorized = matches!(self.parts.get(&next), Some(Part::Waits(_, true)));
        self.parts.insert(next, Part::Leads(now.clone(), authorized));
        let held = matches!(flight.lease, Lease::Held(_));
        self.flights.insert(now.clone(), Flight { leader: next, answer: None, deadline, ..flight });
        if held || !self.ask_for_lease(&now) {
            self.host.resume(next);
        }
    }

    fn is_shareable(&self, head: &Fields, authorized: Authorized) -> bool {
        let control = head.get(b"cache-control").unwrap_or_default();
        let control = String::from_utf8_lossy(control);
        let forbidden = control.contains("private")
            || control.contains("no-store")
            || head.get(b"set-cookie").is_some()
            || head.get(b"vary").is_some()
            || (authorized && !control.contains("public"));
        !forbidden || self.flaw == Flaw::IgnoresPermission
    }

    /// The leader's answer is whole.
    fn land(&mut self, stream: StreamId) {
        let Some(Part::Leads(key, _)) = self.parts.remove(&stream) else { return };
        let Some(flight) = self.flights.remove(&key) else { return };
        self.give_back(&key, &flight);
        if let Some(answer) = &flight.answer {
            if self.flaw == Flaw::NeverExpires {
                self.last.insert(key.1.clone(), answer.clone());
            }
            self.post(flight.waiters, Some(answer));
        }
    }
}

impl<H: Host> Role for Toy<H> {
    fn on_tick(&mut self) {
        let now = self.host.mono();
        self.tend_leases(now);
        let mut due = Vec::new();
        for flight in self.flights.values_mut() {
            let (late, waiting) = flight.waiters.drain(..).partition(|(_, deadline)| *deadline <= now);
            flight.waiters = waiting;
            due.extend::<Vec<_>>(late);
        }
        if self.flaw != Flaw::Strands {
            self.post(due, None);
        }
    }

    fn on_message(&mut self, queue: QueueId) {
        self.host.receive(queue);
        for refresh in self.refreshes.drain(..) {
            self.host.fetch("breakwater_loop", &refresh, Duration::from_secs(5));
        }
        let most = if self.flaw == Flaw::AnswersAllAtOnce { usize::MAX } else { 32 };
        for _ in 0..most.min(self.outbox.len()) {
            let Some((waiter, answer)) = self.outbox.pop_front() else { return };
            self.settle(waiter, answer);
        }
    }

    fn on_callout(&mut self, callout: CalloutId, answer: Option<Vec<u8>>) {
        self.hear_of_lease(callout, answer);
    }

    fn on_request(&mut self, stream: StreamId, _: bool) -> Flow {
        if self.queue.is_none() {
            let name = format!("toy{}", self.host.random());
            self.queue = self.host.open_queue(&name);
        }
        let fields = self.host.request_fields(stream);
        let own = fields.get(MARK.as_bytes()) == Some(b"toy");
        if self.flaw != Flaw::PassesTheMark {
            self.host.set_request_field(stream, MARK, None);
        }
        if self.flaw == Flaw::FailsAtTimes && self.host.random().is_multiple_of(16) {
            self.host.reply(stream, 503, &Fields::new(), b"");
            return Flow::Pause;
        }
        if self.flaw == Flaw::RefreshesAlways
            && !own
            && let Some(queue) = self.queue
        {
            let unmarked = fields.iter().filter(|(name, _)| *name != MARK.as_bytes());
            self.refreshes
                .push(Fields::of(unmarked.chain([(MARK.as_bytes(), &b"toy"[..])]).collect::<Vec<_>>()));
            self.host.send(queue, b"");
        }
        let path = fields.get(b":path").unwrap_or_default().to_vec();
        if self.flaw == Flaw::Leaks {
            self.leaked += 1;
            let _ = self.host.share(&self.leaked.to_le_bytes(), &[0; 8_192], None);
        }
        if fields.get(b":method") == Some(b"POST") {
            self.parts.insert(stream, Part::Writes(path));
            return Flow::Continue;
        }
        let apart =
            fields.get(b":method") != Some(b"GET") || fields.get(b"cache-control") == Some(b"no-store");
        if apart || self.flaw == Flaw::NoFlight {
            return Flow::Continue;
        }
        if let Some(Answer { status, head, body }) = self.last.get(&path) {
            self.host.reply(stream, *status, head, body);
            return Flow::Pause;
        }
        let authorized = fields.get(b"authorization").is_some();
        let key = (self.writes(&path), path);
        if let Some(flight) = self.flights.get_mut(&key) {
            flight.waiters.push((stream, self.host.mono().after(self.wait_timeout)));
            self.parts.insert(stream, Part::Waits(key, authorized));
            return Flow::Pause;
        }
        let (name, deadline) = (self.name(), self.host.mono().after(self.wait_timeout));
        let flight =
            Flight { leader: stream, waiters: Vec::new(), answer: None, name, lease: Lease::None, deadline };
        self.flights.insert(key.clone(), flight);
        self.parts.insert(stream, Part::Leads(key.clone(), authorized));
        if self.ask_for_lease(&key) { Flow::Pause } else { Flow::Continue }
    }

    fn on_response(&mut self, stream: StreamId, end: bool) -> Flow {
        let source = self.host.response_source(stream);
        let head = self.host.response_fields(stream);
        let status =
            head.get(b":status").and_then(|s| std::str::from_utf8(s).ok()?.parse().ok()).unwrap_or(0);
        match self.parts.get(&stream) {
            Some(Part::Writes(path)) if source == Source::Upstream && (200..400).contains(&status) => {
                self.note_write(path)
            }
            Some(Part::Leads(..)) if source != Source::Upstream => {
                if let Some(Part::Leads(key, _)) = self.parts.remove(&stream) {
                    self.promote(key);
                }
            }
            Some(Part::Leads(key, authorized)) => {
                let (key, shareable) = (key.clone(), self.is_shareable(&head, *authorized));
                let lines: Vec<_> = head.iter().filter(|(name, _)| *name != b":status").collect();
                let answer = Answer { status, head: Fields::of(lines), body: Vec::new() };
                if let Some(flight) = self.flights.get_mut(&key) {
                    flight.answer = Some(answer);
                }
                if !shareable && let Some(flight) = self.flights.remove(&key) {
                    self.parts.remove(&stream);
                    self.give_back(&key, &flight);
                    self.post(flight.waiters, None);
                } else if end {
                    self.land(stream);
                }
            }
            _ => {}
        }
        Flow::Continue
    }

    fn on_response_body(&mut self, stream: StreamId, len: usize, end: bool) -> Flow {
        if self.flaw == Flaw::KeepsEverything {
            let _ = self.host.share(b"kept", &self.host.response_piece(stream, len), None);
        }
        if let Some(Part::Leads(key, _)) = self.parts.get(&stream) {
            let piece = self.host.response_piece(stream, len);
            if let Some(answer) = self.flights.get_mut(key).and_then(|flight| flight.answer.as_mut()) {
                answer.body.extend(piece);
            }
            if end {
                self.land(stream);
            }
        }
        Flow::Continue
    }

    fn on_gone(&mut self, stream: StreamId) {
        let part = self.parts.remove(&stream);
        if self.flaw == Flaw::Panics {
            part.as_ref().expect("a stream that ends has begun");
        }
        if let Some(metric) = self.host.metric(MetricKind::Counter, "toy.gone") {
            self.host.add(metric, 1);
        }
        match part {
            Some(Part::Leads(key, _))
                if self.flights.get(&key).is_some_and(|flight| flight.leader == stream) =>
            {
                self.promote(key);
            }
            Some(Part::Waits(key, _)) => {
                if let Some(flight) = self.flights.get_mut(&key) {
                    flight.waiters.retain(|(waiter, _)| *waiter != stream);
                }
            }
            _ => {}
        }
    }
}

/// Where the number of writes to a path is kept.
fn counter(path: &[u8]) -> Vec<u8> {
    [b"writes ", path].concat()
}

mod leasing;
