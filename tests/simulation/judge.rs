//! The judge: follows what happens and says which promise was broken first.

use crate::origin::{Made, Origin, SLOWEST};
use crate::scenario::{MARK, REFETCH, Scenario, Terms};
use breakwater::host::sim::{Asked, Client, ClientId, ClientRequest, End, Happening, Stop, World};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Envoy's rules are kept.
    Manners,
    /// One upstream request at a time for a key.
    OneFlight,
    /// A lease in Redis does not outlast its flight, or ends by itself.
    Leases,
    /// Everybody is answered or gone in time.
    NobodyStranded,
    /// Nobody gets what was made for another alone.
    Sharing,
    /// What is handed out is whole and what was asked for.
    Whole,
    /// What is served from the store is fresh, unless the upstream fails.
    Fresh,
    /// Nothing fetched before a write was answered is served to who came after.
    AfterWrites,
    /// What may not be kept is not written anywhere.
    Keeping,
    /// Memory is bounded.
    Bounded,
    /// Nobody gets an error for which neither the upstream nor Envoy has given cause.
    Cause,
    /// What the plugin fetches of itself is its own affair: once at a time, and the upstream sees no difference.
    Refreshing,
}

/// How far the promise of one flight reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Nowhere,
    Worker,
    Envoy,
    /// All workers of all Envoys as long as Redis is well and no VM dies, and a worker otherwise.
    Workers,
    /// All Envoys as long as Redis is well and no VM dies, and an Envoy otherwise.
    Fleet,
}

#[derive(Clone, Debug)]
pub struct Breach {
    pub promise: Promise,
    pub what: String,
}

/// What the judge knows of an upstream request under way.
struct Flight {
    asked: Asked,
    /// Its worker's VM died.
    lost: bool,
    /// It leads nobody: it had waited long enough, or found no place to wait.
    alone: bool,
}

/// The last write to a URL that succeeded: what was asked for before its answer came is not for who came after its
/// client was told.
#[derive(Clone, Copy)]
struct Write {
    answered: u64,
    told: u64,
    at: Duration,
}

/// When an Envoy learnt that a permission was taken back, and through which worker.
struct Revoked {
    order: u64,
    at: Duration,
    worker: usize,
}

pub struct Judge {
    origin: Rc<RefCell<Origin>>,
    terms: Terms,
    idle: Duration,
    envoys: usize,
    /// Whether Redis is there and well all the time, and no VM dies.
    calm: bool,
    /// Until when that is so.
    calm_until: Duration,
    reach: Reach,
    /// Counts happenings: what came before what.
    order: u64,
    began: BTreeMap<ClientId, u64>,
    due: BTreeSet<(Duration, ClientId)>,
    due_at: BTreeMap<ClientId, Duration>,
    flights: BTreeMap<u64, Flight>,
    /// When each answer was asked for (order) and complete (time).
    asked: BTreeMap<u64, u64>,
    completed: BTreeMap<u64, Duration>,
    writes_under_way: BTreeMap<(usize, String), u32>,
    written: BTreeMap<(usize, String), Write>,
    /// When the last write to a URL was over, whether or not its client was told so, or what parts flights like it.
    parted: BTreeMap<(usize, String), (u64, Duration)>,
    /// When the head of each answer arrived.
    headed: BTreeMap<u64, (u64, Duration)>,
    /// URLs that gave, on this Envoy, an answer that not all may share.
    unshared: BTreeSet<(usize, String)>,
    /// When the fleet last learnt that of a URL.
    told: BTreeMap<String, Duration>,
    /// URLs that gave an answer selected by more than the URL: waiters it is not for go alone.
    varied: BTreeSet<String>,
    /// URLs that gave an answer which a request with Authorization may not have.
    unauthorized: BTreeSet<String>,
    failed_at: BTreeMap<usize, Duration>,
    /// Who got the answer to a request that was sent again.
    handed: BTreeMap<ClientId, ClientId>,
    /// Refreshes under way, and what each worker refreshes.
    refreshes: BTreeMap<ClientId, (usize, usize, String)>,
    /// When each worker's VM died last.
    trapped: BTreeMap<(usize, usize), Duration>,
    /// When an Envoy last learnt that the permission to share an answer was taken back. The others learn it as soon as
    /// their L1 lets go of it.
    revoked: BTreeMap<(usize, u64), Revoked>,
}

