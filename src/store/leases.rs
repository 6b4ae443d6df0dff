//! The dialogue about leases (`flight::lease`): what is asked of Redis, and what its answers say.
//!
//! A lease stands under `…:lock:<digest of the key>` and holds the name of the flight that has it; whoever waits for that
//! flight puts a [`MARK`] behind the name. What a flight leaves for those who wait stands under `…:lock:<its name>`, and
//! is left only where the mark is. Lease and entry may live on different servers of a Redis Cluster, and nothing here
//! asks for more than one of them at a time.

use super::remote::{self, Unavailable};
use crate::flight::lease::{LEFT_FOR, Name};
use crate::http::key::Digest;
use crate::redis::{self, Reply, script};
use crate::time::millis;
use std::time::Duration;

/// A wish to have a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What is to be fetched.
    pub digest: Digest,
    /// The flight that would fetch it.
    pub name: Name,
    /// For how long.
    pub lease: Duration,
    /// Whose it was the last time.
    pub awaited: Option<Name>,
    /// Whether that is to be marked as awaited.
    pub marks: bool,
}

impl Wish {
    /// How many commands, and so replies, it is.
    pub fn commands(&self) -> usize {
        match self.awaited {
            Some(_) if self.marks => 4,
            Some(_) => 3,
            None => 2,
        }
    }
}

/// What Redis said to a [`Wish`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// Whose the lease is now.
    pub holder: Option<Name>,
    /// Whether it is marked as awaited.
    pub marked: bool,
    /// What the awaited flight left.
    pub left: Option<&'a [u8]>,
}

/// Takes a lease that nobody has, and asks who has it then.
pub(super) fn take(namespace: &str, wish: &Wish) -> Vec<u8> {
    let mut pipeline = Vec::new();
    let (key, name) = (key(namespace, wish.digest), wish.name.text());
    let stays = millis(wish.lease).max(1).to_string();
    redis::encode(&mut pipeline, &[&b"SET"[..], &key, &name, b"PX", stays.as_bytes(), b"NX"]);
    if let Some(awaited) = wish.awaited {
        if wish.marks {
            let name = awaited.text();
            eval(&mut pipeline, script::MARK, &key, [&name, &name], &[MARK]);
        }
        redis::encode(&mut pipeline, &[&b"GET"[..], &left_key(namespace, awaited)]);
    }
    redis::encode(&mut pipeline, &[&b"GET"[..], &key]);
    pipeline
}

/// Reads the answer to [`take`]; `None` if there are no leases to be had: the server that has them cannot be reached,
/// or takes no writes, or holds something else there.
pub(super) fn read_taken<'a>(replies: &[Reply<'a>]) -> Option<Said<'a>> {
    let (Reply::Bulk(holder), rest) = replies.split_last()? else { return None };
    let left = match rest {
        [_, .., Reply::Bulk(left)] => Some(*left),
        _ => None,
    };
    let name = holder.strip_suffix(MARK);
    Some(Said { holder: Name::read(name.unwrap_or(holder)), marked: name.is_some(), left })
}

/// Prolongs a lease, awaited or not; one command.
pub fn renew(namespace: &str, digest: Digest, name: Name, lease: Duration) -> Vec<u8> {
    let stays = millis(lease).max(1).to_string();
    own(script::RENEW, namespace, digest, name, &[stays.as_bytes()])
}

/// Gives a lease back, awaited or not; one command.
pub fn release(namespace: &str, digest: Digest, name: Name) -> Vec<u8> {
    own(script::RELEASE, namespace, digest, name, &[])
}

/// Gives a lease back if nobody awaits it; one command.
pub fn release_unawaited(namespace: &str, digest: Digest, name: Name) -> Vec<u8> {
    let (mut pipeline, name) = (Vec::new(), name.text());
    eval(&mut pipeline, script::RELEASE, &key(namespace, digest), [&name, &name], &[]);
    pipeline
}

/// Does something to a lease of this name, with the mark or without.
fn own(script: &[u8], namespace: &str, digest: Digest, name: Name, more: &[&[u8]]) -> Vec<u8> {
    let (mut pipeline, name) = (Vec::new(), name.text());
    let marked = [&name, MARK].concat();
    eval(&mut pipeline, script, &key(namespace, digest), [&name, &marked], more);
    pipeline
}

/// Whether a lease was what it was believed to be; of a Redis that refuses to say so, it is taken to be, until it ends.
pub fn read_own(answer: &[u8]) -> Result<bool, Unavailable> {
    match redis::replies(answer, 1).map_err(|_| Unavailable)?.first() {
        Some(Reply::Integer(changed)) => Ok(*changed == 1),
        Some(Reply::Error(text)) if remote::is_refusal(text) => Ok(true),
        _ => Err(Unavailable),
    }
}

/// Leaves something for those who wait for a flight; one command.
pub fn leave(namespace: &str, name: Name, outcome: &[u8]) -> Vec<u8> {
    let mut pipeline = Vec::new();
    let stays = millis(LEFT_FOR).to_string();
    let key = left_key(namespace, name);
    redis::encode(&mut pipeline, &[&b"SET"[..], &key, outcome, b"PX", stays.as_bytes()]);
    pipeline
}

fn eval(pipeline: &mut Vec<u8>, script: &[u8], key: &[u8], either: [&[u8]; 2], more: &[&[u8]]) {
    redis::encode(pipeline, &[&[b"EVAL", script, b"1", key], &either[..], more].concat());
}

