//! What operators ask of the plugin itself, under `admin.path`: to see the circuits, and to decide for them.
//!
//! `GET <path>breaker` shows this worker's circuits; `POST <path>breaker` overrules those of a rule, in all workers of this
//! Envoy, until a time that has to be said. Who may do so is for Envoy's filters before this one to decide. Such a request
//! is none of a client's: it is neither counted nor cached, and never goes on.

use super::{At, Worker};
use crate::config::commands::{Overrule, parse_overrule};
use crate::config::plan::Stance;
use crate::host::{Flow, Host, Level, StreamId, Version};
use crate::http::Fields;
use crate::time::{Mono, millis};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What one worker knows of operators' wishes.
#[derive(Default)]
pub(super) struct Operator {
    /// Commands whose bodies are still to come, and how much of each is there.
    commands: BTreeMap<StreamId, usize>,
    /// Rules that are overruled, as of the last tick.
    overruled: Vec<Overruled>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Overruled {
    rule: String,
    stance: Stance,
    until: Mono,
}

impl Operator {
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.commands.remove(&stream);
    }
}

impl<H: Host> Worker<H> {
    /// Answers a request that is for the plugin itself; `None` if it is not.
    pub(super) fn operate(&mut self, stream: StreamId, fields: &Fields, end: bool) -> Option<Flow> {
        let own = self.plan.admin_path.as_deref()?;
        let path = fields.get(b":path")?.strip_prefix(own.as_bytes())?;
        let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
        match (path, fields.get(b":method")) {
            (b"breaker", Some(b"GET")) => {
                let circuits = self.shown();
                self.report(stream, 200, &circuits);
            }
            (b"breaker", Some(b"POST")) if end => self.command(stream, b""),
            (b"breaker", Some(b"POST")) if self.operator.commands.len() < MAX_COMMANDS => {
                self.operator.commands.insert(stream, 0);
            }
            (b"breaker", Some(b"POST")) => self.report(stream, 429, &json!({"error": "too many commands"})),
            (b"breaker", _) => self.report(stream, 405, &json!({"error": "allowed: GET, POST"})),
            _ => self.report(stream, 404, &json!({"error": "there is breaker here, and nothing else"})),
        }
        Some(Flow::Pause)
    }

    /// A piece of a command's body came; `None` if the stream is none.
    pub(super) fn command_came(&mut self, stream: StreamId, len: usize, end: bool) -> Option<Flow> {
        let known = self.operator.commands.get_mut(&stream)?;
        *known = len;
        if len > MAX_COMMAND_BYTES {
            self.operator.commands.remove(&stream);
            self.report(stream, 413, &json!({"error": "a command has at most 4096 bytes"}));
        } else if end {
            self.operator.commands.remove(&stream);
            let body = self.host.request_body(stream, len);
            self.command(stream, &body);
        }
        Some(Flow::Pause)
    }

    /// Trailers came: the command has ended before them; `None` if the stream is none.
    pub(super) fn command_ended(&mut self, stream: StreamId) -> Option<Flow> {
        let len = *self.operator.commands.get(&stream)?;
        self.command_came(stream, len, true)
    }

    fn command(&mut self, stream: StreamId, body: &[u8]) {
        let command = match parse_overrule(body) {
            Ok(command) => command,
            Err(errors) => {
                let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                return self.report(stream, 400, &json!({"errors": errors}));
            }
        };
        let plan = std::rc::Rc::clone(&self.plan);
        let names = plan.rules.iter().chain([&plan.default_rule]).map(|rule| rule.name.as_str());
        if !names.clone().any(|name| name == command.rule) {
            let names: Vec<&str> = names.collect();
            return self.report(stream, 404, &json!({"error": "no such rule", "rules": names}));
        }
        if !self.publish(&command) {
            return self.report(stream, 503, &json!({"error": "others command too; try again"}));
        }
        let (rule, state, lasts) = (&command.rule, word(command.stance), millis(command.lasts));
        self.host.log(Level::Warn, &format!("circuits of {rule}: overruled, {state} for {lasts} ms"));
        self.report(stream, 200, &json!({"rule": rule, "state": state, "for_ms": lasts}));
        self.heed_operators();
    }

    /// Writes a command where all workers read it; whether that was done.
    fn publish(&self, command: &Overrule) -> bool {
        let now = self.host.mono();
        for _ in 0..MAX_TRIES {
            let stored = self.host.shared(OVERRULED_KEY);
            let mut overruled = stored.as_ref().map_or_else(Vec::new, |(bytes, _)| read(bytes));
            overruled.retain(|one| one.rule != command.rule && now < one.until);
            if command.stance != Stance::Auto {
                let (rule, stance) = (command.rule.clone(), command.stance);
                overruled.push(Overruled { rule, stance, until: now.after(command.lasts) });
            }
            let version = stored.map_or(Version::ABSENT, |(_, version)| version);
            if self.host.share(OVERRULED_KEY, &write(&overruled), Some(version)).is_ok() {
                return true;
            }
        }
        false
    }

