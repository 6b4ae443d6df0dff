//! A client that keeps its connection and takes the time.

use crate::parts::wire::Head;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

pub struct Timed {
    /// Until the first byte of the answer's body.
    pub first: Duration,
    /// Until its last.
    pub last: Duration,
    /// How the answer says it came about.
    pub cache_status: String,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Result<Self, String> {
        let connect = || -> std::io::Result<TcpStream> {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(stream)
        };
        Ok(Self { stream: connect().map_err(|reason| format!("client: {reason}"))?, bytes: Vec::new() })
    }

    /// Sends a request and reads its answer, which must be a 200 with a body.
    pub fn ask(&mut self, request: &[u8]) -> Result<Timed, String> {
        let fail = |reason: std::io::Error| format!("client: {reason}");
        let mut chunk = [0; 65_536];
        let mut head: Option<(Head, usize)> = None;
        let mut first = None;
        self.bytes.clear();
        let begun = Instant::now();
        self.stream.write_all(request).map_err(fail)?;
        loop {
            let read = self.stream.read(&mut chunk).map_err(fail)?;
            let at = begun.elapsed();
            if read == 0 {
                return Err("an answer without an end".to_owned());
            }
            self.bytes.extend(&chunk[..read]);
            if head.is_none()
                && let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n")
            {
                head = Some((Head::parse(&self.bytes[..end]).map_err(fail)?, end + 4));
            }
            let Some((head, body)) = &head else { continue };
            if head.word(1) != "200" {
                return Err(format!("not a 200: {head:?}"));
            }
            if self.bytes.len() == *body {
                continue;
            }
            let first = *first.get_or_insert(at);
            let whole = match head.field("content-length").and_then(|length| length.parse::<usize>().ok()) {
                Some(length) => self.bytes.len() >= body + length,
                None => self.bytes.ends_with(b"\r\n0\r\n\r\n"),
            };
            if whole {
                return Ok(Timed { first, last: at, cache_status: head.combined("cache-status") });
            }
        }
    }
}
