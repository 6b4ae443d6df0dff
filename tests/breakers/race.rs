//! One load with one breaker under one seed: what came of it?
//!
//! Three sources of events (arrivals, ends of calls, what the breaker does with time), taken in the order of time. Under
//! one seed all breakers see the same arrivals; what the upstream does depends on what it is asked.

use crate::chance::Chance;
use crate::load::{HOSTS, Load};
use crate::peer::Peer;
use crate::upstream::{Upstream, Verdict};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What came of a run. Well is before the trouble, and all the time where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that went to the upstream.
    pub sent: u64,
    /// Requests that did not.
    pub refused: u64,
    /// Of these, while it was well.
    pub refused_well: u64,
    /// Openings while it was well.
    pub false_opens: u64,
    /// From the beginning of the trouble to the first opening within it.
    pub detected_ms: Option<u64>,
    /// Requests sent during the trouble.
    pub sent_in_trouble: u64,
    /// Of these, after it was seen.
    pub sent_after: u64,
    /// Of these, within five seconds.
    pub sent_in_5_s: u64,
    /// From the end of the trouble until no request is refused any more; `None` if that is never within the run.
    pub full_ms: Option<u64>,
    /// Openings after the end of the trouble.
    pub reopened: u64,
    /// Requests that failed because more came than a fragile upstream bears.
    pub overloaded: u64,
}

struct End<T> {
    at_us: u64,
    number: u64,
    sent_us: u64,
    verdict: Verdict,
    ticket: T,
}

/// Runs it.
pub fn run<P: Peer>(load: &Load, mut peer: P, seed: u64) -> Tally {
    let mut arrivals = Chance::new(seed);
    let mut upstream = Upstream::new(load, seed);
    let mut ends = BinaryHeap::with_capacity(64);
    let mut book = Book::new(load);
    let (mean_us, length_us, timeout_us) =
        (1_000_000.0 / load.rate, load.length_ms * 1_000, P::TIMEOUT_MS * 1_000);
    let mut number = 0;
    let mut arrival = arrivals.gap(mean_us);
    loop {
        let arrival_us = arrival as u64;
        let end_us = ends.peek().map_or(u64::MAX, |Reverse(end): &Reverse<End<P::Ticket>>| end.at_us);
        let tick_us = peer.due().saturating_mul(1_000);
        let now_us = arrival_us.min(end_us).min(tick_us);
        if now_us >= length_us {
            break;
        }
        let now_ms = now_us / 1_000;
        if tick_us == now_us {
            peer.tick(now_ms);
        } else if end_us == now_us {
            let Some(Reverse(End { sent_us, verdict, ticket, .. })) = ends.pop() else { break };
            let good = upstream.is_good(verdict);
            book.tally.overloaded += u64::from(!good && matches!(verdict, Verdict::With(_)));
            peer.ended(ticket, good, (now_us - sent_us) / 1_000, now_ms);
        } else {
            let ticket = peer.admit(now_ms);
            book.asked(now_ms, ticket.is_some());
            if let Some(ticket) = ticket {
                let host = peer.host(&ticket).unwrap_or((number % HOSTS as u64) as usize);
                let (took_us, verdict) = upstream.take(now_us, host, timeout_us);
                ends.push(Reverse(End { at_us: now_us + took_us, number, sent_us: now_us, verdict, ticket }));
                number += 1;
            }
            arrival += arrivals.gap(mean_us);
        }
        book.note(now_ms, peer.opened());
    }
    book.close(peer.is_open(load.length_ms))
}

/// Keeps the tally.
struct Book {
    tally: Tally,
    from_ms: u64,
    until_ms: u64,
    opened: u64,
    detected_at: Option<u64>,
    last_refusal: u64,
}

impl Book {
    fn new(load: &Load) -> Self {
        let (from_ms, until_ms) =
            load.trouble.map_or((u64::MAX, u64::MAX), |trouble| (trouble.from_ms, trouble.until_ms));
        Self { tally: Tally::default(), from_ms, until_ms, opened: 0, detected_at: None, last_refusal: 0 }
    }

    fn asked(&mut self, now_ms: u64, sent: bool) {
        let tally = &mut self.tally;
        if !sent {
            tally.refused += 1;
            tally.refused_well += u64::from(now_ms < self.from_ms);
            self.last_refusal = now_ms;
            return;
        }
        tally.sent += 1;
        if (self.from_ms..self.until_ms).contains(&now_ms) {
            tally.sent_in_trouble += 1;
            if let Some(at) = self.detected_at {
                tally.sent_after += 1;
                tally.sent_in_5_s += u64::from(now_ms < at + 5_000);
            }
        }
    }

    fn note(&mut self, now_ms: u64, opened: u64) {
        let more = opened - self.opened;
        if more == 0 {
            return;
        }
        self.opened = opened;
        if now_ms < self.from_ms {
            self.tally.false_opens += more;
        } else if now_ms >= self.until_ms {
            self.tally.reopened += more;
        } else if self.detected_at.is_none() {
            self.detected_at = Some(now_ms);
            self.tally.detected_ms = Some(now_ms - self.from_ms);
        }
    }

    fn close(mut self, is_open: bool) -> Tally {
        if !is_open {
            self.tally.full_ms = Some(self.last_refusal.saturating_sub(self.until_ms));
        }
        self.tally
    }
}

