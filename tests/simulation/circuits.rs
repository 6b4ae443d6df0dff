//! What the judge knows of circuits: what workers say in their logs, held against what reaches the upstream.

use super::answers::INSTANT;
use super::{Breach, Judge, Promise, breach};
use breakwater::host::sim::{Asked, Client, World};
use std::time::Duration;

/// The circuit of an Envoy, as its workers told it last.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said {
    /// Nothing passes from some time after the first on, until the second.
    Open(Duration, Duration),
    /// Single probes pass since.
    Probing(Duration),
    /// Some pass, or all.
    Passing,
}

impl Judge {
    /// A worker said something.
    pub(super) fn follow_line(&mut self, envoy: usize, line: &str, world: &World) -> Result<(), Breach> {
        let Some((_, change)) = line.strip_prefix("circuit ").and_then(|rest| rest.split_once(" -> ")) else {
            return Ok(());
        };
        let now = world.now();
        let by_time = ["(slow-calls)", "(latency-outlier)"].iter().any(|cause| change.ends_with(cause));
        if by_time || change.starts_with("shedding") {
            let slow = |asked: &Asked| asked.envoy == envoy && asked.at + self.slow_call() <= now + INSTANT;
            let pending = self.flights.values().any(|flight| slow(&flight.asked));
            if !pending && !self.failed_at.contains_key(&envoy) {
                return breach(Promise::Circuits, format!("{line}: nothing was slow"));
            }
            self.failed_at.insert(envoy, now);
        }
        let said = if let Some(rest) = change.strip_prefix("open for ") {
            let millis: u64 = rest.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0);
            // Whoever waits for a fetch under way is told so, and need not wait for its end.
            for flight in self.flights.values_mut().filter(|flight| flight.asked.envoy == envoy) {
                flight.alone = true;
            }
            Said::Open(now, now + Duration::from_millis(millis))
        } else if change.starts_with("half-open (") {
            Said::Probing(now)
        } else {
            Said::Passing
        };
        self.circuits.insert(envoy, said);
        Ok(())
    }

    /// A circuit that is only watched answers nobody.
    pub(super) fn judge_reason(&self, client: &Client) -> Result<(), Breach> {
        let word = client.head.as_ref().and_then(|head| head.get("cache-status")).unwrap_or_default();
        let refused =
            [&b"detail=breaker-open"[..], b"detail=shed"].iter().any(|reason| word.ends_with(reason));
        if refused && !self.terms.opens && !self.terms.sheds {
            return breach(Promise::Circuits, format!("{:?} felt a circuit that is only watched", client.id));
        }
        Ok(())
    }

    /// What may be taken for a failure, if the upstream takes so long.
    pub(super) fn slow_call(&self) -> Duration {
        self.terms.slow_call.unwrap_or(LEARNT_AT_LEAST)
    }

    /// Whether nobody who has something stale waits for it: it is to show if the upstream is back, or its worker is about
    /// to be told that the circuit has opened.
    pub(super) fn is_left_alone(&self, asked: &Asked) -> bool {
        let said = self.circuits.get(&asked.envoy);
        self.terms.opens && matches!(said, Some(Said::Open(..) | Said::Probing(_)))
    }

    /// A request goes to the upstream: may it?
    pub(super) fn judge_circuit(&self, asked: &Asked) -> Result<(), Breach> {
        // A VM that dies may take with it what it would have told, and an Envoy its circuits.
        if !self.is_quiet || !self.terms.opens {
            return Ok(());
        }
        match self.circuits.get(&asked.envoy) {
            Some(Said::Open(since, until)) if asked.at >= *since + TOLD_WITHIN && asked.at < *until => {
                breach(Promise::Circuits, format!("{:?} passed an open circuit", asked.client))
            }
            Some(Said::Probing(since)) if asked.at > *since => {
                let probes = |other: &&Asked| {
                    other.envoy == asked.envoy
                        && other.at >= *since
                        && !self.headed.contains_key(&other.serial)
                        // The plugin's clock counts whole milliseconds, and a worker may be a while at it.
                        && asked.at + INSTANT < other.at + self.slow_call() * LOST_AFTER
                };
                let other = self.flights.values().map(|flight| &flight.asked).find(probes);
                other.map_or(Ok(()), |other| {
                    let what = format!("{:?} probes beside serial {}", asked.client, other.serial);
                    breach(Promise::Circuits, what)
                })
            }
            _ => Ok(()),
        }
    }
}

/// From one worker's transition until all know.
const TOLD_WITHIN: Duration = Duration::from_millis(50);
/// What is learnt of slow calls is no less.
const LEARNT_AT_LEAST: Duration = Duration::from_millis(500);
/// No probe is given up sooner, in times of what is too slow.
const LOST_AFTER: u32 = 4;
