//! From a seed to a whole scenario: waves of clients, resources of every kind, and everything that can go wrong.

use crate::judge::Reach;
use crate::origin::{Health, Kind};
use breakwater::host::sim::{ClientRequest, Config, Mishap, Rng, World};
pub use mishaps::Troubles;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the plugin is configured with, as far as the judge must know it.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub wait_timeout: Duration,
    pub lease: Duration,
    pub max_waiters: u32,
    /// Of all keys together.
    pub all_waiters: u32,
    /// Whether those who find no place to wait are refused.
    pub refuses: bool,
    /// How many of a worker's released requests are at the upstream at a time, if not all.
    pub parallel: Option<u32>,
    /// Whether fetches go on when their clients leave.
    pub detach: bool,
    /// How far coalescing reaches.
    pub scope: Reach,
    /// Whether there is an L2, and for how long it is waited for.
    pub l2: bool,
    pub redis_timeout: Duration,
    pub l2_ttl: Duration,
    pub l1_ttl: Duration,
    pub l1_max_bytes: usize,
    /// Largest entry in any tier.
    pub max_object_bytes: usize,
    pub breaker: bool,
    /// Whether a failing upstream is left alone; else it is only watched, or a share of the requests is shed.
    pub opens: bool,
    pub sheds: bool,
    /// What is too slow, where it is not learnt.
    pub slow_call: Option<Duration>,
    pub fleet_hint: bool,
    pub stale_if_error: Duration,
    /// Whether what is stale, or soon will be, is fetched anew in the background.
    pub refreshes: bool,
    /// For how long it answers meanwhile, where the answer does not say so itself.
    pub stale_while_revalidate: Duration,
    pub early_refresh: u32,
    /// Bounds of the memory outside the VMs.
    pub shared_bytes: usize,
    pub message_bytes: usize,
}

impl Terms {
    /// How far coalescing reaches; through Redis alone it goes beyond an Envoy.
    pub fn reach(&self) -> Reach {
        self.scope.min(if self.l2 { Reach::Fleet } else { Reach::Envoy })
    }
}

/// One run, before it runs.
pub struct Scenario {
    pub config: Config,
    pub terms: Terms,
    pub kinds: BTreeMap<String, Kind>,
    pub health: Health,
    acts: Vec<(Duration, Act)>,
}

#[derive(Clone, Debug)]
enum Act {
    Request { request: ClientRequest, leaves: Option<Duration> },
    Trap { envoy: usize, worker: usize, after: Option<u32> },
    Restart(usize),
    Befall(Mishap),
}

/// The field by which the plugin knows its own requests; sent by others, it means nothing.
pub const MARK: &str = "x-breakwater-refresh";
/// How it ends where the request stands in for a client's.
pub const REFETCH: &[u8] = b"/refetch";
/// What is in it where the request leads a flight in which its client waits.
pub const LEADS: &[u8] = b"/lead/";
const MS: Duration = Duration::from_millis(1);
/// The least that may be configured, so that it is reached.
const L1_MAX_BYTES: usize = 1 << 20;
/// What is asked for in many variations.
const CRAWLED: &str = "/crawled";

