//! Whether Redis is worth asking.
//!
//! The first failure takes Redis out of the requests' way; from then on nobody waits for it. The worker itself, on its
//! tick, sends one probe at a time, at growing intervals, and the first answer brings Redis back. Thus an outage
//! costs the requests under way `l2.timeout` once and those that follow nothing.

use crate::time::Mono;
use std::time::Duration;

/// One worker's view of Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Answering.
    Up,
    /// Not answering: asked again by a probe at `probe_at`, which is followed by a pause of `pause`.
    Down {
        /// When to probe next.
        probe_at: Mono,
        /// The pause after a failed probe; doubles.
        pause: Duration,
    },
}

impl Health {
    /// Whether requests may use Redis.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }

    /// A dialogue succeeded. Returns whether this brought Redis back.
    pub fn succeeded(&mut self) -> bool {
        !matches!(std::mem::replace(self, Self::Up), Self::Up)
    }

    /// A dialogue failed. Returns whether this took Redis out. Failures of dialogues begun before do not lengthen
    /// the pause: only probes do, in [`Self::probe`].
    pub fn failed(&mut self, now: Mono) -> bool {
        if !self.is_up() {
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

/// Shorter than a person notices, longer than a Redis failover's blink.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Redis is used again at most this long after it came back.
const LAST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_takes_redis_out_and_the_first_success_brings_it_back() {
        let mut health = Health::Up;
        assert!(health.failed(Mono(0)) && !health.is_up());
        assert!(!health.failed(Mono(1)), "a second failure is no news");
        assert!(health.succeeded() && health.is_up());
        assert!(!health.succeeded());
    }

    #[test]
    fn probes_come_at_growing_intervals_up_to_the_last() {
        let mut health = Health::Up;
        health.failed(Mono(0));
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
        assert!(!Health::Up.probe(Mono(u64::MAX)));
    }
}
