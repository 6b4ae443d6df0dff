//! The judge: follows what happens and says which promise was broken first.

use crate::origin::{Made, Origin, SLOWEST};
use crate::scenario::{LEADS, MARK, REFETCH, Scenario, Terms, Troubles};
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
    /// An open circuit lets nothing pass, a half-open one a single probe at a time.
    Circuits,
    /// What the plugin fetches of itself is its own affair: once at a time, and the upstream sees no difference.
    Refreshing,
}

/// How far the promise of one flight reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Nowhere,
    Worker,
    Envoy,
    /// All workers of all Envoys as long as Redis is well, and a worker otherwise.
    Workers,
    /// All Envoys as long as Redis is well, and an Envoy otherwise.
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
    /// Whether no VM dies, and no Envoy.
    is_quiet: bool,
    circuits: BTreeMap<usize, circuits::Said>,
    troubles: Troubles,
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
            is_quiet: scenario.is_quiet(),
            circuits: BTreeMap::new(),
            troubles: scenario.troubles(),
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
        // What a worker says in a step it has done before, and others may have seen that already.
        let (said, others): (Vec<_>, Vec<_>) =
            world.happenings().into_iter().partition(|one| matches!(one, Happening::Logged { .. }));
        for happening in said.into_iter().chain(others) {
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
            Happening::Asked(asked) => {
                self.judge_circuit(&asked)?;
                self.follow_asked(asked, world)?;
            }
            Happening::Logged { envoy, line } => self.follow_line(envoy, &line, world)?,
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
}

mod answers;
mod circuits;
mod flights;
mod following;
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

/// Whether it is the plugin's own request, for which nobody waits.
fn is_refresh(client: &Client) -> bool {
    client.fetch.is_some() && !is_refetch(client) && !leads(client)
}

/// Whether it is the plugin's own request that leads a flight: what it is answered itself nobody reads.
fn leads(client: &Client) -> bool {
    let mark = client.request.fields.get(MARK).unwrap_or_default();
    client.fetch.is_some() && mark.windows(LEADS.len()).any(|part| part == LEADS)
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
