//! The chat-history API that stands behind the wall in the demo.
//!
//! It is what such an API usually is: slow (a fixed latency stands for the database), private where it concerns one
//! user, public where it does not, and now and then failing. Beside the answers it counts every request it sees,
//! which is what the demo is about. A switch makes it fail; the switch and the counters listen on an address of
//! their own, so that they are reached without passing Envoy.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /rooms/{room}` | the room's public page, `Cache-Control: max-age=30` |
//! | `GET /rooms/{room}/presence` | who is there, `Cache-Control: max-age=1` |
//! | `GET /api/chat/{room}/history` | the caller's own history, `Cache-Control: private, max-age=30` |
//! | `POST /api/chat/{room}/history` | appends the body to the caller's history, 201 |
//! | `POST /control/fail`, `/control/heal` | every request above is answered 503, or no longer |
//! | `GET /control/counters`, `POST /control/reset` | requests seen per method and path, as JSON; back to none |
//!
//! The caller is whoever `Authorization: Bearer <token>` names; the token is the user's name.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// The API's whole state.
pub struct Chat {
    latency: Duration,
    failing: AtomicBool,
    renders: AtomicU64,
    seen: Mutex<BTreeMap<String, u64>>,
    histories: Mutex<BTreeMap<(String, String), Vec<String>>>,
}

impl Chat {
    /// An API that takes `latency` for every answer.
    pub fn new(latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            latency,
            failing: AtomicBool::new(false),
            renders: AtomicU64::new(0),
            seen: Mutex::default(),
            histories: Mutex::default(),
        })
    }

    /// From now on every request is answered 503, or no longer.
    pub fn fail(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Requests seen since the last reset, per method and path.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        locked(&self.seen).clone()
    }

    /// Counts from nought again.
    pub fn reset(&self) {
        locked(&self.seen).clear();
    }

    fn count(&self, method: &Method, path: &str) {
        let mut seen = locked(&self.seen);
        let name = format!("{method} {path}");
        let name = if seen.len() < MAX_PATHS || seen.contains_key(&name) { name } else { "other".to_owned() };
        *seen.entry(name).or_default() += 1;
    }

    fn history(&self, room: &str, user: &str) -> Answer {
        let histories = locked(&self.histories);
        let messages = histories.get(&(room.to_owned(), user.to_owned())).cloned();
        let messages = messages.unwrap_or_else(|| vec![welcome(room, user)]);
        let body = json!({"room": room, "user": user, "messages": messages, "rendered": self.render()});
        answer(StatusCode::OK, "application/json", "private, max-age=30", body.to_string())
    }

    fn append(&self, room: &str, user: &str, text: &str) -> Answer {
        let mut histories = locked(&self.histories);
        let key = (room.to_owned(), user.to_owned());
        if histories.len() >= MAX_HISTORIES && !histories.contains_key(&key) {
            return refusal(StatusCode::INSUFFICIENT_STORAGE, "no room for another history");
        }
        let messages = histories.entry(key).or_insert_with(|| vec![welcome(room, user)]);
        if messages.len() >= MAX_MESSAGES {
            messages.remove(0);
        }
        messages.push(text.to_owned());
        let body = json!({"room": room, "user": user, "appended": text});
        answer(StatusCode::CREATED, "application/json", "no-store", body.to_string())
    }

    fn render(&self) -> u64 {
        self.renders.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Listens on `address`, with a backlog for a thousand connections at the same moment.
pub fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let listening = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listening().map_err(|why: std::io::Error| format!("cannot listen on {address}: {why}"))
}

/// Serves the API on `listener` until the task is dropped.
pub async fn serve(listener: TcpListener, chat: Arc<Chat>) {
    accept(listener, move |request| {
        let chat = Arc::clone(&chat);
        async move { api(&chat, request).await }
    })
    .await;
}

/// Serves the switch and the counters on `listener` until the task is dropped.
pub async fn serve_control(listener: TcpListener, chat: Arc<Chat>) {
    accept(listener, move |request| {
        let chat = Arc::clone(&chat);
        async move { control(&chat, &request) }
    })
    .await;
}

