//! What is compared: nobody in between, Envoy with and without the plugin, and its peers; one of each, or a fleet.

use crate::parts::envoy::Envoy;
use crate::parts::recipe::Recipe;
use crate::parts::redis::Redis;
use crate::peer::Peer;
use serde_json::json;
use std::net::SocketAddr;

/// How many make a fleet.
pub const FLEET: usize = 4;

pub struct Subject {
    pub name: String,
    pub addresses: Vec<SocketAddr>,
    pub envoys: Vec<Envoy>,
    /// Held while they are used.
    _peers: Vec<Peer>,
}

impl Subject {
    pub fn nobody(origin: SocketAddr) -> Self {
        let name = "nothing in between".to_owned();
        Self { name, addresses: vec![origin], envoys: Vec::new(), _peers: Vec::new() }
    }

    pub async fn envoys(name: &str, recipe: &Recipe, count: usize) -> Self {
        let mut envoys = Vec::new();
        for _ in 0..count {
            envoys.push(recipe.clone().start().await);
        }
        let addresses = envoys.iter().map(Envoy::address).collect();
        Self { name: name.to_owned(), addresses, envoys, _peers: Vec::new() }
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
            peers.push(Peer::varnish(origin).await?);
        }
        Ok(Self::peers("Varnish", peers))
    }

    fn peers(name: &str, peers: Vec<Peer>) -> Self {
        let addresses = peers.iter().map(Peer::address).collect();
        Self { name: name.to_owned(), addresses, envoys: Vec::new(), _peers: peers }
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

/// The shipped configuration, two workers.
pub fn shipped(origin: SocketAddr, redis: &Redis) -> Recipe {
    Recipe::shipped().workers(2).origin(origin).redis(redis.address())
}

/// The same without the plugin.
pub fn plain(origin: SocketAddr, redis: &Redis) -> Recipe {
    shipped(origin, redis).without_plugin()
}

/// The same with requests coalesced so far.
pub fn with_scope(origin: SocketAddr, redis: &Redis, scope: &str) -> Recipe {
    shipped(origin, redis).plugin(&json!({"defaults": {"coalesce": {"scope": scope}}}))
}
