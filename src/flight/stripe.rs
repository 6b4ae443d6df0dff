//! Flights between the workers of one Envoy: records in shared data.
//!
//! Shared data can compare-and-swap an existing key but not create one atomically, so flights stand in a fixed number
//! of stripes created beforehand; a key's digest picks its stripe. All functions here take a stripe's bytes and give
//! the bytes to swap in; whoever calls them repeats on conflict. A flight is believed in until its lease ends; the
//! leader's worker renews it. A flight whose resource was changed meanwhile is *tainted*: it ends normally for those
//! who wait in it, but nobody joins it any more and its answer is not kept.

use crate::flight::Token;
use crate::http::key::Digest;
use crate::time::Mono;

/// A worker, by the number of the queue that wakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// What became of a wish to fly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The flight is the caller's to lead, under the token it offered.
    Leading,
    /// Another leads; the caller is marked and will be told. The flight is believed in until then.
    Watching(Token, Mono),
    /// The stripe has no room for another flight: fetch uncoordinated.
    Full,
}

/// What a leader learns when it ends its flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The workers to tell.
    pub watchers: Vec<WorkerId>,
    /// Whether the resource changed while it was fetched.
    pub tainted: bool,
}

/// Joins the flight of a key, or begins one under `offered`, led until `lease_until`.
pub fn join(
    record: &[u8],
    digest: Digest,
    me: WorkerId,
    offered: Token,
    now: Mono,
    lease_until: Mono,
) -> (Vec<u8>, Joined) {
    let mut flights = read(record);
    flights.retain(|flight| flight.lease_until > now);
    if let Some(flight) = flights.iter_mut().find(|flight| flight.digest == digest && !flight.tainted) {
        if flight.watchers.len() >= MAX_WATCHERS {
            return (write(&flights), Joined::Full);
        }
        if !flight.watchers.contains(&me) {
            flight.watchers.push(me);
        }
        let joined = Joined::Watching(flight.token, flight.lease_until);
        return (write(&flights), joined);
    }
    if flights.len() >= MAX_FLIGHTS {
        return (write(&flights), Joined::Full);
    }
    flights.push(Flight { digest, token: offered, lease_until, tainted: false, watchers: Vec::new() });
    (write(&flights), Joined::Leading)
}

/// Ends a flight; `None` if it stands there no more (its lease ended and another took over).
pub fn settle(record: &[u8], token: Token) -> Option<(Vec<u8>, Settled)> {
    let mut flights = read(record);
    let at = flights.iter().position(|flight| flight.token == token)?;
    let flight = flights.swap_remove(at);
    Some((write(&flights), Settled { watchers: flight.watchers, tainted: flight.tainted }))
}

/// Prolongs a flight's lease; `None` if it stands there no more.
pub fn renew(record: &[u8], token: Token, lease_until: Mono) -> Option<Vec<u8>> {
    let mut flights = read(record);
    flights.iter_mut().find(|flight| flight.token == token)?.lease_until = lease_until;
    Some(write(&flights))
}

/// Marks that a key's resource has changed; `None` if no flight cares.
pub fn taint(record: &[u8], digest: Digest) -> Option<Vec<u8>> {
    let mut flights = read(record);
    let mut found = false;
    for flight in flights.iter_mut().filter(|flight| flight.digest == digest && !flight.tainted) {
        flight.tainted = true;
        found = true;
    }
    found.then(|| write(&flights))
}

/// How long a flight is believed in, and whether it can still be joined; `None` if it stands there no more.
pub fn standing(record: &[u8], token: Token) -> Option<(Mono, bool)> {
    let flight = read(record).into_iter().find(|flight| flight.token == token)?;
    Some((flight.lease_until, !flight.tainted))
}

/// The stripe of a key, as its key in shared data.
pub fn stripe_key(digest: Digest) -> [u8; 4] {
    let (head, _) = digest.0.split_last_chunk::<2>().map_or(([0, 0], ()), |(_, tail)| (*tail, ()));
    stripe(u16::from_le_bytes(head) % STRIPES)
}

/// Keys of all stripes, to be created before the first request.
pub fn stripe_keys() -> impl Iterator<Item = [u8; 4]> {
    (0..STRIPES).map(stripe)
}

fn stripe(number: u16) -> [u8; 4] {
    let [low, high] = number.to_le_bytes();
    [b'f', b'/', low, high]
}

struct Flight {
    digest: Digest,
    token: Token,
    lease_until: Mono,
    tainted: bool,
    watchers: Vec<WorkerId>,
}

/// Reads what is sound of a record: it is written by this plugin only, but perhaps by another version of it.
fn read(record: &[u8]) -> Vec<Flight> {
    let mut flights = Vec::new();
    let Some((&VERSION, mut rest)) = record.split_first() else { return flights };
    while let Some((flight, left)) = read_flight(rest) {
        flights.push(flight);
        rest = left;
    }
    flights
}

