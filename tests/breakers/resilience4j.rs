//! When does resilience4j open, with the defaults it ships?
//!
//! It remembers the last 100 calls, and once there are 100 opens when 50 % or more of them failed or when all of them
//! were slow, which is longer than 60 s. More than 60 s later, always, ten calls may go; when ten have ended, they are
//! judged by the same shares: open for 60 s more, or closed with nothing remembered. A call's result counts in the
//! state it ends in, whenever it began; one that ends in an open circuit changes nothing. It has no time limit for a
//! call, nor for half-open.
//!
//! From resilience4j/resilience4j at af9e7c97: `CircuitBreakerConfig` (defaults), `CircuitBreakerMetrics` (fewest calls:
//! those of the window if that is smaller), `CircuitBreakerStateMachine` (states).

use crate::peer::Peer;

const WINDOW: usize = 100;
const PERMITTED: usize = 10;
const FAILURE_PERCENT: usize = 50;
const SLOW_MS: u64 = 60_000;
const SLOW_PERCENT: usize = 100;
const OPEN_MS: u64 = 60_000;

/// The last calls, up to as many as there is room for.
#[derive(Debug)]
struct Ring {
    size: usize,
    calls: [(bool, bool); WINDOW],
    count: usize,
    at: usize,
    failed: usize,
    slow: usize,
}

impl Ring {
    fn new(size: usize) -> Self {
        Self { size, calls: [(false, false); WINDOW], count: 0, at: 0, failed: 0, slow: 0 }
    }

    /// Whether a share is exceeded now; `None` before there are enough calls.
    fn record(&mut self, failed: bool, slow: bool) -> Option<bool> {
        let (old_failed, old_slow) = std::mem::replace(&mut self.calls[self.at], (failed, slow));
        self.at = if self.at + 1 == self.size { 0 } else { self.at + 1 };
        self.count = (self.count + 1).min(self.size);
        self.failed = self.failed + usize::from(failed) - usize::from(old_failed);
        self.slow = self.slow + usize::from(slow) - usize::from(old_slow);
        let exceeds = |part: usize, percent: usize| part * 100 >= percent * self.count;
        (self.count == self.size)
            .then(|| exceeds(self.failed, FAILURE_PERCENT) || exceeds(self.slow, SLOW_PERCENT))
    }
}

#[derive(Debug)]
enum State {
    Closed(Ring),
    Open { until: u64 },
    HalfOpen { ring: Ring, permits: usize },
}

/// One instance.
#[derive(Debug)]
pub struct Resilience4j {
    state: State,
    opened: u64,
}

impl Resilience4j {
    pub fn new() -> Self {
        Self { state: State::Closed(Ring::new(WINDOW)), opened: 0 }
    }
}

impl Peer for Resilience4j {
    type Ticket = ();

    fn admit(&mut self, now_ms: u64) -> Option<()> {
        if let State::Open { until } = self.state
            && now_ms > until
        {
            self.state = State::HalfOpen { ring: Ring::new(PERMITTED), permits: PERMITTED };
        }
        match &mut self.state {
            State::Closed(_) => Some(()),
            State::Open { .. } => None,
            State::HalfOpen { permits, .. } => {
                *permits = permits.checked_sub(1)?;
                Some(())
            }
        }
    }

    fn ended(&mut self, (): (), ok: bool, took_ms: u64, now_ms: u64) {
        let slow = took_ms > SLOW_MS;
        let exceeded = match &mut self.state {
            State::Closed(ring) | State::HalfOpen { ring, .. } => ring.record(!ok, slow),
            State::Open { .. } => None,
        };
        match (exceeded, &self.state) {
            (Some(true), _) => {
                self.state = State::Open { until: now_ms + OPEN_MS };
                self.opened += 1;
            }
            (Some(false), State::HalfOpen { .. }) => self.state = State::Closed(Ring::new(WINDOW)),
            _ => {}
        }
    }

    fn opened(&self) -> u64 {
        self.opened
    }

    fn is_open(&self, _now_ms: u64) -> bool {
        !matches!(self.state, State::Closed(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(peer: &mut Resilience4j, count: usize, ok: bool, took_ms: u64, now_ms: u64) {
        for _ in 0..count {
            peer.admit(now_ms).expect("let by");
            peer.ended((), ok, took_ms, now_ms);
        }
    }

    fn open() -> Resilience4j {
        let mut peer = Resilience4j::new();
        calls(&mut peer, 100, false, 1, 0);
        assert!(peer.is_open(0));
        peer
    }

    #[test]
    fn it_opens_at_half_of_a_hundred_calls_and_not_below() {
        for (good, bad, opens) in [(50, 50, true), (51, 49, false), (0, 99, false), (0, 100, true)] {
            let mut peer = Resilience4j::new();
            calls(&mut peer, good, true, 1, 0);
            calls(&mut peer, bad, false, 1, 0);
            assert_eq!(peer.is_open(0), opens, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn only_the_last_hundred_count() {
        let mut peer = Resilience4j::new();
        calls(&mut peer, 10_000, true, 1, 0);
        calls(&mut peer, 49, false, 1, 0);
        assert!(!peer.is_open(0));
        calls(&mut peer, 1, false, 1, 0);
        assert!(peer.is_open(0));
    }

    #[test]
    fn it_opens_when_all_of_a_hundred_calls_were_slow() {
        for (took_ms, opens) in [(60_000, false), (60_001, true)] {
            let mut peer = Resilience4j::new();
            calls(&mut peer, 100, true, took_ms, 0);
            assert_eq!(peer.is_open(0), opens, "{took_ms} ms");
        }
    }

    #[test]
    fn ten_calls_go_after_more_than_sixty_seconds() {
        let mut peer = open();
        assert_eq!(peer.admit(60_000), None);
        for n in 0..10 {
            assert_eq!(peer.admit(60_001), Some(()), "call {n}");
        }
        assert_eq!(peer.admit(900_000), None, "ten, however long they take");
    }

    #[test]
    fn half_of_the_ten_decide_and_the_open_time_never_grows() {
        for (good, bad, opens) in [(5, 5, true), (6, 4, false)] {
            let mut peer = open();
            calls(&mut peer, good, true, 1, 60_001);
            calls(&mut peer, bad, false, 1, 60_001);
            assert_eq!(peer.is_open(60_001), opens, "{good} good, {bad} bad");
            if opens {
                assert_eq!(peer.admit(120_001), None);
                assert_eq!(peer.admit(120_002), Some(()));
            }
        }
    }

    #[test]
    fn a_late_result_counts_in_half_open_and_is_nothing_in_open() {
        let mut peer = open();
        peer.ended((), true, 1, 59_000);
        peer.admit(60_001).expect("half-open");
        for _ in 0..10 {
            peer.ended((), true, 59_000, 60_002);
        }
        assert!(!peer.is_open(60_002));
    }
}
