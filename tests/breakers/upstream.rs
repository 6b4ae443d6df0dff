//! What becomes of a request that was let go?
//!
//! Decided when it is sent, from the load, the time and chance alone; but for a fragile upstream, which lets all
//! requests of a slice of time stand or fall together, and so answers none of them before the slice is over.

use crate::chance::Chance;
use crate::load::{BEARABLE, FRAGILE_MS, Fragile, Health, Load, SIGMA, SLICE_MS};

const REFUSED_US: u64 = 1_000;
const SLICES: usize = (FRAGILE_MS / SLICE_MS) as usize;

/// The upstream of one run.
#[derive(Debug)]
pub struct Upstream<'load> {
    load: &'load Load,
    chance: Chance,
    /// Since when it is fragile.
    fragile_since_us: Option<u64>,
    slices: [u32; SLICES],
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Bad,
    /// As the other requests of this slice.
    With(usize),
}

impl<'load> Upstream<'load> {
    pub fn new(load: &'load Load, seed: u64) -> Self {
        let since = match (load.fragile, load.trouble) {
            (Some(Fragile::FromStart), Some(trouble)) => Some(trouble.until_ms * 1_000),
            _ => None,
        };
        Self { load, chance: Chance::new(!seed), fragile_since_us: since, slices: [0; SLICES] }
    }

    /// Takes a request that is given up after `timeout_us`: how long it takes, and how it ends.
    pub fn take(&mut self, now_us: u64, host: usize, timeout_us: u64) -> (u64, Verdict) {
        let (took_us, verdict) = match self.load.health(now_us / 1_000, host) {
            Health::Refuses => (REFUSED_US, Verdict::Bad),
            Health::Hangs => (timeout_us, Verdict::Bad),
            Health::Answers { failures, median_ms } => {
                let took = self.chance.lognormal(median_ms * 1_000.0, SIGMA) as u64;
                let verdict = if self.chance.happens(failures) { Verdict::Bad } else { Verdict::Good };
                (took, verdict)
            }
        };
        let (took_us, verdict) = match self.slice(now_us) {
            Some((slice, rest_us)) => (took_us.max(rest_us), Verdict::With(slice)),
            None => (took_us, verdict),
        };
        if took_us < timeout_us { (took_us, verdict) } else { (timeout_us, Verdict::Bad) }
    }

    /// Whether a request that ends now ends well.
    pub fn is_good(&self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Good => true,
            Verdict::Bad => false,
            Verdict::With(slice) => {
                let full = self.load.rate * SLICE_MS as f64 / 1_000.0;
                f64::from(self.slices[slice]) <= full * BEARABLE
            }
        }
    }

    /// In which slice of its fragile time a request that comes now falls, and how long that still goes on.
    fn slice(&mut self, now_us: u64) -> Option<(usize, u64)> {
        let well_since = self.load.trouble?.until_ms * 1_000;
        if self.load.fragile == Some(Fragile::FromFirstRequest) && now_us >= well_since {
            self.fragile_since_us.get_or_insert(now_us);
        }
        let age_us = now_us.checked_sub(self.fragile_since_us?)?;
        let slice = (age_us / (SLICE_MS * 1_000)) as usize;
        *self.slices.get_mut(slice)? += 1;
        Some((slice, (slice as u64 + 1) * SLICE_MS * 1_000 - age_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    const SECOND_US: u64 = 1_000_000;
    const TIMEOUT_US: u64 = 15 * SECOND_US;

    #[test]
    fn a_dead_upstream_refuses_at_once_and_a_hanging_one_never_answers() {
        let [refuses, hangs, _] = load::outages();
        assert_eq!(Upstream::new(&refuses, 1).take(60 * SECOND_US, 0, TIMEOUT_US), (1_000, Verdict::Bad));
        assert_eq!(Upstream::new(&hangs, 1).take(60 * SECOND_US, 0, TIMEOUT_US), (TIMEOUT_US, Verdict::Bad));
    }

    #[test]
    fn an_answer_after_the_limit_is_a_failure_at_the_limit() {
        let [load, ..] = load::usual();
        for _ in 0..100 {
            assert_eq!(Upstream::new(&load, 1).take(0, 0, 10), (10, Verdict::Bad));
        }
    }

    #[test]
    fn a_fragile_upstream_fails_all_of_a_slice_that_holds_more_than_a_fifth() {
        let [from_start, _] = load::fragile();
        let mut upstream = Upstream::new(&from_start, 1);
        let start = 64 * SECOND_US;
        let mut sent = |slice: u64, count: u64| -> Vec<Verdict> {
            (0..count).map(|n| upstream.take(start + slice * 100_000 + n, 0, TIMEOUT_US).1).collect()
        };
        let (borne, too_many, after) = (sent(0, 20), sent(1, 21), sent(30, 100));
        assert!(borne.into_iter().all(|verdict| upstream.is_good(verdict)));
        assert!(!too_many.into_iter().any(|verdict| upstream.is_good(verdict)));
        assert_eq!(after, [Verdict::Good; 100], "three seconds are over");
    }

    #[test]
    fn what_warms_up_by_requests_is_fragile_from_the_first_one_on() {
        let [_, from_first] = load::fragile();
        let mut upstream = Upstream::new(&from_first, 1);
        for (at_us, verdict) in [
            (50 * SECOND_US, Verdict::Good),
            (62 * SECOND_US, Verdict::Bad),
            (90 * SECOND_US, Verdict::With(0)),
            (93 * SECOND_US - 1, Verdict::With(29)),
            (93 * SECOND_US, Verdict::Good),
        ] {
            assert_eq!(upstream.take(at_us, 0, TIMEOUT_US).1, verdict, "at {at_us}");
        }
    }
}
