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
pub mod host;
pub mod http;
pub mod redis;
pub mod time;
