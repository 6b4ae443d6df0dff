//! What the benches share: how they begin, what they are told, and the middle of many samples.

use std::env;
use std::process::ExitCode;

/// Runs a bench; `cargo test --all-targets` starts it too, without cargo's argument, and then it does nothing.
pub fn measure(name: &str, run: impl FnOnce() -> Result<(), String>) -> ExitCode {
    if !env::args().any(|argument| argument == "--bench") {
        println!("{name} measures only under `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{name}: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// What a variable says, or its default.
pub fn named(variable: &str, default: &str) -> String {
    env::var(variable).unwrap_or_else(|_| default.to_owned())
}

/// A whole number from 1.
pub fn number(variable: &str, default: u64) -> Result<u64, String> {
    match env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{variable}: found {text:?}, allowed: a whole number from 1")),
        },
    }
}

/// The value below which half of them lie.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value below which `share` (0 to 1) of them lie, between two of them where need be.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
