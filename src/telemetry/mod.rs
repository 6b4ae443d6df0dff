//! What operators see: names of stats and tags, and the counting behind them.
//!
//! Everything is counted in the VM and handed to Envoy on the tick: a request costs no host call here. Names are
//! `breakwater.<what>.<kind>.rule.<rule>`; Envoy's `stats_tags` turn the last parts into labels.

use crate::breaker::Cause;
use crate::host::{Host, MetricId, MetricKind};
use crate::http::Reason;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    /// From L1.
    HitL1,
    /// From L2.
    HitL2,
    /// From L3.
    HitL3,
    /// By another request's fetch.
    Collapsed,
    /// From a stale copy, in place of a failure.
    Stale,
    /// From the store, after the upstream confirmed it.
    Revalidated,
    /// By the upstream, on our behalf.
    Miss,
    /// By the upstream, without our doing.
    Pass,
    /// By the plugin's own error.
    Refused,
}

impl Answered {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::HitL1,
        Self::HitL2,
        Self::HitL3,
        Self::Collapsed,
        Self::Stale,
        Self::Revalidated,
        Self::Miss,
        Self::Pass,
        Self::Refused,
    ];

    /// The word in stats, access logs and spans.
    pub fn word(self) -> &'static str {
        match self {
            Self::HitL1 => "hit-l1",
            Self::HitL2 => "hit-l2",
            Self::HitL3 => "hit-l3",
            Self::Collapsed => "collapsed",
            Self::Stale => "stale",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Pass => "pass",
            Self::Refused => "refused",
        }
    }
}

/// What happens beside requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occurrence {
    /// A flight began.
    FlightLed,
    /// A leader was lost and a waiter took its place, or the waiters competed anew.
    FlightLost,
    /// A flight got its key's lease from Redis.
    LeaseTaken,
    /// A flight found its key's lease with another Envoy, and waits for that.
    LeaseAwaited,
    /// A lease ended before its flight did.
    LeaseLost,
    /// A waiter whose answer was not for it had to stay until others like it were answered.
    ReleaseDelayed,
    /// An entry was put into L1.
    L1Stored,
    /// An entry was driven out of L1 to make room.
    L1Evicted,
    /// A variant had to go because its URL has as many as `cache.max_variants` allows.
    VariantEvicted,
    /// A refresh in the background began.
    RefreshBegun,
    /// A refresh in the background could not be begun, or ended without an answer.
    RefreshFailed,
    /// The upstream confirmed another response than it was asked about, and was asked for all of it.
    Refetched,
    /// Redis did not answer, or not in RESP.
    L2Failed,
    /// Redis answered but refused a write.
    L2Refused,
    /// What Redis held was not an entry of ours.
    L2Corrupt,
    /// Redis was taken out of the requests' way.
    L2Down,
    /// Redis was taken back.
    L2Up,
    /// A circuit opened.
    BreakerOpened,
    /// A circuit closed.
    BreakerClosed,
    /// A request went as a probe.
    BreakerProbed,
    /// A request went that a circuit would have refused if it were not only watched.
    BreakerSpared,
    /// A circuit that is closed here was found open elsewhere in the fleet.
    BreakerHinted,
    /// A resource was changed by an unsafe request.
    Invalidated,
}

impl Occurrence {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 23] = [
        Self::FlightLed,
        Self::FlightLost,
        Self::LeaseTaken,
        Self::LeaseAwaited,
        Self::LeaseLost,
        Self::ReleaseDelayed,
        Self::L1Stored,
        Self::L1Evicted,
        Self::VariantEvicted,
        Self::RefreshBegun,
        Self::RefreshFailed,
        Self::Refetched,
        Self::L2Failed,
        Self::L2Refused,
        Self::L2Corrupt,
        Self::L2Down,
        Self::L2Up,
        Self::BreakerOpened,
        Self::BreakerClosed,
        Self::BreakerProbed,
        Self::BreakerSpared,
        Self::BreakerHinted,
        Self::Invalidated,
    ];

    /// The stat's name.
    pub fn stat(self) -> &'static str {
        match self {
            Self::FlightLed => "breakwater.flights.led",
            Self::FlightLost => "breakwater.flights.lost",
            Self::LeaseTaken => "breakwater.leases.taken",
            Self::LeaseAwaited => "breakwater.leases.awaited",
            Self::LeaseLost => "breakwater.leases.lost",
            Self::ReleaseDelayed => "breakwater.releases.delayed",
            Self::L1Stored => "breakwater.l1.stored",
            Self::L1Evicted => "breakwater.l1.evicted",
            Self::VariantEvicted => "breakwater.variants.evicted",
            Self::RefreshBegun => "breakwater.refreshes.begun",
            Self::RefreshFailed => "breakwater.refreshes.failed",
            Self::Refetched => "breakwater.refetches",
            Self::L2Failed => "breakwater.l2.failed",
            Self::L2Refused => "breakwater.l2.refused",
            Self::L2Corrupt => "breakwater.l2.corrupt",
            Self::L2Down => "breakwater.l2.down",
            Self::L2Up => "breakwater.l2.up",
            Self::BreakerOpened => "breakwater.breaker.opened",
            Self::BreakerClosed => "breakwater.breaker.closed",
            Self::BreakerProbed => "breakwater.breaker.probed",
            Self::BreakerSpared => "breakwater.breaker.spared",
            Self::BreakerHinted => "breakwater.breaker.hinted",
            Self::Invalidated => "breakwater.invalidated",
        }
    }
}

