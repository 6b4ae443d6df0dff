//! Breakwater makes an unmodified Envoy coalesce identical requests, cache in tiers and break the circuit to a
//! failing upstream, answering from what it still has.
//!
//! Layers point downwards only: `filter` drives one `exchange` per request, which asks `store`, `flight` and
//! `breaker`; those rest on `config`, `http` and `redis`, and all of them on the plain vocabulary of `time`.
//! `host` is the narrow door to Envoy (or to the simulator). A test in `tests/repo.rs` holds the layering.
// Unit tests may index and compute freely: a panic there is a failed test, not an outage.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic))]

pub mod breaker;
pub mod config;
pub mod exchange;
pub mod filter;
pub mod flight;
pub mod host;
pub mod http;
pub mod redis;
pub mod store;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod time;

/// What Envoy calls when it has loaded the module: picks the role of each root context.
#[cfg(target_os = "wasi")]
mod entry {
    use crate::host::Role;
    use crate::host::envoy::{EnvoyHost, Made, NewConnection, Plugin, start};
    use crate::{config, filter};
    use std::rc::Rc;

    proxy_wasm::main! {{
        start(|| Plugin { worker, bridge });
    }}

    fn worker(host: EnvoyHost, text: &[u8]) -> Made<Box<dyn Role>> {
        let plan = Rc::new(config::parse(text).map_err(|errors| errors.to_string())?);
        filter::prepare(&host, &plan);
        Ok(Box::new(filter::Worker::new(host, plan)))
    }

    fn bridge(text: &[u8]) -> Made<NewConnection> {
        let plan = config::parse_bridge(text).map_err(|errors| errors.to_string())?;
        Ok(Box::new(move || filter::bridge::connection(&plan)))
    }
}
