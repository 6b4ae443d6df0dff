//! Judging what a client received.

use super::*;

impl Judge {
    pub(super) fn judge_head(&self, client: &Client, now: Duration) -> Result<(), Breach> {
        if client.status() == Some(304) {
            return breach(Promise::Whole, format!("{:?} got a 304 it had not asked for", client.id));
        }
        if client.status() == Some(429) && client.serials.is_empty() {
            let what = format!("{:?} got what a filter said to another client", client.id);
            return breach(Promise::Sharing, what);
        }
        let Some((serial, made)) = self.answer(client) else { return Ok(()) };
        let told = |why: &str| format!("{:?} got answer {serial}, {why}", client.id);
        if place(client).1 != made.url {
            return breach(Promise::Whole, told("of another URL"));
        }
        if made.client == client.id {
            return Ok(());
        }
        if let Some(why) = made.forbidden {
            return breach(Promise::Sharing, told(&format!("which was not for it: {why}")));
        }
        let language = client.request.fields.get("accept-language").unwrap_or_default();
        if made.language.as_ref().is_some_and(|selected| selected != language) {
            return breach(Promise::Sharing, told("which was selected by another Accept-Language"));
        }
        let began = self.began[&client.id];
        let revoked = self.revoked.get(&(client.request.envoy, serial)).is_some_and(|asked| began > *asked);
        let confirmed_itself = client.serials.iter().any(|own| self.confirms(*own, serial));
        if revoked && !confirmed_itself {
            return breach(Promise::Sharing, told("whose confirmation took the permission back"));
        }
        self.judge_time(client, serial, &made, now)
    }

    /// What was not the client's own request must be fresh, or still under way when it came, and newer than writes.
    fn judge_time(&self, client: &Client, serial: u64, made: &Made, now: Duration) -> Result<(), Breach> {
        let (asked, completed) = self.completed.get(&serial).copied().unwrap_or((self.asked[&serial], now));
        let began = self.began[&client.id];
        let broken = self.written.get(&place(client)).is_some_and(|write| {
            // What another Envoy asked for before the write and received after it is older than it looks, and only
            // the order of an invalidation log could tell. What it received before the write is known to be old.
            let late = made.envoy != client.request.envoy && write.at < self.headed[&serial].1 + INSTANT;
            asked < write.answered && write.told < began && !late
        });
        if broken {
            let what =
                format!("{:?} got answer {serial}, asked for before a write that it came after", client.id);
            return breach(Promise::AfterWrites, what);
        }
        let waited = client.began <= completed + Duration::from_millis(5);
        let until = self.fresh_until.get(&serial).copied().unwrap_or(completed + made.lifetime);
        let fresh = now <= until + Duration::from_millis(50);
        let failing =
            self.failed_at.get(&client.request.envoy).is_some_and(|at| now <= *at + STALE_AFTER_FAILURE);
        if !waited && !fresh && !failing {
            let what = format!("{:?} got answer {serial}, complete since {completed:?}, stale", client.id);
            return breach(Promise::Fresh, what);
        }
        Ok(())
    }

    pub(super) fn judge_body(&self, client: &Client) -> Result<(), Breach> {
        let Some((_, End::Complete)) = client.ended else { return Ok(()) };
        let head = client.request.fields.get(":method") == Some(b"HEAD");
        match self.answer(client) {
            Some((serial, made)) if !head && client.body != made.body => {
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
    fn answer(&self, client: &Client) -> Option<(u64, Made)> {
        let serial = client.head.as_ref()?.get("x-serial")?;
        let serial = std::str::from_utf8(serial).ok()?.parse().ok()?;
        Some((serial, self.made(serial)?))
    }

    fn confirms(&self, own: u64, serial: u64) -> bool {
        self.made(own).and_then(|made| made.confirms) == Some(serial)
    }
}

/// What the clock of a run may move within one callback, and what a millisecond hides.
pub(super) const INSTANT: Duration = Duration::from_millis(2);
/// For how long after a failure stale answers are excused: as long as a circuit may stay open in these runs.
const STALE_AFTER_FAILURE: Duration = Duration::from_secs(20);
