//! Browsers: many connections, each of its own, that ask at the same moment or at a steady rate.
//!
//! Latency is taken from sending the request to the last byte of the answer; connections are opened before.

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

/// What one browser asks.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    /// The path.
    pub path: String,
    /// Who is logged in.
    pub user: Option<String>,
    refresh: bool,
    body: String,
}

impl Ask {
    /// A plain GET.
    pub fn get(path: &str) -> Self {
        Self { method: "GET", path: path.to_owned(), user: None, refresh: false, body: String::new() }
    }

    /// A POST of `text`.
    pub fn post(path: &str, text: &str) -> Self {
        Self { method: "POST", body: text.to_owned(), ..Self::get(path) }
    }

    /// The same, sent as a browser's refresh: `Cache-Control: max-age=0`.
    pub fn refresh(self) -> Self {
        Self { refresh: true, ..self }
    }

    /// The same, by a user who is logged in.
    pub fn by(self, user: &str) -> Self {
        Self { user: Some(user.to_owned()), ..self }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder().method(self.method).uri(&self.path).header("host", "chat.example");
        if self.refresh {
            request = request.header("cache-control", "max-age=0");
        }
        if let Some(user) = &self.user {
            request = request.header("authorization", format!("Bearer {user}"));
        }
        request.body(Full::new(Bytes::from(self.body.clone()))).map_err(text)
    }
}

/// What came back for one [`Ask`].
#[derive(Debug)]
pub struct Reply {
    /// What was asked.
    pub ask: Ask,
    /// The answer, or what went wrong on the way.
    pub answer: Result<Answer, String>,
    /// From sending to the last byte.
    pub took: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub fields: HeaderMap,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The answer, if it is a success.
    pub fn success(&self) -> Option<&Answer> {
        self.answer.as_ref().ok().filter(|answer| (200..300).contains(&answer.status))
    }
}

/// Sends all of `asks` at the same moment, each over a connection opened before.
pub async fn wave(to: SocketAddr, asks: &[Ask]) -> Vec<Reply> {
    let start = Arc::new(Barrier::new(asks.len()));
    // A listener's backlog takes some connections at a time, not a thousand.
    let opening = Arc::new(Semaphore::new(64));
    let mut browsers = JoinSet::new();
    for ask in asks.iter().cloned() {
        let (start, opening) = (Arc::clone(&start), Arc::clone(&opening));
        browsers.spawn(async move {
            let permit = opening.acquire().await;
            let connection = connect(to).await;
            drop(permit);
            start.wait().await;
            match connection {
                Ok(connection) => exchange(connection, ask).await,
                Err(why) => Reply { ask, answer: Err(why), took: Duration::ZERO },
            }
        });
    }
    browsers.join_all().await
}

/// Sends the `asks` in turn, over and over, one every `every`, each over a connection of its own, until `end`.
pub async fn load(to: SocketAddr, asks: &[Ask], every: Duration, end: Instant) -> Vec<Reply> {
    let mut browsers = JoinSet::new();
    let mut tick = tokio::time::interval(every);
    for next in asks.iter().cycle() {
        tick.tick().await;
        if Instant::now() >= end {
            break;
        }
        browsers.spawn(ask(to, next.clone()));
    }
    browsers.join_all().await
}

/// Sends one request over a new connection.
pub async fn ask(to: SocketAddr, ask: Ask) -> Reply {
    match connect(to).await {
        Ok(connection) => exchange(connection, ask).await,
        Err(why) => Reply { ask, answer: Err(why), took: Duration::ZERO },
    }
}

async fn connect(to: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let opened = async {
        let stream = TcpStream::connect(to).await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(text)?;
        // Ends with the sender; what goes wrong shows in the exchange.
        tokio::spawn(connection);
        Ok(sender)
    };
    tokio::time::timeout(PATIENCE, opened).await.map_err(|_| "no connection in time".to_owned())?
}

async fn exchange(mut connection: SendRequest<Full<Bytes>>, ask: Ask) -> Reply {
    let begin = Instant::now();
    let answered = async {
        let (head, body) = connection.send_request(ask.request()?).await.map_err(text)?.into_parts();
        let body = body.collect().await.map_err(text)?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status: head.status.as_u16(), fields: head.headers, body })
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    Reply { ask, answer, took: begin.elapsed() }
}

fn text(why: impl std::fmt::Display) -> String {
    why.to_string()
}

/// Longer than any timeout in Envoy's configuration.
const PATIENCE: Duration = Duration::from_secs(20);
