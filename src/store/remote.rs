//! The dialogue with L2 and L3: RESP pipelines out, replies in, one round trip each.
//!
//! Both tiers hold the same entry under their own key: L2 while it is fresh (at most `l2.ttl`), L3 as long as it may
//! still stand in or be validated (at most `l3.ttl`); `redis_proxy` routes the prefixes where the operator likes. What comes back is
//! believed only as far as it parses. Errors are sorted by what they say about Redis: one that cannot be reached is
//! taken out of the way (`health`), one that is merely full or read-only still answers lookups.

use crate::config::plan::L2;
use crate::http::key::Digest;
use crate::redis::{self, Reply};
use crate::store::entry::Entry;
use crate::store::variants::Index;
use crate::time::{Wall, millis};

/// The raw values of both tiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    /// What L2 holds.
    pub l2: Option<&'a [u8]>,
    /// What L3 holds.
    pub l3: Option<&'a [u8]>,
    /// Whether a key held something else than text.
    pub wrong_type: bool,
}

/// Redis could not be reached, or did not speak RESP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// How Redis took a pipeline of writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All of it.
    Done,
    /// It answered, but refused at least one command (full, read-only).
    Refused,
}

/// Asks both tiers.
pub fn lookup(namespace: &str, digest: Digest) -> Vec<u8> {
    let mut pipeline = Vec::new();
    for tier in TIERS {
        redis::encode(&mut pipeline, &[&b"GET"[..], &key(namespace, tier, digest)]);
    }
    pipeline
}

/// Reads the answer to [`lookup`].
pub fn read_lookup(answer: &[u8]) -> Result<Found<'_>, Unavailable> {
    let replies = redis::replies(answer, TIERS.len()).map_err(|_| Unavailable)?;
    let mut found = Found::default();
    let mut values = [None; TIERS.len()];
    for (value, reply) in values.iter_mut().zip(&replies) {
        match reply {
            Reply::Bulk(bytes) => *value = Some(*bytes),
            Reply::Nil => {}
            Reply::Error(text) if text.starts_with(b"WRONGTYPE") => found.wrong_type = true,
            _ => return Err(Unavailable),
        }
    }
    [found.l2, found.l3] = values;
    Ok(found)
}

/// Writes an entry to the tiers that may hold it for a while yet, and says in how many commands; `None` if none may.
pub fn store(
    namespace: &str,
    digest: Digest,
    l2: &L2,
    entry: &Entry<'_>,
    now: Wall,
) -> Option<(Vec<u8>, usize)> {
    let bytes = entry.encode();
    if u64::try_from(bytes.len()).map_or(true, |len| len > l2.max_object_bytes) {
        return None;
    }
    let of_use = if entry.condition().is_some() {
        // What can be validated saves the upstream a body, however stale it is.
        l2.l3_ttl
    } else {
        entry.of_use_until().since(now)
    };
    let stays = [
        millis(l2.ttl).min(millis(entry.meta.fresh_until.since(now))),
        millis(l2.l3_ttl).min(millis(of_use)),
    ];
    let mut pipeline = Vec::new();
    let mut commands: usize = 0;
    for (tier, stay) in TIERS.into_iter().zip(stays) {
        if stay > 0 {
            let stay = stay.to_string();
            redis::encode(
                &mut pipeline,
                &[&b"SET"[..], &key(namespace, tier, digest), &bytes, b"PX", stay.as_bytes()],
            );
            commands = commands.saturating_add(1);
        }
    }
    (commands > 0).then_some((pipeline, commands))
}

/// Writes a variant, and then its key's index, to the tiers that may hold them for a while yet.
pub fn store_variant(
    namespace: &str,
    digest: Digest,
    variant: Digest,
    l2: &L2,
    entry: &Entry<'_>,
    index: &Index,
    now: Wall,
) -> Option<(Vec<u8>, usize)> {
    let (mut pipeline, mut commands) = store(namespace, variant, l2, entry, now)?;
    let bytes = index.encode();
    // The index outlasts what it names.
    for (tier, stay) in TIERS.into_iter().zip([l2.ttl, l2.l3_ttl]) {
        let stay = millis(stay).to_string();
        let key = key(namespace, tier, digest);
        redis::encode(&mut pipeline, &[&b"SET"[..], &key, &bytes, b"PX", stay.as_bytes()]);
        commands = commands.saturating_add(1);
    }
    Some((pipeline, commands))
}

/// Forgets a key in both tiers; one command.
pub fn delete(namespace: &str, digest: Digest) -> (Vec<u8>, usize) {
    let mut pipeline = Vec::new();
    let [l2, l3] = TIERS.map(|tier| key(namespace, tier, digest));
    redis::encode(&mut pipeline, &[&b"DEL"[..], &l2, &l3]);
    (pipeline, 1)
}

