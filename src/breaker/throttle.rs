//! The gradual mode: which share of the requests is shed?
//!
//! Instead of leaving an upstream alone altogether, a circuit may shed as large a share of the requests as the upstream
//! seems unable to serve, as clients do in the adaptive throttling of the SRE book (chapter 21): with n calls in the window
//! of which s went well, max(0, (n - K·s) / (n + 1)). There K is 2; here it is 1 / (1 - `failure_rate`), so that shedding
//! begins where the other mode would open. Only calls that were sent are counted, as Envoy's admission_control does:
//! with the shed ones among them, an upstream that fails a steady share whatever its load would be shed altogether.
//!
//! It needs no probes: what passes is probe enough, so some always passes.

use super::window::Counts;
use crate::config::plan;

/// The share of the requests to be shed, from 0 to [`MOST`].
pub(super) fn shed(policy: &plan::Breaker, counts: Counts) -> f64 {
    if counts.calls < u64::from(policy.min_requests) {
        return 0.0;
    }
    // Exact: counts stay far below 2^53.
    let (calls, failures) = (counts.calls as f64, counts.failures as f64);
    let multiplier = 1.0 / (1.0 - policy.failure_rate).max(1.0 - MOST);
    ((calls - multiplier * (calls - failures)) / (calls + 1.0)).clamp(0.0, MOST)
}

/// Whether the circuit counts as shedding, if it did so before or not. Near the limit it would come and go with each call:
/// it ends well below.
pub(super) fn sheds(policy: &plan::Breaker, counts: Counts, before: bool) -> bool {
    let well_below = || counts.failure_rate().is_none_or(|rate| rate < policy.failure_rate * ENDS_BELOW);
    if before { !well_below() } else { shed(policy, counts) > 0.0 }
}

/// Whether a share of all is met by these random bits.
pub(super) fn falls_under(share: f64, random: u64) -> bool {
    // The upper half is a number below one with 32 digits.
    ((random >> 32) as f64) < share * 4_294_967_296.0
}

/// Of the rate with which shedding begins.
const ENDS_BELOW: f64 = 0.8;
/// The rest is enough to see the upstream recover.
const MOST: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::POLICY;

    fn counts(calls: u64, failures: u64) -> Counts {
        Counts { calls, failures, slow: 0 }
    }

    #[test]
    fn shedding_begins_where_the_other_mode_would_open_and_grows_with_the_failures() {
        let policy = plan::Breaker { failure_rate: 0.5, ..POLICY };
        let share = |failures| (shed(&policy, counts(1_000, failures)) * 100.0).round() as u32;
        assert_eq!([0, 400, 500, 600, 750, 950, 1_000].map(share), [0, 0, 0, 20, 50, 90, 95]);
    }

    #[test]
    fn shedding_ends_well_below_where_it_begins() {
        let policy = plan::Breaker { failure_rate: 0.5, ..POLICY };
        let sheds = |failures, before| sheds(&policy, counts(1_000, failures), before);
        assert!(!sheds(500, false) && sheds(510, false));
        assert!(sheds(500, true) && sheds(400, true) && !sheds(399, true));
        assert!(!super::sheds(&policy, counts(0, 0), true), "nothing is asked for");
    }

    #[test]
    fn few_calls_shed_nothing() {
        let few = u64::from(POLICY.min_requests) - 1;
        assert_eq!(shed(&POLICY, counts(few, few)), 0.0);
        assert!(shed(&POLICY, counts(few + 1, few + 1)) > 0.9);
    }

    #[test]
    fn some_always_passes() {
        for failure_rate in [1e-9, 0.5, 1.0] {
            let policy = plan::Breaker { failure_rate, ..POLICY };
            assert!(shed(&policy, counts(u64::from(u32::MAX), u64::from(u32::MAX))) <= MOST);
        }
    }

    #[test]
    fn a_share_is_met_by_as_many_random_numbers() {
        let hits = |share| (0..=u64::from(u8::MAX)).filter(|n| falls_under(share, n << 56)).count();
        assert_eq!([0.0, 0.25, 0.5, 1.0].map(hits), [0, 64, 128, 256]);
        assert!(falls_under(1.0, u64::MAX) && !falls_under(0.0, 0));
    }
}
