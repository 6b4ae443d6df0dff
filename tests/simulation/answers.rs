//! Judging what a client received.

use super::*;
use crate::origin::{AS_OF, SERIAL};

impl Judge {
    pub(super) fn judge_head(&mut self, client: &Client, world: &World) -> Result<(), Breach> {
        let now = world.now();
        if client.status() == Some(304) {
            return breach(Promise::Whole, format!("{:?} got a 304 it had not asked for", client.id));
        }
        if client.status() == Some(429) && client.serials.is_empty() {
            let what = format!("{:?} got what a filter said to another client", client.id);
            return breach(Promise::Sharing, what);
        }
        self.judge_reason(client)?;
        if client.fetch.is_none() {
            self.judge_status(client, world)?;
        }
        let Some(got) = self.got(client) else { return Ok(()) };
        let told =
            |why: &str| format!("{:?} got answer {} as of {}, {why}", client.id, got.serial, got.as_of);
        if place(client).1 != got.made.url {
            return breach(Promise::Whole, told("of another URL"));
        }
        if got.said.client == client.id || self.is_handed(client, got.said.client, world) {
            return Ok(());
        }
        if let Some(why) = got.made.forbidden.or(got.said.forbidden) {
            return breach(Promise::Sharing, told(&format!("which was not for it: {why}")));
        }
        let language = client.request.fields.get("accept-language").unwrap_or_default();
        if got.made.language.as_ref().is_some_and(|selected| selected != language) {
            return breach(Promise::Sharing, told("which was selected by another Accept-Language"));
        }
        if self.is_revoked(client, &got, now) {
            return breach(Promise::Sharing, told("after the permission was taken back"));
        }
        if leads(client) { Ok(()) } else { self.judge_time(client, &got, now) }
    }

    /// Whether an answer was made for the request that stood in for the client's: it is that one's, and nobody else's.
    fn is_handed(&mut self, client: &Client, maker: ClientId, world: &World) -> bool {
        let alike = |own: &Client| {
            let field = |of: &Client, name| of.request.fields.get(name).map(<[u8]>::to_vec);
            let all = [":path", "authorization", "accept-language", "cache-control"];
            is_refetch(own)
                && (own.request.envoy, own.request.worker) == (client.request.envoy, client.request.worker)
                && client.began < own.began
                && all.iter().all(|name| field(own, name) == field(client, name))
        };
        world.with_client(maker, alike).unwrap_or(false)
            && *self.handed.entry(maker).or_insert(client.id) == client.id
    }

    /// What no answer of the upstream stands behind must have another cause.
    fn judge_status(&self, client: &Client, world: &World) -> Result<(), Breach> {
        let (now, status) = (world.now(), client.status().unwrap_or_default());
        let refused = self.terms.refuses
            && status == 503
            && client.head.as_ref().and_then(|head| head.get("retry-after")) == Some(b"1")
            && self.is_crowded(client.id, &client.request, world);
        let lost = client.vm_died || client.stream.is_none();
        if status >= 500 && !lost && !refused && !self.is_failing(client, now) {
            let what = format!("{:?} got {status}, and nothing has failed", client.id);
            return breach(Promise::Cause, what);
        }
        let reads =
            [&b"GET"[..], b"HEAD"].contains(&client.request.fields.get(":method").unwrap_or_default());
        if status == 200 && reads && self.got(client).is_none() {
            let what = format!("{:?} got what the plugin says to itself", client.id);
            return breach(Promise::Whole, what);
        }
        Ok(())
    }

    /// Whether its Envoy knew, before the client came, that the permission was taken back, and did not learn that it
    /// was given again. Who came before may have been told what was right then.
    fn is_revoked(&self, client: &Client, got: &Got, now: Duration) -> bool {
        let given = self.headed[&got.as_of].0;
        let revoked = |envoy| self.revoked.get(&(envoy, got.serial)).filter(|revoked| given < revoked.order);
        if revoked(client.request.envoy).is_some_and(|revoked| revoked.at + INSTANT < client.began) {
            return true;
        }
        // The others are not told. They go by what their L1 took from Redis until it lets go of it, and for longer only
        // where Redis or the upstream fails; what they wrote to Redis meanwhile may have come there after the deletion.
        let settled = |at: Duration| self.completed.get(&got.as_of).is_some_and(|done| *done + PASSAGE < at);
        let let_go = |at: Duration| at + self.terms.l1_ttl + PASSAGE < client.began;
        let mut elsewhere = (0..self.envoys).filter_map(revoked);
        self.calm
            && !self.is_failing(client, now)
            && elsewhere.any(|revoked| settled(revoked.at) && let_go(revoked.at))
    }

