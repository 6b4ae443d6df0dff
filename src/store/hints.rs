//! The dialogue about open circuits (`breaker`): what the Envoys of a fleet tell each other.
//!
//! Whoever opens a circuit leaves its own mark under `…:open:<digest of the circuit's name>`, for as long as the circuit
//! stays open. Others with a circuit of that name look from time to time; what they find is a hint, never an order, for
//! the trouble may be the other's own: its network, its configuration. Nobody takes a mark back; it ends.

use super::remote::{self, Unavailable};
use crate::http::key::Digest;
use crate::redis::{self, Reply};
use crate::time::millis;
use std::time::Duration;

/// Tells that a circuit is open.
pub fn tell(namespace: &str, circuit: Digest, mark: Digest, lasts: Duration) -> Vec<u8> {
    let mut pipeline = Vec::new();
    let (value, lasts) = (text(mark), millis(lasts).max(1).to_string());
    let key = remote::key(namespace, OPEN, circuit);
    redis::encode(&mut pipeline, &[&b"SET"[..], &key, &value, b"PX", lasts.as_bytes()]);
    pipeline
}

/// Asks whether circuits are open elsewhere.
pub fn ask(namespace: &str, circuits: impl Iterator<Item = Digest>) -> Vec<u8> {
    let mut pipeline = Vec::new();
    for circuit in circuits {
        redis::encode(&mut pipeline, &[&b"GET"[..], &remote::key(namespace, OPEN, circuit)]);
    }
    pipeline
}

/// Reads the answer to [`ask`] about so many circuits: for each, whether another than `mark` has opened it.
pub fn read(answer: &[u8], circuits: usize, mark: Digest) -> Result<Vec<bool>, Unavailable> {
    let own = text(mark);
    let replies = redis::replies(answer, circuits).map_err(|_| Unavailable)?;
    let is_others = |reply: &Reply<'_>| match reply {
        Reply::Bulk(found) => Ok(*found != own),
        Reply::Nil => Ok(false),
        _ => Err(Unavailable),
    };
    replies.iter().map(is_others).collect()
}

fn text(mark: Digest) -> Vec<u8> {
    let mut text = Vec::with_capacity(32);
    mark.write_hex(&mut text);
    text
}

const OPEN: &str = ":open:";

#[cfg(test)]
mod tests {
    use super::*;

    const CIRCUIT: Digest = Digest([0xab; 16]);
    const MARK: Digest = Digest([1; 16]);

    #[test]
    fn a_mark_is_left_for_as_long_as_the_circuit_is_open() {
        let pipeline = String::from_utf8(tell("bw", CIRCUIT, MARK, Duration::from_secs(5))).unwrap();
        let key = format!("bw:open:{}", "ab".repeat(16));
        let value = "01".repeat(16);
        let expected =
            format!("*5\r\n$3\r\nSET\r\n$40\r\n{key}\r\n$32\r\n{value}\r\n$2\r\nPX\r\n$4\r\n5000\r\n");
        assert_eq!(pipeline, expected);
        assert!(tell("bw", CIRCUIT, MARK, Duration::ZERO).ends_with(b"$1\r\n1\r\n"));
    }

    #[test]
    fn what_others_left_is_a_hint_and_ones_own_mark_is_none() {
        let asked = String::from_utf8(ask("bw", [CIRCUIT, MARK].into_iter())).unwrap();
        assert_eq!(asked.matches("GET").count(), 2);
        let own = "01".repeat(16);
        let answer = format!("$32\r\n{own}\r\n$5\r\nother\r\n$-1\r\n");
        assert_eq!(read(answer.as_bytes(), 3, MARK), Ok(vec![false, true, false]));
    }

    #[test]
    fn what_is_no_answer_is_told_as_such() {
        for answer in [&b""[..], b"-upstream failure\r\n", b"$-1\r\n$-1\r\n", b":1\r\n", b"garbage"] {
            assert_eq!(read(answer, 1, MARK), Err(Unavailable));
        }
    }
}
