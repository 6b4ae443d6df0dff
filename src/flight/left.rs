//! What a flight leaves in Redis for those who wait for it on other Envoys: how it ended, and when.
//!
//! It bears the flight's own name, so that the answer to another question is not taken for it, and is read as what it
//! is: bytes that another version of this plugin may have written, or anybody.

use crate::flight::Outcome;
use crate::flight::lease::Name;
use crate::flight::message::{decode_outcome, encode_outcome};
use crate::time::Wall;

/// The bytes to leave, for a flight of this name that ended then.
pub fn encode(name: Name, ended_at: Wall, outcome: &Outcome) -> Vec<u8> {
    let mut left = [MAGIC, &name.text()].concat();
    left.extend_from_slice(&ended_at.0.to_le_bytes());
    encode_outcome(outcome, &mut left);
    left
}

/// Reads what a flight of this name has left: when it ended, by the clock of its Envoy, and how. The entry of an answer
/// is not looked into.
pub fn decode(bytes: &[u8], name: Name) -> Option<(Wall, Outcome)> {
    let own = bytes.strip_prefix(MAGIC)?.strip_prefix(&name.text()[..])?;
    let (ended_at, outcome) = own.split_first_chunk::<8>()?;
    Some((Wall(u64::from_le_bytes(*ended_at)), decode_outcome(outcome)?))
}

const MAGIC: &[u8] = b"BO\x01";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::{Answer, Origin, Token};
    use crate::http::Reason;
    use crate::testing::cases;
    use proptest::prelude::*;
    use std::rc::Rc;

    fn name(worker: u64) -> Name {
        Name::new(worker, Token(1))
    }

    #[test]
    fn what_was_left_is_read_under_the_name_of_its_flight_and_no_other() {
        let answer = Answer::new(Origin::Upstream, Rc::new(b"entry".to_vec()));
        for outcome in [Outcome::Answer(answer), Outcome::Alone(Reason::Private), Outcome::Failed(503)] {
            let left = encode(name(1), Wall(7), &outcome);
            assert_eq!(decode(&left, name(1)), Some((Wall(7), outcome)));
            assert_eq!(decode(&left, name(2)), None);
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_something_left_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..40), own: bool) {
            let head = if own { [MAGIC, &name(1).text()].concat() } else { Vec::new() };
            let _ = decode(&[head, bytes].concat(), name(1));
        }

        #[test]
        fn what_is_cut_short_within_its_head_is_nothing(cut in 0_usize..43) {
            let left = encode(name(1), Wall(7), &Outcome::Failed(503));
            prop_assert_eq!(decode(&left[..cut], name(1)), None);
        }
    }
}