impl Judge {
    pub fn new(scenario: &Scenario, origin: Rc<RefCell<Origin>>, reach: Reach) -> Self {
        Self {
            origin,
            terms: scenario.terms,
            idle: scenario.config.stream_idle_timeout,
            envoys: scenario.config.envoys,
            calm: scenario.terms.l2 && scenario.is_calm(),
            calm_until: scenario.calm_until(),
            reach: reach.min(scenario.terms.reach()),
            order: 0,
            began: BTreeMap::new(),
            due: BTreeSet::new(),
            due_at: BTreeMap::new(),
            flights: BTreeMap::new(),
            asked: BTreeMap::new(),
            completed: BTreeMap::new(),
            writes_under_way: BTreeMap::new(),
            written: BTreeMap::new(),
            parted: BTreeMap::new(),
            headed: BTreeMap::new(),
            unshared: BTreeSet::new(),
            told: BTreeMap::new(),
            varied: BTreeSet::new(),
            unauthorized: BTreeSet::new(),
            failed_at: BTreeMap::new(),
            handed: BTreeMap::new(),
            refreshes: BTreeMap::new(),
            trapped: BTreeMap::new(),
            revoked: BTreeMap::new(),
        }
    }

    /// Judges what happened since the last time.
    pub fn look(&mut self, world: &mut World) -> Result<(), Breach> {
        for happening in world.happenings() {
            self.order += 1;
            self.follow(happening, world)?;
        }
        if world.is_faulty() {
            return breach(Promise::Manners, world.faults().join("; "));
        }
        if let Some((due, client)) = self.due.first().filter(|(due, _)| *due < world.now()) {
            return breach(Promise::NobodyStranded, format!("{client:?} is not answered, due at {due:?}"));
        }
        for envoy in 0..self.envoys {
            let held = world.footprint(envoy);
            if held.shared_bytes > self.terms.shared_bytes || held.message_bytes > self.terms.message_bytes {
                return breach(Promise::Bounded, format!("Envoy {envoy} holds {held:?}"));
            }
        }
        Ok(())
    }

    /// When a run is over: nobody is left.
    pub fn close(&self, world: &World) -> Result<(), Breach> {
        match self.due.first() {
            Some((_, client)) => breach(Promise::NobodyStranded, format!("{client:?} was never answered")),
            None => self.judge_leases(world),
        }
    }

    fn follow(&mut self, happening: Happening, world: &World) -> Result<(), Breach> {
        match happening {
            Happening::Began(client) => {
                self.began.insert(client, self.order);
                self.hear(client, world);
                self.follow_refresh(client, world)?;
                self.expect(client, world.now() + self.patience());
            }
            Happening::Asked(asked) => self.follow_asked(asked, world)?,
            Happening::Heading { serial } => self.follow_heading(serial, world),
            Happening::Stopped { serial, stop } => self.follow_stopped(serial, stop, world),
            Happening::Headed(client) => {
                world
                    .with_client(client, |client| {
                        self.follow_headed(client, world.now());
                        self.judge_head(client, world)
                    })
                    .unwrap()?;
            }
            Happening::Ended(client) => {
                self.refreshes.remove(&client);
                if let Some(due) = self.due_at.remove(&client) {
                    self.due.remove(&(due, client));
                }
                world.with_client(client, |client| self.judge_body(client)).unwrap()?;
            }
            Happening::Trapped { envoy, worker } => {
                self.trapped.insert((envoy, worker), world.now());
                for flight in self.flights.values_mut() {
                    flight.lost |= flight.asked.envoy == envoy && flight.asked.worker == worker;
                }
                // Dead of the very callback that would have told it.
                self.revoked.retain(|(at, _), revoked| {
                    (*at, revoked.worker) != (envoy, worker) || revoked.at + INSTANT < world.now()
                });
                for client in self.due_at.keys().copied().collect::<Vec<_>>() {
                    if world.with_client(client, |client| client.vm_died).unwrap_or(false) {
                        self.expect(client, world.now() + self.idle + SLACK);
                    }
                }
            }
            Happening::Restarted { envoy } => {
                // Nothing of that Envoy is left that could remember.
                self.written.retain(|(at, _), _| *at != envoy);
                self.unshared.retain(|(at, _)| *at != envoy);
                self.revoked.retain(|(at, _), _| *at != envoy);
            }
            Happening::Kept { place, serial, .. } => {
                if let Some(why) = self.made(serial).and_then(|made| made.forbidden) {
                    return breach(
                        Promise::Keeping,
                        format!("answer {serial} ({why}) was written to {place:?}"),
                    );
                }
            }
            Happening::Started { .. } | Happening::Called { .. } => {}
        }
        Ok(())
    }

