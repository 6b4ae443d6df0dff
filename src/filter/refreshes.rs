//! Fetching anew in the background what was answered stale (RFC 5861 §3), or will be stale soon.
//!
//! A refresh is the very request that met the stale answer, sent once more by the worker itself: a callout to
//! `refresh.cluster`, an internal listener with the same routes and filters. There it is a request like others. It leads
//! the key's flight, asks the other tiers, then the upstream, and stores what it gets; if a flight is under way already,
//! it ends at once. Who comes meanwhile and can be answered does not wait for it: past `l1.ttl` one such request looks
//! for all of them whether the other tiers hold it still, in a flight beside the key's.
//!
//! It bears a mark with a secret of this process, so that it is not answered with the stale copy again, and nobody
//! outside can send one; and the moment that copy was received, so that it is content with what another refresh has
//! brought meanwhile.
//!
//! A *refetch* goes the same way with another mark, in place of a request that the upstream told of another response
//! than it asked about (`exchange::validation`): the client's request once more, and the client gets what comes.
//!
//! With `coalesce.detach` a flight is led that way too: the client that would have led it waits in it like the others, and
//! may leave like them. Its mark names the flight.
//!
//! A worker has one refresh per key under way, and so many in all; beyond, the stale answer stands until the next.

use super::tasks::Task;
use super::tiers::Purpose;
use super::{At, Slot, Worker};
use crate::config::plan::Rule;
use crate::exchange::{Event, Exchange, Fetched, Formation, Interest, Sender};
use crate::flight::Token;
use crate::host::{CalloutId, Host, StreamId};
use crate::http::Fields;
use crate::http::end_to_end::end_to_end;
use crate::http::key::{Digest, KeySpec};
use crate::telemetry::{Answered, Occurrence};
use crate::time::Wall;
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

    /// Known to all workers of this process, and to nobody else.
    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
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
    /// Whose a request is. The mark is for nobody else, and is taken off.
    pub(super) fn unmark(&self, stream: StreamId, fields: &mut Fields) -> Sender {
        let Some(mark) = fields.get(MARK.as_bytes()) else { return Sender::Client };
        let sender = sender(mark, &self.refreshes.secret);
        *fields = Fields::of(fields.iter().filter(|(name, _)| *name != MARK.as_bytes()));
        self.host.set_request_field(stream, MARK, None);
        sender
    }

    /// Whether what a request asks for can be fetched anew: without its body it would be another request.
    pub(super) fn can_refresh(&self, request: &Fields) -> bool {
        let is_repeatable = || matches!(request.get(b":method"), Some(b"GET" | b"HEAD"));
        self.plan.refresh.is_some() && is_repeatable()
    }

    /// Has a key's resource fetched anew, unless that is under way; what is to be replaced was received then.
    /// Not while the circuit to the upstream is open, or has no place for it.
    pub(super) fn refresh(
        &mut self,
        stream: StreamId,
        rule_index: usize,
        (digest, known): (Digest, Wall),
        request: &Fields,
    ) {
        if !self.can_refresh(request)
            || self.refreshes.under_way.contains(&digest)
            || !self.may_refresh_upstream(stream, rule_index)
        {
            return;
        }
        if self.refreshes.under_way.len() >= MAX_UNDER_WAY {
            self.counters.occurred(Occurrence::RefreshFailed);
            return;
        }
        self.refreshes.under_way.insert(digest);
        let fields = refresh(request, &self.refreshes.secret, known);
        self.later(Task::Refresh { digest, fields });
    }

    /// In a root callback: sends a refresh.
    pub(super) fn send_refresh(&mut self, digest: Digest, fields: &Fields) {
        if self.fetch(fields, Purpose::Refresh(digest)) {
            self.counters.occurred(Occurrence::RefreshBegun);
        } else {
            self.refreshed(digest, false);
        }
    }

    /// In a root callback: sends a request of the plugin's own; whether that could be done.
    fn fetch(&mut self, fields: &Fields, purpose: Purpose) -> bool {
        let cluster = self.plan.refresh.as_deref().unwrap_or_default();
        let begun = self.host.mono();
        let callout = self.host.fetch(cluster, fields, TIMEOUT);
        self.tiers.callouts.extend(callout.map(|callout| (callout, (purpose, begun))));
        callout.is_some()
    }

    /// A refresh is over.
    pub(super) fn refreshed(&mut self, digest: Digest, answered: bool) {
        self.refreshes.under_way.remove(&digest);
        if !answered {
            self.counters.occurred(Occurrence::RefreshFailed);
        }
    }

    /// Has a flight led by a request of the worker's own, like that of the client which led it, and has that wait.
    pub(super) fn detach(
        &mut self,
        stream: StreamId,
        slot: &mut Slot,
        rule: &Rule,
        token: Token,
    ) -> Option<Event> {
        // Nobody is promoted meanwhile: the lead is not lost.
        self.flights.table.vacate(token);
        self.later(Task::Detach(token, detached(&slot.exchange.fields, &self.refreshes.secret, token)));
        Some(self.wait(stream, slot, rule, token))
    }

    /// In a root callback: sends what is to lead a flight.
    pub(super) fn send_detached(&mut self, token: Token, fields: &Fields) {
        if !self.fetch(fields, Purpose::Detached(token)) {
            self.come_back(token);
        }
    }

    /// What was sent to lead a flight has come: it takes the lead, if that is vacant still, and flies as its client did.
    pub(super) fn adopt(
        &mut self,
        stream: StreamId,
        exchange: &mut Exchange,
        spec: &KeySpec,
        token: Token,
    ) -> Event {
        let searched = self.searched(spec, &exchange.fields);
        let Interest::Cacheable(key) = &mut exchange.interest else { return Event::Apart(exchange.why) };
        let Some(digest) = self.flights.table.adopt(token, stream) else {
            return Event::Apart(exchange.why);
        };
        match searched.filter(|(_, form)| form.digest() == digest) {
            Some((search, form)) => exchange.searched = Some((search, std::mem::replace(key, form))),
            None if key.digest() != digest => exchange.formation = Formation::Variant(digest),
            None => {}
        }
        Event::Led(token, None)
    }

    /// What was sent to lead a flight is over; if it never led it, another does.
    pub(super) fn come_back(&mut self, token: Token) {
        if self.flights.table.is_vacant(token) {
            self.vacate(token);
        }
    }

    /// Has a stream's request sent again.
    pub(super) fn refetch(&mut self, stream: StreamId, request: &Fields) {
        self.counters.occurred(Occurrence::Refetched);
        self.later(Task::Refetch(stream, refetch(request, &self.refreshes.secret)));
    }

    /// In a root callback: sends a request again.
    pub(super) fn send_refetch(&mut self, stream: StreamId, fields: &Fields) {
        // Its client may be gone meanwhile.
        if self.streams.contains_key(&stream) && !self.fetch(fields, Purpose::Refetch(stream)) {
            self.drive(stream, Event::Refetched(None), At::Response);
        }
    }

    /// A refetch is over.
    pub(super) fn refetched(&mut self, callout: CalloutId, stream: StreamId) {
        let fetched = self.host.fetched(callout, MAX_REFETCHED).and_then(|(fields, body)| {
            let status = std::str::from_utf8(fields.get(b":status")?).ok()?.parse().ok()?;
            Some(Fetched { status, fields, body })
        });
        self.drive(stream, Event::Refetched(fetched), At::Response);
    }

    /// Answers a client with what the refetch brought: its Cache-Status has been written on that way.
    pub(super) fn hand(&mut self, stream: StreamId, exchange: &Exchange, fetched: &Fetched) {
        self.account(stream, exchange.rule, exchange.sender, Answered::Miss);
        let fields = end_to_end(&fetched.fields);
        let age = fetched.fields.get(b"age").map(|age| (&b"age"[..], age));
        self.answer(
            stream,
            fetched.status,
            &Fields::of(fields.iter().chain(age)),
            &fetched.body,
            At::Response,
        );
    }

    /// Has the resource of a request that was answered fetched anew.
    pub(super) fn refresh_for(&mut self, stream: StreamId, slot: &Slot, known: Wall) {
        if let Some(key) = slot.exchange.key() {
            self.refresh(stream, slot.exchange.rule, (key.digest(), known), &slot.exchange.fields);
        }
    }
}

