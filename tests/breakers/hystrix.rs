//! When does Hystrix open, with the defaults it ships?
//!
//! Health is counted in slices of 500 ms, and looked at only when a slice is over: with 20 calls or more in the last
//! 10 s, of which 50 % or more failed (the percentage cut to a whole number), the circuit opens. More than 5 s later
//! the one request that comes first may go. In that state whichever call ends next decides, late ones too: a success
//! closes the circuit and begins the counting anew, on a new grid of slices; a failure opens it for another 5 s. There
//! is no back-off. A call that takes longer than 1 s is given up, and is a failure.
//!
//! Left out is the thread pool of ten, which at 1,000 requests/s would refuse most of them from a well upstream; as if
//! it had been sized for the load.
//!
//! From Netflix/Hystrix at 7c03bafe: `HystrixCommandProperties` (defaults), `HystrixCircuitBreaker` (states),
//! `HystrixCommandMetrics.HealthCounts` (what counts), `HealthCountsStream` (a window of 10 s has as many slices as
//! there are snapshot intervals in it, so 20; the ten buckets of a second are those of the published metrics).

use crate::peer::Peer;

const SLICE_MS: u64 = 500;
const SLICES: usize = 20;
const VOLUME: u64 = 20;
const ERROR_PERCENT: u64 = 50;
const SLEEP_MS: u64 = 5_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: u64 },
    HalfOpen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    total: u64,
    failed: u64,
}

/// The circuit of one command.
#[derive(Debug)]
pub struct Hystrix {
    state: State,
    /// The slice being filled.
    current: Slice,
    past: [Slice; SLICES],
    at: usize,
    /// The sums of `past`.
    sum: Slice,
    next_snapshot: u64,
    opened: u64,
}

impl Hystrix {
    pub fn new() -> Self {
        let (current, past, sum) = Default::default();
        Self { state: State::Closed, current, past, at: 0, sum, next_snapshot: SLICE_MS, opened: 0 }
    }

    fn open(&mut self, now_ms: u64) {
        self.state = State::Open { since: now_ms };
        self.opened += 1;
    }
}

impl Peer for Hystrix {
    type Ticket = ();

    const TIMEOUT_MS: u64 = 1_000;

    fn admit(&mut self, now_ms: u64) -> Option<()> {
        match self.state {
            State::Closed => Some(()),
            State::Open { since } if now_ms > since + SLEEP_MS => {
                self.state = State::HalfOpen;
                Some(())
            }
            State::Open { .. } | State::HalfOpen => None,
        }
    }

    fn ended(&mut self, (): (), ok: bool, _took_ms: u64, now_ms: u64) {
        self.current.total += 1;
        self.current.failed += u64::from(!ok);
        if self.state == State::HalfOpen {
            if ok {
                *self = Self { next_snapshot: now_ms + SLICE_MS, opened: self.opened, ..Self::new() };
            } else {
                self.open(now_ms);
            }
        }
    }

    fn due(&self) -> u64 {
        self.next_snapshot
    }

    fn tick(&mut self, now_ms: u64) {
        let full = std::mem::take(&mut self.current);
        let oldest = std::mem::replace(&mut self.past[self.at], full);
        self.at = (self.at + 1) % SLICES;
        self.sum.total += full.total;
        self.sum.total -= oldest.total;
        self.sum.failed += full.failed;
        self.sum.failed -= oldest.failed;
        self.next_snapshot += SLICE_MS;
        let Slice { total, failed } = self.sum;
        if self.state == State::Closed && total >= VOLUME && failed * 100 / total >= ERROR_PERCENT {
            self.open(now_ms);
        }
    }

    fn opened(&self) -> u64 {
        self.opened
    }

    fn is_open(&self, _now_ms: u64) -> bool {
        self.state != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(peer: &mut Hystrix, good: u64, bad: u64, now_ms: u64) {
        for n in 0..good + bad {
            peer.admit(now_ms).expect("closed");
            peer.ended((), n < good, 1, now_ms);
        }
    }

    fn snapshot(peer: &mut Hystrix) -> u64 {
        let now_ms = peer.due();
        peer.tick(now_ms);
        now_ms
    }

    fn open() -> (Hystrix, u64) {
        let mut peer = Hystrix::new();
        calls(&mut peer, 0, 20, 10);
        let now_ms = snapshot(&mut peer);
        assert!(peer.is_open(now_ms));
        (peer, now_ms)
    }

    #[test]
    fn it_opens_at_half_of_twenty_calls_and_not_below() {
        for (good, bad, opens) in [(10, 10, true), (11, 10, false), (0, 19, false), (101, 100, false)] {
            let mut peer = Hystrix::new();
            calls(&mut peer, good, bad, 10);
            let now_ms = snapshot(&mut peer);
            assert_eq!(peer.is_open(now_ms), opens, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn it_looks_when_a_slice_is_over_and_not_sooner() {
        let mut peer = Hystrix::new();
        calls(&mut peer, 0, 1_000, 10);
        assert!(!peer.is_open(499));
        assert_eq!(snapshot(&mut peer), 500);
        assert!(peer.is_open(500));
    }

    #[test]
    fn a_failure_is_forgotten_after_ten_seconds() {
        for (slices, opens) in [(19, true), (20, false)] {
            let mut peer = Hystrix::new();
            calls(&mut peer, 0, 10, 10);
            for _ in 0..slices {
                snapshot(&mut peer);
            }
            let late = peer.due() - 1;
            calls(&mut peer, 0, 10, late);
            let now_ms = snapshot(&mut peer);
            assert_eq!(peer.is_open(now_ms), opens, "{slices} slices later");
        }
    }

    #[test]
    fn one_request_goes_after_more_than_five_seconds() {
        let (mut peer, at) = open();
        assert_eq!(peer.admit(at + 5_000), None);
        assert_eq!(peer.admit(at + 5_001), Some(()));
        assert_eq!(peer.admit(at + 60_000), None, "one, however long it takes");
    }

    #[test]
    fn a_success_closes_it_and_begins_the_counting_anew() {
        let (mut peer, at) = open();
        peer.admit(at + 5_001).expect("the probe");
        peer.ended((), true, 1, at + 5_100);
        assert!(!peer.is_open(at + 5_100));
        assert_eq!(peer.due(), at + 5_600, "the grid begins here");
        calls(&mut peer, 0, 19, at + 5_200);
        snapshot(&mut peer);
        assert!(!peer.is_open(at + 5_600), "what opened it is not counted again");
    }

    #[test]
    fn a_failure_opens_it_for_another_five_seconds() {
        let (mut peer, at) = open();
        for round in 1..5 {
            let probe = at + round * 5_001;
            peer.admit(probe).expect("the probe");
            peer.ended((), false, 0, probe);
            assert_eq!(peer.admit(probe + 5_000), None, "round {round}");
        }
        assert_eq!(peer.opened(), 5);
    }

    #[test]
    fn in_half_open_a_late_call_decides_as_the_probe_does() {
        let mut peer = Hystrix::new();
        calls(&mut peer, 0, 20, 10);
        peer.admit(10).expect("a call that takes long");
        let now_ms = snapshot(&mut peer);
        peer.admit(now_ms + 5_001).expect("the probe");
        peer.ended((), true, 5_500, now_ms + 5_002);
        assert!(!peer.is_open(now_ms + 5_002));
    }
}
