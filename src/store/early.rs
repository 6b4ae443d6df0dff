//! Whether a response is fetched anew a little before its lifetime ends, so that nobody meets it stale.
//!
//! XFetch (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention, 2015). Each request draws
//! by itself: the nearer the end and the longer a fetch takes, the likelier. No lock and no record are needed, and on
//! the average one request refreshes, a fetch's time times `beta` ahead.

use super::entry::Entry;
use crate::time::{Wall, millis};

/// Whether `now - took * beta * ln(random)` lies behind the end of the lifetime; `random` is any 64 bits.
pub fn is_due(entry: &Entry<'_>, beta: f64, random: u64, now: Wall) -> bool {
    if beta <= 0.0 {
        return false;
    }
    // Above 0 and at most 1, in steps of 2^-53.
    let share = ((random >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
    let left = millis(entry.meta.fresh_until.since(now)) as f64;
    let took = millis(entry.meta.took).max(1) as f64;
    -took * beta * share.ln() >= left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::Meta;
    use crate::testing::cases;
    use proptest::prelude::*;
    use std::time::Duration;

    fn entry(took: u64) -> Entry<'static> {
        let meta = Meta {
            status: 200,
            received_at: Wall(0),
            initial_age: Duration::ZERO,
            fresh_until: Wall(10_000),
            stale_until: Wall(10_000),
            refresh_until: Wall(10_000),
            authorized: false,
            never_stale: false,
            etag_generated: false,
            took: Duration::from_millis(took),
        };
        Entry { meta, key: b"", selecting: b"", tags: b"", fields: b"", body: b"" }
    }

    /// The share of draws that refresh, in percent.
    fn percent(took: u64, beta: f64, now: u64) -> u64 {
        let entry = entry(took);
        (0..10_000_u64).filter(|n| is_due(&entry, beta, n * (u64::MAX / 10_000), Wall(now))).count() as u64
            / 100
    }

    #[test]
    fn a_refresh_is_likelier_the_nearer_the_end_and_the_longer_a_fetch_takes() {
        // exp(-left / (took * beta))
        assert_eq!(percent(100, 1.0, 9_900), 36);
        assert_eq!(percent(100, 2.0, 9_900), 60);
        assert_eq!(percent(200, 1.0, 9_900), 60);
        assert_eq!(percent(100, 1.0, 9_500), 0);
        assert_eq!(percent(100, 1.0, 10_000), 100);
    }

    #[test]
    fn without_beta_nothing_is_refreshed_early() {
        assert_eq!(percent(1_000, 0.0, 9_999), 0);
    }

    #[test]
    fn every_draw_and_time_is_taken() {
        for random in [0, 1, u64::MAX] {
            for now in [0, 10_000, u64::MAX] {
                is_due(&entry(u64::MAX), 10.0, random, Wall(now));
            }
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        /// What is due stays so later, for a slower fetch, with more eagerness and with a luckier draw.
        #[test]
        fn nothing_that_is_due_ceases_to_be(took in (any::<u32>(), any::<u32>()), beta in (0.0..10.0, 0.0..10.0), random in (any::<u64>(), any::<u64>()), now in (0_u64..10_100, 0_u64..10_100)) {
            let (beta, took): ((f64, f64), (u32, u32)) = (beta, took);
            let less = is_due(&entry(u64::from(took.0.min(took.1))), beta.0.min(beta.1), random.0.max(random.1), Wall(now.0.min(now.1)));
            let more = is_due(&entry(u64::from(took.0.max(took.1))), beta.0.max(beta.1), random.0.min(random.1), Wall(now.0.max(now.1)));
            prop_assert!(more || !less);
            prop_assert!(now.0 < 10_000 || beta.0 == 0.0 || is_due(&entry(u64::from(took.0)), beta.0, random.0, Wall(now.0)), "what is stale is due");
        }
    }
}
