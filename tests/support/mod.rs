//! The real parts around the plugin, each in a few words of a test.
//!
//! [`Origin`](origin::Origin) is a scripted upstream, [`Redis`](redis::Redis) a real Redis to kill or freeze,
//! [`Envoy`](envoy::Envoy) a real Envoy on the shipped configuration with ports of its own, and the
//! [`client`] sends waves. Nothing here waits by the clock for something to be ready: parts are polled, orders are made
//! by barriers ("the body once 1,000 requests are in flight") and by gates a test opens.
//!
//! ```ignore
//! let _turn = turn::shared().await;
//! let origin = Origin::start(|_| Reply::ok("hello").header("cache-control", "max-age=60")).await;
//! let envoy = Recipe::minimal().origin(origin.address()).start().await;
//! let answers = client::wave(envoy.address(), 100, &Request::get("/")).await;
//! assert_eq!(origin.total(), 1);
//! ```
// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod chain;
pub mod circuit;
pub mod client;
pub mod crowd;
pub mod delivery;
pub mod envoy;
pub mod fleet;
pub mod fragile;
pub mod gate;
pub mod lineage;
pub mod load;
pub mod origin;
pub mod ports;
pub mod recipe;
pub mod redis;
pub mod reply;
pub mod service;
pub mod steady;
pub mod told;
pub mod turn;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything may take to become ready or to happen before the test fails: far more than it needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Envoy that the Makefile names or has fetched.
pub fn envoy_binary() -> PathBuf {
    let path = std::env::var_os("ENVOY").map_or_else(|| ".tools/envoy-1.40.0/envoy".into(), PathBuf::from);
    let path = if path.components().count() > 1 { root().join(path) } else { path };
    assert!(
        path.components().count() == 1 || path.exists(),
        "no Envoy at {}: run make envoy",
        path.display()
    );
    path
}

/// Waits until `ready` says yes, looking every few milliseconds; fails the test when it never does.
pub async fn eventually(what: &str, mut ready: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !ready().await {
        assert!(tokio::time::Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The value below which `share` (0 to 1) of the durations lie; the largest for 1.0.
pub fn percentile(durations: impl IntoIterator<Item = Duration>, share: f64) -> Duration {
    let mut sorted: Vec<Duration> = durations.into_iter().collect();
    assert!(!sorted.is_empty(), "no durations to take a percentile of");
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Lifts the limit of open files as far as it goes: a wave needs some thousands, here and in the Envoys started here.
pub fn lift_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        setrlimit(Resource::Nofile, limit).expect("a soft limit may be raised up to the hard one");
    }
}