impl<T> Ord for End<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

impl<T> PartialOrd for End<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for End<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for End<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hystrix::Hystrix;
    use crate::load::{self, Load};
    use crate::outlier::{ALL, Outlier, SHIPPED};
    use crate::resilience4j::Resilience4j;

    /// One that opens at the first failure and stays so for `stay_ms`.
    struct Plain {
        stay_ms: u64,
        until_ms: u64,
        opened: u64,
    }

    impl Peer for Plain {
        type Ticket = ();

        fn admit(&mut self, now_ms: u64) -> Option<()> {
            (!self.is_open(now_ms)).then_some(())
        }

        fn ended(&mut self, (): (), ok: bool, _took_ms: u64, now_ms: u64) {
            if !ok && !self.is_open(now_ms) {
                self.until_ms = now_ms + self.stay_ms;
                self.opened += 1;
            }
        }

        fn opened(&self) -> u64 {
            self.opened
        }

        fn is_open(&self, now_ms: u64) -> bool {
            now_ms < self.until_ms
        }
    }

    fn plain(stay_ms: u64) -> Plain {
        Plain { stay_ms, until_ms: 0, opened: 0 }
    }

    #[test]
    fn one_seed_is_one_run() {
        let [load, ..] = load::shifts();
        let first = run(&load, Hystrix::new(), 1);
        assert_eq!(run(&load, Hystrix::new(), 1), first);
        assert_ne!(run(&load, Hystrix::new(), 2), first);
    }

    #[test]
    fn what_opens_never_has_all_sent_and_nothing_seen() {
        let [load, ..] = load::outages();
        let tally = run(&load, Outlier::<1>::new(SHIPPED), 1);
        let near = |count: u64, expected: u64| count.abs_diff(expected) < expected / 50;
        assert!(near(tally.sent, load.requests()) && near(tally.sent_in_trouble, 60_000), "{tally:?}");
        assert_eq!((tally.refused, tally.detected_ms, tally.full_ms), (0, None, Some(0)));
    }

    #[test]
    fn an_outage_is_told_from_what_came_before_and_after() {
        let [load, ..] = load::outages();
        let tally = run(&load, plain(7_000), 1);
        let Tally { detected_ms, sent_in_trouble, sent_after, sent_in_5_s, full_ms, .. } = tally;
        assert!(detected_ms.is_some_and(|ms| ms < 20), "{tally:?}");
        assert!((8..200).contains(&sent_in_trouble) && sent_after < sent_in_trouble, "{tally:?}");
        assert_eq!((sent_in_5_s, tally.false_opens, tally.refused_well, tally.reopened), (0, 0, 0, 0));
        assert!(full_ms.is_some_and(|ms| (1_000..7_000).contains(&ms)), "{tally:?}");
    }

    #[test]
    fn what_opens_while_all_is_well_is_false() {
        let [load, ..] = load::usual();
        let tally = run(&load, plain(1_000), 1);
        assert!(tally.false_opens > 50 && tally.refused_well == tally.refused, "{tally:?}");
        assert_eq!((tally.detected_ms, tally.sent_in_trouble, tally.reopened), (None, 0, 0));
    }

    #[test]
    fn what_is_open_at_the_end_has_no_full_traffic() {
        let [load, ..] = load::outages();
        assert_eq!(run(&load, plain(u64::MAX / 2), 1).full_ms, None);
    }

    #[test]
    fn who_comes_back_with_all_its_load_topples_a_fragile_upstream() {
        let [_, load] = load::fragile();
        let tally = run(&load, plain(7_000), 1);
        assert!(tally.overloaded > 20 && tally.reopened > 0, "{tally:?}");
    }

    #[test]
    fn the_models_see_an_outage_as_their_numbers_say() {
        let [load, ..] = load::outages();
        let hystrix = run(&load, Hystrix::new(), 1);
        assert!(hystrix.detected_ms.is_some_and(|ms| (4_500..6_000).contains(&ms)), "{hystrix:?}");
        let resilience4j = run(&load, Resilience4j::new(), 1);
        assert!(resilience4j.detected_ms.is_some_and(|ms| (30..100).contains(&ms)), "{resilience4j:?}");
        let envoy = run(&load, Outlier::<1>::new(ALL), 1);
        assert!(envoy.detected_ms.is_some_and(|ms| ms < 60), "{envoy:?}");
    }

    #[test]
    fn one_dead_host_of_five_is_for_outlier_detection() {
        let [.., load] = load::partial();
        let envoy = run(&load, Outlier::<5>::new(ALL), 1);
        assert!(envoy.detected_ms.is_some_and(|ms| ms < 100), "{envoy:?}");
        assert_eq!(envoy.refused, 0, "the others take over");
        assert_eq!(run(&load, Hystrix::new(), 1).detected_ms, None);
    }

    #[test]
    fn a_hanging_upstream_is_seen_when_calls_are_given_up() {
        let [_, load, _] = load::outages();
        let Load { trouble: Some(_), .. } = load else { panic!("no trouble") };
        let envoy = run(&load, Outlier::<1>::new(ALL), 1);
        assert!(envoy.detected_ms.is_some_and(|ms| (15_000..15_100).contains(&ms)), "{envoy:?}");
        assert!(envoy.sent_in_trouble > 14_000, "{envoy:?}");
    }
}