/// Counters of one worker, not yet handed over.
#[derive(Debug)]
pub struct Counters {
    answered: Vec<Counter>,
    reasons: Vec<Counter>,
    transitions: Vec<Counter>,
    occurrences: Vec<Counter>,
    waiters: Gauge,
    /// Circuits that are open, half-open and shedding.
    circuits: [Gauge; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    metric: Option<MetricId>,
    pending: u64,
}

/// What goes up and down. Envoy adds up what all workers say, so each tells by how much its own has changed.
#[derive(Clone, Copy, Debug, Default)]
struct Gauge {
    metric: Option<MetricId>,
    now: i64,
    told: i64,
}

impl Counters {
    /// Defines all stats for these rules, so that they show as zero from the start.
    pub fn define(host: &impl Host, rules: &[&str]) -> Self {
        let define = |name: &str| Counter { metric: host.metric(MetricKind::Counter, name), pending: 0 };
        let per_rule =
            |what: &str, word: &str, rule: &str| define(&format!("breakwater.{what}.{word}.rule.{rule}"));
        let requests =
            |rule: &&str| Answered::ALL.map(|answered| per_rule("requests", answered.word(), rule));
        let transitions = |rule: &&str| Cause::ALL.map(|cause| per_rule("transitions", cause.word(), rule));
        let gauge = |name: &str| Gauge { metric: host.metric(MetricKind::Gauge, name), now: 0, told: 0 };
        let reasons = |rule: &&str| Reason::ALL.map(|reason| per_rule("reasons", reason.word(), rule));
        Self {
            answered: rules.iter().flat_map(requests).collect(),
            reasons: rules.iter().flat_map(reasons).collect(),
            transitions: rules.iter().flat_map(transitions).collect(),
            occurrences: Occurrence::ALL.map(|occurrence| define(occurrence.stat())).to_vec(),
            waiters: gauge("breakwater.waiters"),
            circuits: ["open", "half-open", "shedding"]
                .map(|state| gauge(&format!("breakwater.circuits.{state}"))),
        }
    }

    /// A request was answered.
    pub fn answered(&mut self, rule: usize, answered: Answered) {
        count(&mut self.answered, place(rule, &Answered::ALL, answered));
    }

    /// A request was not answered from the store, or a response not stored, because.
    pub fn because(&mut self, rule: usize, reason: Reason) {
        count(&mut self.reasons, place(rule, &Reason::ALL, reason));
    }

    /// A rule's circuit made a transition.
    pub fn transition(&mut self, rule: usize, cause: Cause) {
        count(&mut self.transitions, place(rule, &Cause::ALL, cause));
    }

    /// So many circuits of this worker are open, half-open and shedding now.
    pub fn circuits(&mut self, disturbances: [usize; 3]) {
        for (gauge, now) in self.circuits.iter_mut().zip(disturbances) {
            gauge.now = i64::try_from(now).unwrap_or(i64::MAX);
        }
    }

    /// Something happened.
    pub fn occurred(&mut self, occurrence: Occurrence) {
        count(&mut self.occurrences, place(0, &Occurrence::ALL, occurrence));
    }

    /// So many requests wait now. That nobody does is told at once: a worker that goes has nobody who waits, and its
    /// last tick may be before that.
    pub fn waiting(&mut self, waiters: usize, host: &impl Host) {
        self.waiters.now = i64::try_from(waiters).unwrap_or(i64::MAX);
        if waiters == 0 {
            self.waiters.tell(host);
        }
    }

    /// Hands over what was counted.
    pub fn flush(&mut self, host: &impl Host) {
        let per_rule = self.answered.iter_mut().chain(&mut self.reasons).chain(&mut self.transitions);
        for counter in per_rule.chain(&mut self.occurrences) {
            let pending = std::mem::take(&mut counter.pending);
            if let (Some(metric), Ok(pending @ 1..)) = (counter.metric, i64::try_from(pending)) {
                host.add(metric, pending);
            }
        }
        self.waiters.tell(host);
        self.circuits.iter_mut().for_each(|gauge| gauge.tell(host));
    }
}

impl Gauge {
    fn tell(&mut self, host: &impl Host) {
        let change = self.now.saturating_sub(self.told);
        if let Some(metric) = self.metric.filter(|_| change != 0) {
            host.add(metric, change);
            self.told = self.now;
        }
    }
}

fn place<T: PartialEq, const N: usize>(rule: usize, all: &[T; N], one: T) -> usize {
    let within = all.iter().position(|other| *other == one).unwrap_or(0);
    rule.saturating_mul(N).saturating_add(within)
}

fn count(counters: &mut [Counter], place: usize) {
    if let Some(counter) = counters.get_mut(place) {
        counter.pending = counter.pending.saturating_add(1);
    }
}

#[cfg(test)]
mod tests;
