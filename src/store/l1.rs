//! L1's layout in shared data, which has no eviction, no deletion and no list of its keys.
//!
//! A key's digest picks one slot of a fixed table; the full key in the entry tells whose it is, so that a lookup is
//! one read. Slots are gathered into groups, each with a directory record (bytes and age of every slot) and an equal
//! share of `l1.max_bytes`: a store swaps the directory by compare-and-swap, first naming as victims the group's
//! oldest entries until the new one fits. Sizes are absolute, so a lost race leaves the sum wrong by one entry at
//! most, and the slot's next store mends it.
//!
//! A slot also holds a mark: when a resource that lives there was last changed by an unsafe request. The mark outlives
//! the entries, and whatever was fetched before it is refused, from whichever tier it comes.

use crate::config::plan;
use crate::http::key::Digest;
use crate::time::Wall;

/// How the table is cut. All workers of a process compute the same from the same configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    groups: u32,
    ways: u32,
    budget: u32,
}

/// A place in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its group.
    pub group: u32,
    /// Its place in the group.
    pub way: u32,
}

/// A directory with a new entry booked, and who must go for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The directory to swap in.
    pub directory: Vec<u8>,
    /// Slots of the group to be emptied.
    pub victims: Vec<Slot>,
}

impl Geometry {
    /// Cuts `max_bytes` into groups large enough for four of the largest objects.
    pub fn new(l1: &plan::L1) -> Self {
        let share = l1.max_object_bytes.saturating_mul(4).clamp(MIN_GROUP_BYTES, MAX_GROUP_BYTES);
        let groups = l1.max_bytes.checked_div(share).unwrap_or(1).clamp(1, MAX_GROUPS);
        let share = l1.max_bytes.checked_div(groups).unwrap_or(0).min(u64::from(u32::MAX));
        let ways = (share / TYPICAL_ENTRY_BYTES).clamp(1, MAX_WAYS);
        let overhead = ways.saturating_mul(SLOT_OVERHEAD);
        Self {
            groups: u32::try_from(groups).unwrap_or(1),
            ways: u32::try_from(ways).unwrap_or(1),
            budget: u32::try_from(share.saturating_sub(overhead)).unwrap_or(u32::MAX),
        }
    }

    /// Where a key lives.
    pub fn slot(&self, digest: Digest) -> Slot {
        let (low, _) = digest.0.split_first_chunk::<8>().map_or(([0; 8], ()), |(low, _)| (*low, ()));
        let hash = u64::from_le_bytes(low);
        let group = hash.checked_rem(u64::from(self.groups)).unwrap_or(0);
        let way = (hash >> 32).checked_rem(u64::from(self.ways)).unwrap_or(0);
        Slot { group: u32::try_from(group).unwrap_or(0), way: u32::try_from(way).unwrap_or(0) }
    }

    /// All slots, group by group.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let ways = self.ways;
        (0..self.groups).flat_map(move |group| (0..ways).map(move |way| Slot { group, way }))
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = u32> + use<> {
        0..self.groups
    }

    /// An empty directory.
    pub fn empty_directory(&self) -> Vec<u8> {
        vec![0; usize::try_from(self.ways).unwrap_or(0).saturating_mul(RECORD)]
    }

    /// The geometry as shared bytes, to notice that a configuration changed it.
    pub fn encode(&self) -> Vec<u8> {
        [self.groups, self.ways, self.budget].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// Reads what [`Self::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (groups, rest) = bytes.split_first_chunk::<4>()?;
        let (ways, rest) = rest.split_first_chunk::<4>()?;
        let (budget, rest) = rest.split_first_chunk::<4>()?;
        rest.is_empty().then_some(Self {
            groups: u32::from_le_bytes(*groups),
            ways: u32::from_le_bytes(*ways),
            budget: u32::from_le_bytes(*budget),
        })
    }

    /// Whether a value of so many bytes can ever be booked.
    pub fn takes(&self, size: usize) -> bool {
        u32::try_from(size).is_ok_and(|size| size <= self.budget)
    }

    /// Books `size` bytes for `slot` in its group's directory; `None` if they can never fit. A directory of another
    /// geometry counts as empty.
    pub fn book(&self, directory: &[u8], slot: Slot, size: usize, now: Wall) -> Option<Booking> {
        let size = u32::try_from(size).ok().filter(|size| *size <= self.budget)?;
        let mut records = self.records(directory);
        let own = usize::try_from(slot.way).ok()?;
        let stamp = stamp(now);
        *records.get_mut(own)? = (size, stamp);
        let mut used: u64 = records.iter().map(|(size, _)| u64::from(*size)).sum();
        let mut victims = Vec::new();
        while used > u64::from(self.budget) {
            let (way, (bytes, _)) = records
                .iter()
                .enumerate()
                .filter(|(way, (bytes, _))| *way != own && *bytes > 0)
                .max_by_key(|(_, (_, stored))| stamp.wrapping_sub(*stored))?;
            used = used.saturating_sub(u64::from(*bytes));
            victims.push(Slot { group: slot.group, way: u32::try_from(way).ok()? });
            *records.get_mut(way)? = (0, 0);
        }
        Some(Booking { directory: write(&records), victims })
    }