    /// How long a client may be kept waiting.
    fn patience(&self) -> Duration {
        self.terms.wait_timeout + SLOWEST + self.terms.redis_timeout * 3 + SLACK
    }

    fn expect(&mut self, client: ClientId, due: Duration) {
        if let Some(old) = self.due_at.insert(client, due) {
            self.due.remove(&(old, client));
        }
        self.due.insert((due, client));
    }

    fn made(&self, serial: u64) -> Option<Rc<Made>> {
        self.origin.borrow().made.get(&serial).cloned()
    }

    fn follow_asked(&mut self, asked: Asked, world: &World) -> Result<(), Breach> {
        self.asked.insert(asked.serial, self.order);
        if asked.fields.get(MARK).is_some() {
            let what = format!("the upstream was shown the mark with serial {}", asked.serial);
            return breach(Promise::Refreshing, what);
        }
        let key = (asked.envoy, path(&asked));
        if method(&asked) == b"POST" {
            *self.writes_under_way.entry(key.clone()).or_default() += 1;
        } else if let Some(other) =
            self.flights.values().find(|flight| self.is_needless(&asked, flight, world))
        {
            let what = format!(
                "{:?} went upstream for {} beside serial {}",
                asked.client, key.1, other.asked.serial
            );
            return breach(Promise::OneFlight, what);
        }
        // Or its Envoy knows that there is nothing to share.
        let alone = self.goes_alone(&asked, world) || self.unshared.contains(&key);
        let flight = Flight { asked, lost: false, alone };
        self.flights.insert(flight.asked.serial, flight);
        Ok(())
    }

    /// A worker that died knows nothing of the refreshes it began.
    fn follow_refresh(&mut self, client: ClientId, world: &World) -> Result<(), Breach> {
        let begun = |client: &Client| {
            let (envoy, url) = place(client);
            (client.fetch.is_some() && !is_refetch(client)).then_some((envoy, client.request.worker, url))
        };
        let Some(refresh) = world.with_client(client, begun).unwrap() else { return Ok(()) };
        let (envoy, worker, _) = refresh;
        // Sent by the VM that died while it was on its way: its successor knows nothing of it.
        let died = self.trapped.get(&(envoy, worker));
        if died.is_some_and(|at| world.now() <= *at + INNER_WAY) {
            return Ok(());
        }
        let lives = |other: &ClientId| world.with_client(*other, |other| !other.vm_died).unwrap_or(false);
        if self.refreshes.iter().any(|(other, place)| *place == refresh && lives(other)) {
            return breach(Promise::Refreshing, format!("{refresh:?} is refreshed twice at a time"));
        }
        self.refreshes.insert(client, refresh);
        Ok(())
    }

    fn follow_headed(&mut self, client: &Client, now: Duration) {
        let method = client.request.fields.get(":method").unwrap_or_default();
        if method != b"POST" || !(200..400).contains(&client.status().unwrap_or(0)) {
            return;
        }
        let answered = client.serials.last().and_then(|serial| self.headed.get(serial));
        let answered = answered.map_or(self.order, |(order, _)| *order);
        self.written.insert(place(client), Write { answered, told: self.order, at: now });
        self.parted.insert(place(client), (self.order, now));
    }