impl Scenario {
    pub fn of(seed: u64) -> Self {
        let rng = &mut Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let config = Config {
            envoys: *rng.pick(&[1, 1, 2, 2, 3, 4]).unwrap(),
            workers: 1 + rng.index(3),
            stream_idle_timeout: Duration::from_secs(20),
            interleave: *rng.pick(&[0, 50, 300]).unwrap(),
            reload_backoff: MS * *rng.pick(&[0, 0, 200]).unwrap(),
            marker: crate::origin::MARKER.to_vec(),
            ..Config::default()
        };
        // Drawn apart, so that what else a seed stands for does not depend on it.
        let limits = &mut Rng::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let terms = Terms {
            wait_timeout: MS * *rng.pick(&[400, 2_000, 5_000]).unwrap(),
            lease: MS * *rng.pick(&[500, 2_000, 10_000]).unwrap(),
            max_waiters: *rng.pick(&[3, 1024, 1024]).unwrap(),
            all_waiters: *limits.pick(&[5, 16_384, 16_384]).unwrap(),
            refuses: limits.chance(300),
            parallel: *limits.pick(&[None, None, Some(1), Some(3)]).unwrap(),
            detach: limits.chance(250),
            scope: *rng
                .pick(&[
                    Reach::Fleet,
                    Reach::Fleet,
                    Reach::Fleet,
                    Reach::Fleet,
                    Reach::Fleet,
                    Reach::Envoy,
                    Reach::Worker,
                    Reach::Nowhere,
                ])
                .unwrap(),
            l2: rng.chance(850),
            redis_timeout: MS * 50,
            l2_ttl: MS * *rng.pick(&[300_000, 500]).unwrap(),
            l1_ttl: MS * *rng.pick(&[1, 100, 100, 1_000]).unwrap(),
            l1_max_bytes: L1_MAX_BYTES,
            max_object_bytes: *rng.pick(&[1 << 14, 1 << 18, 1 << 18]).unwrap(),
            breaker: rng.chance(500),
            opens: true,
            sheds: false,
            slow_call: None,
            fleet_hint: false,
            stale_if_error: *rng.pick(&[Duration::ZERO, Duration::from_secs(3_600)]).unwrap(),
            refreshes: rng.chance(500),
            stale_while_revalidate: Duration::from_secs(*rng.pick(&[0, 0, 2, 60]).unwrap()),
            early_refresh: *rng.pick(&[0, 0, 1, 10]).unwrap(),
            // L1, and beside it flights and circuits.
            shared_bytes: L1_MAX_BYTES + 64 * 1024,
            message_bytes: 256 * 1024,
        };
        // Drawn apart too.
        let circuit = &mut Rng::new(seed.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let sheds = circuit.chance(150);
        let terms = Terms {
            sheds,
            opens: !sheds && circuit.chance(900),
            slow_call: *circuit.pick(&[None, None, Some(MS * 150), Some(MS * 1_000)]).unwrap(),
            fleet_hint: circuit.chance(500),
            ..terms
        };
        let kinds = kinds(rng);
        let sick = rng.chance(500);
        let outage = rng.chance(300).then(|| {
            let begins = rng.duration(Duration::ZERO, Duration::from_secs(6));
            (begins, begins + rng.duration(MS * 100, MS * 2_000))
        });
        let health = Health {
            errors: if sick { 150 } else { 10 },
            resets: if sick { 100 } else { 5 },
            cuts: if sick { 100 } else { 10 },
            slow: *rng.pick(&[20, 100, 400]).unwrap(),
            confused: if rng.chance(300) { 200 } else { 0 },
            outage,
            window: *rng.pick(&[None, None, Some(0), Some(1), Some(30)]).unwrap(),
            body: *rng.pick(&[40, 2_000, 40_000]).unwrap(),
        };
        let mut acts = waves(rng, &config, &kinds);
        mishaps::add(rng, &config, &mut acts);
        Self { config, terms, kinds, health, acts }
    }

    /// Whether no VM dies, and no Envoy.
    pub fn is_quiet(&self) -> bool {
        self.acts.iter().all(|(_, act)| matches!(act, Act::Request { .. } | Act::Befall(_)))
    }

    /// Whether nothing but the upstream and the clients go wrong.
    pub fn is_calm(&self) -> bool {
        self.acts.iter().all(|(_, act)| matches!(act, Act::Request { .. }))
    }

    /// When Redis was not well.
    pub fn troubles(&self) -> Troubles {
        Troubles::of(&self.acts)
    }

    /// Puts all that is to happen on the world's agenda.
    pub fn schedule(&self, world: &mut World) {
        for (at, act) in self.acts.clone() {
            match act {
                Act::Request { request, leaves } => {
                    let client = world.request(at, request);
                    if let Some(after) = leaves {
                        world.leave(at + after, client);
                    }
                }
                Act::Trap { envoy, worker, after } => world.trap(at, envoy, worker, after),
                Act::Restart(envoy) => world.restart(at, envoy),
                Act::Befall(mishap) => world.befall(at, mishap),
            }
        }
    }
}

fn kinds(rng: &mut Rng) -> BTreeMap<String, Kind> {
    let all = [
        Kind::Cacheable(1),
        Kind::Cacheable(0),
        Kind::Cacheable(60),
        Kind::Public(1),
        Kind::Public(0),
        Kind::Private,
        Kind::NoStore,
        Kind::SetCookie,
        Kind::Vary,
        Kind::VaryStar,
        Kind::Mixed,
        Kind::Fickle,
    ];
    let mut kinds: BTreeMap<_, _> =
        (0..1 + rng.index(4)).map(|n| (format!("/r{n}"), *rng.pick(&all).unwrap())).collect();
    if rng.chance(150) {
        kinds.insert(CRAWLED.to_owned(), Kind::Cacheable(60));
    }
    kinds
}

fn waves(rng: &mut Rng, config: &Config, kinds: &BTreeMap<String, Kind>) -> Vec<(Duration, Act)> {
    let urls: Vec<_> = kinds.keys().collect();
    let mut acts = Vec::new();
    for _ in 0..3 + rng.index(6) {
        let begins = rng.duration(Duration::ZERO, Duration::from_secs(8));
        let width = MS * *rng.pick(&[0, 5, 100, 1_000]).unwrap();
        let url = rng.pick(&urls).unwrap();
        // Now and then more than one callback may answer.
        let size = if rng.chance(100) { 80 } else { 2 + rng.index(20) };
        for _ in 0..size {
            let at = begins + rng.duration(Duration::ZERO, width);
            let (envoy, worker) = (rng.index(config.envoys), rng.index(config.workers));
            let leaves = rng.chance(120).then(|| rng.duration(Duration::ZERO, MS * 500));
            acts.push((at, Act::Request { request: request(rng, envoy, worker, url), leaves }));
        }
    }
    if kinds.contains_key(CRAWLED) {
        crawl(rng, config, &mut acts);
    }
    acts
}

/// Many URLs, each once: whatever is kept of them must fit into the memory that is meant for it.
fn crawl(rng: &mut Rng, config: &Config, acts: &mut Vec<(Duration, Act)>) {
    let begins = rng.duration(Duration::ZERO, Duration::from_secs(6));
    for page in 0..200 {
        let at = begins + rng.duration(Duration::ZERO, MS * 1_500);
        let (envoy, worker) = (rng.index(config.envoys), rng.index(config.workers));
        let url = format!("{CRAWLED}?page={page}");
        acts.push((at, Act::Request { request: request(rng, envoy, worker, &url), leaves: None }));
    }
}

fn request(rng: &mut Rng, envoy: usize, worker: usize, url: &str) -> ClientRequest {
    let method = match rng.below(100) {
        0..4 => "HEAD",
        4..8 => "POST",
        _ => "GET",
    };
    let mut request = ClientRequest::new(envoy, worker, method, url);
    request.body = method == "POST" && rng.chance(800);
    request.denied = rng.chance(10);
    request = request.with("accept-language", if rng.chance(700) { "de" } else { "fr" });
    if rng.chance(60) {
        request = request.with("authorization", if rng.chance(500) { "Bearer a" } else { "Bearer b" });
    }
    if rng.chance(20) {
        request = request.with(MARK, "0123456789abcdef0123456789abcdef");
    }
    match rng.below(100) {
        0..3 => request.with("cache-control", "no-store"),
        3..6 => request.with("cache-control", "no-cache"),
        _ => request,
    }
}

mod mishaps;
