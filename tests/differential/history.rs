//! What happened in one sequence, as far as anybody outside the plugin can see it.
//!
//! Every message with its bytes, and when each was sent or came, in milliseconds of the wall clock that Envoy goes by
//! too. The model knows a sequence by this alone.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds: a moment since the epoch, or a duration.
pub type Ms = i64;

/// Field lines in order: names in lower case, values as they came.
pub type Fields = Vec<(String, Vec<u8>)>;

/// Between which moments something lies, or between which bounds a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Ms,
    pub to: Ms,
}

impl Span {
    pub fn new(from: Ms, to: Ms) -> Self {
        Self { from: from.min(to), to: to.max(from) }
    }

    /// How much later than `earlier` this is; never below zero.
    pub fn since(self, earlier: Self) -> Self {
        Self { from: (self.from - earlier.to).max(0), to: (self.to - earlier.from).max(0) }
    }

    pub fn plus(self, other: Self) -> Self {
        Self { from: self.from + other.from, to: self.to + other.to }
    }

    pub fn max(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.max(other.to) }
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub url: String,
    pub fields: Fields,
}

impl Request {
    /// GET or HEAD: what a cache may answer.
    pub fn is_retrieval(&self) -> bool {
        self.method == "GET" || self.method == "HEAD"
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
}

/// How the origin ended an exchange.
#[derive(Clone, Debug)]
pub enum Reply {
    Whole(Response),
    /// The head and half of the body went out, then the connection was cut.
    Cut(Response),
    /// The connection was cut before the head.
    Dropped,
}

/// A request as the origin saw it, and what it did.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub request: Request,
    pub arrived: Ms,
    /// Not before this did the head go out.
    pub replied: Ms,
    pub reply: Reply,
}

/// A request of the client, and all that came of it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub request: Request,
    pub sent: Ms,
    /// When the last byte of the answer was there.
    pub answered: Ms,
    /// What the origin saw meanwhile, in order.
    pub upstream: Vec<Upstream>,
    /// `None` when no whole answer came.
    pub answer: Option<Response>,
}

impl Exchange {
    /// When the cache decided.
    pub fn now(&self) -> Span {
        Span::new(self.sent, self.answered)
    }
}

pub fn now() -> Ms {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    Ms::try_from(since.as_millis()).expect("the clock is not far in the future")
}
