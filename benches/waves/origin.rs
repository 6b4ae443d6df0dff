//! The upstream all stand before: answers what a path asks for after the time it says, and remembers who asked first.

use crate::parts::{PATIENCE, ports};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// What is asked for, 1 KiB each.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Fresh for a minute, for everybody.
    Page,
    /// For its own client only.
    Private,
}

/// How long it takes.
pub const UPSTREAM: Duration = Duration::from_millis(200);

/// The path of a resource of this name.
pub fn path(kind: Kind, name: &str) -> String {
    let word = match kind {
        Kind::Page => "page",
        Kind::Private => "private",
    };
    format!("/{}/{word}/{name}", UPSTREAM.as_millis())
}

pub struct Origin {
    pub address: SocketAddr,
    tally: Arc<Tally>,
}

#[derive(Default)]
struct Tally {
    asked: Mutex<BTreeMap<String, Asked>>,
    changed: Condvar,
}

#[derive(Clone, Copy)]
struct Asked {
    count: usize,
    first: usize,
}

impl Origin {
    /// Starts it, on a thread of its own; it ends with the process.
    pub fn start() -> Result<Self, String> {
        let fail = |reason: std::io::Error| format!("origin: {reason}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let listener = {
            let _inside = runtime.enter();
            ports::listener()
        };
        let address = listener.local_addr().map_err(fail)?;
        let tally = Arc::new(Tally::default());
        let own = Arc::clone(&tally);
        thread::spawn(move || accept(&runtime, &listener, &own));
        Ok(Self { address, tally })
    }

    /// Requests for this path so far.
    pub fn asked(&self, path: &str) -> usize {
        self.tally.lock().get(path).map_or(0, |asked| asked.count)
    }

    /// Requests so far for all paths that begin so.
    pub fn asked_below(&self, prefix: &str) -> usize {
        let asked = self.tally.lock();
        asked.iter().filter(|(path, _)| path.starts_with(prefix)).map(|(_, asked)| asked.count).sum()
    }

    /// Who was the first to ask for this path, as soon as somebody has; `None` if nobody does.
    pub fn first(&self, path: &str) -> Option<usize> {
        let asked = self.tally.lock();
        let absent = |asked: &mut BTreeMap<String, Asked>| !asked.contains_key(path);
        let (asked, _) = self
            .tally
            .changed
            .wait_timeout_while(asked, PATIENCE, absent)
            .unwrap_or_else(PoisonError::into_inner);
        asked.get(path).map(|asked| asked.first)
    }
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, path: &str, who: usize) {
        self.lock().entry(path.to_owned()).or_insert(Asked { count: 0, first: who }).count += 1;
        self.changed.notify_all();
    }
}

fn accept(runtime: &Runtime, listener: &TcpListener, tally: &Arc<Tally>) {
    runtime.block_on(async {
        while let Ok((stream, _)) = listener.accept().await {
            let tally = Arc::clone(tally);
            // Who asks ends a connection as it likes.
            tokio::spawn(async move { serve(stream, &tally).await });
        }
    });
}

async fn serve(mut stream: TcpStream, tally: &Tally) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    while stream.read_buf(&mut bytes).await? > 0 {
        if !bytes.ends_with(b"\r\n\r\n") {
            continue;
        }
        let head = String::from_utf8_lossy(&bytes).into_owned();
        bytes.clear();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let who = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            if name.eq_ignore_ascii_case("x-number") { value.trim().parse().ok() } else { None }
        });
        tally.count(path, who.unwrap_or_default());
        let mut words = path.split('/').skip(1);
        let milliseconds = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        let directive = if words.next() == Some("private") { "private, max-age=60" } else { "max-age=60" };
        if milliseconds > 0 {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncache-control: {directive}\r\ncontent-length: 1024\r\n\r\n{}",
            "x".repeat(1024)
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}
