//! What is going on: one line that is overwritten on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write, stdout};
use std::time::Instant;

/// The progress of one run.
pub struct Progress {
    begin: Instant,
    terminal: bool,
}

impl Progress {
    /// Begins now.
    pub fn start() -> Self {
        Self { begin: Instant::now(), terminal: stdout().is_terminal() }
    }

    /// Says what happens now.
    pub fn now(&self, what: &str) {
        let seconds = self.begin.elapsed().as_secs();
        if self.terminal {
            print!("\r\x1b[2K[{seconds:>3} s] {what}");
            let _ = stdout().flush();
        } else {
            println!("[{seconds:>3} s] {what}");
        }
    }

    /// Clears the line for what follows.
    pub fn done(&self) {
        if self.terminal {
            print!("\r\x1b[2K");
            let _ = stdout().flush();
        }
    }
}
