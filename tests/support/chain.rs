//! Three services in a chain behind three Envoys: client, Envoy, first service, Envoy, second service, Envoy, last one.
//!
//! Each makes its pages of what the next one answers, so that what holds up the last one comes up the chain. The
//! traffic is nine pages to one request that the first service answers alone: what that one suffers has no other reason
//! than that the first service is held up by what it does not need.

use super::client::Request;
use super::crowd::by_worker;
use super::envoy::Envoy;
use super::load::Sample;
use super::percentile;
use super::recipe::Recipe;
use super::service::Service;
use super::steady::Steady;
use serde_json::{Value, json};
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// How many pages there are.
const PAGES: usize = 50;
/// Requests a second.
pub const RATE: u32 = 300;

/// How long the last Envoy waits for its service.
pub const LAST_TIMEOUT: Duration = Duration::from_secs(1);

/// As many as a server of this kind has.
const THREADS: usize = 64;
/// How long each Envoy waits for its service, from the last to the first: each has time for what the next one takes.
const TIMEOUTS: [&str; 3] = ["1s", "2s", "3s"];

/// All of it; it ends with this value.
pub struct Chain {
    /// From the first to the last.
    pub envoys: Vec<Envoy>,
    /// From the first to the last.
    pub services: Vec<Service>,
}

impl Chain {
    /// Starts one whose pages say `lifetime` in their Cache-Control; with the plugin in all three Envoys, or in none.
    pub async fn start(with_plugin: bool, lifetime: &str) -> Self {
        let (mut envoys, mut services) = (Vec::new(), Vec::new());
        let mut next = None;
        for timeout in TIMEOUTS {
            let service = Service::start(THREADS, next, lifetime).await;
            let recipe = Recipe::shipped().origin(service.origin.address()).route_timeout(timeout);
            let envoy =
                if with_plugin { recipe.plugin(&plugin()) } else { recipe.without_plugin() }.start().await;
            next = Some(envoy.address());
            envoys.insert(0, envoy);
            services.insert(0, service);
        }
        Self { envoys, services }
    }

    /// Clients ask the first Envoy, over all its workers; when each page was made, the last service is well for some
    /// time more, then hangs: it accepts and does not answer.
    pub async fn course(&self, well_for: Duration, hung_for: Duration) -> Course {
        let clients = by_worker(&self.envoys[0], 8).await.into_iter().flatten();
        let traffic = Steady::start(self.envoys[0].address(), clients, RATE, request);
        let last = &self.services[2];
        last.origin.until("all pages were made", |origin| origin.total() >= PAGES).await;
        // The first crowd is over.
        tokio::time::sleep(Duration::from_millis(500)).await;
        last.origin.forget();
        let begin = Instant::now();
        let well = begin..begin + well_for;
        // What is under way when it hangs was not sent while all was well.
        tokio::time::sleep_until(well.end + Duration::from_millis(200)).await;
        let reached_well = last.origin.total();
        last.hang();
        let begin = Instant::now();
        let hung = begin..begin + hung_for;
        tokio::time::sleep_until(hung.end).await;
        let reached_last = [reached_well, last.origin.total() - reached_well];
        let idle = self.services[0].idle();
        let samples = traffic.stop().await;
        last.recover();
        Course { samples, well, hung, reached_last, idle }
    }

    /// How often the circuits of the Envoys have opened, from the first to the last.
    pub async fn opened(&self) -> Vec<u64> {
        let mut opened = Vec::new();
        for envoy in &self.envoys {
            opened.push(envoy.stat("wasmcustom.breakwater.breaker.opened").await);
        }
        opened
    }
}

/// No Redis in this picture, and a circuit of their own for the pages, which alone need the next service.
fn plugin() -> Value {
    json!({"l2": null, "l3": null, "rules": [{"name": "pages", "match": {"path": {"prefix": "/pages/"}}}]})
}

fn request(number: usize) -> Request {
    if is_page(number) {
        // Seven has no divisor with fifty in common: all pages in turn, none of them every time at the same distance.
        Request::get(format!("/pages/{}", number * 7 % PAGES))
    } else {
        Request::get(format!("/alone/{number}"))
    }
}

fn is_page(number: usize) -> bool {
    !number.is_multiple_of(10)
}

/// How the last service was well, then hung, under traffic all the time.
pub struct Course {
    samples: Vec<Sample>,
    well: Range<Instant>,
    hung: Range<Instant>,
    /// Requests that reached the last service while it was well, and while it hung.
    pub reached_last: [usize; 2],
    /// Threads of the first service that were free in the end.
    pub idle: usize,
}

impl Course {
    /// While all was well: the pages, and what the first service answers alone.
    pub fn before(&self) -> [Figures; 2] {
        self.figures(&self.well)
    }

    /// While the last service hung.
    pub fn during(&self) -> [Figures; 2] {
        self.figures(&self.hung)
    }

    /// While the last service had hung for longer than this.
    pub fn later(&self, than: Duration) -> [Figures; 2] {
        self.figures(&(self.hung.start + than..self.hung.end))
    }

    fn figures(&self, then: &Range<Instant>) -> [Figures; 2] {
        [true, false].map(|pages| {
            let samples = self.samples.iter().filter(|sample| then.contains(&sample.at));
            Figures::of(samples.filter(|sample| is_page(sample.number) == pages))
        })
    }
}

/// A stretch of traffic in figures.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Requests sent.
    pub sent: usize,
    /// Those that were not answered with 200.
    pub failed: usize,
    /// How long each took.
    pub latencies: Vec<Duration>,
}

impl Figures {
    fn of<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> Self {
        let failed = samples.clone().filter(|sample| sample.status != 200).count();
        let latencies: Vec<Duration> = samples.map(|sample| sample.latency).collect();
        Self { sent: latencies.len(), failed, latencies }
    }

    /// What share failed.
    pub fn failed_share(&self) -> f64 {
        self.failed as f64 / self.sent.max(1) as f64
    }

    /// The latency below which this share of them lie.
    pub fn latency(&self, share: f64) -> Duration {
        percentile(self.latencies.iter().copied(), share)
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [half, most] = [0.5, 0.99].map(|share| self.latency(share).as_secs_f64() * 1e3);
        write!(f, "{} sent, {} failed, p50 {half:.1} ms, p99 {most:.1} ms", self.sent, self.failed)
    }
}
