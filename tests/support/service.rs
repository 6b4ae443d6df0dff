//! A service as many are: so many threads, each taken by one request until that is answered, and a call to the next
//! service for each page it makes.
//!
//! It has no deadline of its own and does not notice when its client goes away, as a blocking call does not: whatever
//! holds up the next service holds up a thread here, and when all are held, requests wait for one whatever they ask.

use super::client::{Client, Request};
use super::gate::Gate;
use super::origin::{Origin, Seen};
use super::reply::Reply;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a thread works for a request, calls not counted.
pub const WORK: Duration = Duration::from_millis(5);

/// A service that is running.
pub struct Service {
    /// What it has seen.
    pub origin: Origin,
    inner: Arc<Inner>,
}

struct Inner {
    threads: Semaphore,
    /// The service it calls for pages, through the Envoy before that.
    next: Option<SocketAddr>,
    connections: Mutex<Vec<Client>>,
    /// What pages say of their lifetime.
    lifetime: String,
    hung: Mutex<Option<Gate>>,
    pages: AtomicUsize,
}

impl Service {
    /// Starts one whose pages, all below `/pages/`, say `lifetime` in their Cache-Control. All else it makes alone,
    /// for one client.
    pub async fn start(threads: usize, next: Option<SocketAddr>, lifetime: &str) -> Self {
        let inner = Arc::new(Inner {
            threads: Semaphore::new(threads),
            next,
            connections: Mutex::default(),
            lifetime: lifetime.to_owned(),
            hung: Mutex::default(),
            pages: AtomicUsize::new(0),
        });
        let at_work = Arc::clone(&inner);
        let origin = Origin::asking(move |seen| {
            // A task of its own: a thread works on when its client has gone.
            let work = tokio::spawn(Arc::clone(&at_work).answer(seen));
            async move { work.await.expect("a thread does not panic") }
        })
        .await;
        Self { origin, inner }
    }

    /// From now on it accepts requests and does not answer.
    pub fn hang(&self) {
        *lock(&self.inner.hung) = Some(Gate::new());
    }

    /// It answers again, those too whom it has held up.
    pub fn recover(&self) {
        if let Some(gate) = lock(&self.inner.hung).take() {
            gate.open();
        }
    }

    /// Threads that are free.
    pub fn idle(&self) -> usize {
        self.inner.threads.available_permits()
    }
}

impl Inner {
    async fn answer(self: Arc<Self>, seen: Seen) -> Reply {
        let _thread = self.threads.acquire().await.expect("the threads are never closed");
        let hung = lock(&self.hung).clone();
        if let Some(gate) = hung {
            gate.passed().await;
        }
        tokio::time::sleep(WORK).await;
        if !seen.path().starts_with("/pages/") {
            return Reply::ok("made alone").header("cache-control", "no-store");
        }
        let rest = match self.next {
            Some(next) => self.call(next, &Request::get(seen.path())).await,
            None => Some(format!("{} {}", seen.path(), self.pages.fetch_add(1, Ordering::Relaxed))),
        };
        match rest {
            Some(rest) => Reply::ok(format!("<{rest}>")).header("cache-control", &self.lifetime),
            None => Reply::with(502, "the next service fails").header("cache-control", "no-store"),
        }
    }

    async fn call(&self, next: SocketAddr, request: &Request) -> Option<String> {
        let idle = lock(&self.connections).pop();
        let mut client = match idle {
            Some(client) => client,
            None => Client::connect(next).await.ok()?,
        };
        let answer = client.send(request).await.ok()?;
        lock(&self.connections).push(client);
        (answer.status == 200).then(|| answer.text())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
