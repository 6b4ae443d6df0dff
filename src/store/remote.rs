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
use crate::store::leases::{self, Said, Wish};
use crate::store::variants::{Index, Publication};
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

/// Asks both tiers, and first for a lease, if one is wished for: thus whoever gets it sees what its last holder stored.
pub fn lookup(namespace: &str, digest: Digest, wish: Option<&Wish>) -> Vec<u8> {
    let mut pipeline = wish.map(|wish| leases::take(namespace, wish)).unwrap_or_default();
    for tier in TIERS {
        redis::encode(&mut pipeline, &[&b"GET"[..], &key(namespace, tier, digest)]);
    }
    pipeline
}

/// Reads the answer to [`lookup`], and what it says of the lease that was wished for.
pub fn read_lookup<'a>(
    answer: &'a [u8],
    wish: Option<&Wish>,
) -> Result<(Found<'a>, Option<Said<'a>>), Unavailable> {
    let commands = wish.map_or(0, Wish::commands);
    let replies = redis::replies(answer, TIERS.len().saturating_add(commands)).map_err(|_| Unavailable)?;
    let (of_lease, of_tiers) = replies.split_at_checked(commands).ok_or(Unavailable)?;
    Ok((read_tiers(of_tiers)?, wish.and_then(|_| leases::read_taken(of_lease))))
}

fn read_tiers<'a>(replies: &[Reply<'a>]) -> Result<Found<'a>, Unavailable> {
    let mut found = Found::default();
    let mut values = [None; TIERS.len()];
    for (value, reply) in values.iter_mut().zip(replies) {
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

/// Writes a variant, and then names it in its key's index, in the tiers that may hold them for a while yet.
pub fn store_variant(
    namespace: &str,
    digest: Digest,
    variant: Digest,
    l2: &L2,
    entry: &Entry<'_>,
    (index, publication): (&Index, Publication),
    now: Wall,
) -> Option<(Vec<u8>, usize)> {
    let (mut pipeline, mut commands) = store(namespace, variant, l2, entry, now)?;
    let (bytes, line) = match publication {
        // So that there is something to append to which does not live for ever.
        Publication::Append => (Index::new(&index.key).encode(), Some(index.line(entry.selecting))),
        Publication::Replace => (index.encode(), None),
    };
    // The index outlasts what it names.
    for (tier, stay) in TIERS.into_iter().zip([l2.ttl, l2.l3_ttl]) {
        let stay = millis(stay).to_string();
        let key = key(namespace, tier, digest);
        let mut set = vec![&b"SET"[..], &key, &bytes, b"PX", stay.as_bytes()];
        if let Some(line) = &line {
            set.push(b"NX");
            redis::encode(&mut pipeline, &set);
            redis::encode(&mut pipeline, &[&b"APPEND"[..], &key, line]);
            redis::encode(&mut pipeline, &[&b"PEXPIRE"[..], &key, stay.as_bytes()]);
            commands = commands.saturating_add(3);
        } else {
            redis::encode(&mut pipeline, &set);
            commands = commands.saturating_add(1);
        }
    }
    Some((pipeline, commands))
}

/// Forgets a key in both tiers, and if its resource has changed, who fetches it; one command.
pub fn delete(namespace: &str, digest: Digest, has_changed: bool) -> (Vec<u8>, usize) {
    let mut pipeline = Vec::new();
    let [l2, l3] = TIERS.map(|tier| key(namespace, tier, digest));
    let lease = leases::key(namespace, digest);
    let words = [&b"DEL"[..], &l2, &l3].into_iter().chain(has_changed.then_some(&lease[..]));
    redis::encode(&mut pipeline, &words.collect::<Vec<_>>());
    (pipeline, 1)
}

/// Reads the answer to [`store`] or [`delete`].
pub fn read_written(answer: &[u8], commands: usize) -> Result<Written, Unavailable> {
    let replies = redis::replies(answer, commands).map_err(|_| Unavailable)?;
    let mut written = Written::Done;
    for reply in &replies {
        match reply {
            // None is the answer to SET NX where something is.
            Reply::Simple(_) | Reply::Integer(_) | Reply::Nil => {}
            Reply::Error(text) if is_refusal(text) => written = Written::Refused,
            _ => return Err(Unavailable),
        }
    }
    Ok(written)
}

pub(super) fn key(namespace: &str, tier: &str, digest: Digest) -> Vec<u8> {
    let mut key = Vec::with_capacity(namespace.len().saturating_add(36));
    key.extend_from_slice(namespace.as_bytes());
    key.extend_from_slice(tier.as_bytes());
    digest.write_hex(&mut key);
    key
}

const TIERS: [&str; 2] = [":2:", ":3:"];

/// Whether an error says that Redis is there and will not: out of memory, a replica, misconfigured persistence, no
/// permission, no such command.
pub(super) fn is_refusal(error: &[u8]) -> bool {
    let refusals: [&[u8]; 5] = [b"OOM", b"READONLY", b"MISCONF", b"NOPERM", b"ERR unknown command"];
    refusals.iter().any(|refusal| error.starts_with(refusal))
}

#[cfg(test)]
mod tests;
