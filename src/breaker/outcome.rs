//! What does an answer say about the upstream's health?
//!
//! The breaker, stale-if-error and the metrics must agree on it, so it is said here and nowhere else. Which statuses are
//! failures is the rule's `failure_statuses`; that there was no answer at all (no connection, a reset, a timeout) is one
//! in any case.

use crate::http::StatusSet;
use std::time::Duration;

/// What became of an admitted request, as far as the upstream's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered as a working one does; a refusal of this one request (4xx) is such an answer.
    Success,
    /// It answered with a failure, or not at all.
    Failure {
        /// How long it asked to be left alone (`Retry-After`); zero if it did not.
        again_after: Duration,
    },
    /// Nothing was learnt: the client went away first, or the answer was not the upstream's.
    Abandoned,
}

impl Outcome {
    /// No answer.
    pub const NONE: Self = Self::Failure { again_after: Duration::ZERO };

    /// What an answer with this status says, where these are failures.
    pub fn of_status(status: u16, failures: &StatusSet, again_after: Duration) -> Self {
        if failures.is_failure(status) { Self::Failure { again_after } } else { Self::Success }
    }

    /// Whether it is a failure.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failure { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_statuses_decide() {
        let limited = StatusSet::FAILURES.with(429);
        let again_after = Duration::from_secs(7);
        let told = |status, failures| Outcome::of_status(status, failures, again_after);
        assert_eq!(told(429, &limited), Outcome::Failure { again_after });
        assert_eq!(told(429, &StatusSet::FAILURES), Outcome::Success);
        assert_eq!(told(503, &StatusSet::EMPTY), Outcome::Success);
        assert!(Outcome::NONE.is_failure() && !Outcome::Abandoned.is_failure());
    }
}