    /// Bytes booked in a directory.
    pub fn used(&self, directory: &[u8]) -> u64 {
        self.records(directory).iter().map(|(size, _)| u64::from(*size)).sum()
    }

    fn records(&self, directory: &[u8]) -> Vec<(u32, u32)> {
        let ways = usize::try_from(self.ways).unwrap_or(0);
        let mut records: Vec<(u32, u32)> = directory
            .chunks_exact(RECORD)
            .filter_map(|chunk| {
                let (size, rest) = chunk.split_first_chunk::<4>()?;
                let (stamp, _) = rest.split_first_chunk::<4>()?;
                Some((u32::from_le_bytes(*size), u32::from_le_bytes(*stamp)))
            })
            .collect();
        if records.len() != ways {
            records = vec![(0, 0); ways];
        }
        records
    }
}

impl Slot {
    /// Its key in shared data.
    pub fn key(self) -> [u8; 11] {
        self.named(b'l')
    }

    /// Key of an empty shared value that is written whenever the slot is: its version tells that the slot changed.
    pub fn version_key(self) -> [u8; 11] {
        self.named(b'v')
    }

    fn named(self, kind: u8) -> [u8; 11] {
        let [g0, g1, g2, g3] = self.group.to_le_bytes();
        let [w0, w1, w2, w3] = self.way.to_le_bytes();
        [kind, LAYOUT, b'/', g0, g1, g2, g3, w0, w1, w2, w3]
    }
}

/// Key of a group's directory in shared data.
pub fn directory_key(group: u32) -> [u8; 7] {
    let [g0, g1, g2, g3] = group.to_le_bytes();
    [b'd', LAYOUT, b'/', g0, g1, g2, g3]
}

/// Key of the encoded [`Geometry`] in shared data.
pub const GEOMETRY_KEY: &[u8] = &[b'g', LAYOUT];

/// Stands in every key: shared data outlives the code, and another version of it may lay slots out otherwise.
const LAYOUT: u8 = b'1';

/// The value of a slot: until when it answers without asking the tiers behind, when a resource that lives here was
/// last changed by an unsafe request, then the entry's bytes, or none.
pub fn wrap(kept_until: Wall, changed_at: Wall, entry: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(entry.len().saturating_add(16));
    value.extend_from_slice(&kept_until.0.to_le_bytes());
    value.extend_from_slice(&changed_at.0.to_le_bytes());
    value.extend_from_slice(entry);
    value
}

/// Until when a slot's entry answers by itself, and the entry; `None` if nothing was ever there.
pub fn unwrap(value: &[u8]) -> Option<(Wall, &[u8])> {
    let (kept_until, rest) = value.split_first_chunk::<8>()?;
    let (_, entry) = rest.split_first_chunk::<8>()?;
    Some((Wall(u64::from_le_bytes(*kept_until)), entry))
}

/// When a resource that lives in the slot of this value was last changed; [`Wall`] zero if never. Whatever was
/// fetched up to then is not true any more.
pub fn changed_at(value: &[u8]) -> Wall {
    let changed_at = value.get(8..).and_then(<[u8]>::first_chunk::<8>);
    changed_at.map_or(Wall::default(), |bytes| Wall(u64::from_le_bytes(*bytes)))
}

fn write(records: &[(u32, u32)]) -> Vec<u8> {
    records.iter().flat_map(|(size, stamp)| [size.to_le_bytes(), stamp.to_le_bytes()]).flatten().collect()
}

/// 64 ms steps in 32 bits wrap after eight years; only differences are used.
fn stamp(now: Wall) -> u32 {
    u32::try_from((now.0 >> 6) & u64::from(u32::MAX)).unwrap_or(0)
}

