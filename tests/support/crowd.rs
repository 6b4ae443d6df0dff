//! Requests that meet in Envoy: one that has reached the upstream, and others for the same that wait for it.

use super::client::{Answer, Client, Request};
use super::envoy::Envoy;
use super::eventually;
use super::origin::Origin;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// How many wait.
pub const WAITERS: usize = 24;

/// A request under way whose upstream request, the only one, has begun.
///
/// # Panics
/// When it cannot be sent: the test has failed.
pub async fn leader(envoy: &Envoy, origin: &Origin, request: &Request) -> Client {
    let mut client = Client::connect(envoy.address()).await.expect("a connection");
    client.begin(request).await.expect("a request");
    origin.until("the leader's request arrives", |o| o.in_flight() == 1).await;
    client
}

/// [`WAITERS`] requests for the same that have all arrived in Envoy; over all its workers.
pub async fn waiters(envoy: &Envoy, request: &Request) -> JoinSet<Answer> {
    let requests = vec![request.clone(); WAITERS];
    waiters_of(envoy, requests).await
}

/// As [`waiters`], with requests of one's own.
///
/// # Panics
/// When one cannot be sent, or gets no whole answer: the test has failed.
pub async fn waiters_of(envoy: &Envoy, requests: Vec<Request>) -> JoinSet<Answer> {
    let mut clients = Vec::with_capacity(requests.len());
    for request in requests {
        clients.push((Client::connect(envoy.address()).await.expect("a connection"), request));
    }
    waiters_at(envoy, clients).await
}

/// As [`waiters_of`], on connections that are there.
///
/// # Panics
/// When a request cannot be sent, or gets no whole answer: the test has failed.
pub async fn waiters_at(
    envoy: &Envoy,
    clients: impl IntoIterator<Item = (Client, Request)>,
) -> JoinSet<Answer> {
    let mut all = active(envoy).await;
    let mut waiters = JoinSet::new();
    for (mut client, request) in clients {
        client.begin(&request).await.expect("a request");
        waiters.spawn(async move { client.answer().await.expect("a whole answer") });
        all += 1;
    }
    eventually("the waiters are in Envoy", async || active(envoy).await == all).await;
    settled(envoy).await;
    waiters
}

/// So many connections to each worker of an Envoy, by worker.
///
/// # Panics
/// When one cannot be opened: the test has failed.
pub async fn by_worker(envoy: &Envoy, each: usize) -> Vec<Vec<Client>> {
    let mut accepted = connections(envoy).await;
    let mut clients: BTreeMap<String, Vec<Client>> = BTreeMap::new();
    while clients.len() < accepted.len() || clients.values().any(|clients| clients.len() < each) {
        let client = Client::connect(envoy.address()).await.expect("a connection");
        let mut worker = None;
        eventually("a worker accepts the connection", async || {
            let now = connections(envoy).await;
            worker = now.keys().find(|worker| now.get(*worker) != accepted.get(*worker)).cloned();
            accepted = now;
            worker.is_some()
        })
        .await;
        clients.entry(worker.expect("it was waited for")).or_default().push(client);
    }
    // Those too many go away: chance deals them out.
    clients.values_mut().for_each(|clients| clients.truncate(each));
    clients.into_values().collect()
}

/// Waits until each worker has done what it had begun: a request is counted a moment before the plugin sees it.
async fn settled(envoy: &Envoy) {
    let before = connections(envoy).await;
    loop {
        // Refused by the codec, so nothing else notices; a worker does so when it has nothing before it to do.
        let mut client = Client::connect(envoy.address()).await.expect("a connection");
        client.begin_raw(b"?\r\n\r\n").await.expect("a connection");
        assert_eq!(client.head().await.expect("an answer").word(1), "400");
        let now = connections(envoy).await;
        if before.iter().all(|(worker, count)| now.get(worker).is_some_and(|now| now > count)) {
            return;
        }
    }
}

/// Connections that each worker has accepted.
async fn connections(envoy: &Envoy) -> BTreeMap<String, u64> {
    let mut counts = envoy.stats("downstream_cx_total").await;
    counts.retain(|name, _| name.starts_with("listener.127.0.0.1") && name.contains("worker_"));
    assert!(!counts.is_empty(), "Envoy counts connections by worker");
    counts
}

/// Requests of clients in Envoy now.
pub async fn active(envoy: &Envoy) -> u64 {
    let stats = envoy.stats("downstream_rq_active").await;
    stats.iter().filter(|(name, _)| name.starts_with("http.edge.")).map(|(_, n)| n).sum()
}
