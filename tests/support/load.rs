//! Steady load in the background, while a test breaks things: a few connections that ask again and again.

use super::PATIENCE;
use super::client::{Client, Request};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// One answered (or failed) request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its number: 0, 1, 2, …
    pub number: usize,
    /// When it was sent, or was to be.
    pub at: Instant,
    /// Its status; 0 when no whole answer came.
    pub status: u16,
    /// How long it took.
    pub latency: Duration,
}

/// Load that is running.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<watch::Sender<usize>>,
    tasks: JoinSet<Vec<Sample>>,
}

impl Load {
    /// Starts `connections` of them; the request with the number n (0, 1, 2, …) is `make(n)`.
    pub fn start(
        address: SocketAddr,
        connections: usize,
        make: impl Fn(usize) -> Request + Send + Sync + 'static,
    ) -> Self {
        Self::bounded(address, connections, usize::MAX, make)
    }

    /// As [`Load::start`], and ends by itself after `limit` requests.
    pub fn bounded(
        address: SocketAddr,
        connections: usize,
        limit: usize,
        make: impl Fn(usize) -> Request + Send + Sync + 'static,
    ) -> Self {
        super::lift_file_limit();
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(watch::Sender::new(0));
        let next = Arc::new(AtomicUsize::new(0));
        let make = Arc::new(make);
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (stop, done, next, make) = (stop.clone(), done.clone(), next.clone(), make.clone());
            tasks.spawn(async move {
                let mut samples = Vec::new();
                let mut client = None;
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= limit {
                        break;
                    }
                    samples.push(one(address, &mut client, (number, Instant::now()), &make(number)).await);
                    done.send_modify(|done| *done += 1);
                }
                samples
            });
        }
        Self { stop, done, tasks }
    }

    /// Waits for `count` more requests to be answered (or to fail).
    pub async fn more(&self, count: usize) {
        let mut done = self.done.subscribe();
        let wanted = *done.borrow() + count;
        let wait = tokio::time::timeout(PATIENCE, done.wait_for(|done| *done >= wanted));
        assert!(wait.await.is_ok(), "the load stood still: {count} more requests took over {PATIENCE:?}");
    }

    /// Ends it; what was seen, by the time of sending.
    pub async fn stop(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        self.wait().await
    }

    /// Waits for bounded load to end by itself.
    pub async fn wait(self) -> Vec<Sample> {
        let mut samples = self.tasks.join_all().await.concat();
        samples.sort_by_key(|sample| sample.at);
        samples
    }
}

/// How often each status came; 0 stands for no whole answer.
pub fn statuses(samples: &[Sample]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for sample in samples {
        *counts.entry(sample.status).or_default() += 1;
    }
    counts
}

/// The request of this number, which was to be sent at that time; the connection is kept for the next.
pub(super) async fn one(
    address: SocketAddr,
    client: &mut Option<Client>,
    (number, at): (usize, Instant),
    request: &Request,
) -> Sample {
    let answer = match client.take() {
        Some(mut open) => open.send(request).await.map(|answer| (open, answer)),
        None => match Client::connect(address).await {
            Ok(mut open) => open.send(request).await.map(|answer| (open, answer)),
            Err(error) => Err(error),
        },
    };
    let status = match answer {
        Ok((open, answer)) => {
            if !answer.header("connection").eq_ignore_ascii_case("close") {
                *client = Some(open);
            }
            answer.status
        }
        Err(_) => 0,
    };
    Sample { number, at, status, latency: at.elapsed() }
}
