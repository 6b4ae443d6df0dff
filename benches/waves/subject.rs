//! What is compared: nobody in between, Envoy with and without the plugin, and its peers; one of each, or a fleet.

use crate::cpu;
use crate::parts::envoy::Envoy;
use crate::parts::recipe::Recipe;
use crate::parts::redis::Redis;
use crate::peer::Peer;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

/// How many make a fleet.
pub const FLEET: usize = 4;

pub struct Subject {
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub envoys: Vec<Envoy>,
    peers: Vec<Peer>,
}

impl Subject {
    pub fn nobody(origin: SocketAddr) -> Self {
        let name = "nothing in between".to_owned();
        Self { name, addresses: vec![origin], envoys: Vec::new(), peers: Vec::new() }
    }

    pub async fn envoys(name: &str, recipe: &Recipe, count: usize) -> Self {
        let mut envoys = Vec::new();
        for _ in 0..count {
            envoys.push(recipe.clone().start().await);
        }
        let addresses = envoys.iter().map(Envoy::address).collect();
        Self { name: name.to_owned(), addresses, envoys, peers: Vec::new() }
    }

    pub async fn nginx(origin: SocketAddr, count: usize) -> Result<Self, String> {
        let mut peers = Vec::new();
        for _ in 0..count {
            peers.push(Peer::nginx(origin).await?);
        }
        Ok(Self::peers("nginx", peers))
    }

    pub async fn varnish(origin: SocketAddr, count: usize) -> Result<Self, String> {
        let mut peers = Vec::new();
        for _ in 0..count {
            peers.push(Peer::varnish(origin, &[]).await?);
        }
        Ok(Self::peers("Varnish", peers))
    }

    /// Made for waves.
    pub async fn tuned_varnish(origin: SocketAddr) -> Result<Self, String> {
        let parameters = ["thread_pool_min=1000", "rush_exponent=1000"];
        let name = format!("Varnish, {}", parameters.join(", "));
        Ok(Self::peers(&name, vec![Peer::varnish(origin, &parameters).await?]))
    }

    fn peers(name: &str, peers: Vec<Peer>) -> Self {
        let addresses = peers.iter().map(Peer::address).collect();
        Self { name: name.to_owned(), addresses, envoys: Vec::new(), peers }
    }

    /// Puts a new Envoy in the place of one that is gone.
    pub async fn replace(&mut self, recipe: &Recipe) {
        self.envoys.push(recipe.clone().start().await);
        self.addresses = self.envoys.iter().map(Envoy::address).collect();
    }

    /// The time that it has had of the processors.
    pub fn cpu(&self) -> Duration {
        let envoys = self.envoys.iter().map(Envoy::pid);
        envoys.chain(self.peers.iter().map(Peer::pid)).map(cpu::used).sum()
    }

    /// No worker of it has lost its VM.
    pub async fn is_sound(&self) -> Result<(), String> {
        for envoy in &self.envoys {
            let failures = envoy.vm_failures().await;
            if failures > 0 {
                return Err(format!("{}: {failures} VMs failed", self.name));
            }
        }
        Ok(())
    }
}

/// The shipped configuration, two workers. Nobody here writes logs or sends traces.
pub fn shipped(origin: SocketAddr, redis: &Redis) -> Recipe {
    let shipped = Recipe::shipped().workers(2).origin(origin).redis(redis.address());
    shipped.edit(|config| {
        for listener in config["static_resources"]["listeners"].as_array_mut().into_iter().flatten() {
            let edge = listener.pointer_mut("/filter_chains/0/filters/0/typed_config");
            if let Some(edge) = edge.and_then(Value::as_object_mut) {
                edge.remove("tracing");
                edge.remove("access_log");
            }
        }
    })
}

/// The same without the plugin.
pub fn plain(origin: SocketAddr, redis: &Redis) -> Recipe {
    shipped(origin, redis).without_plugin()
}

/// The same with requests coalesced so far, and with more patience for Redis: what is given up costs nothing.
pub fn with_scope(origin: SocketAddr, redis: &Redis, scope: &str) -> Recipe {
    let patient = shipped(origin, redis).patient_redis(redis.address());
    patient.plugin(&json!({"defaults": {"coalesce": {"scope": scope}}}))
}
