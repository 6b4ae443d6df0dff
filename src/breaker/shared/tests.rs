//! What is written is read again, and nothing else is.

use super::super::record::tests::record;
use super::*;
use crate::testing::cases;
use proptest::prelude::*;

fn shared() -> impl Strategy<Value = Shared> {
    let sums = prop::array::uniform8(0.0..1e12f64);
    let words = prop::array::uniform10(any::<u32>());
    (record(), words, sums, any::<[u8; 2]>(), any::<[u64; 3]>(), any::<bool>()).prop_map(
        |(record, words, sums, [failing, slow], [tick, since, width], shedding)| {
            let [streak, a, b, c, calls, failures, timed, laps, timed_laps, place] = words;
            let [logs, squares, usual_calls, usual_failures, scatter, level, between, within] = sums;
            let mut buckets = [Bucket::default(); BUCKETS];
            buckets[place as usize % BUCKETS] = Bucket { tick, calls: a, failures: b, slow: c };
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
            let window = Window { width: width.max(1), buckets };
            let tally = Tally { era: record.era, window, streak, shedding, laps };
            Shared { record, tally }
        },
    )
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn what_is_written_is_read_again(shared in shared()) {
        let bytes = shared.encode();
        prop_assert_eq!(bytes.len(), Shared::LEN);
        prop_assert_eq!(Shared::decode(&bytes), Some(shared));
    }

    #[test]
    fn what_is_read_has_one_form(shared in shared(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = shared.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Some(read) = Shared::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn nothing_but_a_whole_value_of_this_version_is_read(shared in shared(), at in any::<prop::sample::Index>()) {
        let bytes = shared.encode();
        prop_assert_eq!(Shared::decode(&bytes[..at.index(bytes.len())]), None);
        prop_assert_eq!(Shared::decode(&[&bytes[..], &[0]].concat()), None);
        for version in [0, VERSION - 1, VERSION + 1] {
            let mut other = bytes.clone();
            other[0] = version;
            prop_assert_eq!(Shared::decode(&other), None);
        }
    }

    #[test]
    fn an_era_that_leaves_no_room_is_not_read(shared in shared()) {
        let mut late = shared;
        late.record.era = MAX_ERA + 1;
        prop_assert_eq!(Shared::decode(&late.encode()), None);
    }

    #[test]
    fn what_is_no_quantity_is_not_read(shared in shared(), which in 0usize..8, bad in 0usize..3) {
        let mut bytes = shared.encode();
        let at = Shared::LEN - 8 * (which + 1);
        bytes[at..at + 8].copy_from_slice(&[f64::NAN, f64::INFINITY, -1.0][bad].to_bits().to_be_bytes());
        prop_assert_eq!(Shared::decode(&bytes), None);
    }
}
