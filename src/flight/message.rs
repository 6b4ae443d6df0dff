//! What workers tell each other through their queues.
//!
//! One message per worker and finished flight carries the outcome, the answer's bytes included: thus an answer that
//! may be shared but not kept needs no place in shared data, and it is copied once per worker, not once per waiter.
//! Queues are named uniquely per worker incarnation, so a message never reaches a VM it was not meant for; the
//! token keeps late ones harmless.

use crate::flight::{Answer, Origin, Outcome, Token};
use crate::http::Reason;
use crate::time::Mono;
use std::rc::Rc;

/// A message in a worker's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To oneself: there is work that only a root callback may do.
    Nudge,
    /// A flight ended.
    Ended(Token, Outcome),
    /// A circuit has made a transition.
    Circuits,
}

impl Message {
    /// The bytes to enqueue.
    pub fn encode(&self) -> Vec<u8> {
        let (token, outcome) = match self {
            Self::Nudge => return vec![NUDGE],
            Self::Circuits => return vec![CIRCUITS],
            Self::Ended(token, outcome) => (token, outcome),
        };
        let mut out = vec![ENDED];
        out.extend_from_slice(&token.0.to_le_bytes());
        encode_outcome(outcome, &mut out);
        out
    }

    /// Reads a message; `None` if it is of no known form.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match *kind {
            NUDGE => Some(Self::Nudge),
            CIRCUITS => Some(Self::Circuits),
            ENDED => {
                let (token, rest) = rest.split_first_chunk::<8>()?;
                Some(Self::Ended(Token(u64::from_le_bytes(*token)), decode_outcome(rest)?))
            }
            _ => None,
        }
    }
}

/// Appends an outcome, in a form that other versions of the plugin read too.
pub(super) fn encode_outcome(outcome: &Outcome, out: &mut Vec<u8>) {
    match outcome {
        Outcome::Answer(answer) => {
            let (origin, status) = encode_origin(answer.origin);
            out.extend_from_slice(&[ANSWER, origin]);
            out.extend_from_slice(&status.to_le_bytes());
            let came_before = answer.came_before.map_or(EVERYBODY, |Mono(at)| at);
            out.extend_from_slice(&came_before.to_le_bytes());
            out.extend_from_slice(&answer.entry);
        }
        Outcome::Alone(reason) => {
            out.push(ALONE);
            out.extend_from_slice(reason.word().as_bytes());
        }
        Outcome::Failed(status) => {
            out.push(FAILED);
            out.extend_from_slice(&status.to_le_bytes());
        }
        Outcome::Lost => out.push(LOST),
    }
}

/// Reads an outcome; `None` if it is of no known form.
pub(super) fn decode_outcome(bytes: &[u8]) -> Option<Outcome> {
    let (outcome, rest) = bytes.split_first()?;
    Some(match *outcome {
        ANSWER => {
            let (origin, rest) = rest.split_first()?;
            let (status, rest) = rest.split_first_chunk::<2>()?;
            let (came_before, entry) = rest.split_first_chunk::<8>()?;
            let origin = decode_origin(*origin, u16::from_le_bytes(*status))?;
            let came_before = Some(u64::from_le_bytes(*came_before)).filter(|at| *at != EVERYBODY).map(Mono);
            let entry = Rc::new(entry.to_vec());
            Outcome::Answer(Answer { came_before, ..Answer::new(origin, entry) })
        }
        ALONE => Outcome::Alone(*Reason::ALL.iter().find(|reason| reason.word().as_bytes() == rest)?),
        FAILED => Outcome::Failed(u16::from_le_bytes(*rest.first_chunk::<2>()?)),
        LOST => Outcome::Lost,
        _ => return None,
    })
}

fn encode_origin(origin: Origin) -> (u8, u16) {
    match origin {
        Origin::Upstream => (0, 0),
        Origin::L1 => (1, 0),
        Origin::L2 => (2, 0),
        Origin::L3 => (3, 0),
        Origin::StaleOnError(status) => (4, status),
        Origin::StaleOnOpen => (5, 0),
        Origin::Refused => (6, 0),
        Origin::Failed(status) => (7, status),
        Origin::Revalidated { stored } => (8, u16::from(stored)),
    }
}

