//! Header fields in one contiguous block, in order, as bytes.
//!
//! The block has the form in which Envoy's ABI hands over and takes header maps, so that neither reading a request
//! nor replying from the store converts anything: a little-endian `u32` count, then for each field the lengths of
//! its name and value (`u32` each), then for each field `name NUL value NUL`. Names are lower case, as Envoy keeps
//! them; values are any bytes. Repeated field lines stay separate and in order.

/// A block whose structure has been checked: every field lies within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    block: Vec<u8>,
}

impl Default for Fields {
    fn default() -> Self {
        Self { block: vec![0; WORD] }
    }
}

impl Fields {
    /// An empty list of fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a block as the host or a stored entry gives it; `None` if its lengths do not add up.
    pub fn from_block(block: Vec<u8>) -> Option<Self> {
        if block.is_empty() {
            return Some(Self::new());
        }
        is_sound(&block).then_some(Self { block })
    }

    /// Builds a block of `fields`, in their order.
    pub fn of<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Self {
        let mut block = vec![0; WORD];
        let mut count: u32 = 0;
        for (name, value) in fields.clone() {
            let (Ok(n), Ok(v)) = (u32::try_from(name.len()), u32::try_from(value.len())) else { continue };
            block.extend_from_slice(&n.to_le_bytes());
            block.extend_from_slice(&v.to_le_bytes());
            count = count.saturating_add(1);
        }
        for (name, value) in fields {
            if u32::try_from(name.len()).is_err() || u32::try_from(value.len()).is_err() {
                continue;
            }
            block.extend_from_slice(name);
            block.push(0);
            block.extend_from_slice(value);
            block.push(0);
        }
        if let Some(head) = block.get_mut(..WORD) {
            head.copy_from_slice(&count.to_le_bytes());
        }
        Self { block }
    }

    /// A copy of `block` with `extra` fields behind its own, in one allocation: the shape of a reply from the store.
    pub fn extended(block: &[u8], extra: &[(&[u8], &[u8])]) -> Self {
        let fields = iterate(block);
        let added: usize =
            extra.iter().map(|(n, v)| n.len().saturating_add(v.len()).saturating_add(PAIR + 2)).sum();
        let mut out = Vec::with_capacity(block.len().saturating_add(added).saturating_add(WORD));
        let count = fields.sizes.len() / PAIR;
        let total = u32::try_from(count.saturating_add(extra.len())).unwrap_or(u32::MAX);
        out.extend_from_slice(&total.to_le_bytes());
        out.extend_from_slice(fields.sizes);
        for (name, value) in extra {
            out.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        out.extend_from_slice(fields.data);
        for (name, value) in extra {
            out.extend_from_slice(name);
            out.push(0);
            out.extend_from_slice(value);
            out.push(0);
        }
        Self { block: out }
    }

    /// The block itself, to be handed to the host or stored.
    pub fn as_block(&self) -> &[u8] {
        &self.block
    }

    /// The fields in order: (name, value).
    pub fn iter(&self) -> Iter<'_> {
        iterate(&self.block)
    }

    /// The first value of `name` (lower case).
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find_map(|(n, v)| (n == name).then_some(v))
    }

    /// All values of `name` (lower case), in order.
    pub fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter_map(move |(n, v)| (n == name).then_some(v))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        word(&self.block, 0).unwrap_or(0)
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Walks a block field by field; ends early, without panic, where the block does.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    sizes: &'a [u8],
    data: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (size, sizes) = self.sizes.split_first_chunk::<PAIR>()?;
        let name_len = word(size, 0)?;
        let value_len = word(size, WORD)?;
        let (name, rest) = self.data.split_at_checked(name_len)?;
        let (_, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(value_len)?;
        let (_, rest) = rest.split_first()?;
        self.sizes = sizes;
        self.data = rest;
        Some((name, value))
    }
}

/// Walks any bytes as a block, which a stored entry's slice may be: fields of an unsound block are simply absent.
pub fn iterate(block: &[u8]) -> Iter<'_> {
    let Some((count, rest)) = block.split_first_chunk::<WORD>() else {
        return Iter { sizes: &[], data: &[] };
    };
    let sizes_len = usize::try_from(u32::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(PAIR));
    match sizes_len.and_then(|n| rest.split_at_checked(n)) {
        Some((sizes, data)) => Iter { sizes, data },
        None => Iter { sizes: &[], data: &[] },
    }
}

