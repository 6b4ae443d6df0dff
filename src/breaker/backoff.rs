//! How long does a circuit stay open this time?
//!
//! `open_for`, doubled with each failed probe, up to `max_open_for`; spread by a tenth either way, so that the Envoys
//! of a fleet that opened together do not probe together.

use crate::config::plan;
use crate::time::millis;
use std::time::Duration;

/// The stay at `step` doublings, before it is spread.
pub(super) fn nominal(policy: &plan::Breaker, step: u32) -> Duration {
    let factor = 1u32.checked_shl(step).unwrap_or(u32::MAX);
    policy.open_for.saturating_mul(factor).min(policy.max_open_for)
}

/// The stay at `step` doublings, spread by `random`: within a tenth of the nominal one, in whole milliseconds, at
/// least one, and never above `max_open_for` (unless that is below one).
pub(super) fn spread(policy: &plan::Breaker, step: u32, random: u64) -> Duration {
    let nominal = millis(nominal(policy, step));
    let tenth = nominal / 10;
    let offset = random.checked_rem(tenth.saturating_mul(2).saturating_add(1)).unwrap_or(0);
    let stay = nominal.saturating_sub(tenth).saturating_add(offset);
    // What lies above the cap is mirrored below it: cut off there, half of a fleet would meet at the cap.
    let above = stay.saturating_sub(millis(policy.max_open_for));
    Duration::from_millis(stay.saturating_sub(above.saturating_mul(2)).max(1))
}

/// How long a circuit must have stayed closed before its step is forgotten: as long as it would next stay open, but
/// at least a window, within which the failures that opened it would be seen again.
///
/// Sooner it has not shown more than that probes pass; an upstream that falls over again under its full load is
/// then left alone for as long as the last time, not for `open_for`. Only failed probes raise the step.
pub(super) fn healthy_period(policy: &plan::Breaker, step: u32) -> Duration {
    nominal(policy, step).max(policy.window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::tests::POLICY;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn the_stay_doubles_with_each_step_up_to_the_cap() {
        let seconds: Vec<u64> = (0..9).map(|step| nominal(&POLICY, step).as_secs()).collect();
        assert_eq!(seconds, [5, 10, 20, 40, 80, 160, 300, 300, 300]);
        assert_eq!(nominal(&POLICY, u32::MAX), POLICY.max_open_for);
    }

    #[test]
    fn the_stay_is_spread_by_a_tenth_either_way() {
        assert_eq!(spread(&POLICY, 0, 0), Duration::from_millis(4_500));
        assert_eq!(spread(&POLICY, 0, 500), Duration::from_millis(5_000));
        assert_eq!(spread(&POLICY, 0, 1_000), Duration::from_millis(5_500));
        assert_eq!(spread(&POLICY, 0, 1_001), Duration::from_millis(4_500), "one more begins anew");
    }

    #[test]
    fn at_the_cap_the_stay_is_spread_below_it() {
        assert_eq!(spread(&POLICY, 99, 30_000), Duration::from_secs(300));
        assert_eq!(spread(&POLICY, 99, 60_000), Duration::from_secs(270));
        assert_eq!(spread(&POLICY, 99, 0), Duration::from_secs(270));
    }

    #[test]
    fn a_step_is_forgotten_after_a_window_or_the_next_stay_whichever_is_longer() {
        assert_eq!(healthy_period(&POLICY, 0), Duration::from_secs(10));
        assert_eq!(healthy_period(&POLICY, 1), Duration::from_secs(10));
        assert_eq!(healthy_period(&POLICY, 2), Duration::from_secs(20));
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_stay_is_within_its_bounds(open in any::<u64>(), cap in any::<u64>(), step in 0u32..70, random: u64) {
            let policy = plan::Breaker {
                open_for: Duration::from_millis(open), max_open_for: Duration::from_millis(cap), ..POLICY
            };
            let nominal = millis(nominal(&policy, step));
            let stay = millis(spread(&policy, step, random));
            prop_assert!(stay >= 1 && stay <= cap.max(1));
            prop_assert!(stay >= nominal - nominal / 10 && stay <= nominal.saturating_add(nominal / 10).max(1));
        }
    }
}
