//! One load with one breaker under many seeds, and what they have in common.

use crate::load::Load;
use crate::peer::Peer;
use crate::race::{Tally, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How many seeds a load is run with: as the environment asks, or as many as make about so many calls.
pub fn seeds(load: &Load, calls: u64) -> u64 {
    let asked = std::env::var("BREAKWATER_SEEDS").ok();
    asked.map_or_else(
        || (calls / load.requests().max(1)).clamp(1, 1_000),
        |text| text.parse().expect("BREAKWATER_SEEDS"),
    )
}

/// What came of each seed, in their order.
pub fn race<P: Peer>(load: &Load, seeds: u64, make: impl Fn(u64) -> P + Sync) -> Vec<Tally> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return mine;
            }
            mine.push((seed, run(load, make(seed), seed)));
        }
    };
    let mut all = thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a run")).collect::<Vec<_>>()
    });
    all.sort_unstable_by_key(|(seed, _)| *seed);
    all.into_iter().map(|(_, tally)| tally).collect()
}

/// Panics with the first seed of which this is not so, if it is not so of more than `allowed` of all.
pub fn assert_holds(load: &Load, tallies: &[Tally], allowed: f64, holds: impl Fn(&Tally) -> bool) {
    if let Some(broken) = breach(load, tallies, allowed, holds) {
        panic!("{broken}");
    }
}

fn breach(load: &Load, tallies: &[Tally], allowed: f64, holds: impl Fn(&Tally) -> bool) -> Option<String> {
    let broken: Vec<_> = tallies.iter().enumerate().filter(|(_, tally)| !holds(tally)).collect();
    let (seed, tally) = broken.first()?;
    let (name, count, all) = (load.name, broken.len(), tallies.len());
    (count as f64 > allowed * all as f64)
        .then(|| format!("{name}: broken in {count} of {all} seeds, first in {seed}: {tally:?}"))
}

/// The median of what there is a value of.
pub fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hystrix::Hystrix;
    use crate::load;

    #[test]
    fn the_seeds_come_out_in_order_whoever_ran_them() {
        let [load, ..] = load::low();
        let tallies = race(&load, 20, |_| Hystrix::new());
        let alone: Vec<_> = (0..20).map(|seed| run(&load, Hystrix::new(), seed)).collect();
        assert_eq!(tallies, alone);
    }

    #[test]
    fn a_share_of_the_seeds_may_fail_and_no_more() {
        let [load, ..] = load::low();
        let tallies: Vec<_> = (0..100).map(|sent| Tally { sent, ..Tally::default() }).collect();
        assert_eq!(breach(&load, &tallies, 0.01, |tally| tally.sent != 7), None);
        let said = breach(&load, &tallies, 0.01, |tally| tally.sent != 7 && tally.sent != 9);
        let expected = "0.2/s, refuses for 5 min: broken in 2 of 100 seeds, first in 7: Tally { sent: 7,";
        assert!(said.as_ref().is_some_and(|said| said.starts_with(expected)), "{said:?}");
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median([5, 1, 9].into_iter()), Some(5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