    /// Whether stale answers are excused. Those who waited for another Envoy's fetch are told of its failure.
    fn is_failing(&self, client: &Client, now: Duration) -> bool {
        let told = |envoy: usize| self.terms.l2 || envoy == client.request.envoy;
        self.failed_at.iter().any(|(envoy, at)| told(*envoy) && now <= *at + STALE_AFTER_FAILURE)
    }

    /// What was not the client's own request must be fresh, or still under way when it came, and newer than writes.
    fn judge_time(&self, client: &Client, got: &Got, now: Duration) -> Result<(), Breach> {
        let Got { serial, as_of, said, .. } = got;
        let completed = self.completed.get(as_of).copied().unwrap_or(now);
        let began = self.began[&client.id];
        let broken = self.written.get(&place(client)).is_some_and(|write| {
            // What another Envoy asked for before the write and received after it is older than it looks, and only
            // the order of an invalidation log could tell. What it received before the write is known to be old.
            let late = said.envoy != client.request.envoy && write.at < self.headed[as_of].1 + INSTANT;
            self.asked[as_of] < write.answered && write.told < began && !late
        });
        if broken {
            let what = format!(
                "{:?} got answer {serial} as of {as_of}, asked for before a write that it came after",
                client.id
            );
            return breach(Promise::AfterWrites, what);
        }
        let waited = client.began <= completed + Duration::from_millis(5);
        let window = said.window.unwrap_or(self.terms.stale_while_revalidate);
        let window = if self.terms.refreshes { window } else { Duration::ZERO };
        let fresh = now <= completed + said.lifetime + window + Duration::from_millis(50);
        if !waited && !fresh && !self.is_failing(client, now) {
            let what = format!(
                "{:?} got answer {serial} as of {as_of}, complete since {completed:?}, stale: {:?}",
                client.id, client.head
            );
            return breach(Promise::Fresh, what);
        }
        Ok(())
    }

    pub(super) fn judge_body(&self, client: &Client) -> Result<(), Breach> {
        let Some((_, End::Complete)) = client.ended else { return Ok(()) };
        let head = client.request.fields.get(":method") == Some(b"HEAD");
        match self.got(client) {
            Some(Got { serial, made, .. }) if !head && client.body != made.body => {
                let (got, whole) = (client.body.len(), made.body.len());
                let what = format!("{:?} got {got} bytes for the {whole} of answer {serial}", client.id);
                breach(Promise::Whole, what)
            }
            None if client.body.starts_with(crate::origin::MARKER) => {
                breach(Promise::Whole, format!("{:?} got a body without its head", client.id))
            }
            _ => Ok(()),
        }
    }

    /// The upstream's answer that a client's head says it is.
    fn got(&self, client: &Client) -> Option<Got> {
        let value = |name| client.head.as_ref()?.get(name).and_then(|value| std::str::from_utf8(value).ok());
        let serial = value(SERIAL)?.parse().ok()?;
        let as_of = value("cache-control")?.split_once(AS_OF)?.1.parse().ok()?;
        Some(Got { serial, made: self.made(serial)?, as_of, said: self.made(as_of)? })
    }
}

/// What a client received.
struct Got {
    /// Whose body it is, if there is one.
    serial: u64,
    made: Rc<Made>,
    /// Whose word of it counts: its own, or the last one's that confirmed it.
    as_of: u64,
    said: Rc<Made>,
}

/// What the clock of a run may move within one callback, and what a millisecond hides.
pub(super) const INSTANT: Duration = Duration::from_millis(2);
/// What a message to Redis, and the way to send it, may take where nothing is wrong.
const PASSAGE: Duration = Duration::from_millis(100);
/// For how long after a failure stale answers are excused: as long as a circuit may stay open in these runs.
const STALE_AFTER_FAILURE: Duration = Duration::from_secs(20);