    /// On the tick: takes over what operators have said to any worker.
    pub(super) fn heed_operators(&mut self) {
        if self.plan.admin_path.is_none() {
            return;
        }
        let stored = self.host.shared(OVERRULED_KEY);
        let overruled = stored.map_or_else(Vec::new, |(bytes, _)| read(&bytes));
        if overruled == self.operator.overruled {
            return;
        }
        self.operator.overruled = overruled;
        for place in 0.. {
            if !self.overrule(place) {
                break;
            }
        }
    }

    /// Tells a circuit whether it is overruled; whether there is such a circuit.
    pub(super) fn overrule(&mut self, place: usize) -> bool {
        let Some(circuit) = self.circuits.at(place) else { return false };
        let rule = super::rule(&self.plan, circuit.rule);
        let mut overruled = self.operator.overruled.iter().filter(|one| one.rule == rule.name);
        let overruled = overruled.next().map(|one| (one.stance, one.until));
        circuit.breaker.overrule(overruled);
        self.circuits.disturbed |= overruled.is_some();
        true
    }

    fn shown(&mut self) -> Value {
        let now = self.host.mono();
        let plan = std::rc::Rc::clone(&self.plan);
        let circuits = self.circuits.all().map(|circuit| {
            let breaker = &circuit.breaker;
            let (era, cause, opens_in) = breaker.last(now);
            let (counts, (usual, latency)) = (breaker.counts(now), breaker.usual());
            json!({
                "rule": super::rule(&plan, circuit.rule).name,
                "circuit": circuit.name,
                "state": breaker.state(now).word(),
                "decided_by": word(breaker.stance(now)),
                "transitions": era,
                "cause": if era == 0 { None } else { Some(cause.word()) },
                "half_open_in_ms": millis(opens_in),
                "share_percent": breaker.share(),
                "window": {"calls": counts.calls, "failures": counts.failures, "slow": counts.slow},
                "usual": {"failure_rate": usual, "latency_ms": latency.map(millis)},
                "under_way": breaker.under_way(),
            })
        });
        json!({"circuits": circuits.collect::<Vec<_>>()})
    }

    fn report(&mut self, stream: StreamId, status: u16, body: &Value) {
        let fields = [
            (&b"content-type"[..], &b"application/json"[..]),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ];
        // RFC 9110 §15.5.6: with 405 goes what would be allowed.
        let allowed = (status == 405).then_some((&b"allow"[..], &b"GET, POST"[..]));
        let fields = Fields::of(fields.into_iter().chain(allowed));
        let body = format!("{body}\n");
        self.answer(stream, status, &fields, body.as_bytes(), At::Request);
    }
}

fn word(stance: Stance) -> &'static str {
    match stance {
        Stance::Auto => "auto",
        Stance::Open => "open",
        Stance::Closed => "closed",
        Stance::Observe => "observe",
    }
}

/// A line for each; names of rules have neither blanks nor line ends.
fn write(overruled: &[Overruled]) -> Vec<u8> {
    let line = |one: &Overruled| format!("{} {} {}\n", one.rule, word(one.stance), one.until.0);
    overruled.iter().map(line).collect::<String>().into_bytes()
}

fn read(bytes: &[u8]) -> Vec<Overruled> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (rule, stance, until) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        let stances = [Stance::Open, Stance::Closed, Stance::Observe];
        let stance = *stances.iter().find(|known| word(**known) == stance)?;
        Some(Overruled { rule: rule.into(), stance, until: Mono(until) })
    };
    std::str::from_utf8(bytes).unwrap_or_default().lines().filter_map(line).collect()
}

const OVERRULED_KEY: &[u8] = b"overruled/1";
/// Commands whose bodies are awaited, in one worker.
const MAX_COMMANDS: usize = 16;
const MAX_COMMAND_BYTES: usize = 4 * 1024;
const MAX_TRIES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_garbage_is_nothing() {
        let overruled = vec![
            Overruled { rule: "chat".into(), stance: Stance::Open, until: Mono(7) },
            Overruled { rule: "default".into(), stance: Stance::Observe, until: Mono(u64::MAX) },
        ];
        assert_eq!(read(&write(&overruled)), overruled);
        for garbage in [&b""[..], b"\xff", b"chat", b"chat auto 7", b"chat open x", b"\n\n"] {
            assert_eq!(read(garbage), []);
        }
    }
}
