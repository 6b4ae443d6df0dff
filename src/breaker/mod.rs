//! When is an upstream left alone, and how is it asked again?
//!
//! A circuit per rule and upstream cluster, in the three states everybody knows:
//!
//! ```text
//!            failures in a row, their share in the window, slow calls,
//!            or something that is outside of what is usual here
//!   ┌────────┐ ─────────────────────────────────────────────► ┌──────┐
//!   │ closed │                                                │ open │ ◄─┐
//!   └────────┘ ◄──────────────┐              open time is over└──────┘   │ a probe failed, or a relapse:
//!                             │             ┌───────────┐ ◄──────┘       │ twice the open time
//!      the last rung held     └──────────── │ half-open │ ───────────────┘
//!                                           └───────────┘
//!                 single probes, one at a time; then 1, 5, 20 and 50 % of the requests
//! ```
//!
//! With `mode: gradual` it never opens, but sheds as large a share of the requests as the upstream fails (`throttle`).
//!
//! [`Breaker`] is a pure event machine: a request asks [`Breaker::admit`], and what became of it is told with
//! [`Breaker::record`]. Each admission carries a [`Permit`]; one given before the last transition is late, and its
//! result says nothing about the circuit as it now is. What counts as a failure is decided once, in [`Outcome`].
//!
//! **Signals** (`window`, `pending`, `baseline`): failures; latency, from letting a request go to its response's head;
//! and calls that are still under way, so that an upstream which hangs is seen before any call ends.
//!
//! **Many workers, one circuit** (`record`, `tally`, `shared`). No host is asked per request. Each worker decides on
//! what it has seen and on what all had seen at the last tick, and tells the rest on its tick through one small value in
//! shared data; a transition is told at once. Half-open is never written down: it is an open circuit whose time is over,
//! which each worker sees on the common clock; of its probes only one goes at a time over all workers, for whoever sends
//! it takes the turn by compare-and-swap.
//!
//! What this does not do: choose between hosts of a cluster (Envoy's outlier detection does), or limit concurrency
//! (Envoy's circuit_breakers and adaptive_concurrency do).

mod admission;
mod backoff;
mod baseline;
mod chance;
mod circuit;
mod outcome;
mod peers;
mod pending;
mod ramp;
mod record;
mod shared;
mod tally;
mod throttle;
mod transition;
mod trip;
mod view;
mod window;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Call, PROBE_TIMEOUT, Permit, Refusal, SOON, Why};
pub use circuit::{Breaker, Counters};
pub use outcome::Outcome;
pub use peers::Proposal;
pub use shared::Shared;
pub use transition::{Cause, State, Transition};
pub use window::Counts;
