//! The demo's upstream as a program of its own: `demo-upstream --listen 127.0.0.1:8000 --control 127.0.0.1:8001`.
#![allow(
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::print_stderr
)]
#![allow(clippy::indexing_slicing)]

mod chat;
mod signals;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str =
    "usage: demo-upstream [--listen 127.0.0.1:8000] [--control 127.0.0.1:8001] [--latency 200ms]";

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo-upstream: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    let api = chat::listen(options.listen)?;
    let control = chat::listen(options.control)?;
    let chat = chat::Chat::new(options.latency);
    println!(
        "chat history on http://{}, switch and counters on http://{}/control/",
        options.listen, options.control
    );
    tokio::select! {
        () = chat::serve(api, chat.clone()) => Ok(()),
        () = chat::serve_control(control, chat) => Ok(()),
        stopped = signals::stop() => stopped.map(|_| ()),
    }
}

struct Options {
    listen: SocketAddr,
    control: SocketAddr,
    latency: Duration,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            control: SocketAddr::from(([127, 0, 0, 1], 8001)),
            latency: Duration::from_millis(200),
        };
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or(format!("{name}: a value is missing"));
            match name.as_str() {
                "--listen" => options.listen = address(&name, &value()?)?,
                "--control" => options.control = address(&name, &value()?)?,
                "--latency" => {
                    let value = value()?;
                    options.latency = duration(&value).ok_or(format!("{name} {value}: want 200ms or 2s"))?;
                }
                _ => return Err(format!("{name}: unknown")),
            }
        }
        Ok(options)
    }
}

fn address(name: &str, value: &str) -> Result<SocketAddr, String> {
    value.parse().map_err(|_| format!("{name} {value}: want HOST:PORT, the host as an IP address"))
}

/// `200ms` or `2s`; at most an hour.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1_000),
    };
    let millis = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (millis <= 3_600_000).then_some(Duration::from_millis(millis))
}
