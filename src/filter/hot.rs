//! Copies of the hottest L1 entries in the worker's own memory.
//!
//! Reading a value from shared data costs more than all else in a hit, because the host must allocate in the VM what
//! it hands over. So an entry that was hit in L1 is copied here, with the version of its slot: a second shared value,
//! always empty, that changes whenever the slot does. Reading an empty value allocates nothing, and as long as the
//! version is the same, the copy is what L1 holds; a change by any worker is seen by the next request.
//!
//! The copies are few and small, and when there is no more room all are dropped: what is hot is back at once.

use crate::host::Version;
use std::rc::Rc;

/// One worker's copies, by key.
pub(super) struct Hot {
    copies: hashbrown::HashMap<Vec<u8>, Copy, ahash::RandomState>,
}

/// A copy of a slot's value.
pub(super) struct Copy {
    /// The slot's version key in shared data.
    pub(super) version_key: [u8; 11],
    /// The version it is a copy of.
    pub(super) version: Version,
    /// The value.
    pub(super) value: Rc<Vec<u8>>,
}

impl Hot {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self { copies: hashbrown::HashMap::with_hasher(hasher) }
    }

    pub(super) fn copy(&self, key: &[u8]) -> Option<&Copy> {
        self.copies.get(key)
    }

    /// Takes a copy, unless it is too large to be worth it.
    pub(super) fn insert(&mut self, key: &[u8], copy: Copy) {
        if copy.value.len() > MAX_BYTES {
            return;
        }
        if self.copies.len() >= MAX_COPIES {
            self.copies.clear();
        }
        self.copies.insert(key.to_vec(), copy);
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        self.copies.remove(key);
    }
}

/// With [`MAX_BYTES`] at most 4 MiB per worker.
const MAX_COPIES: usize = 256;
/// Larger bodies cost more to send than to fetch.
const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(bytes: usize) -> Copy {
        Copy { version_key: [0; 11], version: Version(1), value: Rc::new(vec![0; bytes]) }
    }

    #[test]
    fn copies_are_bounded_in_number_and_size() {
        let mut hot = Hot::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        for n in 0..10 * MAX_COPIES {
            hot.insert(&n.to_le_bytes(), copy(MAX_BYTES));
            assert!(hot.copies.len() <= MAX_COPIES);
        }
        hot.insert(b"large", copy(MAX_BYTES + 1));
        assert!(hot.copy(b"large").is_none());
    }
}
