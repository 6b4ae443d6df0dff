//! How do workers come to one mind about a circuit?
//!
//! They share one small value: the last transition ([`Record`]) and what all have seen since ([`Tally`]), together, so
//! that no calls are counted into another era than they belong to. Each worker reads it on its tick, takes over what is
//! newer, adds what it has seen, and writes it back by compare-and-swap; who loses the race does so again.

use super::baseline::{Baseline, Lap, Laps};
use super::record::{MAX_ERA, Record, Stage, Turn, code};
use super::tally::Tally;
use super::transition::Cause;
use super::window::{BUCKETS, Bucket, Window};
use crate::time::Mono;

/// What all workers know of a circuit.
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    pub(super) record: Record,
    pub(super) tally: Tally,
}

impl Shared {
    /// Length of the encoded value in bytes.
    pub const LEN: usize = 355;

    /// How many transitions the circuit has made, over all workers.
    pub fn era(&self) -> u64 {
        self.record.era
    }

    /// The bytes: version, then all fields in a fixed order, numbers big-endian. A changed layout takes another version,
    /// and is no value to those who know this one.
    pub fn encode(&self) -> Vec<u8> {
        let Self { record, tally } = self;
        let mut bytes = Vec::with_capacity(Self::LEN);
        let (stage, rungs) = match record.stage {
            Stage::Closed => (0, 0),
            Stage::HalfOpen(rungs) => (1, rungs),
            Stage::Open => (2, 0),
        };
        let flags = u8::from(record.outlier) | u8::from(tally.shedding) << 1;
        bytes.extend([VERSION, stage, rungs, code(record.cause), flags]);
        let Turn { count, successes, at } = record.turn;
        for number in [record.step, count, successes, tally.streak] {
            bytes.extend(number.to_be_bytes());
        }
        for number in [record.era, record.until.0, at.0, tally.era, tally.window.width] {
            bytes.extend(number.to_be_bytes());
        }
        for bucket in &tally.window.buckets {
            bytes.extend(bucket.tick.to_be_bytes());
            for number in [bucket.calls, bucket.failures, bucket.slow] {
                bytes.extend(number.to_be_bytes());
            }
        }
        let Laps { since, lap, failing, slow, usual } = &tally.laps;
        bytes.extend([*failing, *slow]);
        bytes.extend(since.0.to_be_bytes());
        for number in [lap.calls, lap.failures, lap.timed, usual.laps, usual.timed_laps] {
            bytes.extend(number.to_be_bytes());
        }
        let Baseline { calls, failures, scatter, level, between, within, .. } = usual;
        for number in [&lap.logs, &lap.squares, calls, failures, scatter, level, between, within] {
            bytes.extend(number.to_bits().to_be_bytes());
        }
        bytes
    }

    /// The value, if these are the bytes of one of this version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let [version, stage, rungs, cause, flags] = from.take()?;
        let stage = match (stage, rungs) {
            (0, 0) => Stage::Closed,
            (1, 1..) => Stage::HalfOpen(rungs),
            (2, 0) => Stage::Open,
            _ => return None,
        };
        let cause = *Cause::ALL.get(usize::from(cause))?;
        let [step, count, successes, streak] = from.words()?;
        let [era, until, at, tally_era, width] = from.longs()?;
        if version != VERSION || flags > 3 || era > MAX_ERA || tally_era > MAX_ERA || width == 0 {
            return None;
        }
        let turn = Turn { count, successes, at: Mono(at) };
        let (outlier, shedding) = (flags & 1 == 1, flags & 2 == 2);
        let record = Record { era, stage, cause, until: Mono(until), step, outlier, turn };
        let mut buckets = [Bucket::default(); BUCKETS];
        for bucket in &mut buckets {
            let [tick] = from.longs()?;
            let [calls, failures, slow] = from.words()?;
            *bucket = Bucket { tick, calls, failures, slow };
        }
        let [failing, slow] = from.take()?;
        let [since] = from.longs()?;
        let [calls, failures, timed, laps, timed_laps] = from.words()?;
        let sums = from.longs::<8>()?.map(f64::from_bits);
        // What is no measured quantity would spoil all that is learnt from it.
        if !from.0.is_empty() || !sums.iter().all(|sum| sum.is_finite() && *sum >= 0.0) {
            return None;
        }
        let [logs, squares, usual_calls, usual_failures, scatter, level, between, within] = sums;
        let usual = Baseline {
            laps,
            timed_laps,
            calls: usual_calls,
            failures: usual_failures,
            scatter,
            level,
            between,
            within,
        };
        let lap = Lap { calls, failures, timed, logs, squares };
        let laps = Laps { since: Mono(since), lap, failing, slow, usual };
        let window = Window { width, buckets };
        Some(Self { record, tally: Tally { era: tally_era, window, streak, shedding, laps } })
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn words<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut words = [0; N];
        for word in &mut words {
            *word = u32::from_be_bytes(self.take()?);
        }
        Some(words)
    }

    fn longs<const N: usize>(&mut self) -> Option<[u64; N]> {
        let mut longs = [0; N];
        for long in &mut longs {
            *long = u64::from_be_bytes(self.take()?);
        }
        Some(longs)
    }
}

const VERSION: u8 = 2;

#[cfg(test)]
mod tests;
