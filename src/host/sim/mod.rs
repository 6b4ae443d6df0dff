//! A whole fleet in one thread: does the plugin keep its promises whatever order the world chooses?
//!
//! A [`World`] is some Envoys with some workers each, one Redis, one upstream and any number of clients, on a virtual
//! clock. It drives every worker's [`Role`](super::Role) through the same door as Envoy does, and follows Envoy's
//! measured rules, the unpleasant ones included: requests of a dead VM hang, shared values race, replies are put off
//! to the end of the callback. All chance comes from one seed, so that a run that went wrong can be had again.
//!
//! Workers are threads in Envoy. Here a callback may be suspended at any access to shared data or queues while another
//! worker of the same Envoy runs a whole callback of its own ([`Config::interleave`]): that is how compare-and-swap
//! comes to fail. A VM can die between callbacks, or in the middle of one at a chosen call ([`World::trap`]).
//!
//! What Envoy would punish with a stall, a crash or silence is recorded as a fault ([`World::faults`]); what happened
//! is told in order ([`World::happenings`]), for a test to judge after each [`World::step`].
//!
//! A callout goes to Redis, or comes back as a request to the worker that made it, through an internal listener.
//!
//! Not modelled: two generations of one configuration in a VM, trailers, upgrades, back-pressure, other callouts.

mod client;
mod course;
mod door;
mod ending;
mod happening;
mod lines;
mod process;
mod redis;
mod rng;
mod state;
#[cfg(test)]
mod tests;
mod upstream;
mod vm;
mod world;

pub use client::{Client, ClientId, ClientRequest, End};
pub use door::SimHost;
pub use happening::{Calls, Happening, Place, Stop};
pub use lines::Lines;
pub use process::Footprint;
pub use redis::{LONGEST_LAG, Mishap, Mood, Refusal, Side};
pub use rng::Rng;
pub use upstream::{Answer, Asked, Outcome, Script};
pub use world::World;

use std::time::Duration;

/// The size of a world and the manners of its parts. Chances are in thousandths.
#[derive(Clone, Debug)]
pub struct Config {
    /// Envoys.
    pub envoys: usize,
    /// Worker threads of each. The main thread's VM, which ticks but sees no request, comes on top: its worker
    /// index is this number, and it is made first.
    pub workers: usize,
    /// From one tick of a worker to the next.
    pub tick: Duration,
    /// Envoy's `stream_idle_timeout`: how long a paused request lives if nobody lets it go.
    pub stream_idle_timeout: Duration,
    /// For how long after its VM's death a worker answers 503 before the next request makes a new VM.
    pub reload_backoff: Duration,
    /// How long a restarting Envoy is away.
    pub restart: Duration,
    /// From a message's sending to its delivery, at most.
    pub queue_delay: Duration,
    /// How likely each access to shared data or queues lets another worker run first.
    pub interleave: u32,
    /// How much the wall clocks of the Envoys differ at most.
    pub wall_skew: Duration,
    /// The cluster whose callouts reach Redis; calls to any other are refused.
    pub redis_cluster: String,
    /// The cluster whose callouts come back to the same worker; fetches from any other are refused.
    pub refresh_cluster: String,
    /// How Redis behaves at first.
    pub redis: Mood,
    /// A text that precedes a decimal number in upstream bodies: where it is written to shared data, to a queue or to
    /// Redis, [`Happening::Kept`] tells so. Empty: nothing is looked for.
    pub marker: Vec<u8>,
    /// Whether every callback is told with its host calls ([`Happening::Called`]).
    pub tell_calls: bool,
    /// Whether [`World::trace`] is kept.
    pub trace: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            envoys: 1,
            workers: 2,
            tick: crate::host::TICK,
            stream_idle_timeout: Duration::from_secs(60),
            reload_backoff: Duration::ZERO,
            restart: Duration::from_millis(100),
            queue_delay: Duration::from_millis(2),
            interleave: 100,
            wall_skew: Duration::ZERO,
            redis_cluster: "breakwater_l2".to_owned(),
            refresh_cluster: "breakwater_loop".to_owned(),
            redis: Mood::default(),
            marker: Vec::new(),
            tell_calls: false,
            trace: false,
        }
    }
}

/// Most replies and resumptions in one callback: each runs on the stack of the one before, and the VM's stack ends.
pub const MAX_ACTIONS: u32 = 32;
