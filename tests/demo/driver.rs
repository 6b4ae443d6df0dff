//! The demo: the same steps through Envoy without and with Breakwater, side by side. See `steps` for what is shown.
#![allow(clippy::disallowed_methods, clippy::arithmetic_side_effects, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::print_stderr)]
// The parts shared with the tests give up loudly; unwinding then ends what was started.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod browser;
mod cascade;
mod chat;
mod ending;
mod house;
mod outcomes;
mod progress;
mod signals;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod table;

use crate::house::House;
use crate::progress::Progress;
use crate::steps::Stage;
use std::process::ExitCode;

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
    // A part that does not start says why; where in the source is of no use to whoever watches.
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let why = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref().copied());
        let why = why.unwrap_or("a defect of the demo");
        eprintln!("\ndemo: {why}");
    }));
    // Whichever comes first. What was started belongs to the losing branch, and ends with it.
    tokio::select! {
        ended = demo(&options) => match ended {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("demo: {why}");
                ExitCode::FAILURE
            }
        },
        stopped = signals::stop() => {
            eprintln!("\ndemo: stopped; Envoy and Redis are ended");
            stopped.map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

/// Gives whether everything was as expected.
async fn demo(options: &Options) -> Result<bool, String> {
    house::check(!options.without)?;
    let progress = Progress::start();
    progress.now("starting the upstream and what stands before it");
    let house = House::build(!options.without).await?;
    let mut stage = Stage::new(&house, &progress);
    let rows = stage.play().await;
    progress.done();
    ending::print_results(&rows, house.with.is_some());
    ending::print_outcomes(&stage.outcomes);
    ending::print_places(&house.places(), options.keep);
    if options.keep {
        println!("\nEverything goes on running: press Ctrl-C to end it.");
        std::future::pending::<()>().await;
    }
    Ok(rows.iter().all(|row| row.broken.is_empty()))
}

#[derive(Default)]
struct Options {
    keep: bool,
    without: bool,
}

impl Options {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--keep" => options.keep = true,
                "--without" => options.without = true,
                _ => return Err(format!("{arg}: unknown")),
            }
        }
        Ok(options)
    }
}