async fn accept<S, F>(listener: TcpListener, serve: S)
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of file descriptors, most likely: the next connection may fare better.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let serve = serve.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = serve(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A client that breaks off is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn api(chat: &Chat, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    chat.count(&head.method, &path);
    tokio::time::sleep(chat.latency).await;
    if chat.failing.load(Ordering::SeqCst) {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "the database is away");
    }
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments[..] {
        ["rooms", room] => match head.method {
            Method::GET | Method::HEAD => page(room, chat.render()),
            _ => not_allowed("GET, HEAD"),
        },
        ["rooms", room, "presence"] => match head.method {
            Method::GET | Method::HEAD => presence(room, chat.render()),
            _ => not_allowed("GET, HEAD"),
        },
        ["api", "chat", room, "history"] => {
            let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            let Some(user) =
                token.and_then(|value| value.strip_prefix("Bearer ")).filter(|user| !user.is_empty())
            else {
                return unauthorized();
            };
            match head.method {
                Method::GET | Method::HEAD => chat.history(room, user),
                Method::POST => match Limited::new(body, MAX_MESSAGE_BYTES).collect().await {
                    Ok(body) => chat.append(room, user, &String::from_utf8_lossy(&body.to_bytes())),
                    Err(_) => refusal(StatusCode::PAYLOAD_TOO_LARGE, "a message has at most 4 KiB"),
                },
                _ => not_allowed("GET, HEAD, POST"),
            }
        }
        _ => refusal(StatusCode::NOT_FOUND, "no such room"),
    }
}

fn control(chat: &Chat, request: &Request<Incoming>) -> Answer {
    let said =
        |word: serde_json::Value| answer(StatusCode::OK, "application/json", "no-store", word.to_string());
    let done = |word: &str| said(json!({"done": word}));
    match (request.method().as_str(), request.uri().path()) {
        ("POST", "/control/fail") => {
            chat.fail(true);
            done("failing")
        }
        ("POST", "/control/heal") => {
            chat.fail(false);
            done("healed")
        }
        ("POST", "/control/reset") => {
            chat.reset();
            done("reset")
        }
        ("GET", "/control/counters") => said(json!(chat.counters())),
        _ => refusal(StatusCode::NOT_FOUND, "POST /control/{fail,heal,reset} or GET /control/counters"),
    }
}

fn page(room: &str, render: u64) -> Answer {
    let body = format!("<!doctype html><title>{room}</title><h1>Room {room}</h1><p>rendered {render}</p>\n");
    answer(StatusCode::OK, "text/html; charset=utf-8", "max-age=30", body)
}

fn presence(room: &str, render: u64) -> Answer {
    let body = json!({"room": room, "here": ["alice", "bob"], "rendered": render});
    answer(StatusCode::OK, "application/json", "max-age=1", body.to_string())
}

fn welcome(room: &str, user: &str) -> String {
    format!("welcome to {room}, {user}")
}

fn unauthorized() -> Answer {
    let mut answer = refusal(StatusCode::UNAUTHORIZED, "Authorization: Bearer <user> is missing");
    answer.headers_mut().insert(WWW_AUTHENTICATE, hyper::header::HeaderValue::from_static("Bearer"));
    answer
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "not so");
    answer.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(methods));
    answer
}

fn refusal(status: StatusCode, why: &str) -> Answer {
    answer(status, "application/json", "no-store", json!({"error": why}).to_string())
}

fn answer(status: StatusCode, kind: &'static str, cache_control: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static(cache_control));
    answer
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = Response<Full<Bytes>>;

// What clients can make grow ends somewhere.
const MAX_PATHS: usize = 10_000;
const MAX_HISTORIES: usize = 10_000;
const MAX_MESSAGES: usize = 200;
const MAX_MESSAGE_BYTES: usize = 4 * 1024;
const BACKLOG: u32 = 4_096;