fn read_flight(bytes: &[u8]) -> Option<(Flight, &[u8])> {
    let (digest, rest) = bytes.split_first_chunk::<16>()?;
    let (token, rest) = rest.split_first_chunk::<8>()?;
    let (lease_until, rest) = rest.split_first_chunk::<8>()?;
    let ([tainted, count], rest) = rest.split_first_chunk::<2>()?;
    let (marks, rest) = rest.split_at_checked(usize::from(*count).saturating_mul(4))?;
    let watchers = marks
        .chunks_exact(4)
        .filter_map(|mark| Some(WorkerId(u32::from_le_bytes(mark.try_into().ok()?))))
        .collect();
    let flight = Flight {
        digest: Digest(*digest),
        token: Token(u64::from_le_bytes(*token)),
        lease_until: Mono(u64::from_le_bytes(*lease_until)),
        tainted: *tainted != 0,
        watchers,
    };
    Some((flight, rest))
}

fn write(flights: &[Flight]) -> Vec<u8> {
    let mut record = vec![VERSION];
    for flight in flights {
        record.extend_from_slice(&flight.digest.0);
        record.extend_from_slice(&flight.token.0.to_le_bytes());
        record.extend_from_slice(&flight.lease_until.0.to_le_bytes());
        record.push(u8::from(flight.tainted));
        record.push(u8::try_from(flight.watchers.len()).unwrap_or(u8::MAX));
        for watcher in &flight.watchers {
            record.extend_from_slice(&watcher.0.to_le_bytes());
        }
    }
    record
}

