//! The stored response, in every tier the same bytes.
//!
//! A fixed head of little-endian numbers, then the key, the selecting fields (Vary), the fields and the body. Magic and
//! version come first: fields are never added to a version, a reader takes the versions it knows, and everything
//! else is a miss. Bytes from Redis may have been written by anybody, so every length is checked against what is
//! there, and a reader compares the full key before it believes an entry.

use crate::http::end_to_end::is_end_to_end;
use crate::http::tags;
use crate::http::validators::{self, Condition};
use crate::time::Wall;
use std::time::Duration;

/// What a response is stored with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Status code of the response.
    pub status: u16,
    /// When its head arrived.
    pub received_at: Wall,
    /// Its age on arrival (RFC 9111 §4.2.3 `corrected_initial_age`).
    pub initial_age: Duration,
    /// End of its freshness.
    pub fresh_until: Wall,
    /// Until when it may stand in for a failing upstream; not before `fresh_until`.
    pub stale_until: Wall,
    /// Until when it may be served while it is refreshed (RFC 5861 §3); not before `fresh_until`.
    pub refresh_until: Wall,
    /// Whether it may answer requests with `Authorization` whose caller is not part of the key (RFC 9111 §3.5).
    pub authorized: bool,
    /// Whether it is never to be served stale, whoever asks for it (RFC 9111 §4.2.4).
    pub never_stale: bool,
    /// Whether its entity tag was made here: it means nothing to the upstream.
    pub etag_generated: bool,
    /// How long it took to fetch, from the request to the head of the response.
    pub took: Duration,
}

/// A stored response, borrowed from the bytes it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Status and times.
    pub meta: Meta,
    /// The full key it was stored under.
    pub key: &'a [u8],
    /// The request fields that selected it (`http::vary`); empty without Vary.
    pub selecting: &'a [u8],
    /// Its tags (`http::tags`); empty without any.
    pub tags: &'a [u8],
    /// Its end-to-end fields as a block (`http::fields`).
    pub fields: &'a [u8],
    /// Its complete body.
    pub body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads an entry; `None` if the bytes are not one of a known version, whole and exact.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut at = Reader { rest: bytes };
        if at.take(MAGIC.len())? != MAGIC || at.u8()? != VERSION {
            return None;
        }
        let flags = at.u8().filter(|flags| flags & !(AUTHORIZED | NEVER_STALE | ETAG_GENERATED) == 0)?;
        let status = u16::try_from(at.u32()?).ok()?;
        let meta = Meta {
            status,
            received_at: Wall(at.u64()?),
            initial_age: Duration::from_millis(at.u64()?),
            fresh_until: Wall(at.u64()?),
            stale_until: Wall(at.u64()?),
            refresh_until: Wall(at.u64()?),
            took: Duration::from_millis(at.u64()?),
            authorized: flags & AUTHORIZED != 0,
            never_stale: flags & NEVER_STALE != 0,
            etag_generated: flags & ETAG_GENERATED != 0,
        };
        let (key_len, selecting_len, tags_len) = (at.len()?, at.len()?, at.len()?);
        let (fields_len, body_len) = (at.len()?, at.len()?);
        let entry = Self {
            meta,
            key: at.take(key_len)?,
            selecting: at.take(selecting_len)?,
            tags: at.take(tags_len)?,
            fields: at.take(fields_len)?,
            body: at.take(body_len)?,
        };
        (at.rest.is_empty() && (100..1000).contains(&status)).then_some(entry)
    }

    /// Reads an entry that did not come from this process, so that anybody may have written it. Besides its form it
    /// must be one that could have been stored: a final status, fields fit to be sent, and times that another clock
    /// may have shown.
    pub fn read_foreign(bytes: &'a [u8], now: Wall) -> Option<Self> {
        let entry = Self::read(bytes)?;
        let meta = &entry.meta;
        let sound = (200..600).contains(&meta.status)
            && !matches!(meta.status, 206 | 304)
            && meta.received_at <= now.after(CLOCK_SKEW)
            && meta.stale_until <= now.after(LONGEST_STAY)
            && meta.refresh_until <= now.after(LONGEST_STAY)
            && tags::is_sound(entry.tags)
            && is_end_to_end(entry.fields);
        sound.then_some(entry)
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        let flags = [
            (self.meta.authorized, AUTHORIZED),
            (self.meta.never_stale, NEVER_STALE),
            (self.meta.etag_generated, ETAG_GENERATED),
        ];
        let flags = flags.iter().fold(0, |flags, (set, flag)| if *set { flags | flag } else { flags });
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, flags]);
        out.extend_from_slice(&u32::from(self.meta.status).to_le_bytes());
        for number in [
            self.meta.received_at.0,
            crate::time::millis(self.meta.initial_age),
            self.meta.fresh_until.0,
            self.meta.stale_until.0,
            self.meta.refresh_until.0,
            crate::time::millis(self.meta.took),
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let parts = self.parts();
        for part in parts {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        }
        for part in parts {
            out.extend_from_slice(part);
        }
        out
    }

    /// How many bytes [`Self::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        self.parts().iter().fold(HEAD_BYTES, |sum, part| sum.saturating_add(part.len()))
    }

    fn parts(&self) -> [&'a [u8]; 5] {
        [self.key, self.selecting, self.tags, self.fields, self.body]
    }

    /// What the upstream is to be asked about it, if it is not to be reused as it is (RFC 9111 §4.3.1).
    pub fn condition(&self) -> Option<Condition> {
        validators::condition_for(self.fields).filter(|_| !self.meta.etag_generated)
    }

    /// When it was asked for: what changed the resource later makes it untrue.
    pub fn requested_at(&self) -> Wall {
        Wall(self.meta.received_at.0.saturating_sub(crate::time::millis(self.meta.took)))
    }

    /// The response's age now (RFC 9111 §4.2.3 `current_age`).
    pub fn age(&self, now: Wall) -> Duration {
        self.meta.initial_age.saturating_add(now.since(self.meta.received_at))
    }

    /// Until when it may answer anybody, be it in place of a failure.
    pub fn of_use_until(&self) -> Wall {
        self.meta.fresh_until.max(self.meta.stale_until).max(self.meta.refresh_until)
    }

    /// Whether it may be served while it is refreshed (RFC 5861 §3).
    pub fn is_within_refresh(&self, now: Wall) -> bool {
        now < self.meta.refresh_until
    }

    /// Whether it may be reused without asking (RFC 9111 §4.2).
    pub fn is_fresh(&self, now: Wall) -> bool {
        now < self.meta.fresh_until
    }

    /// Whether it may stand in for a failing upstream (RFC 5861 §4).
    pub fn is_usable_on_error(&self, now: Wall) -> bool {
        now < self.meta.stale_until
    }

    /// Whether a client that takes a response so long past its lifetime may have it (RFC 9111 §5.2.1.2).
    pub fn is_within_stale(&self, max_stale: Duration, now: Wall) -> bool {
        now.since(self.meta.fresh_until) <= max_stale && !self.meta.never_stale
    }

    /// What is left of its lifetime, negative once stale, in whole seconds rounded towards the past.
    pub fn ttl_seconds(&self, now: Wall) -> i64 {
        let left = i128::from(self.meta.fresh_until.0).saturating_sub(i128::from(now.0));
        i64::try_from(left.div_euclid(1000)).unwrap_or(i64::MAX)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn len(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }
}

