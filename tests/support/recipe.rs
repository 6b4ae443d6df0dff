//! From the shipped configuration to one for a test: other ports, and what the test wants to be different.
//!
//! The YAML is read as data, changed at the named places and handed to Envoy as JSON, so that what is tested is the
//! file that operators get.

use super::envoy::Envoy;
use super::lineage::Lineage;
use super::{ports, root};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A configuration being made.
#[derive(Clone, Debug)]
pub struct Recipe {
    config: Value,
    workers: usize,
    arguments: Vec<String>,
}

impl Recipe {
    /// `envoy/envoy.yaml`: everything on. Upstream, Redis and trace collector refuse connections until they are named.
    pub fn shipped() -> Self {
        let nobody = ports::unused();
        Self::from_file("envoy/envoy.yaml").redis(nobody).traces(nobody)
    }

    /// `envoy/minimal.yaml`: the plugin with its defaults, no Redis.
    pub fn minimal() -> Self {
        Self::from_file("envoy/minimal.yaml")
    }

    /// Any configuration of this project whose listener is called `edge` and whose upstream `origin`.
    pub fn from_file(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).expect("a configuration of this project");
        Self::from_yaml(&text)
    }

    /// As [`Recipe::from_file`], from text.
    pub fn from_yaml(text: &str) -> Self {
        let config = serde_yaml_ng::from_str(text).expect("YAML");
        Self { config, workers: 2, arguments: Vec::new() }.listen().origin(ports::unused())
    }

    /// The upstream.
    #[must_use]
    pub fn origin(self, address: SocketAddr) -> Self {
        self.cluster("origin", &[address])
    }

    /// The upstream's hosts.
    #[must_use]
    pub fn origins(self, addresses: &[SocketAddr]) -> Self {
        self.cluster("origin", addresses)
    }

    /// The Redis behind the bridge.
    #[must_use]
    pub fn redis(self, address: SocketAddr) -> Self {
        self.cluster("redis", &[address])
    }

    /// The Redis behind the bridge, with time enough: for tests of what Redis is asked on a machine that may be busy.
    #[must_use]
    pub fn patient_redis(self, address: SocketAddr) -> Self {
        self.redis(address).redis_op_timeout("2s").plugin(&json!({"l2": {"timeout": "3s"}}))
    }

    /// The trace collector.
    #[must_use]
    pub fn traces(self, address: SocketAddr) -> Self {
        self.cluster("traces", &[address])
    }

    /// How many worker threads; two unless said.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// One more argument on Envoy's command line.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The Envoy of this lineage that is the first (0), the second (1), and so on.
    #[must_use]
    pub fn successor(mut self, lineage: &Lineage, epoch: u32) -> Self {
        self.arguments.extend(lineage.arguments(epoch));
        self.edit(|config| {
            let edge = named(&mut config["static_resources"]["listeners"], "edge");
            edge["address"]["socket_address"]["port_value"] = lineage.address().port().into();
        })
    }

    /// Changes the plugin's configuration: objects are merged, `null` removes, all else replaces (RFC 7396).
    #[must_use]
    pub fn plugin(mut self, patch: &Value) -> Self {
        self.plugin_values().into_iter().for_each(|value| merge(value, patch));
        self
    }

    /// Replaces the plugin's configuration.
    #[must_use]
    pub fn plugin_exactly(mut self, value: Value) -> Self {
        self.plugin_values().into_iter().for_each(|found| found.clone_from(&value));
        self
    }

    /// Lets trailers through, which Envoy drops from HTTP/1.1 unless it is told.
    #[must_use]
    pub fn with_trailers(self) -> Self {
        self.edit(|config| {
            let edge = named(&mut config["static_resources"]["listeners"], "edge");
            let http = &mut edge["filter_chains"][0]["filters"][0]["typed_config"];
            http["http_protocol_options"]["enable_trailers"] = true.into();
            let origin = named(&mut config["static_resources"]["clusters"], "origin");
            let options = &mut origin["typed_extension_protocol_options"]
                ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
            options["explicit_http_config"]["http_protocol_options"]["enable_trailers"] = true.into();
        })
    }

    /// How long redis_proxy waits for Redis.
    #[must_use]
    pub fn redis_op_timeout(self, duration: &str) -> Self {
        self.edit(|config| {
            let bridge = named(&mut config["static_resources"]["listeners"], "breakwater_redis");
            let proxy =
                named(&mut bridge["filter_chains"][0]["filters"], "envoy.filters.network.redis_proxy");
            proxy["typed_config"]["settings"]["op_timeout"] = duration.into();
        })
    }

    /// How long the route waits for the upstream, also for what the plugin fetches in the background.
    #[must_use]
    pub fn route_timeout(self, duration: &str) -> Self {
        self.edit(|config| {
            for listener in items(&mut config["static_resources"]["listeners"]) {
                let routes = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
                for route in listener.pointer_mut(routes).into_iter().flat_map(items) {
                    route["route"]["timeout"] = duration.into();
                }
            }
        })
    }

    /// How many bytes of a connection Envoy keeps before it lets the other side wait; the kernel keeps few for it.
    #[must_use]
    pub fn buffers(self, bytes: u32) -> Self {
        const SOL_SOCKET: u32 = 1;
        const SO_SNDBUF: u32 = 7;
        self.edit(|config| {
            let edge = named(&mut config["static_resources"]["listeners"], "edge");
            edge["per_connection_buffer_limit_bytes"] = bytes.into();
            edge["socket_options"] =
                json!([{"level": SOL_SOCKET, "name": SO_SNDBUF, "int_value": bytes, "state": "STATE_PREBIND"}]);
            let origin = named(&mut config["static_resources"]["clusters"], "origin");
            origin["per_connection_buffer_limit_bytes"] = bytes.into();
        })
    }

    /// How long a request may stand still in Envoy.
    #[must_use]
    pub fn idle_timeout(self, duration: &str) -> Self {
        self.edit(|config| {
            for listener in items(&mut config["static_resources"]["listeners"]) {
                let timeout = "/filter_chains/0/filters/0/typed_config/stream_idle_timeout";
                if let Some(timeout) = listener.pointer_mut(timeout) {
                    *timeout = duration.into();
                }
            }
        })
    }

    /// Takes the plugin out and leaves all else: what the same Envoy does without it.
    #[must_use]
    pub fn without_plugin(self) -> Self {
        self.edit(|config| {
            for listener in items(&mut config["static_resources"]["listeners"]) {
                for chain in items(&mut listener["filter_chains"]) {
                    drop_wasm(&mut chain["filters"]);
                    for filter in items(&mut chain["filters"]) {
                        filter.pointer_mut("/typed_config/http_filters").map(drop_wasm);
                    }
                }
            }
        })
    }

    /// Changes anything at all.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Starts an Envoy and waits until it is ready.
    pub async fn start(self) -> Envoy {
        Envoy::start(&self.config, self.workers, &self.arguments).await
    }

    /// Starts an Envoy that must refuse this configuration; its log.
    pub async fn refused(self) -> String {
        Envoy::refused(&self.config, self.workers, &self.arguments).await
    }

    /// The kernel chooses the ports; Envoy tells which.
    fn listen(self) -> Self {
        let anywhere = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
        self.edit(|config| {
            config["admin"]["address"] = anywhere.clone();
            named(&mut config["static_resources"]["listeners"], "edge")["address"] = anywhere;
        })
    }

    fn cluster(self, name: &str, addresses: &[SocketAddr]) -> Self {
        let host = |address: &SocketAddr| {
            let socket = json!({"address": address.ip().to_string(), "port_value": address.port()});
            json!({"endpoint": {"address": {"socket_address": socket}}})
        };
        let hosts: Vec<Value> = addresses.iter().map(host).collect();
        self.edit(|config| {
            let cluster = named(&mut config["static_resources"]["clusters"], name);
            cluster["load_assignment"]["endpoints"] = json!([{"lb_endpoints": hosts}]);
        })
    }

    /// The plugin's configuration in each listener: where clients come in, and where refreshes do.
    fn plugin_values(&mut self) -> Vec<&mut Value> {
        let listeners = items(&mut self.config["static_resources"]["listeners"]);
        let http = listeners.filter_map(|listener| {
            listener.pointer_mut("/filter_chains/0/filters/0/typed_config/http_filters")
        });
        let plugins = http.flat_map(items).filter(|filter| filter["name"] == "breakwater");
        let values: Vec<_> =
            plugins.map(|filter| &mut filter["typed_config"]["config"]["configuration"]["value"]).collect();
        assert!(!values.is_empty(), "the plugin is there");
        values
    }
}

fn is_wasm(filter: &Value) -> bool {
    filter["typed_config"]["@type"].as_str().is_some_and(|name| name.ends_with("wasm.v3.Wasm"))
}

fn drop_wasm(filters: &mut Value) {
    if let Some(filters) = filters.as_array_mut() {
        filters.retain(|filter| !is_wasm(filter));
    }
}

pub(super) fn items(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// The item of this name.
///
/// # Panics
/// When there is none: the test has failed.
pub fn named<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    items(list).find(|item| item["name"] == name).unwrap_or_else(|| panic!("nothing is called {name}"))
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|fields| fields.remove(key));
        } else {
            merge(&mut target[key], value);
        }
    }
}
