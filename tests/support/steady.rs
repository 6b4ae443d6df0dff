//! Steady traffic by the clock: so many requests a second, whether or not those before them were answered.
//!
//! That is what many clients together are like, and why a service that slows down drowns: [`Load`](super::load::Load)
//! waits for each answer and so spares who is slow. A latency counts from when the request was to be sent, so that a
//! client that comes late hides nothing.

use super::client::{Client, Request};
use super::load::{Sample, one};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// Traffic that is running.
pub struct Steady {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<Sample>>,
}

impl Steady {
    /// Starts `rate` requests a second; the request with the number n (0, 1, 2, …) is `make(n)`. They take turns on
    /// `clients`, connections that are there (see [`by_worker`](super::crowd::by_worker)); one more is opened whenever
    /// all are busy, and kept.
    pub fn start(
        address: SocketAddr,
        clients: impl IntoIterator<Item = Client>,
        rate: u32,
        make: impl Fn(usize) -> Request + Send + Sync + 'static,
    ) -> Self {
        super::lift_file_limit();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let idle: VecDeque<Client> = clients.into_iter().collect();
        let task = tokio::spawn(async move {
            let idle = Arc::new(Mutex::new(idle));
            let mut requests = JoinSet::new();
            let mut due = Instant::now();
            for number in 0.. {
                tokio::time::sleep_until(due).await;
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let (idle, request, at) = (Arc::clone(&idle), make(number), due);
                requests.spawn(async move {
                    let locked = || idle.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut client = locked().pop_front();
                    let sample = one(address, &mut client, (number, at), &request).await;
                    locked().extend(client);
                    sample
                });
                due += Duration::from_secs(1) / rate;
            }
            requests.join_all().await
        });
        Self { stop, task }
    }

    /// Ends it, and waits for what is under way; what was seen, by the time of sending.
    ///
    /// # Panics
    /// When the traffic itself has panicked: the test has failed.
    pub async fn stop(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = self.task.await.expect("the traffic goes on until it is stopped");
        samples.sort_by_key(|sample| sample.number);
        samples
    }
}
