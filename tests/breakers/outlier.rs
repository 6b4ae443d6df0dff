//! When does Envoy's outlier detection take a host out, and what does a caller notice of it?
//!
//! Hosts are watched, each alone. Five 5xx in a row (a refused connection and a timeout are such) take a host out at
//! once. Every 10 s, hosts whose time is over come back, and where at least five hosts had at least 100 requests each
//! since the last sweep, those whose success rate lies below the mean minus 1.9 standard deviations are taken out. The
//! time is 30 s times a count that each ejection raises and each sweep lowers that finds the host back for 10 s or more;
//! at most 300 s. A host that is back gets its whole share of the traffic: there is no half-open.
//!
//! Two limits decide what that does to a circuit. At most 10 % of the hosts may be out, the next one counted, so that
//! **in a cluster of fewer than ten hosts none ever is** (`always_eject_one_host`, off, would
//! allow one). And where less than half of the hosts is left, the balancer panics and sends to all of them. So there are
//! two sets of options here: `SHIPPED`, and `ALL`, with which every host may be out and nobody panics (both limits moved
//! to the other end), so that the cluster answers 503 by itself. Failure percentage and gateway failures are counted as
//! shipped, but not enforced, so they are not here.
//!
//! From envoyproxy/envoy, `source/common/upstream/outlier_detection_impl.cc` at 00c7146d, the outlier detection and
//! panic threshold pages of its documentation, and its pull requests 27909 (the limit is one) and 34796 (the option). Asked on
//! Envoy 1.40 with one host that refuses connections: as shipped nine of nine requests went there, two ejections were
//! counted as overflow and none was made; with both limits moved five of nine went there, and four got 503.

use crate::peer::Peer;

const CONSECUTIVE: u32 = 5;
const INTERVAL_MS: u64 = 10_000;
const BASE_MS: u64 = 30_000;
const MAX_MS: u64 = 300_000;
const RATE_HOSTS: usize = 5;
const RATE_VOLUME: u32 = 100;
const RATE_DEVIATIONS: f64 = 1.9;

/// The two limits, in percent of the hosts.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many may be out.
    pub max_ejection: usize,
    /// With fewer than so many left, all are used.
    pub panic_below: usize,
}

/// As shipped.
pub const SHIPPED: Limits = Limits { max_ejection: 10, panic_below: 50 };

/// All may be out, and then none is asked.
pub const ALL: Limits = Limits { max_ejection: 100, panic_below: 0 };

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    consecutive: u32,
    /// Requests, and those that succeeded, since the last sweep.
    current: (u32, u32),
    /// The same of the interval before.
    last: (u32, u32),
    ejected_at: Option<u64>,
    back_since: Option<u64>,
    backoff: u64,
}

/// A cluster of so many hosts, asked in turn.
#[derive(Debug)]
pub struct Outlier<const HOSTS: usize> {
    limits: Limits,
    hosts: [Host; HOSTS],
    out: usize,
    turn: usize,
    sweep_at: u64,
    opened: u64,
}

impl<const HOSTS: usize> Outlier<HOSTS> {
    pub fn new(limits: Limits) -> Self {
        let hosts = [Host::default(); HOSTS];
        Self { limits, hosts, out: 0, turn: 0, sweep_at: INTERVAL_MS, opened: 0 }
    }

    fn panics(&self) -> bool {
        (HOSTS - self.out) * 100 < self.limits.panic_below * HOSTS
    }

    fn eject(&mut self, host: usize, now_ms: u64) {
        if (self.out + 1) * 100 > self.limits.max_ejection * HOSTS {
            return;
        }
        self.out += 1;
        self.opened += 1;
        let host = &mut self.hosts[host];
        host.ejected_at = Some(now_ms);
        if host.backoff * BASE_MS < MAX_MS + BASE_MS {
            host.backoff += 1;
        }
    }

