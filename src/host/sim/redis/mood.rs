//! How Redis, and the way to it, behave.

use super::super::rng::Rng;
use std::time::Duration;

/// How Redis, and the way to it, behave. Chances are in thousandths of all pipelines.
#[derive(Clone, Debug)]
pub struct Mood {
    /// Shortest and longest round trip.
    pub delay: (Duration, Duration),
    /// How often no answer comes; the pipeline may have been carried out all the same.
    pub loss: u32,
    /// How often every command fails.
    pub error: u32,
    /// How often the answer is not what was asked for: noise, half an answer, none, or another key's value.
    pub garbage: u32,
    /// Which part of the keys, in thousandths, lie on servers that cannot be reached.
    pub lame: u32,
    /// What it refuses.
    pub refusal: Option<Refusal>,
}

/// What a Redis that is there may refuse to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All writes: it is a replica.
    Writes,
    /// All scripts: its operator forbids them.
    Scripts,
}

impl Default for Mood {
    fn default() -> Self {
        let delay = (Duration::from_micros(200), Duration::from_millis(1));
        Self { delay, loss: 0, error: 0, garbage: 0, lame: 0, refusal: None }
    }
}

impl Mood {
    /// Not reachable: the proxy answers for it, at once.
    pub fn down() -> Self {
        Self { error: 1000, ..Self::default() }
    }

    /// Stopped: no answer ever comes.
    pub fn frozen() -> Self {
        Self { loss: 1000, ..Self::default() }
    }

    /// How long one way takes this time.
    pub(in super::super) fn way(&self, rng: &mut Rng) -> Duration {
        let half = |whole: Duration| whole.checked_div(2).unwrap_or_default();
        rng.duration(half(self.delay.0), half(self.delay.1))
    }

    /// What a command is answered that is not carried out.
    pub(super) fn refuses(&self, command: &[&[u8]], unreachable: bool) -> Option<&'static [u8]> {
        let name = command.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let is_script = name == b"EVAL";
        let keys = command.get(if is_script { 3..4 } else { 1..command.len() }).unwrap_or_default();
        let keys = if name == b"DEL" { keys } else { keys.get(..1).unwrap_or_default() };
        if unreachable || keys.iter().any(|key| place(key) < self.lame) {
            return Some(b"-upstream failure\r\n");
        }
        match self.refusal? {
            Refusal::Writes if name != b"GET" => {
                Some(b"-READONLY You can't write against a read only replica.\r\n")
            }
            Refusal::Scripts if is_script => {
                Some(b"-NOPERM User default has no permissions to run the 'eval' command\r\n")
            }
            Refusal::Writes | Refusal::Scripts => None,
        }
    }
}

/// Where a key lies among all servers, in thousandths (FNV-1a).
fn place(key: &[u8]) -> u32 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u32::try_from((hash >> 32) % 1000).unwrap_or_default()
}
