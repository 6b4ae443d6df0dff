//! What tells one stored response from another (RFC 9111 §2, §4).
//!
//! A key is a list of parts, each a tag byte, its length (little-endian `u16`) and its bytes, in a fixed order: no text
//! in one part can pass for another part. Scheme, host, path and query enter as they are (an operator purges by them);
//! values of header fields, cookies and the caller's identity enter as digests only, since keys are stored, logged and
//! sent to Redis. GET and HEAD share a key: the method is not in it. The key's own digest names it wherever the bytes
//! are too long; whoever finds an entry by digest compares the bytes.

use super::fields::Fields;
use super::no_vary_search::NoVarySearch;
use super::query;
use super::reason::Reason;
use std::cell::OnceCell;
use std::fmt;

/// The name of one stored response, before Vary.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: Vec<u8>,
    /// Taken when first asked for: an answer from memory needs none.
    digest: OnceCell<Digest>,
    partitioned: bool,
    resource: Option<Digest>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.partitioned == other.partitioned
    }
}

impl Eq for Key {}

impl Key {
    /// The whole key, at most [`MAX_KEY_BYTES`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key's digest.
    pub fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::first_of(&blake3::hash(&self.bytes)))
    }

    /// Whether the caller's identity is part of the key: what is stored under it is reused for that caller alone.
    pub fn is_partitioned(&self) -> bool {
        self.partitioned
    }

    /// The digest of the key without the body, if that is part of it: a change under the one is a change under the other.
    pub fn resource(&self) -> Option<Digest> {
        self.resource
    }

    /// The key of a request whose body is part of it, and with the body what says how it is to be read: the same bytes
    /// of another type are another question.
    ///
    /// # Errors
    /// `KeyTooLong` above [`MAX_KEY_BYTES`].
    pub fn with_body(mut self, method: &[u8], fields: &Fields, body: &[u8]) -> Result<Self, Reason> {
        self.resource = Some(self.digest());
        self.digest = OnceCell::new();
        self.append(METHOD, method)?;
        let mut read_as = blake3::Hasher::new();
        for part in
            fields.iter().filter(|(name, _)| OF_A_BODY.contains(name)).flat_map(|(name, value)| [name, value])
        {
            read_as.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes()).update(part);
        }
        self.append(READ_AS, &Digest::first_of(&read_as.finalize()).0)?;
        self.append(VALUE, &Digest::first_of(&blake3::hash(body)).0)?;
        Ok(self)
    }

    pub(super) fn append(&mut self, tag: u8, part: &[u8]) -> Result<(), Reason> {
        self.append_joined(tag, &[part], 0)
    }

    fn append_lower(&mut self, tag: u8, part: &[u8]) -> Result<(), Reason> {
        let start = self.bytes.len().saturating_add(PART_HEAD);
        self.append(tag, part)?;
        self.bytes.get_mut(start..).unwrap_or_default().make_ascii_lowercase();
        Ok(())
    }

    /// Appends `pieces` with `separator` between them as one part.
    pub(super) fn append_joined(&mut self, tag: u8, pieces: &[&[u8]], separator: u8) -> Result<(), Reason> {
        let separators = pieces.len().saturating_sub(1);
        let length = pieces.iter().fold(separators, |sum, piece| sum.saturating_add(piece.len()));
        let end = self.bytes.len().saturating_add(PART_HEAD).saturating_add(length);
        let length = u16::try_from(length).ok().filter(|_| end <= MAX_KEY_BYTES).ok_or(Reason::KeyTooLong)?;
        self.bytes.push(tag);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        for (place, piece) in pieces.iter().enumerate() {
            if place > 0 {
                self.bytes.push(separator);
            }
            self.bytes.extend_from_slice(piece);
        }
        Ok(())
    }

    /// Appends a name and the digest of its values, empty if there are none; whether there was one that is not empty.
    fn append_secret<'a>(
        &mut self,
        tag: u8,
        name: &str,
        values: impl Iterator<Item = &'a [u8]>,
    ) -> Result<bool, Reason> {
        self.append(tag, name.as_bytes())?;
        let mut hasher = None;
        let mut filled = false;
        for value in values {
            let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
            hasher.get_or_insert_with(blake3::Hasher::new).update(&length.to_le_bytes()).update(value);
            filled |= !value.is_empty();
        }
        match hasher {
            Some(hasher) => self.append(VALUE, &Digest::first_of(&hasher.finalize()).0)?,
            None => self.append(VALUE, &[])?,
        }
        Ok(filled)
    }
}

