//! When is an upstream left alone, and when is it asked again?
//!
//! A circuit per rule and upstream cluster, in the three states everybody knows:
//!
//! ```text
//!            failures in a row, or share of failures in the window
//!   ┌────────┐ ─────────────────────────────────────────────► ┌──────┐
//!   │ closed │                                                │ open │ ◄─┐
//!   └────────┘ ◄──────────────┐              open time is over└──────┘   │ a probe failed:
//!                             │             ┌───────────┐ ◄──────┘       │ twice the open time
//!      `half_open_probes`     └──────────── │ half-open │ ───────────────┘
//!      successes in a row                   └───────────┘
//! ```
//!
//! [`Breaker`] is a pure event machine: a request asks [`Breaker::admit`], and what became of it is told with
//! [`Breaker::record`]. Each admission carries a [`Permit`]; one given before the last transition is late, and its
//! result says nothing about the circuit as it now is. What counts as a failure is decided once, in [`is_failure`].
//!
//! **Many workers, one circuit.** Every worker has a `Breaker` of its own and decides on what it sees alone:
//! thresholds are per worker, and no host is asked per request. Only transitions are shared: on its tick a worker
//! reads one small record ([`Shared`]), merges it, and writes its own back by compare-and-swap if that one is newer
//! ([`Breaker::publish`]). The first worker to trip so opens all within one tick. Half-open is never written down:
//! it is an open circuit whose time is over, which each worker sees on the common clock, and each lets probes by on
//! its own. In one Envoy therefore at most workers × `half_open_probes` probes are under way at once (those that were
//! presumed lost after [`PROBE_TIMEOUT`] not counted).
//!
//! What this does not do: choose between hosts of a cluster (Envoy's outlier detection does), or limit concurrency
//! (Envoy's circuit_breakers and adaptive_concurrency do).

mod backoff;
mod circuit;
mod outcome;
mod probes;
mod shared;
mod transition;
mod window;

#[cfg(test)]
mod tests;

pub use circuit::{Admission, Breaker, Counters, Permit};
pub use outcome::{Outcome, is_failure};
pub use probes::PROBE_TIMEOUT;
pub use shared::Shared;
pub use transition::{State, Transition, TripReason};
pub use window::{Counts, Window};
