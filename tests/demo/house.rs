//! What is built for the demo: the upstream, one Redis, two Envoys with the plugin and one without. All of it listens
//! on free ports of 127.0.0.1 and ends with the [`House`].

use crate::chat::{self, Chat};
use crate::ending::Place;
use crate::support::envoy::Envoy;
use crate::support::recipe::Recipe;
use crate::support::redis::Redis;
use crate::support::{envoy_binary, lift_file_limit, root};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Everything that runs.
pub struct House {
    /// The upstream's counters and switch.
    pub chat: Arc<Chat>,
    /// The Envoy without the plugin.
    pub without: Envoy,
    /// The two Envoys with it, and their Redis.
    pub with: Option<([Envoy; 2], Redis)>,
    upstream: SocketAddr,
    control: SocketAddr,
    // Serves until dropped.
    _servers: JoinSet<()>,
}

impl House {
    /// Starts everything; without the plugin, only the upstream and one Envoy.
    pub async fn build(with_plugin: bool) -> Result<Self, String> {
        lift_file_limit();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (api, control) = (chat::listen(anywhere)?, chat::listen(anywhere)?);
        let address =
            |listener: &tokio::net::TcpListener| listener.local_addr().map_err(|why| why.to_string());
        let (upstream_address, control_address) = (address(&api)?, address(&control)?);
        let chat = Chat::new(UPSTREAM_LATENCY);
        let mut servers = JoinSet::new();
        servers.spawn(chat::serve(api, chat.clone()));
        servers.spawn(chat::serve_control(control, chat.clone()));
        let shipped = || Recipe::shipped().origin(upstream_address).workers(WORKERS);
        let without = shipped().without_plugin().start().await;
        let with = match with_plugin {
            true => {
                let redis = Redis::start().await;
                let first = shipped().redis(redis.address()).start().await;
                let second = shipped().redis(redis.address()).start().await;
                Some(([first, second], redis))
            }
            false => None,
        };
        let (upstream, control) = (upstream_address, control_address);
        Ok(Self { chat, without, with, upstream, control, _servers: servers })
    }

    /// All addresses worth knowing.
    pub fn places(&self) -> Vec<Place> {
        let envoy = |name, envoy: &Envoy| Place { name, at: envoy.address(), admin: Some(envoy.admin()) };
        let mut places = Vec::new();
        if let Some(([first, second], _)) = &self.with {
            places.push(envoy("Envoy with Breakwater", first));
            places.push(envoy("second Envoy with it", second));
        }
        places.push(envoy("Envoy without Breakwater", &self.without));
        places.push(Place { name: "upstream", at: self.upstream, admin: None });
        places.push(Place { name: "upstream's /control/", at: self.control, admin: None });
        places
    }
}

/// Whether what is needed is there; else what to do, in a line.
pub fn check(with_plugin: bool) -> Result<(), String> {
    let envoy = envoy_binary();
    if !runs(&envoy) {
        return Err(format!("{} is missing: run make envoy", envoy.display()));
    }
    if with_plugin && !runs(Path::new("redis-server")) {
        return Err("redis-server is missing: run make redis".to_owned());
    }
    let plugin = "dist/breakwater.wasm";
    if with_plugin && !root().join(plugin).exists() {
        return Err(format!("{plugin} is missing: run make wasm"));
    }
    Ok(())
}

/// Whether there is such a program, and it starts.
fn runs(program: &Path) -> bool {
    let quiet = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

const UPSTREAM_LATENCY: Duration = Duration::from_millis(200);
const WORKERS: usize = 2;
