//! Parts of responses: stored when a request asked for one, and what they answer (RFC 9111 §3.3, §3.4).
//!
//! One part is kept for each key, in L1 alone, in a slot beside that of the whole. It answers requests for what lies
//! within it, while it is fresh. A part that comes later and belongs to the same representation is joined to it, and
//! when that makes the whole, the whole is stored. Responses that vary are not kept in parts.

use super::Worker;
use super::request::Asked;
use super::slots::Filled;
use crate::config::plan::Rule;
use crate::exchange::{Held, answers, marked};
use crate::host::{Host, StreamId};
use crate::http::content_range::ContentRange;
use crate::http::key::{Digest, Key};
use crate::http::{Fields, partial, range};
use crate::store::entry::Meta;
use crate::store::{Entry, l1};
use crate::telemetry::Answered;
use crate::time::Wall;

impl<H: Host> Worker<H> {
    /// Answers a request for one range from the part that L1 holds of it.
    pub(super) fn answer_part(&mut self, stream: StreamId, asked: &Asked<'_>) -> bool {
        let Asked { rule_index, key, request, fields, sender } = *asked;
        let mut lines = fields.values(b"range");
        let (Some(line), None) = (lines.next(), lines.next()) else { return false };
        let now = self.host.wall();
        let Some(held) = self.part(key) else { return false };
        let advice = super::rule(&self.plan, rule_index).cache.request_directives;
        let may_answer = |entry: &Entry<'_>| entry.is_fresh(now) && answers(entry, request, advice, now);
        let Some(entry) = Entry::read(&held).filter(may_answer) else { return false };
        // What else it is conditional on is for those who have the whole to say.
        let holds = |value| range::if_range_holds(value, entry.fields, now);
        let unconditional = !request.conditional || request.if_range;
        if !unconditional
            || !fields.get(b"if-range").is_none_or(holds)
            || !super::fits(&entry, key, request, fields)
        {
            return false;
        }
        let answer = ContentRange::of(entry.fields).and_then(|stored| {
            let part = partial::holds(&stored, &range::parse(line)?)?;
            partial::answer(entry.fields, &stored, entry.body, part)
        });
        let Some((block, body)) = answer else { return false };
        self.account(stream, rule_index, sender, Answered::HitL1);
        let how = super::request::from_l1(super::rule(&self.plan, rule_index));
        self.answer(stream, 206, &marked(block.as_block(), &entry, how, now), &body, super::At::Request);
        true
    }

    /// Keeps a part, joined to the one that is there; the whole, once that is complete.
    pub(super) fn keep_part(&mut self, requested_at: Wall, key: &Key, bytes: &Held, rule: &Rule) {
        let Some(entry) = Entry::read(bytes).filter(|entry| entry.selecting.is_empty()) else { return };
        let Some(range) = ContentRange::of(entry.fields).filter(|range| range.fits(entry.body.len())) else {
            return;
        };
        let now = self.host.wall();
        let former = self.part(key);
        let joined = former.as_deref().and_then(Entry::read).and_then(|former| {
            let update = Fields::from_block(entry.fields.to_vec())?;
            let stored = ContentRange::of(former.fields)?;
            partial::combine(former.fields, &stored, former.body, &update, &range, entry.body, now)
        });
        let Some((block, body)) = joined else {
            self.fill(requested_at, digest(key), bytes, 1);
            return;
        };
        let is_whole = ContentRange::of(block.as_block()).is_none();
        let status = if is_whole { 200 } else { 206 };
        let meta = Meta { status, ..entry.meta };
        let joined = Entry { meta, fields: block.as_block(), body: &body, ..entry }.encode();
        if is_whole {
            self.keep(requested_at, key.digest(), &joined, rule.cache.max_variants, false);
        } else if self.fill(requested_at, digest(key), &joined, 1) == Filled::OutOfDate {
            self.fill(requested_at, digest(key), bytes, 1);
        }
    }

    /// The part that L1 holds, if its resource was not changed since.
    fn part(&self, key: &Key) -> Option<Vec<u8>> {
        let (value, _) = self.host.shared(&self.tiers.geometry.slot(digest(key)).key())?;
        let bytes = l1::unwrap(&value)?.1;
        let entry =
            Entry::read(bytes).filter(|entry| entry.meta.status == 206 && entry.key == key.bytes())?;
        (entry.requested_at() > self.changed_at(key)).then(|| bytes.to_vec())
    }
}

/// Where the part of a key's response stands.
fn digest(key: &Key) -> Digest {
    Digest::first_of(&blake3::Hasher::new().update(b"part").update(key.bytes()).finalize())
}
