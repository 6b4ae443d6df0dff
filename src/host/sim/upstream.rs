//! What the upstream is asked, and how it behaves then.

use super::client::ClientId;
use super::lines::Lines;
use super::rng::Rng;
use std::collections::VecDeque;
use std::time::Duration;

/// A request that was let through to the upstream.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number, from 1, in the order of the whole world.
    pub serial: u64,
    /// Whose request it is.
    pub client: ClientId,
    /// From which Envoy.
    pub envoy: usize,
    /// From which worker.
    pub worker: usize,
    /// When.
    pub at: Duration,
    /// Its fields, as the plugin left them.
    pub fields: Lines,
}

/// How the upstream treats one request.
#[derive(Clone, Debug)]
pub struct Script {
    /// How long nothing comes.
    pub wait: Duration,
    /// What comes then.
    pub outcome: Outcome,
}

/// What comes of an upstream request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The upstream answers.
    Answer(Answer),
    /// The connection breaks before the head: Envoy answers 503.
    Reset,
    /// The route's timeout is over: Envoy answers 504.
    Timeout,
    /// A filter behind the plugin answers with this status.
    Local(u16),
}

/// An answer of the upstream.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Its fields with `:status`.
    pub fields: Lines,
    /// Its body; comes in pieces of random size.
    pub body: Vec<u8>,
    /// The longest pause between two pieces.
    pub gap: Duration,
    /// The connection breaks after so many bytes of the body.
    pub cut: Option<usize>,
}

impl Answer {
    /// An answer with this status and body.
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self {
            fields: Lines::default().with(":status", &status.to_string()),
            body: body.to_vec(),
            ..Self::default()
        }
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields = self.fields.with(name, value);
        self
    }
}

/// Cuts a body into at most eight pieces; its end comes with the last one or behind it, as Envoy has it.
pub(super) fn pieces(body: &[u8], cut: Option<usize>, rng: &mut Rng) -> VecDeque<Option<(Vec<u8>, bool)>> {
    let mut rest = body.get(..cut.unwrap_or(body.len()).min(body.len())).unwrap_or_default();
    let mut pieces = VecDeque::new();
    for _ in 0..7 {
        let (piece, behind) = rest.split_at(rng.index(rest.len().saturating_add(1)));
        if !piece.is_empty() && !behind.is_empty() {
            pieces.push_back(Some((piece.to_vec(), false)));
            rest = behind;
        }
    }
    match cut {
        Some(_) => pieces.extend([Some((rest.to_vec(), false)), None]),
        None if rng.chance(500) => pieces.push_back(Some((rest.to_vec(), true))),
        None => pieces.extend([Some((rest.to_vec(), false)), Some((Vec::new(), true))]),
    }
    pieces
}
