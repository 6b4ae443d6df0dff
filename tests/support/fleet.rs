//! Several Envoys before one upstream, with one Redis between them.

use super::client::{Answer, Request};
use super::crowd::{WAITERS, waiters_of};
use super::envoy::Envoy;
use super::eventually;
use super::origin::Origin;
use super::recipe::Recipe;
use super::redis::Redis;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::task::JoinSet;

/// How many flights have found their lease with another Envoy.
const AWAITED: &str = "wasmcustom.breakwater.leases.awaited";

/// They end with this value.
pub struct Fleet {
    /// The Envoys; a test may take one out.
    pub envoys: Vec<Envoy>,
    /// What they share.
    pub redis: Redis,
}

impl Fleet {
    /// So many of them, on the shipped configuration with this change to the plugin's. Redis has time enough on a
    /// machine that may be busy, and a lease lasts so long that who waits for its end waits in vain.
    pub async fn start(size: usize, origin: &Origin, patch: &Value) -> Self {
        let redis = Redis::start().await;
        let lasting = json!({"l2": {"timeout": "1s"}, "defaults": {"coalesce": {"lease": "1m"}}});
        let recipe = Recipe::shipped().origin(origin.address()).redis(redis.address());
        let recipe = recipe.redis_op_timeout("0.5s").plugin(&lasting).plugin(patch);
        let mut envoys = Vec::with_capacity(size);
        for _ in 0..size {
            envoys.push(recipe.clone().start().await);
        }
        Self { envoys, redis }
    }

    /// Where clients come in, Envoy by Envoy.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.envoys.iter().map(Envoy::address).collect()
    }

    /// [`WAITERS`] requests on each Envoy that all wait while one of the first Envoy leads: there for its answer, on
    /// the others for the lease that it holds.
    pub async fn waiters(&self, request: &Request) -> Waiters {
        self.waiters_of(|_| request.clone()).await
    }

    /// As [`Fleet::waiters`], on all Envoys but the first.
    pub async fn waiters_elsewhere(&self, request: &Request) -> Waiters {
        let mut all = Vec::new();
        for envoy in self.envoys.iter().skip(1) {
            all.push(waiting(envoy, vec![request.clone(); WAITERS]).await);
        }
        Waiters(all)
    }

    /// As [`Fleet::waiters`], with a request of one's own for each number.
    pub async fn waiters_of(&self, request: impl Fn(usize) -> Request) -> Waiters {
        let mut all = Vec::new();
        for (place, envoy) in self.envoys.iter().enumerate() {
            let requests = (place * WAITERS..(place + 1) * WAITERS).map(&request).collect();
            all.push(if place == 0 {
                waiters_of(envoy, requests).await
            } else {
                waiting(envoy, requests).await
            });
        }
        Waiters(all)
    }

    /// Waits until Redis holds no lease.
    pub async fn given_back(&self) {
        eventually("each lease is given back", async || self.leases().await == 0).await;
    }

    /// How many leases there are. What a flight leaves for those who wait for it stands beside them for a while.
    pub async fn leases(&self) -> usize {
        let mut count = 0;
        for key in self.redis.keys().await.iter().filter(|key| key.starts_with("bw:lock:")) {
            // A lease is the name of a flight, 32 digits.
            count += usize::from(self.redis.command(&["GET", key]).await.starts_with("$32\r\n"));
        }
        count
    }
}

/// Requests that wait, one of them for the lease that another Envoy has.
async fn waiting(envoy: &Envoy, requests: Vec<Request>) -> JoinSet<Answer> {
    let awaited = envoy.stat(AWAITED).await;
    let waiters = waiters_of(envoy, requests).await;
    eventually("the lease is awaited", async || envoy.stat(AWAITED).await > awaited).await;
    waiters
}

/// Those who wait, Envoy by Envoy.
pub struct Waiters(pub Vec<JoinSet<Answer>>);

impl Waiters {
    /// The answers of all of them.
    pub async fn answers(self) -> Vec<Answer> {
        let mut answers = Vec::new();
        for waiters in self.0 {
            answers.extend(waiters.join_all().await);
        }
        answers
    }
}
