//! What happened to a circuit, and why, in the words that operators meet.

use std::time::Duration;

/// What a circuit is at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// All requests pass.
    Closed,
    /// None passes.
    Open,
    /// Single probes pass, or a share of the requests.
    HalfOpen,
    /// `mode: gradual`: a share of the requests is shed.
    Shedding,
}

/// Why a circuit made a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    // ## To open.
    /// As many failures in a row as `consecutive_failures`, and not few among the calls of the window.
    ConsecutiveFailures,
    /// A share of failures in the window of `failure_rate` or more, of at least `min_requests`.
    FailureRate,
    /// The same, because calls took too long.
    SlowCalls,
    /// The failure rate left what is usual.
    FailureOutlier,
    /// The latency left what is usual.
    LatencyOutlier,
    /// A probe failed.
    ProbeFailed,
    /// Calls failed while the share of those that pass was raised.
    Relapse,

    // ## To half-open, further, and closed.
    /// The time to stay open is over, and a probe goes.
    TimeOver,
    /// As many probes as `half_open_probes` went well: a small share of the requests passes.
    ProbesSucceeded,
    /// The share that passed went well: a larger one passes.
    ShareHeld,
    /// The largest share went well.
    Recovered,

    // ## Of the gradual mode.
    /// The failures in the window are again below `failure_rate`.
    RateFell,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state after; the same one if the share of those that pass was raised.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// Whether another worker made it. Who counts transitions of the process counts those that are not.
    pub by_peer: bool,
    /// The transition's number over all workers.
    pub era: u64,
    /// How long no request will pass; zero if it does not open.
    pub open_for: Duration,
    /// Percent of the requests that pass from now on, in the half-open state; zero: single probes.
    pub share: u32,
}

impl Transition {
    /// Whether it is one that only the gradual mode makes.
    pub fn is_of_gradual_mode(&self) -> bool {
        [self.from, self.to].contains(&State::Shedding)
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Shedding];

    /// The word for it in metrics, tags and the status document.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Shedding => "shedding",
        }
    }
}

impl Cause {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 12] = [
        Self::ConsecutiveFailures,
        Self::FailureRate,
        Self::SlowCalls,
        Self::FailureOutlier,
        Self::LatencyOutlier,
        Self::ProbeFailed,
        Self::Relapse,
        Self::TimeOver,
        Self::ProbesSucceeded,
        Self::ShareHeld,
        Self::Recovered,
        Self::RateFell,
    ];

    /// The word for it in metrics and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive-failures",
            Self::FailureRate => "failure-rate",
            Self::SlowCalls => "slow-calls",
            Self::FailureOutlier => "failure-outlier",
            Self::LatencyOutlier => "latency-outlier",
            Self::ProbeFailed => "probe-failed",
            Self::Relapse => "relapse",
            Self::TimeOver => "time-over",
            Self::ProbesSucceeded => "probes-succeeded",
            Self::ShareHeld => "share-held",
            Self::Recovered => "recovered",
            Self::RateFell => "rate-fell",
        }
    }

    /// Whether the circuit opened because something left what is usual.
    pub(super) fn is_outlier(self) -> bool {
        matches!(self, Self::FailureOutlier | Self::LatencyOutlier)
    }
}
