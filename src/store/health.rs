//! Whether Redis is worth asking.
//!
//! A few failures in a row take Redis out of the requests' way; from then on nobody waits for it. One failure is not
//! enough, since a busy worker can read a good answer too late. The worker itself, on its tick, sends one probe at a
//! time, at growing intervals, and the first answer brings Redis back. Thus an outage costs the first few requests
//! `l2.timeout` and those that follow nothing.

use crate::time::Mono;
use std::time::Duration;

/// One worker's view of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Answering, but for the last dialogues.
    Up {
        /// How many dialogues failed in a row.
        failures: u32,
    },
    /// Not answering: asked again by a probe at `probe_at`, which is followed by a pause of `pause`.
    Down {
        /// When to probe next.
        probe_at: Mono,
        /// The pause after a failed probe; doubles.
        pause: Duration,
    },
}

impl Default for Health {
    fn default() -> Self {
        Self::Up { failures: 0 }
    }
}

impl Health {
    /// Whether requests may use Redis.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// A dialogue succeeded. Returns whether this brought Redis back.
    pub fn succeeded(&mut self) -> bool {
        matches!(std::mem::take(self), Self::Down { .. })
    }

    /// A dialogue failed. Returns whether this took Redis out. Failures of dialogues begun before do not lengthen
    /// the pause: only probes do, in [`Self::probe`].
    pub fn failed(&mut self, now: Mono) -> bool {
        let Self::Up { failures } = self else { return false };
        *failures = failures.saturating_add(1);
        if *failures < TOLERATED_FAILURES {
            return false;
        }
        *self = Self::Down { probe_at: now.after(FIRST_PAUSE), pause: FIRST_PAUSE };
        true
    }

    /// Whether a probe is due; if so, the next one is set.
    pub fn probe(&mut self, now: Mono) -> bool {
        match self {
            // ## Down => Down, later
            Self::Down { probe_at, pause } if now >= *probe_at => {
                *pause = pause.saturating_mul(2).min(LAST_PAUSE);
                *probe_at = now.after(*pause);
                true
            }
            _ => false,
        }
    }
}

/// In a row; with them an outage is told from one late answer.
const TOLERATED_FAILURES: u32 = 3;
/// Shorter than a person notices, longer than a Redis failover's blink.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Redis is used again at most this long after it came back.
const LAST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn down_at(now: Mono) -> Health {
        let mut health = Health::default();
        for _ in 0..TOLERATED_FAILURES {
            health.failed(now);
        }
        health
    }

    #[test]
    fn failures_in_a_row_take_redis_out_and_the_first_success_brings_it_back() {
        let mut health = Health::default();
        for _ in 1..TOLERATED_FAILURES {
            assert!(!health.failed(Mono(0)) && health.is_up());
        }
        assert!(health.failed(Mono(0)) && !health.is_up());
        assert!(!health.failed(Mono(1)), "one more failure is no news");
        assert!(health.succeeded() && health.is_up());
        assert!(!health.succeeded());
    }

    #[test]
    fn a_success_between_failures_leaves_redis_in_use() {
        let mut health = Health::default();
        for n in 0..100 {
            health.failed(Mono(n));
            health.failed(Mono(n));
            health.succeeded();
        }
        assert!(health.is_up());
    }

    #[test]
    fn probes_come_at_growing_intervals_up_to_the_last() {
        let mut health = down_at(Mono(0));
        let mut at = Vec::new();
        for ms in 0..20_000 {
            if health.probe(Mono(ms)) {
                at.push(ms);
            }
        }
        assert_eq!(at, [250, 750, 1_750, 3_750, 7_750, 12_750, 17_750]);
    }

    #[test]
    fn a_healthy_redis_is_not_probed() {
        assert!(!Health::default().probe(Mono(u64::MAX)));
    }
}
