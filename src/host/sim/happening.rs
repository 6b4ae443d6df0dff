//! What happened in the world, told in order.

use super::client::ClientId;
use super::upstream::Asked;
use crate::host::StreamId;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A client's request arrived at its worker.
    Began(ClientId),
    /// A request was let through to the upstream.
    Asked(Asked),
    /// The head of the upstream's answer is about to be shown to the plugin.
    Heading {
        /// Which upstream request.
        serial: u64,
    },
    /// An upstream request is over.
    Stopped {
        /// Which one.
        serial: u64,
        /// How it ended.
        stop: Stop,
    },
    /// A client received the head of its response.
    Headed(ClientId),
    /// A client's request is over.
    Ended(ClientId),
    /// A worker's VM died; its requests are lost.
    Trapped {
        /// On which Envoy.
        envoy: usize,
        /// Which worker.
        worker: usize,
    },
    /// A worker got a VM: at the start, or after a death.
    Started {
        /// On which Envoy.
        envoy: usize,
        /// Which worker.
        worker: usize,
    },
    /// An Envoy went away, with all it held.
    Restarted {
        /// Which one.
        envoy: usize,
    },
    /// The plugin wrote a body that bears the marker.
    Kept {
        /// By whom.
        envoy: usize,
        /// Where to.
        place: Place,
        /// The number behind the marker.
        serial: u64,
    },
    /// A worker wrote a line that an operator should see.
    Logged {
        /// On which Envoy.
        envoy: usize,
        /// What it says.
        line: String,
    },
    /// A callback has returned ([`Config::tell_calls`](super::Config::tell_calls)).
    Called {
        /// On which Envoy.
        envoy: usize,
        /// Which worker.
        worker: usize,
        /// Which callback.
        callback: &'static str,
        /// Whose, unless it was the root's.
        stream: Option<StreamId>,
        /// Its host calls.
        calls: Calls,
    },
}

/// How an upstream request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// With a complete answer.
    Complete,
    /// In the middle of the body.
    Cut,
    /// Without an answer: reset, timeout, or a filter behind the plugin replied instead.
    Failed,
    /// Given up on this side: the client left, the VM died, the plugin replaced the answer, or Envoy went away.
    Abandoned,
}

/// Where a body was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Shared data.
    Shared,
    /// A shared queue.
    Queue,
    /// Redis, on its way there.
    Redis,
}

/// How often the host was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All calls, those below included.
    pub all: u32,
    /// Reads of shared data.
    pub gets: u32,
    /// Writes of shared data, refused ones included.
    pub sets: u32,
}

impl Calls {
    pub(super) fn add(&mut self, other: Self) {
        self.all = self.all.saturating_add(other.all);
        self.gets = self.gets.saturating_add(other.gets);
        self.sets = self.sets.saturating_add(other.sets);
    }
}
