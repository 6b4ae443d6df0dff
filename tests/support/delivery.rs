//! Configuration that comes by file while Envoy runs: a filter (ECDS) or a listener (LDS), replaced by renaming.

use super::envoy::Envoy;
use super::recipe::{Recipe, items, named};
use super::{eventually, root};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// What is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The plugin alone.
    Filter,
    /// The listener for clients, the plugin in it.
    Listener,
}

/// A resource in a folder that an Envoy watches.
#[derive(Debug)]
pub struct Delivery {
    kind: Kind,
    folder: TempDir,
    resource: Value,
    version: u64,
}

impl Delivery {
    /// Takes the resource out of a recipe, which is told to watch for it from then on.
    pub fn of(kind: Kind, recipe: Recipe) -> (Recipe, Self) {
        let folder = TempDir::with_prefix("breakwater-delivery-").expect("a folder for what is delivered");
        let path = folder.path().join("resource.json");
        let source = json!({
            "path_config_source": {"path": path, "watched_directory": {"path": folder.path()}},
            "resource_api_version": "V3",
        });
        let mut resource = Value::Null;
        // Who is delivered to must have a name, even where nobody asks for it.
        let recipe = recipe.edit(|config| config["node"] = json!({"id": "wall", "cluster": "wall"}));
        let recipe = recipe.edit(|config| match kind {
            Kind::Filter => {
                let edge = named(&mut config["static_resources"]["listeners"], "edge");
                let filter = named(http_filters(edge), "breakwater");
                resource = filter.take();
                resource["@type"] = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig".into();
                let wasm = &resource["typed_config"]["@type"];
                *filter = json!({"name": "breakwater",
                    "config_discovery": {"config_source": source, "type_urls": [wasm]}});
            }
            Kind::Listener => {
                let listeners = &mut config["static_resources"]["listeners"];
                resource = named(listeners, "edge").take();
                resource["@type"] = "type.googleapis.com/envoy.config.listener.v3.Listener".into();
                if let Some(listeners) = listeners.as_array_mut() {
                    listeners.retain(|listener| !listener.is_null());
                }
                config["dynamic_resources"]["lds_config"] = source;
            }
        });
        let mut delivery = Self { kind, folder, resource, version: 0 };
        delivery.write();
        (recipe, delivery)
    }

    /// Delivers it anew with a change to what Envoy is told of the plugin (its `PluginConfig`), and waits until Envoy
    /// has taken it over: its workers do so with one of their next requests.
    pub async fn update(&mut self, envoy: &Envoy, change: impl FnOnce(&mut Value)) {
        let taken = envoy.stat(self.stat()).await;
        let filter = match self.kind {
            Kind::Filter => &mut self.resource,
            Kind::Listener => named(http_filters(&mut self.resource), "breakwater"),
        };
        change(&mut filter["typed_config"]["config"]);
        self.write();
        eventually("what is delivered is taken", async || envoy.stat(self.stat()).await > taken).await;
    }

    /// The plugin in a file of its own, with a section that means nothing: the same code, and yet not the same.
    pub fn other_code(&self) -> PathBuf {
        let path = self.folder.path().join("other.wasm");
        let mut module = std::fs::read(root().join("dist/breakwater.wasm")).expect("the plugin is built");
        // A custom section (0) of seven bytes, of which the first is the length of its name.
        module.extend_from_slice(b"\x00\x07\x05other!");
        std::fs::write(&path, module).expect("the folder is ours");
        path
    }

    fn stat(&self) -> &'static str {
        match self.kind {
            Kind::Filter => "extension_config_discovery.http_filter.breakwater.config_reload",
            Kind::Listener => "listener_manager.lds.update_success",
        }
    }

    fn write(&mut self) {
        self.version += 1;
        let response = json!({"version_info": self.version.to_string(), "resources": [self.resource]});
        let fresh = self.folder.path().join("fresh");
        std::fs::write(&fresh, response.to_string()).expect("the folder is ours");
        std::fs::rename(fresh, self.folder.path().join("resource.json")).expect("the folder is ours");
    }
}

fn http_filters(listener: &mut Value) -> &mut Value {
    let chains = items(&mut listener["filter_chains"]);
    let filters = chains.flat_map(|chain| items(&mut chain["filters"]));
    let http = filters.map(|filter| &mut filter["typed_config"]["http_filters"]);
    http.into_iter().next().expect("a listener for HTTP")
}