const MAGIC: &[u8] = b"BW";
const VERSION: u8 = 3;
const AUTHORIZED: u8 = 1;
const NEVER_STALE: u8 = 2;
const ETAG_GENERATED: u8 = 4;
/// How far another Envoy's clock may be ahead.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// Nothing stored stays of use for longer: the largest delta-seconds, twice (RFC 9111 §1.2.2).
const LONGEST_STAY: Duration = Duration::from_secs(2 * 2_147_483_647 + 300);
/// Magic, version and flags, status, six times, five lengths.
const HEAD_BYTES: usize = 4 + 4 + 6 * 8 + 5 * 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    use crate::testing::cases;
    use proptest::prelude::*;

    fn meta() -> Meta {
        Meta {
            status: 200,
            received_at: Wall(10_000),
            initial_age: Duration::from_millis(2_500),
            fresh_until: Wall(15_000),
            stale_until: Wall(60_000),
            refresh_until: Wall(20_000),
            authorized: true,
            never_stale: false,
            etag_generated: false,
            took: Duration::from_millis(7),
        }
    }

    #[test]
    fn a_stored_entry_reads_back_as_it_was() {
        let fields = Fields::of([(&b"etag"[..], &b"\"1\""[..])]);
        let entry = Entry {
            meta: meta(),
            key: b"k",
            selecting: b"v",
            tags: &[7; 8],
            fields: fields.as_block(),
            body: b"hello",
        };
        let bytes = entry.encode();
        assert_eq!(bytes.len(), entry.encoded_len());
        assert_eq!(Entry::read_foreign(&bytes, Wall(10_000)), Some(entry));
    }

    #[test]
    fn the_bytes_of_version_3_stay_as_they_are() {
        let entry = Entry { meta: meta(), key: b"k", selecting: b"", tags: b"", fields: &[0; 4], body: b"b" };
        let golden = "42570301c80000001027000000000000c409000000000000983a00000000000060ea000000000000\
                      204e00000000000007000000000000000100000000000000000000000400000001000000\
                      6b0000000062";
        let hex: String = entry.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn an_entry_cut_short_lengthened_or_of_another_version_is_a_miss() {
        let bytes =
            Entry { meta: meta(), key: b"k", selecting: b"", tags: b"", fields: &[0; 4], body: b"body" }
                .encode();
        for len in 0..bytes.len() {
            assert_eq!(Entry::read(&bytes[..len]), None, "{len} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(Entry::read(&longer), None);
        let mut newer = bytes;
        newer[2] = VERSION + 1;
        assert_eq!(Entry::read(&newer), None);
    }

    #[test]
    fn what_could_not_have_been_stored_is_not_believed() {
        let now = Wall(10_000);
        let good = Fields::of([(&b"etag"[..], &b"x"[..])]);
        let forged = Fields::of([(&b"x"[..], &b"1\r\nset-cookie: a=b"[..])]);
        let believed = |meta: Meta, fields: &Fields| {
            let entry =
                Entry { meta, key: b"k", selecting: b"", tags: b"", fields: fields.as_block(), body: b"" };
            Entry::read_foreign(&entry.encode(), now).is_some()
        };
        assert!(believed(meta(), &good));
        assert!(!believed(meta(), &forged));
        for status in [100, 101, 199, 206, 304, 600, 999] {
            assert!(!believed(Meta { status, ..meta() }, &good), "{status}");
        }
        let skewed = now.after(CLOCK_SKEW);
        assert!(believed(Meta { received_at: skewed, ..meta() }, &good));
        assert!(!believed(Meta { received_at: Wall(skewed.0 + 1), ..meta() }, &good));
        let last = now.after(LONGEST_STAY);
        assert!(believed(Meta { stale_until: last, ..meta() }, &good));
        assert!(!believed(Meta { stale_until: Wall(last.0 + 1), ..meta() }, &good));
    }

    #[test]
    fn freshness_ends_at_its_moment_and_staleness_at_its_own() {
        let entry = Entry { meta: meta(), key: b"", selecting: b"", tags: b"", fields: b"", body: b"" };
        assert!(entry.is_fresh(Wall(14_999)) && !entry.is_fresh(Wall(15_000)));
        assert!(entry.is_usable_on_error(Wall(59_999)) && !entry.is_usable_on_error(Wall(60_000)));
        assert_eq!(entry.ttl_seconds(Wall(14_000)), 1);
        assert_eq!(entry.ttl_seconds(Wall(15_001)), -1);
        assert_eq!(entry.age(Wall(11_000)), Duration::from_millis(3_500));
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_an_entry_or_a_miss(mut bytes in prop::collection::vec(any::<u8>(), 0..200), own in any::<bool>()) {
            if own && bytes.len() > 3 {
                bytes[..3].copy_from_slice(b"BW\x03");
            }
            if let Some(entry) = Entry::read_foreign(&bytes, Wall(1)) {
                prop_assert_eq!(entry.encoded_len(), bytes.len());
            }
        }

        #[test]
        fn what_is_stored_is_read_back(meta in any_meta(), parts in [(); 5].map(|()| prop::collection::vec(any::<u8>(), 0..12)), now in any::<u64>()) {
            let [key, selecting, tags, fields, body] = &parts;
            let entry = Entry { meta, key, selecting, tags, fields, body };
            let bytes = entry.encode();
            prop_assert_eq!(bytes.len(), entry.encoded_len());
            // Whether anybody else would be believed or not, it is the same that is read.
            prop_assert!(Entry::read_foreign(&bytes, Wall(now)).is_none_or(|foreign| foreign == entry));
            // Nor does any question about it fall over.
            let now = Wall(now);
            let _ = (entry.condition(), entry.requested_at(), entry.age(now), entry.ttl_seconds(now), entry.is_within_stale(Duration::MAX, now));
            prop_assert!(!entry.is_fresh(now) || now < entry.of_use_until());
            prop_assert_eq!(Entry::read(&bytes), Some(entry));
        }

        /// Every byte has a meaning: what reads differently was written differently.
        #[test]
        fn what_is_read_would_be_stored_alike(meta in any_meta(), parts in [(); 5].map(|()| prop::collection::vec(any::<u8>(), 0..4)), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0_usize..3, longer in 0_usize..3) {
            let [key, selecting, tags, fields, body] = &parts;
            let mut bytes = Entry { meta, key, selecting, tags, fields, body }.encode();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            bytes.truncate(bytes.len() - cut);
            bytes.extend(std::iter::repeat_n(0, longer));
            if let Some(entry) = Entry::read(&bytes) {
                prop_assert_eq!(entry.encode(), bytes);
            }
        }
    }

    fn any_meta() -> impl Strategy<Value = Meta> {
        let numbers = [(); 6].map(|()| prop_oneof![0_u64..100_000, any::<u64>()]);
        (100_u16..1000, numbers, [(); 3].map(|()| any::<bool>())).prop_map(|(status, numbers, flags)| {
            let [received_at, initial_age, fresh_until, stale_until, refresh_until, took] = numbers;
            let [authorized, never_stale, etag_generated] = flags;
            Meta {
                status,
                received_at: Wall(received_at),
                initial_age: Duration::from_millis(initial_age),
                fresh_until: Wall(fresh_until),
                stale_until: Wall(stale_until),
                refresh_until: Wall(refresh_until),
                authorized,
                never_stale,
                etag_generated,
                took: Duration::from_millis(took),
            }
        })
    }
}
