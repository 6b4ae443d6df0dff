//! The load: `wrk`, bounded in time.

use crate::PATH;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How many connections `wrk` keeps busy, each with one request at a time.
pub const CONNECTIONS: &str = "-c32";

pub struct Load {
    pub requests: f64,
    pub requests_per_second: f64,
}

/// Keeps the connections busy with `wrk`, which is ended if it does not end by itself.
pub fn drive(address: SocketAddr, seconds: u64) -> Result<Load, String> {
    let mut wrk = Command::new("wrk")
        .args(["-t1", CONNECTIONS, &format!("-d{seconds}s"), &format!("http://{address}{PATH}")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|reason| format!("wrk: {reason}"))?;
    let deadline = Instant::now() + Duration::from_secs(seconds + 10);
    // A report fits the pipe's buffer, so that waiting before reading is safe.
    let status = loop {
        if let Some(status) = wrk.try_wait().map_err(|reason| format!("wrk: {reason}"))? {
            break status;
        }
        if Instant::now() > deadline {
            let _ = wrk.kill();
            let _ = wrk.wait();
            return Err("wrk did not end".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    };
    let mut report = String::new();
    let mut output = wrk.stdout.take().ok_or("wrk has no output")?;
    output.read_to_string(&mut report).map_err(|reason| format!("wrk: {reason}"))?;
    if !status.success() || report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(format!("wrk reports:\n{report}"));
    }
    let figure = |line_has: &str, word: usize| {
        let line = report.lines().find(|line| line.contains(line_has))?;
        line.split_whitespace().nth(word)?.parse::<f64>().ok()
    };
    match (figure("requests in", 0), figure("Requests/sec:", 1)) {
        (Some(requests), Some(requests_per_second)) if requests > 0.0 => {
            Ok(Load { requests, requests_per_second })
        }
        _ => Err(format!("wrk reports:\n{report}")),
    }
}