fn decode_origin(origin: u8, status: u16) -> Option<Origin> {
    Some(match origin {
        0 => Origin::Upstream,
        1 => Origin::L1,
        2 => Origin::L2,
        3 => Origin::L3,
        4 => Origin::StaleOnError(status),
        5 => Origin::StaleOnOpen,
        6 => Origin::Refused,
        7 => Origin::Failed(status),
        8 => Origin::Revalidated { stored: status == 1 },
        _ => return None,
    })
}

const NUDGE: u8 = 0;
const ENDED: u8 = 1;
const CIRCUITS: u8 = 2;
const ANSWER: u8 = 0;
const ALONE: u8 = 1;
const LOST: u8 = 2;
const FAILED: u8 = 3;
const EVERYBODY: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    #[test]
    fn every_message_reads_back() {
        let origins = [
            Origin::Upstream,
            Origin::L1,
            Origin::L2,
            Origin::L3,
            Origin::StaleOnError(502),
            Origin::StaleOnOpen,
            Origin::Refused,
            Origin::Failed(503),
            Origin::Revalidated { stored: true },
            Origin::Revalidated { stored: false },
        ];
        let answers = origins
            .map(|origin| Outcome::Answer(Answer::new(origin, Rc::new(b"entry".to_vec()))))
            .into_iter();
        let outcomes =
            answers.chain(Reason::ALL.map(Outcome::Alone)).chain([Outcome::Failed(503), Outcome::Lost]);
        let messages = outcomes.map(|outcome| Message::Ended(Token(u64::MAX - 1), outcome));
        for message in messages.chain([Message::Nudge]) {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_a_message_or_none(bytes in prop::collection::vec(any::<u8>(), 0..32)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn what_is_sent_is_received(message in any_message(), cut in any::<prop::sample::Index>()) {
            let bytes = message.encode();
            // Of one cut short, at most the entry is shorter.
            if let Some(Message::Ended(token, Outcome::Answer(answer))) = Message::decode(&bytes[..cut.index(bytes.len())]) {
                let Message::Ended(sent, Outcome::Answer(whole)) = &message else { panic!("an answer out of none") };
                prop_assert!(token == *sent && answer.origin == whole.origin && whole.entry.starts_with(&answer.entry));
            }
            prop_assert_eq!(Message::decode(&bytes), Some(message));
        }

        #[test]
        fn what_is_received_would_be_sent_alike(bytes in prop::collection::vec(prop_oneof![0_u8..9, any::<u8>()], 0..24)) {
            if let Some(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&message.encode()), Some(message));
            }
        }
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let origin = prop_oneof![
            prop::sample::select(vec![
                Origin::Upstream,
                Origin::L1,
                Origin::L2,
                Origin::L3,
                Origin::StaleOnOpen,
                Origin::Refused
            ]),
            any::<u16>().prop_map(Origin::StaleOnError),
            any::<u16>().prop_map(Origin::Failed),
            any::<bool>().prop_map(|stored| Origin::Revalidated { stored }),
        ];
        let entry = prop::collection::vec(any::<u8>(), 0..20);
        let outcome = prop_oneof![
            4 => (origin, entry, prop::option::of(0..u64::MAX)).prop_map(|(origin, entry, before)| {
                Outcome::Answer(Answer { came_before: before.map(Mono), ..Answer::new(origin, Rc::new(entry)) })
            }),
            2 => prop::sample::select(&Reason::ALL[..]).prop_map(Outcome::Alone),
            1 => any::<u16>().prop_map(Outcome::Failed),
            1 => Just(Outcome::Lost),
        ];
        (any::<u64>(), outcome).prop_map(|(token, outcome)| Message::Ended(Token(token), outcome))
    }
}
