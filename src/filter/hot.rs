//! Whole answers of the hottest L1 entries in the worker's own memory.
//!
//! What a hit costs is mostly what crosses between Envoy and the VM, and what the plugin computes anew though nothing
//! has changed. So the second time that L1 answers a plain request, the answer is remembered here under the request's
//! raw target: the entry, and the reply's fields as they stay until `Age` or `ttl` count on. A remembered answer is as
//! true as L1, because it carries the version of its slot: a second shared value, always empty, that is written
//! whenever the slot is. Reading an empty value allocates nothing in the VM, and as long as the version is the same,
//! the entry is what L1 holds; a change by any worker is seen by the next request.
//!
//! Plain is a GET whose only say in the answer is its target: [`plain_target`] sends every other request the long way,
//! and answers that depend on more than the target are not remembered. The answers are few and small, and when there
//! is no more room all are dropped: what is hot is back at once.

use crate::host::Version;
use crate::http::Fields;
use crate::time::Wall;
use std::rc::Rc;

/// One worker's answers, by the hash of their target.
pub(super) struct Hot {
    hasher: ahash::RandomState,
    answers: hashbrown::HashMap<u64, Answer, ahash::RandomState>,
}

/// A remembered answer.
pub(super) struct Answer {
    /// The rule of the request.
    pub(super) rule: usize,
    /// The slot's version key in shared data, and the version that was seen there.
    pub(super) version_key: [u8; 11],
    /// The version the value had.
    pub(super) version: Version,
    /// The slot's value.
    pub(super) value: Rc<Vec<u8>>,
    /// The reply's fields.
    pub(super) reply: Fields,
    /// When they have to be written anew.
    pub(super) reply_until: Wall,
    /// Whether Envoy makes another type of the reply's (`retyped`).
    pub(super) is_retyped: bool,
    target: Vec<u8>,
}

/// What of a plain request decides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target<'a> {
    scheme: &'a [u8],
    authority: &'a [u8],
    path: &'a [u8],
}

impl Target<'_> {
    fn is(&self, joined: &[u8]) -> bool {
        let Self { scheme, authority, path } = self;
        let rest = joined.strip_prefix(*scheme).and_then(|rest| rest.strip_prefix(b" "));
        rest.and_then(|rest| rest.strip_prefix(*authority)).and_then(|rest| rest.strip_prefix(b" "))
            == Some(*path)
    }

    fn joined(&self) -> Vec<u8> {
        [self.scheme, self.authority, self.path].join(&b' ')
    }
}

/// The target of a request without a body, if nothing else in the request can matter to its answer.
pub(super) fn plain_target(fields: &Fields) -> Option<Target<'_>> {
    let (mut method, mut target) = (&b""[..], Target { scheme: b"", authority: b"", path: b"" });
    for (name, value) in fields.iter() {
        match name {
            b":method" => method = value,
            b":scheme" => target.scheme = value,
            b":authority" => target.authority = value,
            b":path" => target.path = value,
            b"authorization"
            | b"cache-control"
            | b"content-length"
            | b"content-type"
            | b"range"
            | b"transfer-encoding"
            | b"upgrade"
            | b"connection"
            | b"x-breakwater-refresh" => return None,
            name if name.starts_with(b"if-") => return None,
            _ => {}
        }
    }
    let words = [target.scheme, target.authority];
    // With a blank in front of the path the parts could be told apart in two ways.
    let sound = !words.iter().any(|word| word.is_empty() || word.contains(&b' '));
    (method == b"GET" && sound && target.path.len() <= MAX_PATH_BYTES).then_some(target)
}

impl Hot {
    pub(super) fn new(hasher: ahash::RandomState) -> Self {
        Self { answers: hashbrown::HashMap::with_hasher(hasher.clone()), hasher }
    }

    pub(super) fn answer(&mut self, target: &Target<'_>) -> Option<&mut Answer> {
        let hash = self.hasher.hash_one(target);
        self.answers.get_mut(&hash).filter(|answer| target.is(&answer.target))
    }

