//! HTTP/1.1 as bytes on a socket: enough to read what Envoy sends, in either direction, and nothing that hides a byte.

use std::io::{self, ErrorKind};
use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_HEAD: usize = 256 * 1024;

/// A start line and fields, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// `GET / HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start: String,
    /// Names in lower case, values as bytes, in order.
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// The first field of this (lower-case) name, as text.
    pub fn field(&self, name: &str) -> Option<String> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    }

    /// All fields of this (lower-case) name, joined by commas as RFC 9110 §5.3 allows; empty when there are none.
    pub fn combined(&self, name: &str) -> String {
        let values = self.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| String::from_utf8_lossy(v));
        values.collect::<Vec<_>>().join(", ")
    }

    /// The word at `index` of the start line.
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    /// Reads a head, its empty line included or not.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let mut lines = bytes.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
        let fields = lines.filter(|line| !line.is_empty()).map(field).collect::<io::Result<_>>()?;
        Ok(Self { start, fields })
    }
}

fn field(line: &[u8]) -> io::Result<(String, Vec<u8>)> {
    let colon = line.iter().position(|b| *b == b':').ok_or_else(|| odd("a field without a colon"))?;
    let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
    Ok((name, line[colon + 1..].trim_ascii().to_vec()))
}

/// The reading side of a connection: bytes that came and were not asked for yet stay here.
#[derive(Debug, Default)]
pub struct Inbox {
    buffer: Vec<u8>,
    /// The trailers of the last chunked body, as its head's fields.
    pub trailers: Vec<(String, Vec<u8>)>,
}

impl Inbox {
    /// Reads a head; `None` if the connection ended before its first byte.
    pub async fn head(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Head>> {
        let mut searched = 0_usize;
        loop {
            if let Some(end) = find(&self.buffer[searched..], b"\r\n\r\n") {
                let rest = self.buffer.split_off(searched + end + 4);
                let head = Head::parse(&self.buffer)?;
                self.buffer = rest;
                return Ok(Some(head));
            }
            searched = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(odd("a head larger than expected"));
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Reads the body that belongs to `head`: chunked, of the stated length, until the end of the connection
    /// (`until_end`: an answer's), or none.
    pub async fn body(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        head: &Head,
        until_end: bool,
    ) -> io::Result<Vec<u8>> {
        if head.combined("transfer-encoding").to_ascii_lowercase().contains("chunked") {
            return self.chunks(stream).await;
        }
        match head.field("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| odd("a content-length that is no number"))?;
                self.exactly(stream, length).await
            }
            None if until_end => {
                while stream.read_buf(&mut self.buffer).await? > 0 {}
                Ok(std::mem::take(&mut self.buffer))
            }
            None => Ok(Vec::new()),
        }
    }

    async fn chunks(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk(stream).await? {
            body.extend(chunk);
        }
        Ok(body)
    }

    /// Reads the next chunk of a chunked body; `None` at its end.
    pub async fn chunk(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
        let line = self.line(stream).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| odd("a chunk size that is no number"))?;
        if size > 0 {
            let chunk = self.exactly(stream, size).await?;
            self.line(stream).await?;
            return Ok(Some(chunk));
        }
        self.trailers.clear();
        loop {
            match self.line(stream).await? {
                line if line.is_empty() => return Ok(None),
                line => self.trailers.push(field(line.as_bytes())?),
            }
        }
    }

    async fn line(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                let rest = self.buffer.split_off(end + 2);
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer = rest;
                return Ok(line);
            }
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    async fn exactly(&mut self, stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

fn odd(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
