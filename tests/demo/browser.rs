//! Browsers, each with a connection of its own: what they ask, and what they got.

use crate::support::client::{self, Answer, Request};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What one browser asks.
#[derive(Clone, Debug)]
pub struct Ask {
    method: &'static str,
    /// The path.
    pub path: String,
    /// Who is logged in.
    pub user: Option<&'static str>,
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
    pub fn by(self, user: &'static str) -> Self {
        Self { user: Some(user), ..self }
    }

    fn request(&self) -> Request {
        let mut request = Request::new(self.method, &self.path).host("chat.example").body(self.body.clone());
        if self.refresh {
            request = request.header("cache-control", "max-age=0");
        }
        if let Some(user) = self.user {
            request = request.header("authorization", format!("Bearer {user}"));
        }
        request
    }
}

/// What came of one [`Ask`].
#[derive(Debug)]
pub struct Reply {
    /// What was asked.
    pub ask: Ask,
    /// The whole answer, unless the connection failed.
    pub answer: Option<Answer>,
}

impl Reply {
    /// The answer, if it is a success.
    pub fn success(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|answer| (200..300).contains(&answer.status))
    }
}

/// Sends all of `asks` at the same moment, over connections opened before.
pub async fn wave(to: SocketAddr, asks: &[Ask]) -> Vec<Reply> {
    let answers = client::try_wave_of(to, asks.iter().map(Ask::request).collect()).await;
    asks.iter().cloned().zip(answers).map(|(ask, answer)| Reply { ask, answer: answer.ok() }).collect()
}

/// Sends the `asks` in turn, over and over, one every `every`, until `end`.
pub async fn load(to: SocketAddr, asks: &[Ask], every: Duration, end: Instant) -> Vec<Reply> {
    let mut browsers = JoinSet::new();
    let mut tick = tokio::time::interval(every);
    for ask in asks.iter().cycle() {
        tick.tick().await;
        if Instant::now() >= end {
            break;
        }
        browsers.spawn(send(to, ask.clone()));
    }
    browsers.join_all().await
}

/// Sends one request.
pub async fn send(to: SocketAddr, ask: Ask) -> Reply {
    let answer = client::try_send(to, &ask.request()).await.ok();
    Reply { ask, answer }
}