    fn eject_by_rate(&mut self, now_ms: u64) {
        let rate = |host: &Host| {
            let (total, good) = host.last;
            (host.ejected_at.is_none() && total >= RATE_VOLUME)
                .then(|| f64::from(good) * 100.0 / f64::from(total))
        };
        let rates = self.hosts.map(|host| rate(&host));
        let count = rates.iter().flatten().count();
        if count < RATE_HOSTS {
            return;
        }
        let mean = rates.iter().flatten().sum::<f64>() / count as f64;
        let variance = rates.iter().flatten().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count as f64;
        let least = mean - RATE_DEVIATIONS * variance.sqrt();
        for (host, rate) in rates.into_iter().enumerate() {
            if rate.is_some_and(|rate| rate < least) {
                self.eject(host, now_ms);
            }
        }
    }
}

impl<const HOSTS: usize> Peer for Outlier<HOSTS> {
    type Ticket = usize;

    fn admit(&mut self, _now_ms: u64) -> Option<usize> {
        let anyone = self.panics();
        for _ in 0..HOSTS {
            let host = self.turn;
            self.turn = (self.turn + 1) % HOSTS;
            if anyone || self.hosts[host].ejected_at.is_none() {
                return Some(host);
            }
        }
        None
    }

    fn ended(&mut self, ticket: usize, ok: bool, _took_ms: u64, now_ms: u64) {
        let host = &mut self.hosts[ticket];
        host.current.0 += 1;
        host.current.1 += u32::from(ok);
        if ok {
            host.consecutive = 0;
            return;
        }
        host.consecutive += 1;
        // Of a host that is out the count runs on, past the limit, until it is back.
        if host.consecutive == CONSECUTIVE && host.ejected_at.is_none() {
            host.consecutive = 0;
            self.eject(ticket, now_ms);
        }
    }

    fn due(&self) -> u64 {
        self.sweep_at
    }

    fn tick(&mut self, now_ms: u64) {
        for host in &mut self.hosts {
            let stay = (BASE_MS * host.backoff).min(MAX_MS);
            if host.ejected_at.is_some_and(|at| now_ms - at >= stay) {
                host.ejected_at = None;
                host.back_since = Some(now_ms);
                host.consecutive = 0;
                self.out -= 1;
            }
            host.last = std::mem::take(&mut host.current);
        }
        self.eject_by_rate(now_ms);
        for host in self.hosts.iter_mut().filter(|host| host.ejected_at.is_none()) {
            if host.back_since.is_some_and(|at| now_ms - at >= INTERVAL_MS) {
                host.backoff = host.backoff.saturating_sub(1);
            }
        }
        self.sweep_at += INTERVAL_MS;
    }

    fn opened(&self) -> u64 {
        self.opened
    }

    fn is_open(&self, _now_ms: u64) -> bool {
        self.out == HOSTS && !self.panics()
    }

