//! The toy's leases: one flight at a time among all workers, one after the other.

use super::{Flaw, Flight, Key, Toy};
use breakwater::host::{CalloutId, Host};
use breakwater::redis;
use breakwater::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Where a flight stands with its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Its leader went without it.
    None,
    /// Its leader waits for what Redis says.
    Asked,
    /// Its leader waits for another's flight.
    Elsewhere,
    /// Its leader has it, until then if it is not prolonged.
    Held(Mono),
}

/// What a worker knows of leases.
pub struct Leases {
    /// For how long; `None`: nobody else counts.
    pub lasts: Option<Duration>,
    callouts: BTreeMap<CalloutId, Key>,
}

impl Leases {
    pub fn new(lasts: Option<Duration>) -> Self {
        Self { lasts, callouts: BTreeMap::new() }
    }
}

impl<H: Host> Toy<H> {
    /// Has the leader of a flight wait for its lease; `false` if it need not.
    pub fn ask_for_lease(&mut self, key: &Key) -> bool {
        let (Some(lasts), Some(flight)) = (self.leases.lasts, self.flights.get_mut(key)) else {
            return false;
        };
        let (lock, name) = (lock(key), flight.name.as_bytes());
        let ms = lasts.as_millis().to_string();
        let ends = [&b"PX"[..], ms.as_bytes(), b"NX"];
        let ends = if self.flaw == Flaw::LeasesForEver { &ends[2..] } else { &ends[..] };
        let mut pipeline = Vec::new();
        redis::encode(&mut pipeline, &[&[&b"SET"[..], &lock, name], ends].concat());
        redis::encode(&mut pipeline, &[&b"GET"[..], &lock]);
        let asked = self.host.call("breakwater_l2", &pipeline, Duration::from_millis(50));
        let Some(callout) = asked else { return false };
        flight.lease = Lease::Asked;
        self.leases.callouts.insert(callout, key.clone());
        true
    }

    /// Redis has said whose lease it is, or nothing of use.
    pub fn hear_of_lease(&mut self, callout: CalloutId, answer: Option<Vec<u8>>) {
        let Some(key) = self.leases.callouts.remove(&callout) else { return };
        let (Some(lasts), Some(flight)) = (self.leases.lasts, self.flights.get_mut(&key)) else { return };
        if flight.lease != Lease::Asked {
            return;
        }
        let answer = answer.unwrap_or_default();
        let says = |text: &str| answer.windows(text.len()).any(|found| found == text.as_bytes());
        flight.lease = if says(&flight.name) || self.flaw == Flaw::IgnoresLeases {
            Lease::Held(self.host.mono().after(lasts))
        } else if answer.starts_with(b"$-1\r\n$32\r\n") {
            Lease::Elsewhere
        } else if self.flaw == Flaw::NeedsRedis {
            return;
        } else {
            Lease::None
        };
        if flight.lease != Lease::Elsewhere {
            self.host.resume(flight.leader);
        }
    }

    /// On the tick: who waits looks again, who has waited long enough goes, and who fetches goes on to.
    pub fn tend_leases(&mut self, now: Mono) {
        for key in self.flights.keys().cloned().collect::<Vec<_>>() {
            let Some(flight) = self.flights.get_mut(&key) else { continue };
            match flight.lease {
                Lease::Asked | Lease::Elsewhere
                    if flight.deadline <= now && self.flaw != Flaw::NeedsRedis =>
                {
                    flight.lease = Lease::None;
                    self.host.resume(flight.leader);
                }
                Lease::Elsewhere => drop(self.ask_for_lease(&key)),
                Lease::Held(ends) => self.prolong(&key, ends, now),
                Lease::None | Lease::Asked => {}
            }
        }
    }

    fn prolong(&mut self, key: &Key, ends: Mono, now: Mono) {
        let (Some(lasts), Some(flight)) = (self.leases.lasts, self.flights.get_mut(key)) else { return };
        if now.after(lasts / 2) < ends || self.flaw == Flaw::LetsLeasesEnd {
            return;
        }
        flight.lease = Lease::Held(now.after(lasts));
        let (lock, name, ms) = (lock(key), flight.name.as_bytes(), lasts.as_millis().to_string());
        let mut pipeline = Vec::new();
        let script = redis::script::RENEW;
        redis::encode(&mut pipeline, &[&b"EVAL"[..], script, b"1", &lock, name, name, ms.as_bytes()]);
        self.host.call("breakwater_l2", &pipeline, Duration::from_millis(50));
    }

    /// A flight is over: so is its lease, if it may have one.
    pub(super) fn give_back(&mut self, key: &Key, flight: &Flight) {
        let may_have = self.leases.lasts.is_some() && flight.lease != Lease::None;
        if !may_have || self.flaw == Flaw::KeepsLeases {
            return;
        }
        let (lock, name) = (lock(key), flight.name.as_bytes());
        let mut pipeline = Vec::new();
        if self.flaw == Flaw::EndsLeasesOfOthers {
            redis::encode(&mut pipeline, &[&b"DEL"[..], &lock]);
        } else {
            let script = redis::script::RELEASE;
            redis::encode(&mut pipeline, &[&b"EVAL"[..], script, b"1", &lock, name, name]);
        }
        self.host.call("breakwater_l2", &pipeline, Duration::from_millis(50));
    }

    /// A flight's name in the fleet, unlike any other's.
    pub fn name(&self) -> String {
        format!("{:016x}{:016x}", self.host.random(), self.host.random())
    }
}

fn lock(key: &Key) -> Vec<u8> {
    [b"toy:lock:", key.1.as_slice()].concat()
}
