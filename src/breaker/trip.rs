//! Does a closed circuit open? And does a recovering one fall back?
//!
//! Asked after each failure, never after a success: even if it is the call that makes the rate count.

use super::chance::surprise;
use super::transition::Cause;
use super::window::Counts;
use crate::config::plan;

/// What there is to judge by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Evidence {
    /// Failures in a row.
    pub(super) streak: u32,
    /// The window.
    pub(super) counts: Counts,
    /// The usual share of failures.
    pub(super) usual: f64,
    /// Whether the last failure was a call that took too long.
    pub(super) slow: bool,
    /// Whether another Envoy of the fleet has left this upstream alone: then half of it is enough.
    pub(super) hinted: bool,
}

/// Why a closed circuit opens, if it does.
///
/// Five failures in a row are an outage where they are all that was asked for; of a thousand requests a second they are
/// a hiccup, and at that rate they come by chance too. So a row counts if it makes up a fiftieth of the window's calls.
pub(super) fn trip(policy: &plan::Breaker, evidence: Evidence) -> Option<Cause> {
    let Evidence { streak, counts, slow, hinted, .. } = evidence;
    let half = |limit: u32| if hinted { limit.div_ceil(2) } else { limit };
    let in_a_row = streak >= half(policy.consecutive_failures)
        && u64::from(streak).saturating_mul(ROW_OF) >= counts.calls;
    if in_a_row {
        return Some(if slow { Cause::SlowCalls } else { Cause::ConsecutiveFailures });
    }
    let rate = if hinted { policy.failure_rate / 2.0 } else { policy.failure_rate };
    let enough = counts.calls >= u64::from(half(policy.min_requests));
    let failing = |share: Option<f64>| share.is_some_and(|share| share >= rate);
    if !enough || !failing(counts.failure_rate()) {
        return None;
    }
    let fails = failing(counts.failure_rate_but_for_slow());
    Some(if fails { Cause::FailureRate } else { Cause::SlowCalls })
}

/// Whether a circuit that lets a share of the requests pass opens again: as the first calls of a rung fail, unless that
/// is as likely as not for an upstream of this kind.
pub(super) fn relapses(policy: &plan::Breaker, evidence: Evidence) -> bool {
    let Evidence { streak, counts, usual, .. } = evidence;
    // Exact: counts stay far below 2^53.
    let (failures, calls) = (counts.failures as f64, counts.calls as f64);
    let failing = counts.failure_rate().is_some_and(|rate| rate >= policy.failure_rate);
    streak >= policy.consecutive_failures
        || counts.failures >= 2 && failing && surprise(failures, calls, usual) >= UNLIKELY
}

/// A row is a fiftieth of the window's calls at least.
const ROW_OF: u64 = 50;
/// In standard deviations; two of two, three of eight.
const UNLIKELY: f64 = 3.5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::POLICY;

    const NONE: Evidence = Evidence {
        streak: 0,
        counts: Counts { calls: 0, failures: 0, slow: 0 },
        usual: 0.02,
        slow: false,
        hinted: false,
    };

    fn counts(calls: u64, failures: u64, slow: u64) -> Counts {
        Counts { calls, failures, slow }
    }

    #[test]
    fn a_row_opens_if_it_is_not_lost_among_the_calls_of_the_window() {
        let row = |streak, calls| trip(&POLICY, Evidence { streak, counts: counts(calls, 5, 0), ..NONE });
        assert_eq!(row(5, 5), Some(Cause::ConsecutiveFailures));
        assert_eq!(row(4, 4), None);
        assert_eq!(row(5, 250), Some(Cause::ConsecutiveFailures));
        assert_eq!(row(5, 251), None);
        assert_eq!(row(200, 10_000), Some(Cause::ConsecutiveFailures));
    }

    #[test]
    fn the_rate_opens_from_min_requests_on_and_says_whether_calls_failed_or_were_slow() {
        let rate = |counts| trip(&POLICY, Evidence { counts, ..NONE });
        let (most, quarter) = (u64::from(POLICY.min_requests), u64::from(POLICY.min_requests) / 4);
        assert_eq!(rate(counts(most, quarter, 0)), Some(Cause::FailureRate));
        assert_eq!(rate(counts(most - 1, most - 1, 0)), None);
        assert_eq!(rate(counts(most, quarter - 1, 0)), None);
        assert_eq!(rate(counts(most, quarter, quarter)), Some(Cause::SlowCalls));
        assert_eq!(rate(counts(most, quarter + 1, 1)), Some(Cause::FailureRate));
    }

    #[test]
    fn a_row_of_slow_calls_is_named_so() {
        let evidence = Evidence { streak: 5, counts: counts(5, 5, 5), slow: true, ..NONE };
        assert_eq!(trip(&POLICY, evidence), Some(Cause::SlowCalls));
    }

    #[test]
    fn a_hint_halves_what_is_needed_and_opens_nothing_by_itself() {
        assert_eq!(trip(&POLICY, Evidence { hinted: true, ..NONE }), None);
        let hinted = |streak, counts| trip(&POLICY, Evidence { streak, counts, hinted: true, ..NONE });
        assert_eq!(hinted(2, counts(2, 2, 0)), None);
        assert_eq!(hinted(3, counts(3, 3, 0)), Some(Cause::ConsecutiveFailures));
        assert_eq!(hinted(0, counts(20, 3, 0)), Some(Cause::FailureRate));
    }

    #[test]
    fn a_relapse_is_told_from_the_usual_failures() {
        let falls = |calls, failures, usual| {
            relapses(&POLICY, Evidence { counts: counts(calls, failures, 0), usual, ..NONE })
        };
        assert!(falls(2, 2, 0.02) && falls(8, 3, 0.02));
        assert!(!falls(1, 1, 0.02), "one failure is none");
        assert!(!falls(8, 2, 0.02) && !falls(1_000, 80, 0.02));
        assert!(!falls(8, 3, 0.3), "this one always fails so");
        assert!(relapses(&POLICY, Evidence { streak: 5, counts: counts(1_000, 5, 0), ..NONE }));
    }
}