/// Somebody waits.
const MARK: &[u8] = b"+";

/// Where the lease of a key stands.
pub(super) fn key(namespace: &str, digest: Digest) -> Vec<u8> {
    remote::key(namespace, ":lock:", digest)
}

fn left_key(namespace: &str, name: Name) -> Vec<u8> {
    [namespace.as_bytes(), b":lock:", &name.text()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Token;
    use crate::testing::cases;
    use proptest::prelude::*;

    const DIGEST: Digest = Digest([0xab; 16]);

    fn name(worker: u64) -> Name {
        Name::new(worker, Token(1))
    }

    fn wish(awaited: Option<Name>) -> Wish {
        Wish { digest: DIGEST, name: name(1), lease: Duration::from_secs(2), awaited, marks: true }
    }

    fn bulk(name: Name) -> String {
        format!("$32\r\n{}\r\n", String::from_utf8(name.text()).unwrap())
    }

    fn said<'a>(answer: &'a str, wish: &Wish) -> Option<Said<'a>> {
        read_taken(&redis::replies(answer.as_bytes(), wish.commands()).unwrap())
    }

    #[test]
    fn a_lease_is_set_where_none_is_and_then_read() {
        let text = String::from_utf8(take("bw", &wish(None))).unwrap();
        let (key, own) = (format!("bw:lock:{}", "ab".repeat(16)), bulk(name(1)));
        let expected = format!(
            "*6\r\n$3\r\nSET\r\n$40\r\n{key}\r\n{own}$2\r\nPX\r\n$4\r\n2000\r\n$2\r\nNX\r\n*2\r\n$3\r\nGET\r\n$40\r\n{key}\r\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_an_awaited_flight_left_is_asked_for_by_its_name() {
        let left = String::from_utf8(leave("bw", name(2), b"outcome")).unwrap();
        let text = String::from_utf8(take("bw", &wish(Some(name(2))))).unwrap();
        let key = format!("bw:lock:{}", String::from_utf8(name(2).text()).unwrap());
        assert!(left.contains(&key) && left.ends_with("PX\r\n$4\r\n2000\r\n"), "{left}");
        assert!(text.contains(&format!("GET\r\n$40\r\n{key}\r\n")), "{text}");
        let marks = format!("{0}{0}$1\r\n+\r\n", bulk(name(2)));
        assert!(text.contains(&marks), "{text}");
    }

    #[test]
    fn the_holder_is_whoever_the_lease_names() {
        let (own, other) = (bulk(name(1)), bulk(name(2)));
        let said_of =
            |holder: Option<u64>, marked| Some(Said { holder: holder.map(name), marked, left: None });
        let holds = |holder: u64| said_of(Some(holder), false);
        assert_eq!(said(&format!("+OK\r\n{own}"), &wish(None)), holds(1));
        assert_eq!(said(&format!("$-1\r\n{other}"), &wish(None)), holds(2));
        assert_eq!(said("$-1\r\n$1\r\nx\r\n", &wish(None)), said_of(None, false));
        let marked = other.replace("$32", "$33").trim_end().to_owned() + "+\r\n";
        assert_eq!(said(&format!("$-1\r\n{marked}"), &wish(None)), said_of(Some(2), true));
        let left = Some(Said { holder: Some(name(1)), marked: false, left: Some(b"left") });
        assert_eq!(said(&format!("+OK\r\n:0\r\n$4\r\nleft\r\n{own}"), &wish(Some(name(2)))), left);
        assert_eq!(said(&format!("+OK\r\n:33\r\n$-1\r\n{own}"), &wish(Some(name(2)))), holds(1));
        let marked_before = Wish { marks: false, ..wish(Some(name(2))) };
        assert_eq!(said(&format!("+OK\r\n$4\r\nleft\r\n{own}"), &marked_before), left);
    }

    #[test]
    fn where_leases_are_not_to_be_had_nothing_is_said_of_one() {
        for answer in [
            "-upstream failure\r\n-upstream failure\r\n",
            "-READONLY x\r\n$-1\r\n",
            "-OOM x\r\n$-1\r\n",
            "$-1\r\n-WRONGTYPE x\r\n",
            "+OK\r\n$-1\r\n",
            ":1\r\n:1\r\n",
        ] {
            assert_eq!(said(answer, &wish(None)), None, "{answer:?}");
        }
    }

    #[test]
    fn whether_a_lease_was_what_it_was_believed_to_be_is_a_number_or_unavailable() {
        assert_eq!(read_own(b":1\r\n"), Ok(true));
        assert_eq!(read_own(b":0\r\n"), Ok(false));
        for refusal in [&b"-NOPERM x\r\n"[..], b"-READONLY x\r\n", b"-ERR unknown command 'eval'\r\n"] {
            assert_eq!(read_own(refusal), Ok(true));
        }
        for answer in [&b""[..], b"+OK\r\n", b"-upstream failure\r\n", b":1\r\n:1\r\n"] {
            assert_eq!(read_own(answer), Err(Unavailable));
        }
    }

    proptest! {
        #![proptest_config(cases(256))]

        #[test]
        fn any_answer_is_something_said_or_nothing(answer in prop::collection::vec(any::<u8>(), 0..60), awaited: bool) {
            let wish = wish(awaited.then(|| name(2)));
            let _ = (remote::read_lookup(&answer, Some(&wish)), read_own(&answer));
        }
    }
}