    /// Whether an answer is not for all.
    fn is_unfit(&self, made: &Made) -> bool {
        made.forbidden.is_some() || made.body.len() > self.terms.max_object_bytes
    }

    fn follow_heading(&mut self, serial: u64, world: &World) {
        let now = world.now();
        self.headed.insert(serial, (self.order, now));
        let Some(made) = self.made(serial) else { return };
        // What the upstream says of another response is a failure where the plugin cannot ask again.
        if made.status >= 500 || (made.confused && !self.terms.refreshes) {
            self.failed_at.insert(made.envoy, now);
        }
        if made.confused {
            // It is asked again, as if the client had only come now; and what is stored is discarded as after a write.
            let patience = self.patience();
            if self.due_at.contains_key(&made.client) {
                self.expect(made.client, now + patience);
            }
            self.parted.insert((made.envoy, made.url.clone()), (self.order, now));
        }
        if !made.permits_authorized {
            self.unauthorized.insert(made.url.clone());
        }
        if made.language.is_some() {
            self.varied.insert(made.url.clone());
        }
        // What answers HEAD says nothing of GET, but what confirms a stored response does.
        let speaks = made.method == "GET" || made.confirms.is_some();
        if speaks && self.is_unfit(&made) {
            self.unshared.insert((made.envoy, made.url.clone()));
            self.tell_fleet(&made.url, world);
        }
        if let (Some(confirmed), Some(_)) = (made.confirms, made.forbidden) {
            let worker = self.flights.get(&serial).map_or(0, |flight| flight.asked.worker);
            self.revoked.insert((made.envoy, confirmed), Revoked { order: self.order, at: now, worker });
        }
        // What is stored is discarded then, as after a write; of HEAD only if it is not what there is now.
        let discards = made.method == "HEAD" || (made.confirms.is_some() && made.forbidden.is_some());
        if discards && self.reach == Reach::Worker {
            self.parted.insert((made.envoy, made.url.clone()), (self.order, now));
        }
    }

    fn follow_stopped(&mut self, serial: u64, stop: Stop, world: &World) {
        let now = world.now();
        let Some(flight) = self.flights.remove(&serial) else { return };
        let place = (flight.asked.envoy, path(&flight.asked));
        if let Some(count) =
            self.writes_under_way.get_mut(&place).filter(|_| method(&flight.asked) == b"POST")
        {
            *count -= 1;
            self.parted.insert(place.clone(), (self.order, now));
            if *count == 0 {
                self.writes_under_way.remove(&place);
            }
        }
        if stop == Stop::Failed || stop == Stop::Cut {
            self.failed_at.insert(flight.asked.envoy, now);
        }
        // That it was too large shows only now.
        if self.made(serial).is_some_and(|made| made.method == "GET" && self.is_unfit(&made)) {
            self.tell_fleet(&place.1, world);
        }
        if stop == Stop::Complete {
            self.completed.insert(serial, now);
        }
    }
}

mod answers;
mod flights;
mod leases;

use answers::INSTANT;

fn breach(promise: Promise, what: String) -> Result<(), Breach> {
    Err(Breach { promise, what })
}

fn method(asked: &Asked) -> &[u8] {
    asked.fields.get(":method").unwrap_or_default()
}

fn path(asked: &Asked) -> String {
    String::from_utf8_lossy(asked.fields.get(":path").unwrap_or_default()).into_owned()
}

/// Whether it is the plugin's own request in place of a client's.
fn is_refetch(client: &Client) -> bool {
    client.fetch.is_some() && client.request.fields.get(MARK).is_some_and(|mark| mark.ends_with(REFETCH))
}

fn place(client: &Client) -> (usize, String) {
    let path = client.request.fields.get(":path").unwrap_or_default();
    (client.request.envoy, String::from_utf8_lossy(path).into_owned())
}

/// From a worker to its own internal listener, at most.
const INNER_WAY: Duration = Duration::from_millis(1);
/// What ticks, messages and the origin's own pieces may add to any bound.
const SLACK: Duration = Duration::from_millis(500);