fn refresh(request: &Fields, secret: &[u8], known: Wall) -> Fields {
    whole(request, &[secret, b"/", known.0.to_string().as_bytes()].concat())
}

fn detached(request: &Fields, secret: &[u8], token: Token) -> Fields {
    whole(request, &[secret, DETACHED, token.0.to_string().as_bytes()].concat())
}

/// The request once more: for all of the response, whatever the client holds or wanted of it.
fn whole(request: &Fields, mark: &[u8]) -> Fields {
    again(request, |name| name.starts_with(b"if-") || matches!(name, b"range" | b"cache-control"), mark)
}

/// The request once more. A GET answers a HEAD too, and its body is not sent; but there are no parts of it (RFC 9110
/// §14.2).
fn refetch(request: &Fields, secret: &[u8]) -> Fields {
    let is_head = request.get(b":method") == Some(b"HEAD");
    again(request, |name| is_head && matches!(name, b"range" | b"if-range"), &refetch_mark(secret))
}

fn again(request: &Fields, leaves_out: impl Fn(&[u8]) -> bool, mark: &[u8]) -> Fields {
    let kept = request
        .iter()
        .filter(|(name, _)| !name.starts_with(b"x-envoy-") && !LEFT_OUT.contains(name) && !leaves_out(name));
    let method = [(&b":method"[..], &b"GET"[..])];
    let mark = [(MARK.as_bytes(), mark)];
    Fields::of(method.into_iter().chain(kept).chain(mark).collect::<Vec<_>>())
}

