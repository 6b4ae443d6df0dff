//! What happened to a circuit, and why, in the words that operators meet.

use std::time::Duration;

/// What a circuit is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// All requests pass.
    Closed,
    /// None passes.
    Open,
    /// A few probes pass.
    HalfOpen,
}

/// Why a circuit opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TripReason {
    /// As many failures in a row as `consecutive_failures`.
    ConsecutiveFailures,
    /// A share of failures in the window of `failure_rate` or more, of at least `min_requests`.
    FailureRate,
    /// A probe failed.
    ProbeFailed,
    /// Another worker opened it.
    Peer,
}

/// A change of state that somebody made; that half-open begins with time alone is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after; another one.
    pub to: State,
    /// Why it opened; `None` if it closed.
    pub reason: Option<TripReason>,
    /// Whether another worker made it. Who counts transitions of the process counts those that are not.
    pub by_peer: bool,
    /// The transition's number over all workers.
    pub era: u64,
    /// How long no request will pass; zero if it closed.
    pub open_for: Duration,
}

impl State {
    /// The word for it in metrics, tags and the status document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

impl TripReason {
    /// The word for it in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive-failures",
            Self::FailureRate => "failure-rate",
            Self::ProbeFailed => "probe-failed",
            Self::Peer => "peer",
        }
    }
}