/// Whether every field of `block` lies within it and nothing is left over.
pub fn is_sound(block: &[u8]) -> bool {
    let Some(count) = word(block, 0) else { return false };
    let mut fields = iterate(block);
    let found = fields.by_ref().count();
    found == count && fields.data.is_empty()
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let (word, _) = bytes.get(at..)?.split_first_chunk::<WORD>()?;
    usize::try_from(u32::from_le_bytes(*word)).ok()
}

const WORD: usize = 4;
const PAIR: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn repeated_lines_stay_separate_and_in_order() {
        let fields = Fields::of([(&b"via"[..], &b"a"[..]), (b"x", b""), (b"via", b"b")]);
        assert_eq!(fields.len(), 3);
        assert_eq!(fields.get(b"via"), Some(&b"a"[..]));
        assert_eq!(fields.values(b"via").collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn fields_are_added_behind_those_of_a_block() {
        let stored = Fields::of([(&b"etag"[..], &b"x"[..])]);
        let reply = Fields::extended(stored.as_block(), &[(b"age", b"3"), (b"via", b"")]);
        assert_eq!(reply, Fields::of([(&b"etag"[..], &b"x"[..]), (b"age", b"3"), (b"via", b"")]));
        assert_eq!(Fields::extended(b"", &[(b"age", b"3")]), Fields::of([(&b"age"[..], &b"3"[..])]));
    }

    #[test]
    fn an_empty_answer_of_the_host_is_no_field() {
        assert!(Fields::from_block(Vec::new()).unwrap().is_empty());
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn what_is_built_is_read_back(pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), prop::collection::vec(any::<u8>(), 0..9)), 0..9)) {
            let fields = Fields::of(pairs.iter().map(|(n, v)| (&n[..], &v[..])));
            let back = Fields::from_block(fields.as_block().to_vec()).unwrap();
            prop_assert_eq!(back.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect::<Vec<_>>(), pairs);
        }

        #[test]
        fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            iterate(&bytes).count();
            let _ = Fields::from_block(bytes);
        }

        #[test]
        fn what_is_added_stands_behind_what_was_there(pairs in some_pairs(), extra in some_pairs()) {
            let of = |pairs: &[(Vec<u8>, Vec<u8>)]| Fields::of(pairs.iter().map(|(n, v)| (&n[..], &v[..])));
            let added: Vec<(&[u8], &[u8])> = extra.iter().map(|(n, v)| (&n[..], &v[..])).collect();
            prop_assert_eq!(Fields::extended(of(&pairs).as_block(), &added), of(&[pairs, extra].concat()));
        }

        /// Read here and by a naive reader of the form in the ABI's words, which believes a block only as a whole.
        #[test]
        fn a_block_is_sound_if_a_naive_reader_finds_it_so(mut pairs in some_pairs(), at in any::<prop::sample::Index>(), change in prop::option::of(0_u8..9), cut in 0_usize..2, longer in 0_usize..2) {
            let mut block = Fields::of(pairs.iter().map(|(n, v)| (&n[..], &v[..]))).as_block().to_vec();
            let place = at.index(block.len());
            change.iter().for_each(|byte| block[place] = *byte);
            block.truncate(block.len() - cut);
            block.extend(std::iter::repeat_n(0, longer));
            let found = naive(&block);
            prop_assert_eq!(is_sound(&block), found.is_some(), "{:?}", block);
            if let Some(found) = found {
                pairs = iterate(&block).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
                prop_assert_eq!(pairs, found);
            }
            // What is not sound is still nothing to fall over.
            Fields::extended(&block, &[(b"a", b"b")]).iter().count();
        }
    }

    fn some_pairs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..4);
        prop::collection::vec((bytes(), bytes()), 0..5)
    }

    fn naive(block: &[u8]) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let number =
            |at: usize| Some(u32::from_le_bytes(block.get(at..at + 4)?.try_into().unwrap()) as usize);
        let count = number(0)?;
        let mut at = count.checked_mul(8)?.checked_add(4)?;
        let mut take = |length: usize| {
            let bytes = block.get(at..at.checked_add(length)?)?.to_vec();
            block.get(at + length)?;
            at += length + 1;
            Some(bytes)
        };
        let mut found = Vec::new();
        for place in 0..count {
            found.push((take(number(4 + place * 8)?)?, take(number(8 + place * 8)?)?));
        }
        (at == block.len()).then_some(found)
    }
}