const VERSION: u8 = 1;
/// Enough that two keys in flight rarely meet in one record, few enough to be created at start in a millisecond.
const STRIPES: u16 = 1_024;
/// Per stripe; with 1,024 stripes far more keys than one Envoy fetches at once.
const MAX_FLIGHTS: usize = 128;
/// Per flight; a worker beyond fetches by itself.
const MAX_WATCHERS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases;
    use proptest::prelude::*;

    const KEY: Digest = Digest([7; 16]);
    const A: WorkerId = WorkerId(1);
    const B: WorkerId = WorkerId(2);

    fn join_at(record: &[u8], me: WorkerId, token: u64, now: u64) -> (Vec<u8>, Joined) {
        join(record, KEY, me, Token(token), Mono(now), Mono(now + 100))
    }

    #[test]
    fn the_first_leads_and_the_others_are_marked_once() {
        let (record, joined) = join_at(b"", A, 1, 0);
        assert_eq!(joined, Joined::Leading);
        let (record, joined) = join_at(&record, B, 2, 10);
        assert_eq!(joined, Joined::Watching(Token(1), Mono(100)));
        let (record, _) = join_at(&record, B, 3, 20);
        let (record, settled) = settle(&record, Token(1)).unwrap();
        assert_eq!(settled, Settled { watchers: vec![B], tainted: false });
        assert_eq!(join_at(&record, B, 4, 30).1, Joined::Leading);
    }

    #[test]
    fn a_flight_is_believed_in_until_its_lease_ends() {
        let (record, _) = join_at(b"", A, 1, 0);
        assert_eq!(join_at(&record, B, 2, 99).1, Joined::Watching(Token(1), Mono(100)));
        let (taken, joined) = join_at(&record, B, 2, 100);
        assert_eq!(joined, Joined::Leading);
        assert_eq!(settle(&taken, Token(1)), None, "the former leader has nothing to end");
        let renewed = renew(&record, Token(1), Mono(500)).unwrap();
        assert_eq!(join_at(&renewed, B, 2, 100).1, Joined::Watching(Token(1), Mono(500)));
    }

    #[test]
    fn nobody_joins_a_tainted_flight_and_its_leader_learns_it() {
        let (record, _) = join_at(b"", A, 1, 0);
        let (record, _) = join_at(&record, B, 2, 0);
        let record = taint(&record, KEY).unwrap();
        assert_eq!(taint(&record, KEY), None);
        assert_eq!(standing(&record, Token(1)), Some((Mono(100), false)));
        let (record, joined) = join_at(&record, B, 3, 1);
        assert_eq!(joined, Joined::Leading);
        let (record, settled) = settle(&record, Token(1)).unwrap();
        assert_eq!(settled, Settled { watchers: vec![B], tainted: true });
        assert!(!settle(&record, Token(3)).unwrap().1.tainted);
    }

    #[test]
    fn a_stripe_holds_so_many_flights_and_not_one_more() {
        let mut record = Vec::new();
        for n in 0..=MAX_FLIGHTS {
            let digest = Digest((n as u128).to_le_bytes());
            let (next, joined) = join(&record, digest, A, Token(n as u64), Mono(0), Mono(1));
            assert_eq!(joined, if n < MAX_FLIGHTS { Joined::Leading } else { Joined::Full });
            record = next;
        }
        let (record, joined) = join(&record, Digest([1; 16]), A, Token(9), Mono(1), Mono(2));
        assert_eq!(joined, Joined::Leading, "ended leases make room");
        assert!(record.len() < 100);
    }

    #[test]
    fn every_digest_has_a_stripe_that_was_created() {
        let stripes: Vec<_> = stripe_keys().collect();
        for n in 0..=u16::MAX {
            let mut digest = [0; 16];
            digest[14..].copy_from_slice(&n.to_le_bytes());
            assert!(stripes.contains(&stripe_key(Digest(digest))));
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_bytes_are_a_record(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let (record, _) = join_at(&bytes, A, 1, 0);
            settle(&record, Token(1));
        }

        #[test]
        fn any_record_goes_on_as_what_is_sound_of_it(bytes in prop::collection::vec(prop_oneof![3 => Just(0_u8), 2 => Just(1), 1 => any::<u8>()], 0..150), own in any::<bool>()) {
            let record = if own { [&[VERSION][..], &bytes].concat() } else { bytes };
            let (joined, _) = join_at(&record, A, 1, 0);
            prop_assert_eq!(write(&read(&joined)), joined);
            prop_assert!(write(&read(&record)).len() <= record.len().max(1));
            for token in [0, 1, u64::from_le_bytes([1; 8])] {
                let _ = (settle(&record, Token(token)), renew(&record, Token(token), Mono(9)), standing(&record, Token(token)));
            }
            let _ = taint(&record, Digest([0; 16]));
        }

        /// A naive twin that keeps flights in a list, as the words of this module have it.
        #[test]
        fn flights_go_as_a_naive_list_has_them(steps in prop::collection::vec(any_step(), 0..40)) {
            let mut record = Vec::new();
            let mut twin: Vec<Flight> = Vec::new();
            let mut now = 0;
            for (number, step) in (0_u64..).zip(steps) {
                let by_token = |twin: &[Flight], token: u64| twin.iter().position(|flight| flight.token == Token(token));
                match step {
                    Step::Wait(ms) => now += ms,
                    Step::Join(key, worker) => {
                        let (digest, me, until) = (Digest([key; 16]), WorkerId(worker), Mono(now + 100));
                        twin.retain(|flight| flight.lease_until > Mono(now));
                        let expected = match twin.iter_mut().find(|flight| flight.digest == digest && !flight.tainted) {
                            Some(flight) => {
                                if !flight.watchers.contains(&me) {
                                    flight.watchers.push(me);
                                }
                                Joined::Watching(flight.token, flight.lease_until)
                            }
                            None => {
                                twin.push(Flight { digest, token: Token(number), lease_until: until, tainted: false, watchers: vec![] });
                                Joined::Leading
                            }
                        };
                        let (next, joined) = join(&record, digest, me, Token(number), Mono(now), until);
                        prop_assert_eq!(joined, expected);
                        record = next;
                    }
                    Step::Settle(token) => {
                        let expected = by_token(&twin, token).map(|at| twin.remove(at));
                        let expected = expected.map(|flight| Settled { watchers: flight.watchers, tainted: flight.tainted });
                        let settled = settle(&record, Token(token));
                        prop_assert_eq!(settled.as_ref().map(|(_, settled)| settled), expected.as_ref());
                        record = settled.map_or(record, |(next, _)| next);
                    }
                    Step::Renew(token) => {
                        let renewed = renew(&record, Token(token), Mono(now + 200));
                        let at = by_token(&twin, token);
                        prop_assert_eq!(renewed.is_some(), at.is_some());
                        at.into_iter().for_each(|at| twin[at].lease_until = Mono(now + 200));
                        record = renewed.unwrap_or(record);
                    }
                    Step::Taint(key) => {
                        let cared = twin.iter_mut().filter(|flight| flight.digest == Digest([key; 16]) && !flight.tainted);
                        let cared = cared.map(|flight| flight.tainted = true).count() > 0;
                        let tainted = taint(&record, Digest([key; 16]));
                        prop_assert_eq!(tainted.is_some(), cared);
                        record = tainted.unwrap_or(record);
                    }
                }
                for token in 0..=number {
                    let expected = by_token(&twin, token).map(|at| (twin[at].lease_until, !twin[at].tainted));
                    prop_assert_eq!(standing(&record, Token(token)), expected);
                }
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Join(u8, u32),
        Settle(u64),
        Renew(u64),
        Taint(u8),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (1_u64..80).prop_map(Step::Wait),
            6 => (0_u8..3, 0_u32..4).prop_map(|(key, worker)| Step::Join(key, worker)),
            2 => (0_u64..30).prop_map(Step::Settle),
            2 => (0_u64..30).prop_map(Step::Renew),
            1 => (0_u8..3).prop_map(Step::Taint),
        ]
    }
}
