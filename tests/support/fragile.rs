//! An upstream that cannot bear its full load right after it has started: caches are cold, pools are empty, code is not
//! compiled yet. Whoever sends it everything at once sees it fall over again.
//!
//! For [`WEAK_FOR`] after a start it fails what comes above [`BEARS`] of the full load, judged slice by slice of
//! [`SLICE`]: each request that goes beyond the slice's measure gets 503. All that came is counted by slice.

use super::origin::{Origin, Seen};
use super::reply::Reply;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long it is weak.
pub const WEAK_FOR: Duration = Duration::from_secs(3);
/// The share of the full load that it bears then.
pub const BEARS: f64 = 0.2;
/// How long a slice of time is.
pub const SLICE: Duration = Duration::from_millis(100);

/// What came in one slice of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice {
    /// Requests that came.
    pub arrived: usize,
    /// Those of them that were failed, since they were too many.
    pub failed: usize,
}

/// The upstream. It starts well: the first start was long ago.
pub struct Fragile {
    origin: Origin,
    ledger: Arc<Mutex<Ledger>>,
}

struct Ledger {
    /// Requests a slice that it bears while it is weak.
    bears: usize,
    started: Instant,
    weak: bool,
    slices: Vec<Slice>,
}

impl Ledger {
    /// Whether the request that has come is one too many.
    fn takes_in(&mut self, now: Instant) -> bool {
        let age = now - self.started;
        let place = (age.as_micros() / SLICE.as_micros()) as usize;
        if self.slices.len() <= place {
            self.slices.resize(place + 1, Slice::default());
        }
        let slice = &mut self.slices[place];
        slice.arrived += 1;
        let too_many = self.weak && age < WEAK_FOR && slice.arrived > self.bears;
        slice.failed += usize::from(too_many);
        too_many
    }
}

impl Fragile {
    /// Starts one that answers as `handler` says, and whose full load is `full` requests a second.
    pub async fn start(full: usize, handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let bears = (full as f64 * SLICE.as_secs_f64() * BEARS) as usize;
        let ledger = Ledger { bears, started: Instant::now(), weak: false, slices: Vec::new() };
        let ledger = Arc::new(Mutex::new(ledger));
        let kept = Arc::clone(&ledger);
        let origin = Origin::start(move |seen| {
            if lock(&kept).takes_in(Instant::now()) {
                return Reply::with(503, "too much").header("cache-control", "no-store");
            }
            handler(seen)
        })
        .await;
        Self { origin, ledger }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Requests so far, over all starts.
    pub fn total(&self) -> usize {
        self.origin.total()
    }

    /// Dies: every connection is cut, new ones are refused.
    pub async fn stop(&mut self) {
        self.origin.stop().await;
    }

    /// Comes back at the same address, weak, and counts from nought.
    pub fn restart(&mut self) {
        let mut ledger = lock(&self.ledger);
        (ledger.started, ledger.weak) = (Instant::now(), true);
        ledger.slices.clear();
        drop(ledger);
        self.origin.restart();
    }

    /// What came since the last start, slice by slice; the last one may not be over.
    pub fn slices(&self) -> Vec<Slice> {
        lock(&self.ledger).slices.clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