/// The key of `request` under a rule that says `spec`.
///
/// # Errors
/// `KeyTooLong` above [`MAX_KEY_BYTES`].
pub fn key(spec: &KeySpec, request: &Fields) -> Result<Key, Reason> {
    key_of(spec, request, None, None)
}

/// The key of `request` where its query counts in the form that a response gave it ([`super::no_vary_search`]), but for
/// what the rule leaves out. What the response said is part of the key.
///
/// # Errors
/// As [`key`].
pub fn searched(spec: &KeySpec, request: &Fields, search: &NoVarySearch) -> Result<Key, Reason> {
    let query = query::kept(target(request).1.unwrap_or_default(), &spec.query);
    // By another saying other queries have this form.
    let saying = Digest::first_of(&blake3::hash(&search.encode()));
    let form = [&saying.0[..], &search.normalise(&query)].concat();
    key_of(spec, request, None, Some(&form))
}

/// Under what stands how the responses of a path depend on the query: the request's key without it.
///
/// # Errors
/// As [`key`].
pub fn search_key(spec: &KeySpec, request: &Fields) -> Result<Key, Reason> {
    key_of(spec, request, Some(target(request).0), Some(b""))
}

/// The key that `request` would have with another `target` (path and query).
///
/// # Errors
/// As [`key`].
pub fn key_at(spec: &KeySpec, request: &Fields, target: &[u8]) -> Result<Key, Reason> {
    key_of(spec, request, Some(target), None)
}

/// Path and query of a request's target.
fn target(request: &Fields) -> (&[u8], Option<&[u8]>) {
    split(request.get(b":path").unwrap_or_default())
}

fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?').and_then(|at| target.split_at_checked(at)) {
        Some((path, query)) => (path, query.strip_prefix(b"?")),
        None => (target, None),
    }
}

fn key_of(
    spec: &KeySpec,
    request: &Fields,
    other: Option<&[u8]>,
    form: Option<&[u8]>,
) -> Result<Key, Reason> {
    let (mut scheme, mut authority, mut target) = (&[][..], &[][..], &[][..]);
    for (name, value) in request.iter() {
        match name {
            b":scheme" => scheme = value,
            b":authority" => authority = value,
            b":path" => target = value,
            // Envoy puts the pseudo fields first, but need not.
            _ if !scheme.is_empty() && !authority.is_empty() && !target.is_empty() => break,
            _ => {}
        }
    }
    let target = other.unwrap_or(target);
    let (path, query) = split(target);

    let mut key = Key {
        bytes: Vec::with_capacity(capacity(spec, &[scheme, authority, target])),
        digest: OnceCell::new(),
        partitioned: false,
        resource: None,
    };
    key.append_lower(SCHEME, scheme)?;
    key.append_lower(AUTHORITY, without_default_port(scheme, authority))?;
    key.append(PATH, path)?;
    if let Some(form) = form {
        key.append(FORM, form)?;
    } else if let Some(query) = query {
        query::append(&mut key, QUERY, query, &spec.query)?;
    }
    for name in &spec.headers {
        key.append_secret(HEADER, name, request.values(name.as_bytes()))?;
    }
    for name in &spec.cookies {
        key.append_secret(COOKIE, name, cookies(request, name.as_bytes()))?;
    }
    key.partitioned = match &spec.identity {
        None => false,
        Some(Identity::Header(name)) => {
            key.append_secret(IDENTITY_HEADER, name, request.values(name.as_bytes()))?
        }
        Some(Identity::Cookie(name)) => {
            key.append_secret(IDENTITY_COOKIE, name, cookies(request, name.as_bytes()))?
        }
    };
    Ok(key)
}

