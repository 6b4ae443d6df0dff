//! How the responses of a path depend on the query, as they said themselves (No-Vary-Search).
//!
//! A response with that field stands under its key in the form that the field gives to the query; and beside it, under
//! the key of the path alone, stands the field. So a request for which L1 holds nothing as it is written looks there
//! once, and if its path is known, asks again in that form. What another Envoy was told is not known here: each learns
//! it from its own first response.

use super::{Slot, Worker};
use crate::exchange::Held;
use crate::host::Host;
use crate::http::Fields;
use crate::http::key::{self, Key, KeySpec};
use crate::http::no_vary_search::NoVarySearch;
use crate::store::{Entry, l1};

impl<H: Host> Worker<H> {
    /// What an earlier response for a request's path said of the query, and the request's key in that form.
    pub(super) fn searched(&self, spec: &KeySpec, fields: &Fields) -> Option<(NoVarySearch, Key)> {
        let path = key::search_key(spec, fields).ok()?;
        let (value, _) = self.host.shared(&self.tiers.geometry.slot(path.digest()).key())?;
        let search = read(l1::unwrap(&value)?.1, &path)?;
        let form = key::searched(spec, fields, &search).ok()?;
        Some((search, form))
    }

    /// Under which key a response is to be kept, and as which bytes, if that is not the one it was asked for under. What
    /// it says of the query is noted for the path.
    pub(super) fn rekeyed(&mut self, slot: &Slot, spec: &KeySpec, entry: &Entry<'_>) -> Option<(Key, Held)> {
        let request = &slot.exchange.fields;
        // A key that has more to it than the query, such as a body, is left alone.
        let own = slot.exchange.searched.is_some() || key::key(spec, request).ok()?.bytes() == entry.key;
        if !own {
            return None;
        }
        let said = Fields::from_block(entry.fields.to_vec()).and_then(|fields| NoVarySearch::read(&fields));
        let path = key::search_key(spec, request).ok()?;
        let key = match (said, &slot.exchange.searched) {
            (None, None) => return None,
            (None, Some((_, exact))) => {
                // It says so no more.
                self.note(path.digest(), b"");
                exact.clone()
            }
            (Some(search), _) => {
                let noted = write(&path, &search);
                self.note(path.digest(), &noted);
                key::searched(spec, request, &search).ok()?
            }
        };
        let entry = Entry { key: key.bytes(), ..entry.clone() }.encode();
        Some((key, Held::new(entry)))
    }
}

fn write(path: &Key, search: &NoVarySearch) -> Vec<u8> {
    let length = u16::try_from(path.bytes().len()).unwrap_or(u16::MAX);
    [MAGIC, &length.to_le_bytes(), path.bytes(), &search.encode()].concat()
}

fn read(bytes: &[u8], path: &Key) -> Option<NoVarySearch> {
    let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<2>()?;
    let (key, search) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    NoVarySearch::decode(search).filter(|_| key == path.bytes())
}

const MAGIC: &[u8] = b"BN\x01";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_of_a_path_is_read_for_it_alone() {
        let request = |path: &'static str| {
            Fields::of([(&b":scheme"[..], &b"http"[..]), (b":authority", b"a"), (b":path", path.as_bytes())])
        };
        let spec = KeySpec::default();
        let response = Fields::of([(&b"no-vary-search"[..], &b"params=(\"utm\")"[..])]);
        let search = NoVarySearch::read(&response).unwrap();
        let path = key::search_key(&spec, &request("/x?a=1")).unwrap();
        assert_eq!(path, key::search_key(&spec, &request("/x")).unwrap());
        let noted = write(&path, &search);
        assert_eq!(read(&noted, &path), Some(search.clone()));
        assert_eq!(read(&noted, &key::search_key(&spec, &request("/y")).unwrap()), None);
        for len in 0..noted.len() {
            assert!(read(&noted[..len], &path).is_none_or(|found| found != search), "{len}");
        }
        let same = ["/x?a=1&utm=2", "/x?utm=9&a=1", "/x?a=1"];
        let keys = same.map(|target| key::searched(&spec, &request(target), &search).unwrap());
        assert_eq!(keys[0], keys[1]);
        assert_eq!(keys[0], keys[2]);
        assert_ne!(keys[0], key::searched(&spec, &request("/x?a=2"), &search).unwrap());
        // Without a query that counts it stands beside what is noted of the path.
        assert_ne!(path, key::searched(&spec, &request("/x?utm=1"), &search).unwrap());
    }

    #[test]
    fn what_is_equal_by_one_saying_is_not_by_another() {
        let spec = KeySpec::default();
        let request = Fields::of([(&b":path"[..], &b"/x?a=1"[..])]);
        let key = |said: &str| {
            let response = Fields::of([(&b"no-vary-search"[..], said.as_bytes())]);
            key::searched(&spec, &request, &NoVarySearch::read(&response).unwrap()).unwrap()
        };
        assert_eq!(key("params=(\"utm\")"), key("params=(\"utm\"), key-order=?0"));
        assert_ne!(key("params=(\"utm\")"), key("params=(\"z\")"));
    }

    #[test]
    fn what_the_rule_leaves_out_of_the_query_stays_out() {
        let mut spec = KeySpec::default();
        spec.query.ignore.push("gclid".into());
        let response = Fields::of([(&b"no-vary-search"[..], &b"params=(\"utm\")"[..])]);
        let search = NoVarySearch::read(&response).unwrap();
        let key = |target: &str| {
            let request = Fields::of([(&b":path"[..], target.as_bytes())]);
            key::searched(&spec, &request, &search).unwrap()
        };
        assert_eq!(key("/x?a=1&gclid=2&utm=3"), key("/x?utm=4&gclid=5&a=1"));
        assert_ne!(key("/x?a=1"), key("/x?a=2"));
    }
}
