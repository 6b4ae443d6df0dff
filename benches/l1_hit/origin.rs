//! The origin behind the caches.

use crate::BODY_BYTES;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

/// Answers whatever is asked with one cacheable body, and counts.
pub struct Origin {
    pub address: SocketAddr,
    asked: Arc<AtomicU64>,
}

impl Origin {
    pub fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|reason| format!("origin: {reason}"))?;
        let address = listener.local_addr().map_err(|reason| format!("origin: {reason}"))?;
        let asked = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                thread::spawn(move || Self::serve(stream, &count));
            }
        });
        Ok(Self { address, asked })
    }

    fn serve(mut stream: TcpStream, count: &AtomicU64) {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let answer = format!(
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-type: application/json\r\ncache-control: max-age=3600\r\n\
             etag: \"l1-hit\"\r\ncontent-length: {BODY_BYTES}\r\n\r\n{}",
            "x".repeat(BODY_BYTES)
        );
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            request.extend(&chunk[..read]);
            if request.ends_with(b"\r\n\r\n") {
                request.clear();
                count.fetch_add(1, Ordering::SeqCst);
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}