/// The first 128 bits of a BLAKE3 hash.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Of a hash.
    pub fn first_of(hash: &blake3::Hash) -> Self {
        Self(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }

    /// Another digest, which no key has: for what stands beside a key.
    pub fn beside(self) -> Self {
        Self(self.0.map(|byte| !byte))
    }

    /// Appends 32 lower-case hexadecimal digits.
    pub fn write_hex(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| match digit {
            0..=9 => digit.saturating_add(b'0'),
            _ => digit.saturating_add(b'a' - 10),
        }));
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An authority without the port that its scheme implies, which an empty one is too (RFC 9110 §4.2.3).
pub(super) fn without_default_port<'a>(scheme: &[u8], authority: &'a [u8]) -> &'a [u8] {
    if let Some(host) = authority.strip_suffix(b":") {
        return host;
    }
    let port: &[u8] = if scheme.eq_ignore_ascii_case(b"https") {
        b":443"
    } else if scheme.eq_ignore_ascii_case(b"http") {
        b":80"
    } else {
        return authority;
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

/// All values of the cookie `name`, in order, over all lines (RFC 6265 §4.2).
fn cookies<'a>(request: &'a Fields, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    request.values(b"cookie").flat_map(|line| line.split(|byte| *byte == b';')).filter_map(move |pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = pair.split_at_checked(at)?;
        (found.trim_ascii_end() == name).then(|| value.strip_prefix(b"=").unwrap_or(value).trim_ascii_start())
    })
}

/// Room for the whole key, so that it is allocated once.
fn capacity(spec: &KeySpec, parts: &[&[u8]]) -> usize {
    let identity = match &spec.identity {
        Some(Identity::Header(name) | Identity::Cookie(name)) => Some(name),
        None => None,
    };
    let named = spec.headers.iter().chain(&spec.cookies).chain(identity);
    let secrets = named.map(|name| name.len().saturating_add(2 * PART_HEAD + 16));
    let plain = parts.iter().map(|part| part.len().saturating_add(PART_HEAD)).chain([PART_HEAD]);
    plain.chain(secrets).fold(0_usize, usize::saturating_add).min(MAX_KEY_BYTES)
}

/// Longest key.
pub const MAX_KEY_BYTES: usize = 8 * 1024;

const PART_HEAD: usize = 3;
const SCHEME: u8 = b's';
const AUTHORITY: u8 = b'a';
const PATH: u8 = b'p';
const QUERY: u8 = b'q';
const FORM: u8 = b'n';
const HEADER: u8 = b'h';
const COOKIE: u8 = b'c';
const IDENTITY_HEADER: u8 = b'i';
const IDENTITY_COOKIE: u8 = b'j';
const METHOD: u8 = b'm';
const READ_AS: u8 = b't';
const VALUE: u8 = b'=';
/// Fields that say how a body is to be read (RFC 9110 §8.3, §8.4, §8.5).
const OF_A_BODY: [&[u8]; 3] = [b"content-type", b"content-encoding", b"content-language"];

/// What a rule puts into the key beside method class, scheme, host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySpec {
    /// The query.
    pub query: QuerySpec,
    /// Request header fields whose values are part of the key, lower case.
    pub headers: Vec<String>,
    /// Cookies whose values are part of the key.
    pub cookies: Vec<String>,
    /// Who is asking: partitions the store per caller.
    pub identity: Option<Identity>,
    /// Requests whose body is part of the key.
    pub body: BodySpec,
}

/// Requests that are told apart by their bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodySpec {
    /// Their methods: `QUERY`, `POST`.
    pub methods: Vec<String>,
    /// The largest body that is looked at, in bytes; a request with a larger one passes.
    pub max_bytes: u64,
}

/// How the query enters the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuerySpec {
    /// Parameters left out; a trailing `*` matches any ending.
    pub ignore: Vec<String>,
    /// If given, the only parameters let in; a trailing `*` matches any ending.
    pub allow: Option<Vec<String>>,
    /// Whether the parameters' order is forgotten.
    pub sort: bool,
}

impl Default for QuerySpec {
    fn default() -> Self {
        Self { ignore: Vec::new(), allow: None, sort: true }
    }
}

/// Where the caller's identity is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// In this request header field, lower case.
    Header(String),
    /// In this cookie.
    Cookie(String),
}

#[cfg(test)]
mod tests;
