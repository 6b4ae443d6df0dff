//! What the scripted upstream answers, and when: a reply is bytes and the holds before them.

use super::gate::Gate;
use std::time::Duration;

/// Something a reply waits for before it goes on.
#[derive(Clone, Debug)]
pub enum Hold {
    /// This long.
    For(Duration),
    /// Until this many requests have been in flight at the upstream at the same time.
    InFlight(usize),
    /// Until the test opens the gate.
    At(Gate),
}

/// Where the connection is cut instead of the reply going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The request came, no byte goes back.
    BeforeHead,
    /// The head and half of the body go out.
    MidBody,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    /// Nothing is added: the fields given are all there are.
    Verbatim,
}

/// An answer of the scripted upstream.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    fields: Vec<u8>,
    body: Vec<u8>,
    framing: Framing,
    pub(super) before_head: Vec<Hold>,
    pub(super) before_body: Vec<Hold>,
    /// How a chunked body goes on, and what each piece waits for.
    pub(super) later: Vec<(Hold, Vec<u8>)>,
    trailers: Vec<u8>,
    pub(super) cut: Option<Cut>,
}

impl Reply {
    /// 200 with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::with(200, body)
    }

    /// This status and body.
    pub fn with(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
            framing: Framing::Length,
            before_head: Vec::new(),
            before_body: Vec::new(),
            later: Vec::new(),
            trailers: Vec::new(),
            cut: None,
        }
    }

    /// One more field; the value's bytes go out as they are.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value.as_ref());
        self.fields.extend_from_slice(b"\r\n");
        self
    }

    /// The body goes out in chunks.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.framing = Framing::Chunked;
        self
    }

    /// No framing field is added (for statuses without a body, or fields that lie).
    #[must_use]
    pub fn verbatim(mut self) -> Self {
        self.framing = Framing::Verbatim;
        self
    }

    /// The head goes out after this time.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        self.head(Hold::For(time))
    }

    /// The head waits for this too.
    #[must_use]
    pub fn head(mut self, hold: Hold) -> Self {
        self.before_head.push(hold);
        self
    }

    /// The head goes out, then the body waits for this too.
    #[must_use]
    pub fn then(mut self, hold: Hold) -> Self {
        self.before_body.push(hold);
        self
    }

    /// The body goes out in chunks, and goes on with this one after the hold.
    #[must_use]
    pub fn later(mut self, hold: Hold, piece: impl Into<Vec<u8>>) -> Self {
        self.later.push((hold, piece.into()));
        self.chunked()
    }

    /// The body goes out in chunks, and this field behind it.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        self.chunked()
    }

    /// The connection is cut.
    #[must_use]
    pub fn cut(mut self, cut: Cut) -> Self {
        self.cut = Some(cut);
        self
    }

    /// The head's bytes.
    pub(super) fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Scripted\r\n", self.status).into_bytes();
        bytes.extend_from_slice(&self.fields);
        match self.framing {
            Framing::Length => {
                bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
            }
            Framing::Chunked => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::Verbatim => {}
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// The body's bytes up to the first that come later: all of them, or its first half when it is cut there. None for
    /// an answer to HEAD.
    pub(super) fn body_bytes(&self, to_head: bool) -> Vec<u8> {
        if to_head {
            return Vec::new();
        }
        let mut bytes = match self.framing {
            Framing::Chunked if self.later.is_empty() => [Self::chunk(&self.body), self.end_bytes()].concat(),
            Framing::Chunked => Self::chunk(&self.body),
            Framing::Length | Framing::Verbatim => self.body.clone(),
        };
        if self.cut == Some(Cut::MidBody) {
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }

    /// A chunk; nothing for none, which would end the body.
    pub(super) fn chunk(piece: &[u8]) -> Vec<u8> {
        if piece.is_empty() {
            return Vec::new();
        }
        [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
    }

    /// The end of a chunked body.
    pub(super) fn end_bytes(&self) -> Vec<u8> {
        [b"0\r\n", &self.trailers[..], b"\r\n"].concat()
    }
}
