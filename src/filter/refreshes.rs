//! Fetching anew in the background what was answered stale (RFC 5861 §3), or will be stale soon.
//!
//! A refresh is the very request that met the stale answer, sent once more by the worker itself: a callout to
//! `refresh.cluster`, an internal listener with the same routes and filters. There it is a request like others. It leads
//! the key's flight, asks the other tiers, then the upstream, and stores what it gets; nobody waits for it, and if a
//! flight is under way already, it ends at once. It bears a mark with a secret of this process, so that it is not
//! answered with the stale copy again, and nobody outside can send one.
//!
//! A worker has one refresh per key under way, and so many in all; beyond, the stale answer stands until the next.

use super::tasks::Task;
use super::tiers::Purpose;
use super::{Slot, Worker};
use crate::host::{Host, StreamId};
use crate::http::Fields;
use crate::http::key::Digest;
use crate::telemetry::Occurrence;
use std::collections::BTreeSet;
use std::time::Duration;

/// What one worker refreshes.
#[derive(Default)]
pub(super) struct Refreshes {
    secret: Vec<u8>,
    under_way: BTreeSet<Digest>,
}

impl Refreshes {
    pub(super) fn new(host: &impl Host) -> Self {
        let secret = host.shared(SECRET_KEY).map_or_else(Vec::new, |(secret, _)| secret);
        Self { secret, under_way: BTreeSet::new() }
    }
}

/// Chooses the process's secret, before the first request.
pub(super) fn prepare(host: &impl Host) {
    if host.shared(SECRET_KEY).is_none() {
        let secret = format!("{:016x}{:016x}", host.random(), host.random());
        let _ = host.share(SECRET_KEY, secret.as_bytes(), None);
    }
}

impl<H: Host> Worker<H> {
    /// Whether a request is a refresh of ours. The mark is for nobody else, and is taken off.
    pub(super) fn unmark(&self, stream: StreamId, fields: &mut Fields) -> bool {
        let Some(mark) = fields.get(MARK.as_bytes()) else { return false };
        let own = !self.refreshes.secret.is_empty() && mark == self.refreshes.secret;
        *fields = Fields::of(fields.iter().filter(|(name, _)| *name != MARK.as_bytes()));
        self.host.set_request_field(stream, MARK, None);
        own
    }

    /// Whether what a request asks for can be fetched anew: without its body it would be another request.
    pub(super) fn can_refresh(&self, request: &Fields) -> bool {
        let is_repeatable = || matches!(request.get(b":method"), Some(b"GET" | b"HEAD"));
        self.plan.refresh.is_some() && is_repeatable()
    }

    /// Has a key's resource fetched anew, unless that is under way.
    pub(super) fn refresh(&mut self, digest: Digest, request: &Fields) {
        if !self.can_refresh(request) || self.refreshes.under_way.contains(&digest) {
            return;
        }
        if self.refreshes.under_way.len() >= MAX_UNDER_WAY {
            self.counters.occurred(Occurrence::RefreshFailed);
            return;
        }
        self.refreshes.under_way.insert(digest);
        let fields = marked(request, &self.refreshes.secret);
        self.later(Task::Refresh { digest, fields });
    }

    /// In a root callback: sends a refresh.
    pub(super) fn send_refresh(&mut self, digest: Digest, fields: &Fields) {
        let cluster = self.plan.refresh.as_deref().unwrap_or_default();
        let begun = self.host.mono();
        match self.host.fetch(cluster, fields, TIMEOUT) {
            Some(callout) => {
                self.counters.occurred(Occurrence::RefreshBegun);
                self.tiers.callouts.insert(callout, (Purpose::Refresh(digest), begun));
            }
            None => self.refreshed(digest, false),
        }
    }

    /// A refresh is over.
    pub(super) fn refreshed(&mut self, digest: Digest, answered: bool) {
        self.refreshes.under_way.remove(&digest);
        if !answered {
            self.counters.occurred(Occurrence::RefreshFailed);
        }
    }

    /// Has the resource of a request that was answered fetched anew.
    pub(super) fn refresh_for(&mut self, slot: &Slot) {
        if let Some(key) = slot.exchange.key() {
            self.refresh(key.digest(), &slot.exchange.fields);
        }
    }
}

/// The request once more: for all of the response, whatever the client holds or wanted of it.
fn marked(request: &Fields, secret: &[u8]) -> Fields {
    let again = request.iter().filter(|(name, _)| {
        !name.starts_with(b"if-") && !name.starts_with(b"x-envoy-") && !LEFT_OUT.contains(name)
    });
    let method = [(&b":method"[..], &b"GET"[..])];
    let mark = [(MARK.as_bytes(), secret)];
    Fields::of(method.into_iter().chain(again).chain(mark).collect::<Vec<_>>())
}

/// The field that marks a refresh, in lower case.
pub(super) const MARK: &str = "x-breakwater-refresh";
const SECRET_KEY: &[u8] = b"secret/1";
const LEFT_OUT: [&[u8]; 6] = [
    b":method",
    b"range",
    b"cache-control",
    b"content-length",
    b"transfer-encoding",
    b"x-breakwater-refresh",
];
/// Refreshes under way in one worker.
const MAX_UNDER_WAY: usize = 256;
/// Longer than any route should take; its own timeout is shorter.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_asks_for_the_whole_and_bears_the_mark() {
        let request = Fields::of([
            (&b":method"[..], &b"HEAD"[..]),
            (b":path", b"/x?y"),
            (b"accept-language", b"de"),
            (b"if-none-match", b"\"a\""),
            (b"range", b"bytes=0-1"),
            (b"cache-control", b"no-cache"),
            (b"x-envoy-original-path", b"/"),
            (b"x-breakwater-refresh", b"forged"),
        ]);
        let expected = Fields::of([
            (&b":method"[..], &b"GET"[..]),
            (b":path", b"/x?y"),
            (b"accept-language", b"de"),
            (b"x-breakwater-refresh", b"secret"),
        ]);
        assert_eq!(marked(&request, b"secret"), expected);
    }
}
