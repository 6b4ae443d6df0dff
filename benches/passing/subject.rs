//! What is compared: Envoys of one worker, all on the shipped configuration.

use crate::case::Case;
use crate::client::Client;
use crate::parts::envoy::Envoy;
use crate::parts::recipe::Recipe;
use crate::parts::redis::Redis;
use serde_json::json;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

pub struct Subject {
    pub name: &'static str,
    has_plugin: bool,
    pub envoy: Envoy,
}

/// The yardsticks first: [`PLAIN`] and [`WITHOUT_L2`] are places in this order.
pub async fn subjects(origin: SocketAddr, redis: &Redis) -> Vec<Subject> {
    let shipped = || Recipe::shipped().workers(1).origin(origin).redis(redis.address());
    let without_l2 = || shipped().plugin(&json!({"l2": null, "l3": null}));
    let mut subjects = Vec::new();
    for (name, has_plugin, recipe) in [
        ("plain", false, shipped().without_plugin()),
        ("without L2", true, without_l2()),
        ("plain again", false, shipped().without_plugin()),
        ("shipped", true, shipped()),
    ] {
        subjects.push(Subject { name, has_plugin, envoy: recipe.start().await });
    }
    subjects
}

pub const PLAIN: usize = 0;
pub const WITHOUT_L2: usize = 1;
pub const PLAIN_AGAIN: usize = 2;
pub const SHIPPED: usize = 3;

/// What came of a turn.
#[derive(Default)]
pub struct Turn {
    /// Of the requests that were timed, in seconds.
    pub times: Vec<f64>,
    /// All requests, the first ones included.
    pub requests: usize,
}

/// Requests before the clock runs: connections are opened, and the key is remembered.
const FIRST: usize = 2;

impl Subject {
    /// So many clients make requests for so long.
    pub fn turn(
        &self,
        case: &Case,
        upstream_ms: u64,
        clients: u64,
        length: Duration,
    ) -> Result<Turn, String> {
        thread::scope(|scope| {
            let clients: Vec<_> =
                (0..clients).map(|_| scope.spawn(|| self.times(case, upstream_ms, length))).collect();
            let mut turn = Turn::default();
            for client in clients {
                let times = client.join().map_err(|_| "a client panicked")??;
                turn.requests += FIRST + times.len();
                turn.times.extend(times);
            }
            Ok(turn)
        })
    }

    fn times(&self, case: &Case, upstream_ms: u64, length: Duration) -> Result<Vec<f64>, String> {
        let mut client = Client::connect(self.envoy.address())?;
        for _ in 0..FIRST {
            client.ask(&case.request(upstream_ms))?;
        }
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < length {
            let timed = client.ask(&case.request(upstream_ms))?;
            if self.has_plugin && !case.is_told_by(&timed.cache_status) {
                return Err(format!("{}, {}: {:?}", self.name, case.name, timed.cache_status));
            }
            times.push(case.time(&timed).as_secs_f64());
        }
        Ok(times)
    }
}
