//! The demo: the same steps through Envoy without and with Breakwater, side by side. See `steps` for what is shown.
#![allow(clippy::disallowed_methods, clippy::arithmetic_side_effects, clippy::print_stdout, clippy::print_stderr)]
#![allow(clippy::indexing_slicing)]

mod chat;
mod client;
mod plain;
mod progress;
mod signals;
mod steps;
mod table;

use crate::chat::Chat;
use crate::progress::Progress;
use crate::steps::Stage;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: demo [--keep] [--without]
  --keep      leave everything running at the end, until Ctrl-C
  --without   drive only the Envoy without the plugin";

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // Whichever comes first; what was started is ended by its owners' drop either way.
    tokio::select! {
        ended = demo(&options) => match ended {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("demo: {why}");
                ExitCode::FAILURE
            }
        },
        stopped = signals::stop() => stopped.map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// Gives whether everything was as expected.
async fn demo(options: &Options) -> Result<bool, String> {
    raise_open_files()?;
    let progress = Progress::start();
    progress.now("starting the upstream and Envoy");
    let chat = Chat::new(UPSTREAM_LATENCY);
    let api = chat::listen(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let upstream = api.local_addr().map_err(|why| why.to_string())?;
    let serving = tokio::spawn(chat::serve(api, chat.clone()));
    let without = plain::start(upstream).await?;
    let mut stage =
        Stage { chat: &chat, without: without.edge, with: None, progress: &progress, outcomes: Vec::new() };
    let rows = stage.play().await;
    progress.done();
    print!("{}", table::draw(&rows));
    serving.abort();
    Ok(rows.iter().all(|row| row.broken.is_empty()))
}

/// A thousand browsers and what they ask through need more open files than many shells allow at first.
fn raise_open_files() -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|why| why.to_string())?;
    if soft >= OPEN_FILES {
        return Ok(());
    }
    if hard < OPEN_FILES {
        return Err(format!("{OPEN_FILES} open files are needed, {hard} are allowed: raise the limit (ulimit -n)"));
    }
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, hard).map_err(|why| why.to_string())
}

#[derive(Default)]
struct Options {
    keep: bool,
    without_only: bool,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--keep" => options.keep = true,
                "--without" => options.without_only = true,
                _ => return Err(format!("{arg}: unknown")),
            }
        }
        Ok(options)
    }
}

const UPSTREAM_LATENCY: Duration = Duration::from_millis(200);
const OPEN_FILES: u64 = 8_192;