/// Size and stamp.
const RECORD: usize = 8;
/// Envoy's book-keeping for two keys and a value, measured at about 94 bytes for a key alone, and the record.
const SLOT_OVERHEAD: u64 = 288;
const TYPICAL_ENTRY_BYTES: u64 = 2 * 1024;
const MIN_GROUP_BYTES: u64 = 1024 * 1024;
const MAX_GROUP_BYTES: u64 = 256 * 1024 * 1024;
const MAX_GROUPS: u64 = 4_096;
const MAX_WAYS: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;
    use std::time::Duration;

    fn plan(max_bytes: u64, max_object_bytes: u64) -> plan::L1 {
        plan::L1 { ttl: Duration::from_millis(100), max_bytes, max_object_bytes }
    }

    #[test]
    fn the_whole_table_stays_within_max_bytes() {
        for (max, object) in
            [(1 << 20, 4 << 10), (32 << 20, 256 << 10), (64 << 20, 256 << 10), (8 << 30, 1 << 20)]
        {
            let geometry = Geometry::new(&plan(max, object));
            let slots = u64::from(geometry.groups) * u64::from(geometry.ways);
            let most = u64::from(geometry.groups) * u64::from(geometry.budget) + slots * SLOT_OVERHEAD;
            assert!(most <= max, "{max}: {geometry:?}");
            assert!(u64::from(geometry.budget) >= object.min(max / 2), "{max}: {geometry:?}");
        }
    }

    #[test]
    fn the_oldest_entries_make_room() {
        let geometry = Geometry { groups: 1, ways: 4, budget: 100 };
        let mut directory = geometry.empty_directory();
        for (way, time) in [(0, 2_000), (1, 1_000), (2, 3_000)] {
            let booking = geometry.book(&directory, Slot { group: 0, way }, 30, Wall(time)).unwrap();
            assert!(booking.victims.is_empty());
            directory = booking.directory;
        }
        let booking = geometry.book(&directory, Slot { group: 0, way: 3 }, 60, Wall(4_000)).unwrap();
        assert_eq!(booking.victims, [Slot { group: 0, way: 1 }, Slot { group: 0, way: 0 }]);
        assert_eq!(geometry.used(&booking.directory), 90);
    }

    #[test]
    fn an_entry_as_large_as_the_budget_fits_and_one_byte_more_does_not() {
        let geometry = Geometry { groups: 1, ways: 4, budget: 100 };
        let slot = Slot { group: 0, way: 0 };
        assert!(geometry.takes(100) && geometry.book(&[], slot, 100, Wall(0)).is_some());
        assert_eq!((geometry.takes(101), geometry.book(&[], slot, 101, Wall(0))), (false, None));
    }

    #[test]
    fn an_overwritten_slot_is_booked_once() {
        let geometry = Geometry { groups: 1, ways: 4, budget: 100 };
        let slot = Slot { group: 0, way: 2 };
        let first = geometry.book(&[], slot, 40, Wall(0)).unwrap();
        let second = geometry.book(&first.directory, slot, 70, Wall(9)).unwrap();
        assert_eq!((geometry.used(&second.directory), second.victims.len()), (70, 0));
    }

    #[test]
    fn a_geometry_reads_back() {
        let geometry = Geometry::new(&plan(64 << 20, 256 << 10));
        assert_eq!(Geometry::decode(&geometry.encode()), Some(geometry));
        assert_eq!(Geometry::decode(b"short"), None);
    }

    #[test]
    fn a_slot_keeps_its_mark_beside_its_entry_or_without() {
        let value = wrap(Wall(9), Wall(5), b"entry");
        assert_eq!((unwrap(&value), changed_at(&value)), (Some((Wall(9), &b"entry"[..])), Wall(5)));
        let value = wrap(Wall(0), Wall(5), b"");
        assert_eq!((unwrap(&value), changed_at(&value)), (Some((Wall(0), &b""[..])), Wall(5)));
        assert_eq!((unwrap(b""), changed_at(b"")), (None, Wall(0)), "a slot that was never used");
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn no_order_of_stores_exceeds_the_budget(stores in prop::collection::vec((0u32..8, 0usize..120, 0u64..10_000), 1..60)) {
            let geometry = Geometry { groups: 1, ways: 8, budget: 100 };
            let mut directory = geometry.empty_directory();
            for (way, size, now) in stores {
                if let Some(booking) = geometry.book(&directory, Slot { group: 0, way }, size, Wall(now * 64)) {
                    directory = booking.directory;
                }
                prop_assert!(geometry.used(&directory) <= 100);
            }
        }

        #[test]
        fn any_bytes_serve_as_a_directory(directory in prop::collection::vec(any::<u8>(), 0..80)) {
            let geometry = Geometry { groups: 1, ways: 8, budget: 100 };
            if let Some(booking) = geometry.book(&directory, Slot { group: 0, way: 1 }, 50, Wall(1)) {
                prop_assert!(geometry.used(&booking.directory) <= 100);
            }
        }
    }
}