    /// With one host there is no choice; who stands behind it is not its business.
    fn host(&self, ticket: &usize) -> Option<usize> {
        (HOSTS > 1).then_some(*ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers<const HOSTS: usize>(peer: &mut Outlier<HOSTS>, host: usize, good: u32, bad: u32, now_ms: u64) {
        for n in 0..good + bad {
            peer.ended(host, n < good, 1, now_ms);
        }
    }

    /// Sweeps until `now_ms`, that moment included.
    fn sweep<const HOSTS: usize>(peer: &mut Outlier<HOSTS>, now_ms: u64) {
        while peer.due() <= now_ms {
            peer.tick(peer.due());
        }
    }

    #[test]
    fn as_shipped_no_host_of_fewer_than_ten_is_ever_out() {
        fn out<const HOSTS: usize>() -> usize {
            let mut peer = Outlier::<HOSTS>::new(SHIPPED);
            for host in 0..HOSTS {
                answers(&mut peer, host, 0, 1_000, 1);
            }
            peer.out
        }
        assert_eq!(
            [out::<1>(), out::<5>(), out::<9>(), out::<10>(), out::<19>(), out::<20>()],
            [0, 0, 0, 1, 1, 2]
        );
    }

    #[test]
    fn five_failures_in_a_row_take_a_host_out_at_once() {
        let mut peer = Outlier::<1>::new(ALL);
        answers(&mut peer, 0, 1, 4, 1);
        answers(&mut peer, 0, 1, 4, 1);
        assert!(!peer.is_open(1));
        answers(&mut peer, 0, 0, 1, 2);
        assert!(peer.is_open(2));
        assert_eq!(peer.admit(2), None);
    }

    #[test]
    fn with_less_than_half_left_the_balancer_sends_to_all() {
        let mut peer = Outlier::<4>::new(Limits { max_ejection: 100, ..SHIPPED });
        let mut asked = |host| {
            answers(&mut peer, host, 0, 5, 1);
            let mut asked: Vec<_> = (0..4).filter_map(|_| peer.admit(1)).collect();
            asked.sort_unstable();
            asked
        };
        assert_eq!(asked(0), [1, 1, 2, 3], "its turn falls to the next");
        assert_eq!(asked(1).iter().filter(|host| **host < 2).count(), 0, "half is left");
        assert_eq!(asked(2), [0, 1, 2, 3]);
        assert_eq!(asked(3), [0, 1, 2, 3]);
    }

    #[test]
    fn a_host_comes_back_at_the_sweep_after_its_time_which_grows_with_each_ejection() {
        let mut peer = Outlier::<1>::new(ALL);
        let mut back = Vec::new();
        let mut now_ms = 1;
        for _ in 0..12 {
            answers(&mut peer, 0, 0, 5, now_ms);
            let from = now_ms;
            while peer.is_open(now_ms) {
                now_ms = peer.due();
                peer.tick(now_ms);
            }
            back.push((now_ms - from).div_ceil(1_000));
        }
        assert_eq!(back, [40, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
    }

    #[test]
    fn the_count_falls_with_each_sweep_that_finds_it_back_for_ten_seconds() {
        let mut peer = Outlier::<1>::new(ALL);
        for (now_ms, back_ms) in [(0, 30_000), (30_000, 90_000), (90_000, 180_000)] {
            answers(&mut peer, 0, 0, 5, now_ms);
            sweep(&mut peer, back_ms - 1);
            assert!(peer.is_open(back_ms - 1));
            sweep(&mut peer, back_ms);
            assert!(!peer.is_open(back_ms));
        }
        for (now_ms, count) in [(180_000, 3), (190_000, 2), (200_000, 1), (210_000, 0), (220_000, 0)] {
            sweep(&mut peer, now_ms);
            assert_eq!(peer.hosts[0].backoff, count, "at {now_ms}");
        }
    }

    #[test]
    fn the_host_below_the_mean_by_so_many_deviations_is_out_at_the_sweep() {
        // Rates of 50, 100, 100, 100 and 100 %: mean 90, deviation 20, so the least is 52.
        let mut peer = Outlier::<5>::new(ALL);
        for host in 0..5 {
            let good = if host == 0 { 50 } else { 100 };
            // The failures first, so that none is the fifth in a row.
            for _ in 0..100 - good {
                answers(&mut peer, host, 0, 1, 1);
                answers(&mut peer, host, 1, 0, 1);
            }
            answers(&mut peer, host, 2 * good - 100, 0, 1);
        }
        assert_eq!(peer.out, 0);
        sweep(&mut peer, 10_000);
        assert_eq!((peer.out, peer.hosts[0].ejected_at), (1, Some(10_000)));
    }

    #[test]
    fn without_five_hosts_of_a_hundred_requests_no_rate_is_compared() {
        for (hosts, requests, out) in [(5, 100, 1), (5, 98, 0), (4, 100, 0)] {
            let mut peer = Outlier::<5>::new(ALL);
            for host in 0..hosts {
                for _ in 0..requests / 2 {
                    answers(&mut peer, host, 1, 0, 1);
                    answers(&mut peer, host, u32::from(host != 0), u32::from(host == 0), 1);
                }
            }
            sweep(&mut peer, 10_000);
            assert_eq!(peer.out, out, "{hosts} hosts, {requests} requests");
        }
    }
}
