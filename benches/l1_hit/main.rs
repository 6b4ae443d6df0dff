//! What does an answer from L1 cost, next to Envoy's own?
//!
//! One Envoy with one worker serves the same 1 KiB body through a listener per subject:
//!
//! - `direct_response`: the least an Envoy can do for a request, the yardstick;
//! - `native cache`: Envoy's own cache filter with its in-memory store, every answer a hit;
//! - `breakwater`: the plugin, every answer an L1 hit.
//!
//! `wrk` drives them in turn, round after round: on a machine with other work only neighbours in time compare, so
//! the ratios are medians over the rounds, not ratios of medians. CPU time is the whole process's, from
//! `/proc/<pid>/stat`. That every answer was a hit is checked before and after each turn, and by the origin,
//! which must not have been asked during it.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `BREAKWATER_WASM` | `dist/breakwater.wasm` | the plugin; several, separated by commas, are compared in one run |
//! | `ENVOY` | `.tools/envoy-1.40.0/envoy` | the Envoy binary |
//! | `BENCH_ROUNDS` | 9 | turns per subject |
//! | `BENCH_SECONDS` | 2 | length of a turn |
#![allow(
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod client;
mod envoy;
mod load;
mod origin;
mod subject;
#[path = "../support/mod.rs"]
mod support;

use client::get;
use envoy::{Envoy, bootstrap};
use load::{CONNECTIONS, drive};
use origin::Origin;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use subject::{Subject, subjects};
use support::{measure, median, named, number};

const BODY_BYTES: usize = 1024;
const PATH: &str = "/items/1234567?fields=name&page=2";
/// V8 compiles hot functions anew while they run; a second of load is more than it needs.
const WARM_UP_SECONDS: u64 = 1;

fn main() -> ExitCode {
    measure("l1_hit", run)
}

fn run() -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let envoy = named("ENVOY", ".tools/envoy-1.40.0/envoy");
    let plugins = plugins(root)?;
    let rounds = number("BENCH_ROUNDS", 9)?;
    let seconds = number("BENCH_SECONDS", 2)?;

    let origin = Origin::start()?;
    let subjects = subjects(&plugins);
    let envoy = Envoy::start(&envoy, &bootstrap(&subjects, origin.address))?;
    let addresses = envoy.listeners(&subjects)?;

    for (subject, address) in subjects.iter().zip(&addresses) {
        get(*address, PATH).map_err(|reason| format!("{}: {reason}", subject.name))?;
        drive(*address, WARM_UP_SECONDS)?;
    }
    let mut samples: Vec<Vec<Sample>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((subject, address), samples) in subjects.iter().zip(&addresses).zip(&mut samples) {
            let measured = turn(&envoy, &origin, subject, *address, seconds);
            samples.push(measured.map_err(|reason| format!("{}: {reason}", subject.name))?);
        }
    }
    println!(
        "\n{rounds} rounds of {seconds} s, one worker, wrk -t1 {CONNECTIONS}, body {BODY_BYTES} bytes\n"
    );
    print!("{}", table(&subjects, &samples));
    Ok(())
}

fn plugins(root: &Path) -> Result<Vec<PathBuf>, String> {
    let files: Vec<PathBuf> =
        named("BREAKWATER_WASM", "dist/breakwater.wasm").split(',').map(|file| root.join(file)).collect();
    match files.iter().find(|file| !file.is_file()) {
        None => Ok(files),
        Some(missing) => {
            Err(format!("{} is not there: make wasm, or set BREAKWATER_WASM", missing.display()))
        }
    }
}

#[derive(Clone, Copy)]
struct Sample {
    requests_per_second: f64,
    cpu_us: f64,
}

fn turn(
    envoy: &Envoy,
    origin: &Origin,
    subject: &Subject,
    address: SocketAddr,
    seconds: u64,
) -> Result<Sample, String> {
    subject.accept(&get(address, PATH)?)?;
    let asked = origin.asked();
    let before = envoy.cpu_seconds()?;
    let load = drive(address, seconds)?;
    let cpu_seconds = envoy.cpu_seconds()? - before;
    if origin.asked() != asked {
        return Err(format!("{} requests went to the origin", origin.asked() - asked));
    }
    subject.accept(&get(address, PATH)?)?;
    Ok(Sample { requests_per_second: load.requests_per_second, cpu_us: cpu_seconds / load.requests * 1e6 })
}

fn table(subjects: &[Subject], samples: &[Vec<Sample>]) -> String {
    let mut text = format!(
        "{:<24} {:>10} | {:>14} | {:>22} | {:>22}\n{:<24} {:>10} | {:>6} {:>7} | {:>11} {:>10} | {:>11} {:>10}\n",
        "",
        "requests/s",
        "CPU µs/request",
        "of direct_response",
        "of native cache",
        "",
        "median",
        "min",
        "median",
        "by requests",
        "by CPU",
        "by requests",
        "by CPU"
    );
    for (subject, own) in subjects.iter().zip(samples) {
        let rate = median(own.iter().map(|sample| sample.requests_per_second));
        let least = own.iter().map(|sample| sample.cpu_us).fold(f64::INFINITY, f64::min);
        let middle = median(own.iter().map(|sample| sample.cpu_us));
        text += &format!("{:<24} {rate:>10.0} | {least:>6.1} {middle:>7.1}", subject.name);
        for other in &samples[..2] {
            let pairs = || own.iter().zip(other);
            let by_requests =
                median(pairs().map(|(own, other)| own.requests_per_second / other.requests_per_second));
            let by_cpu = median(pairs().map(|(own, other)| other.cpu_us / own.cpu_us));
            text += &format!(" | {by_requests:>11.3} {by_cpu:>10.3}");
        }
        text.push('\n');
    }
    text
}
