//! The plugin in a real Envoy, with a real Redis and a scripted upstream.
//!
//! Each test starts its own parts on ports of its own; see `tests/support`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::print_stderr, clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod bodies;
mod caching;
mod cascade;
mod circuits;
mod configuration;
mod detached;
mod documents;
mod fleet;
mod flights;
mod hostile;
mod leavers;
mod limits;
mod lives;
mod operators;
mod orchestration;
mod outage;
mod outliers;
mod parts;
mod passing;
mod probes;
mod ranges;
mod redis_failures;
mod redis_garbage;
mod refetches;
mod refreshes;
mod rule_effects;
mod searches;
mod stances;
mod tiers;
mod upstream_failures;
mod validation;
mod variants;
mod waves;
mod writes;