    /// Remembers an answer, unless it is too large to be worth it. Its reply is written when it is first used.
    pub(super) fn remember(
        &mut self,
        target: &Target<'_>,
        rule: usize,
        version_key: [u8; 11],
        version: Version,
        value: Vec<u8>,
    ) {
        if value.len() > MAX_VALUE_BYTES {
            return;
        }
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        let answer = Answer {
            rule,
            version_key,
            version,
            value: Rc::new(value),
            reply: Fields::new(),
            reply_until: Wall(0),
            is_retyped: false,
            target: target.joined(),
        };
        self.answers.insert(self.hasher.hash_one(target), answer);
    }

    pub(super) fn forget(&mut self, target: &Target<'_>) {
        self.answers.remove(&self.hasher.hash_one(target));
    }
}

/// With the other two limits at most 5 MiB per worker.
const MAX_ANSWERS: usize = 256;
/// Larger bodies cost more to send than to fetch.
const MAX_VALUE_BYTES: usize = 16 * 1024;
const MAX_PATH_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(path: &'a [u8], more: &[(&'a [u8], &'a [u8])]) -> Fields {
        let head: [(&[u8], &[u8]); 4] =
            [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path)];
        Fields::of(head.into_iter().chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn hot() -> Hot {
        Hot::new(ahash::RandomState::with_seeds(1, 2, 3, 4))
    }

    #[test]
    fn an_answer_is_found_by_its_own_target_only() {
        let mut hot = hot();
        let (one, other) = (request(b"/x", &[]), request(b"/y", &[]));
        let target = plain_target(&one).unwrap();
        hot.remember(&target, 0, [0; 11], Version(1), vec![1]);
        assert!(hot.answer(&target).is_some());
        assert!(hot.answer(&plain_target(&other).unwrap()).is_none());
        hot.forget(&target);
        assert!(hot.answer(&target).is_none());
    }

    #[test]
    fn a_request_with_anything_to_say_is_not_plain() {
        assert!(plain_target(&request(b"/", &[(b"accept", b"*/*"), (b"cookie", b"a=b")])).is_some());
        for name in ["authorization", "cache-control", "range", "if-none-match", "upgrade", "content-length"]
        {
            assert_eq!(plain_target(&request(b"/", &[(name.as_bytes(), b"1")])), None, "{name}");
        }
        assert_eq!(plain_target(&Fields::of([(&b":method"[..], &b"HEAD"[..]), (b":path", b"/")])), None);
    }

    #[test]
    fn targets_with_blanks_are_not_mistaken_for_one_another() {
        let joined = plain_target(&request(b"/x y", &[])).unwrap().joined();
        assert!(!plain_target(&request(b"y", &[])).unwrap().is(&joined));
        let forged: [(&[u8], &[u8]); 4] =
            [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a /x"), (b":path", b"y")];
        assert_eq!(plain_target(&Fields::of(forged)), None);
    }

    #[test]
    fn answers_are_bounded_in_number_and_size() {
        let mut hot = hot();
        for n in 0..3 * MAX_ANSWERS {
            let path = format!("/{n}");
            let fields = request(path.as_bytes(), &[]);
            hot.remember(&plain_target(&fields).unwrap(), 0, [0; 11], Version(1), vec![0; MAX_VALUE_BYTES]);
            assert!(hot.answers.len() <= MAX_ANSWERS);
        }
        let fields = request(b"/large", &[]);
        let target = plain_target(&fields).unwrap();
        hot.remember(&target, 0, [0; 11], Version(1), vec![0; MAX_VALUE_BYTES + 1]);
        assert!(hot.answer(&target).is_none());
        let path = vec![b'p'; MAX_PATH_BYTES + 1];
        assert!(plain_target(&request(&path[1..], &[])).is_some());
        assert_eq!(plain_target(&request(&path, &[])), None);
    }
}
