//! The upstream: what a path asks for, after the time it says.
//!
//! A thread for each connection, since a thread sleeps by the microsecond and a task by the millisecond.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 1 KiB, not to be stored.
    Page,
    /// A beginning, a while later the rest, not to be stored.
    Stream,
    /// The same, to be stored if it were not too large: that shows in the end only.
    Storable,
}

/// What comes before the while.
const BEGINNING: usize = 16 * 1024;
/// What comes after it.
const REST: usize = 2 * 1024 * 1024;
const WHILE: Duration = Duration::from_millis(5);

/// The path of a resource that the upstream takes this long for.
pub fn path(kind: Kind, milliseconds: u64, number: u64) -> String {
    format!("/{milliseconds}/{}/{number}", word(kind))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Page => "page",
        Kind::Stream => "stream",
        Kind::Storable => "storable",
    }
}

/// Starts it; it ends with the process.
pub fn start() -> Result<SocketAddr, String> {
    let fail = |reason: std::io::Error| format!("origin: {reason}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Envoy ends a connection as it likes.
            thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let page = format!(
        "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 1024\r\n\r\n{}",
        "x".repeat(1024)
    );
    let rest = format!("{REST:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(REST));
    let mut bytes = Vec::new();
    while let Some(path) = request(&mut stream, &mut bytes)? {
        let mut words = path.split('/').skip(1);
        let milliseconds = words.next().and_then(|word| word.parse().ok()).unwrap_or_default();
        thread::sleep(Duration::from_millis(milliseconds));
        let directive = match words.next() {
            Some("stream") => "no-store",
            Some("storable") => "max-age=60",
            _ => {
                stream.write_all(page.as_bytes())?;
                continue;
            }
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncache-control: {directive}\r\ntransfer-encoding: chunked\r\n\r\n");
        let beginning = format!("{head}{BEGINNING:x}\r\n{}\r\n", "x".repeat(BEGINNING));
        stream.write_all(beginning.as_bytes())?;
        thread::sleep(WHILE);
        stream.write_all(rest.as_bytes())?;
    }
    Ok(())
}

/// The path of the next request, once its body has come too.
fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    bytes.clear();
    let mut chunk = [0; 4096];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend(&chunk[..read]);
        let text = String::from_utf8_lossy(bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Ok(head.split(' ').nth(1).map(str::to_owned));
        }
    }
}