/// Reads the answer to [`store`] or [`delete`].
pub fn read_written(answer: &[u8], commands: usize) -> Result<Written, Unavailable> {
    let replies = redis::replies(answer, commands).map_err(|_| Unavailable)?;
    let mut written = Written::Done;
    for reply in &replies {
        match reply {
            Reply::Simple(_) | Reply::Integer(_) => {}
            Reply::Error(text) if REFUSALS.iter().any(|refusal| text.starts_with(refusal)) => {
                written = Written::Refused;
            }
            _ => return Err(Unavailable),
        }
    }
    Ok(written)
}

fn key(namespace: &str, tier: &str, digest: Digest) -> Vec<u8> {
    let mut key = Vec::with_capacity(namespace.len().saturating_add(36));
    key.extend_from_slice(namespace.as_bytes());
    key.extend_from_slice(tier.as_bytes());
    digest.write_hex(&mut key);
    key
}

const TIERS: [&str; 2] = [":2:", ":3:"];

/// Redis is there and says no: out of memory, a replica, misconfigured persistence, no permission.
const REFUSALS: [&[u8]; 4] = [b"OOM", b"READONLY", b"MISCONF", b"NOPERM"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::Meta;
    use std::time::Duration;

    const DIGEST: Digest = Digest([0xab; 16]);

    fn l2() -> L2 {
        L2 {
            cluster: "c".into(),
            ttl: Duration::from_secs(300),
            timeout: Duration::from_millis(50),
            max_object_bytes: 1_000,
            l3_ttl: Duration::from_secs(3_600),
        }
    }

    fn entry(body: &[u8]) -> Entry<'_> {
        Entry {
            meta: Meta {
                status: 200,
                received_at: Wall(0),
                initial_age: Duration::ZERO,
                fresh_until: Wall(10_000),
                stale_until: Wall(70_000),
                refresh_until: Wall(10_000),
                authorized: false,
                never_stale: false,
                etag_generated: false,
                took: Duration::ZERO,
            },
            key: b"",
            selecting: b"",
            tags: b"",
            fields: b"",
            body,
        }
    }

    #[test]
    fn both_tiers_are_asked_in_one_pipeline() {
        let text = String::from_utf8(lookup("bw", DIGEST)).unwrap();
        let hex = "ab".repeat(16);
        assert_eq!(
            text,
            format!("*2\r\n$3\r\nGET\r\n$37\r\nbw:2:{hex}\r\n*2\r\n$3\r\nGET\r\n$37\r\nbw:3:{hex}\r\n")
        );
    }

    #[test]
    fn a_lookup_is_two_values_or_unavailable() {
        assert_eq!(
            read_lookup(b"$1\r\nx\r\n$-1\r\n"),
            Ok(Found { l2: Some(b"x"), l3: None, wrong_type: false })
        );
        assert_eq!(
            read_lookup(b"-WRONGTYPE x\r\n$1\r\ny\r\n"),
            Ok(Found { l2: None, l3: Some(b"y"), wrong_type: true })
        );
        for answer in [
            &b""[..],
            b"$-1\r\n",
            b"-upstream failure\r\n-upstream failure\r\n",
            b"garbage",
            b"+OK\r\n+OK\r\n",
        ] {
            assert_eq!(read_lookup(answer), Err(Unavailable), "{answer:?}");
        }
    }

    #[test]
    fn l2_keeps_for_the_freshness_and_l3_for_the_staleness() {
        let (pipeline, commands) = store("bw", DIGEST, &l2(), &entry(b"x"), Wall(4_000)).unwrap();
        let text = String::from_utf8_lossy(&pipeline).into_owned();
        assert_eq!(commands, 2);
        assert!(text.contains("PX\r\n$4\r\n6000\r\n") && text.ends_with("PX\r\n$5\r\n66000\r\n"), "{text}");
        assert_eq!(store("bw", DIGEST, &l2(), &entry(b"x"), Wall(10_000)).unwrap().1, 1, "stale: L3 alone");
        assert_eq!(store("bw", DIGEST, &l2(), &entry(b"x"), Wall(70_000)), None, "of no more use");
    }

    #[test]
    fn an_entry_at_the_size_limit_is_written_and_one_byte_more_is_not() {
        let room = 1_000 - entry(b"").encoded_len();
        assert!(store("bw", DIGEST, &l2(), &entry(&vec![0; room]), Wall(0)).is_some());
        assert_eq!(store("bw", DIGEST, &l2(), &entry(&vec![0; room + 1]), Wall(0)), None);
    }

    #[test]
    fn a_full_redis_refuses_but_is_there() {
        assert_eq!(read_written(b"+OK\r\n+OK\r\n", 2), Ok(Written::Done));
        assert_eq!(read_written(b":2\r\n", 1), Ok(Written::Done));
        assert_eq!(read_written(b"-OOM command not allowed\r\n+OK\r\n", 2), Ok(Written::Refused));
        assert_eq!(read_written(b"-upstream failure\r\n+OK\r\n", 2), Err(Unavailable));
        assert_eq!(read_written(b"+OK\r\n", 2), Err(Unavailable));
    }
}
