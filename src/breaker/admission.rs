//! May this request go to the upstream?
//!
//! Asked for each, and answered from what the worker knows: no host is asked. Only a probe that goes alone takes a turn
//! that all workers must see; whoever drives the circuit writes it down before the request goes.

use super::circuit::Breaker;
use super::ramp::{rung, share};
use super::record::{Stage, Turn};
use super::throttle::{falls_under, shed};
use super::transition::State;
use crate::config::plan::Stance;
use crate::time::Mono;
use std::time::Duration;

/// A request that asks to be let by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whether it is one that the plugin sends itself, after [`Breaker::invites`] said so.
    pub invited: bool,
    /// Whether the time to the response's head says how fast the upstream is; not so where it has to wait for the body
    /// of the request.
    pub timed: bool,
}

/// What a request is told.
#[derive(Debug)]
pub enum Admission {
    /// Go, and record what becomes of it.
    Pass(Permit),
    /// Go, and record what becomes of it: the circuit's fate hangs on it.
    Probe(Permit),
    /// Go, for this circuit is only watched; else it would have been refused.
    Spared(Refusal),
    /// Do not go.
    Refuse(Refusal),
}

/// Why a request may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub why: Why,
    /// When asking again may be of use; above zero.
    pub retry_after: Duration,
}

/// The reasons for which a request may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The circuit is open, or half-open and others have the places.
    Open,
    /// The circuit sheds a share, and this one is in it.
    Shed,
    /// The operator has opened it.
    Forced,
}

/// The right to send one request, given back with its result. It cannot be copied, so no request counts twice.
#[derive(Debug)]
#[must_use = "a permit that is neither recorded nor abandoned counts as a call under way"]
pub struct Permit {
    pub(super) incarnation: u64,
    pub(super) at: Mono,
    pub(super) timed: bool,
    /// What was too slow when it began, if that was known and its time says anything.
    pub(super) limit: Option<Duration>,
    /// The turn it has, if it is a probe's that goes alone: as it was before, and its number.
    pub(super) turn: Option<(Turn, u32)>,
    is_probe: bool,
    /// Whether its result is of no interest, since the operator has closed the circuit.
    pub(super) unheard: bool,
}

impl Permit {
    /// Whether the circuit's fate hangs on it.
    pub fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// Tells apart what belongs to different transitions.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Whether it goes alone, over all workers.
    pub fn has_turn(&self) -> bool {
        self.turn.is_some()
    }
}

impl Breaker {
    /// Whether a request may go now. `random` decides who is shed; any number will do.
    pub fn admit(&mut self, call: Call, now: Mono, random: u64) -> Admission {
        let forced = match self.stance(now) {
            Stance::Closed => {
                add(&mut self.counters.passed);
                return Admission::Pass(Permit { unheard: true, ..self.permit(call, now) });
            }
            Stance::Open => Some(self.forced(now)),
            Stance::Auto | Stance::Observe => None,
        };
        let refusal = match (forced, self.state(now)) {
            (Some(forced), _) => forced,
            (None, State::Closed) => return self.pass(call, now),
            (None, State::Shedding) => {
                if !falls_under(shed(&self.policy, self.counts(now)), random) {
                    return self.pass(call, now);
                }
                Refusal { why: Why::Shed, retry_after: SOON }
            }
            (None, State::Open) => Refusal { why: Why::Open, retry_after: self.until.since(now) },
            (None, State::HalfOpen) => match self.shared.record.stage {
                Stage::HalfOpen(left) => {
                    if call.invited || self.ration.take(share(left), rung(&self.policy), now) {
                        return self.probe(call, None, now);
                    }
                    Refusal { why: Why::Open, retry_after: SOON }
                }
                Stage::Open | Stage::Closed => {
                    if self.turn_is_free(now) {
                        let before = self.shared.record.turn;
                        let turn = before.taken(now);
                        self.shared.record.turn = turn;
                        return self.probe(call, Some((before, turn.count)), now);
                    }
                    Refusal { why: Why::Open, retry_after: SOON }
                }
            },
        };
        add(&mut self.counters.refused);
        if self.stance(now) == Stance::Observe {
            Admission::Spared(refusal)
        } else {
            Admission::Refuse(refusal)
        }
    }

    /// Whether a request that can be answered otherwise meanwhile should have the upstream asked in the background: its
    /// place is then that request's.
    pub fn invites(&mut self, now: Mono) -> bool {
        match self.stance(now) {
            Stance::Open => return false,
            Stance::Closed | Stance::Observe => return true,
            Stance::Auto => {}
        }
        match (self.state(now), self.shared.record.stage) {
            (State::HalfOpen, Stage::HalfOpen(left)) => {
                self.ration.take(share(left), rung(&self.policy), now)
            }
            (State::HalfOpen, _) => {
                let invites = self.turn_is_free(now)
                    && self.invited.is_none_or(|invited| now >= invited.after(INVITED_EVERY));
                if invites {
                    self.invited = Some(now);
                }
                invites
            }
            (State::Open, _) => false,
            (State::Closed | State::Shedding, _) => true,
        }
    }

    fn pass(&mut self, call: Call, now: Mono) -> Admission {
        add(&mut self.counters.passed);
        let permit = self.permit(call, now);
        self.pending.begin(now, permit.limit);
        Admission::Pass(permit)
    }

    fn probe(&mut self, call: Call, turn: Option<(Turn, u32)>, now: Mono) -> Admission {
        add(&mut self.counters.probes);
        let permit = self.permit(call, now);
        self.pending.begin(now, permit.limit);
        Admission::Probe(Permit { turn, is_probe: true, ..permit })
    }

    fn permit(&self, call: Call, now: Mono) -> Permit {
        Permit {
            incarnation: self.incarnation,
            at: now,
            timed: call.timed,
            limit: self.slow_call().filter(|_| call.timed),
            turn: None,
            is_probe: false,
            unheard: false,
        }
    }

    fn forced(&self, now: Mono) -> Refusal {
        let left = self.overruled.map(|(_, until)| until.since(now)).filter(|left| !left.is_zero());
        Refusal { why: Why::Forced, retry_after: left.unwrap_or(self.policy.open_for) }
    }

    /// Whether nobody probes, or whoever does has not been heard of for too long.
    fn turn_is_free(&self, now: Mono) -> bool {
        let turn = self.shared.record.turn;
        !turn.is_taken() || now >= turn.at.after(self.probe_patience())
    }

    fn probe_patience(&self) -> Duration {
        self.slow_call().map_or(PROBE_TIMEOUT, |limit| limit.saturating_mul(2).min(PROBE_TIMEOUT))
    }
}

/// After this long a probe without result is presumed lost, where nothing is known of what is too slow. It is Envoy's
/// default route timeout: what has no answer by then mostly never gets one.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// What those are told that find no place: it is a matter of one request's duration, and `Retry-After` counts in seconds.
pub const SOON: Duration = Duration::from_secs(1);

/// An invitation may come to nothing, as where a fresh answer has come meanwhile.
const INVITED_EVERY: Duration = Duration::from_millis(100);

fn add(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
