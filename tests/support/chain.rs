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
use std::time::Duration;
use tokio::time::Instant;

/// How many pages there are.
pub const PAGES: usize = 50;
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

    /// Clients ask the first Envoy, over all its workers, until the traffic is stopped.
    pub async fn traffic(&self) -> Traffic {
        let clients = by_worker(&self.envoys[0], 8).await.into_iter().flatten();
        Traffic(Steady::start(self.envoys[0].address(), clients, RATE, request))
    }

    /// The last service hangs, or does no longer.
    pub fn hang(&self, hangs: bool) {
        let last = self.services.last().expect("there are three");
        if hangs { last.hang() } else { last.recover() }
    }

    /// Requests that the last service has seen.
    pub fn reached_last(&self) -> usize {
        self.services.last().expect("there are three").origin.total()
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

/// Clients that ask.
pub struct Traffic(Steady);

impl Traffic {
    /// Stops it; what clients saw.
    pub async fn stop(self) -> Seen {
        Seen(self.0.stop().await)
    }
}

/// What clients saw.
pub struct Seen(Vec<Sample>);

impl Seen {
    /// Of what was sent between these two moments: the pages, and what the first service answers alone.
    ///
    /// # Panics
    /// When nothing was sent then: the test has failed.
    pub fn between(&self, begin: Instant, end: Instant) -> [Figures; 2] {
        let then = |pages: bool| {
            let samples = self.0.iter().filter(|sample| (begin..end).contains(&sample.at));
            Figures::of(samples.filter(|sample| is_page(sample.number) == pages))
        };
        [then(true), then(false)]
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
