//! With how many generated cases a property is tried.
//!
//! Few while one works, many in `make test-deep`: `BREAKWATER_DEEP=n` multiplies the number that each property has of
//! its own. Where `BREAKWATER_CASES` names a file, each property adds a line with its number of cases and its name when
//! it begins; it then passes all of them or fails, so that after a run without failure the sum is what was tried.

use proptest::test_runner::Config;
use std::env;
use std::fs::OpenOptions;
use std::io::Write;

/// The configuration of a property that is tried with `usual` cases.
pub fn cases(usual: u32) -> Config {
    let factor = env::var("BREAKWATER_DEEP").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let cases = usual.saturating_mul(factor);
    note(cases);
    let few = Config::with_cases(cases);
    Config {
        max_local_rejects: few.max_local_rejects.saturating_mul(factor),
        max_global_rejects: few.max_global_rejects.saturating_mul(factor),
        ..few
    }
}

/// A line that is not written is missing from the sum, which the reader of the file holds against what it expects.
fn note(cases: u32) {
    let Ok(path) = env::var("BREAKWATER_CASES") else { return };
    let thread = std::thread::current();
    let line = format!("{cases}\t{}\n", thread.name().unwrap_or_default());
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        // One write for one line: properties run beside each other.
        let _ = file.write_all(line.as_bytes());
    }
}