/// Whose a request with this mark is. Hashes are compared, for how long that takes tells nothing of the secret.
fn sender(mark: &[u8], secret: &[u8]) -> Sender {
    let Some((own, rest)) = mark.split_at_checked(secret.len()) else { return Sender::Client };
    if secret.is_empty() || blake3::hash(own) != blake3::hash(secret) {
        return Sender::Client;
    }
    let known = || std::str::from_utf8(rest.strip_prefix(b"/")?).ok()?.parse().ok();
    match rest {
        REFETCH => Sender::Refetch,
        _ if rest.starts_with(DETACHED) => {
            let token = || std::str::from_utf8(rest.strip_prefix(DETACHED)?).ok()?.parse().ok();
            token().map_or(Sender::Client, |token| Sender::Detached(Token(token)))
        }
        _ => known().map_or(Sender::Client, |known| Sender::Refresh(Wall(known))),
    }
}

fn refetch_mark(secret: &[u8]) -> Vec<u8> {
    [secret, REFETCH].concat()
}

/// The field that marks a refresh, in lower case.
pub(super) const MARK: &str = "x-breakwater-refresh";
const SECRET_KEY: &[u8] = b"secret/1";
/// Behind the secret, in the mark of a refetch; in that of a refresh it is a time.
const REFETCH: &[u8] = b"/refetch";
/// Behind the secret, in the mark of what leads a flight, before its token.
const DETACHED: &[u8] = b"/lead/";
const LEFT_OUT: [&[u8]; 4] = [b":method", b"content-length", b"transfer-encoding", b"x-breakwater-refresh"];
/// Refreshes under way in one worker.
const MAX_UNDER_WAY: usize = 256;
/// Largest body of a refetch, in bytes: it passes through the VM's memory as a whole, one at a time. It may be larger than
/// what is stored, for a client waits for it.
const MAX_REFETCHED: usize = 16 * 1024 * 1024;
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
            (b"x-breakwater-refresh", b"secret/1767225600000"),
        ]);
        assert_eq!(refresh(&request, b"secret", Wall(1_767_225_600_000)), expected);
    }

    #[test]
    fn a_refetch_asks_for_what_the_client_did() {
        let wants = [
            (&b":path"[..], &b"/x?y"[..]),
            (b"if-none-match", b"\"a\""),
            (b"range", b"bytes=0-1"),
            (b"if-range", b"\"a\""),
            (b"cache-control", b"no-cache"),
            (b"x-breakwater-refresh", b"forged"),
        ];
        let mark = (&b"x-breakwater-refresh"[..], &b"secret/refetch"[..]);
        let method = (&b":method"[..], &b"GET"[..]);
        let [path, tag, range, if_range, control, _] = wants;
        let asked =
            |method| refetch(&Fields::of([(&b":method"[..], method)].into_iter().chain(wants)), b"secret");
        assert_eq!(asked(b"GET"), Fields::of([method, path, tag, range, if_range, control, mark]));
        assert_eq!(asked(b"HEAD"), Fields::of([method, path, tag, control, mark]));
    }

    #[test]
    fn a_mark_means_something_only_with_the_secret() {
        for (mark, secret, expected) in [
            (&b"secret/17"[..], &b"secret"[..], Sender::Refresh(Wall(17))),
            (b"secret/18446744073709551616", b"secret", Sender::Client),
            (b"secret17", b"secret", Sender::Client),
            (b"Secret/17", b"secret", Sender::Client),
            (b"secret", b"secret", Sender::Client),
            (b"secret/refetch", b"secret", Sender::Refetch),
            (b"secret/lead/17", b"secret", Sender::Detached(Token(17))),
            (b"secret/lead/", b"secret", Sender::Client),
            (b"secret/lead/x", b"secret", Sender::Client),
            (b"/lead/17", b"secret", Sender::Client),
            (b"secret/", b"secret", Sender::Client),
            (b"/refetch", b"secret", Sender::Client),
            (b"", b"secret", Sender::Client),
            (b"", b"", Sender::Client),
            (b"/17", b"", Sender::Client),
            (b"/refetch", b"", Sender::Client),
        ] {
            assert_eq!(sender(mark, secret), expected, "{mark:?}");
        }
    }
}
