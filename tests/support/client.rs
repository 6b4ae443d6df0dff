//! The clients: single requests, and waves of them that start together.
//!
//! Cheap on purpose (a socket and a few hundred bytes each), since a wave of 1,000 shares two cores with the Envoy
//! whose latency it measures.

use super::told::{Told, told};
use super::wire::{Head, Inbox};
use super::{PATIENCE, lift_file_limit};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// A request, ready to be sent as often as wanted.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    path: String,
    fields: Vec<u8>,
    body: Vec<u8>,
    host: String,
}

impl Request {
    /// A GET of this path (query included) at the host `wall.test`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// Any method.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        let host = "wall.test".to_owned();
        Self { method: method.to_owned(), path: path.into(), fields: Vec::new(), body: Vec::new(), host }
    }

    /// Another host.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// One more field; the value's bytes go out as they are, a 0xFF too.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value.as_ref());
        self.fields.extend_from_slice(b"\r\n");
        self
    }

    /// A body, with its length.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: {}\r\n", self.method, self.path, self.host).into_bytes();
        bytes.extend_from_slice(&self.fields);
        if !self.body.is_empty() {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Start line and fields.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
    /// From the request's first byte out to the answer's last byte in.
    pub latency: Duration,
    /// When that last byte was in.
    pub ended: Instant,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the wall tells of the answer's way.
    ///
    /// # Panics
    /// When it tells nothing: the test has failed.
    pub fn told(&self) -> Told {
        told(&self.head).unwrap_or_else(|| panic!("no Cache-Status of ours: {:?}", self.head))
    }

    /// All fields of this (lower-case) name, joined by commas; empty when there are none.
    pub fn header(&self, name: &str) -> String {
        self.head.combined(name)
    }
}

/// One connection. Dropping it is a client that goes away.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    inbox: Inbox,
    to_head: bool,
    started: Instant,
}

impl Client {
    /// Connects; retried while the listener's queue is full, which a wave can do to a busy Envoy.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, inbox: Inbox::default(), to_head: false, started: Instant::now() })
    }

    /// As [`Client::connect`], a client that takes in hardly anything before it is read from.
    pub async fn connect_narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let stream = timeout(PATIENCE, socket.connect(address)).await??;
        Ok(Self { stream, inbox: Inbox::default(), to_head: false, started: Instant::now() })
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&mut self, request: &Request) -> io::Result<Answer> {
        self.begin(request).await?;
        self.answer().await
    }

    /// Sends a request only.
    pub async fn begin(&mut self, request: &Request) -> io::Result<()> {
        self.to_head = request.method == "HEAD";
        self.begin_raw(&request.bytes()).await
    }

    /// Sends these bytes.
    pub async fn begin_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.started = Instant::now();
        self.stream.write_all(bytes).await
    }

    /// Waits for the next answer's head. What the wall tells in it is looked at here, so that every test does it.
    pub async fn head(&mut self) -> io::Result<Head> {
        loop {
            let head = timeout(PATIENCE, self.inbox.head(&mut self.stream)).await??;
            let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
            // 100 Continue and its like are not the answer.
            if !head.word(1).starts_with('1') {
                told(&head);
                return Ok(head);
            }
        }
    }

    /// Waits for the next chunk of a chunked answer whose head has come; `None` at its end.
    pub async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        timeout(PATIENCE, self.inbox.chunk(&mut self.stream)).await?
    }

    /// The trailers of the last chunked answer.
    pub fn trailers(&self) -> &[(String, Vec<u8>)] {
        &self.inbox.trailers
    }

    /// Waits for the answer to what was sent.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let head = self.head().await?;
        self.rest(head).await
    }

    /// Waits for the body of an answer whose head has come.
    pub async fn rest(&mut self, head: Head) -> io::Result<Answer> {
        let status = head.word(1).parse().map_err(|_| io::Error::other("no status code"))?;
        let empty = self.to_head || status == 204 || status == 304;
        let body = if empty {
            Vec::new()
        } else {
            timeout(PATIENCE, self.inbox.body(&mut self.stream, &head, true)).await??
        };
        let ended = Instant::now();
        Ok(Answer { status, head, body, latency: ended - self.started, ended })
    }
}

/// One request on a connection of its own.
///
/// # Panics
/// When no whole answer comes: the test has failed.
pub async fn send(address: SocketAddr, request: &Request) -> Answer {
    try_send(address, request).await.expect("a whole answer")
}

/// One request on a connection of its own; an error when no whole answer comes.
pub async fn try_send(address: SocketAddr, request: &Request) -> io::Result<Answer> {
    Client::connect(address).await?.send(request).await
}

/// The same request `count` times at once, each on a connection of its own. See [`wave_of`].
pub async fn wave(address: SocketAddr, count: usize, request: &Request) -> Vec<Answer> {
    wave_of(address, vec![request.clone(); count]).await
}

/// These requests at once, each on a connection of its own that was opened before; the answers in the same order.
///
/// # Panics
/// When one of them gets no whole answer: the test has failed.
pub async fn wave_of(address: SocketAddr, requests: Vec<Request>) -> Vec<Answer> {
    all_whole(try_wave_of(address, requests).await)
}

fn all_whole(answers: Vec<io::Result<Answer>>) -> Vec<Answer> {
    let failed = answers.iter().filter(|answer| answer.is_err()).count();
    let mut whole = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(answer) => whole.push(answer),
            Err(error) => panic!("{failed} requests of the wave got no whole answer, the first: {error}"),
        }
    }
    whole
}

/// As [`wave_of`], to several addresses: each gets as many as the others.
pub async fn wave_over(addresses: &[SocketAddr], each: usize, request: &Request) -> Vec<Answer> {
    let all = addresses.iter().flat_map(|address| vec![(*address, request.clone()); each]);
    all_whole(try_wave_to(all.collect()).await)
}

/// As [`wave_of`], with what went wrong in place of an answer.
pub async fn try_wave_of(address: SocketAddr, requests: Vec<Request>) -> Vec<io::Result<Answer>> {
    try_wave_to(requests.into_iter().map(|request| (address, request)).collect()).await
}

async fn try_wave_to(requests: Vec<(SocketAddr, Request)>) -> Vec<io::Result<Answer>> {
    lift_file_limit();
    let start = Arc::new(Barrier::new(requests.len()));
    let mut tasks = JoinSet::new();
    for (index, (address, request)) in requests.into_iter().enumerate() {
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            let client = Client::connect(address).await;
            start.wait().await;
            let answer = match client {
                Ok(mut client) => client.send(&request).await,
                Err(error) => Err(error),
            };
            (index, answer)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
