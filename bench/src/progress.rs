//! What the person at the terminal reads while it is measured: a line for each step, in the columns
//! of `./dev`.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::time::Instant;

/// A step that goes on.
pub(crate) struct Step {
    who: &'static str,
    started: Instant,
}

impl Step {
    /// Begins one.
    pub(crate) fn begin(who: &'static str, what: &str) -> Self {
        if stdout().is_terminal() {
            print!("{who:<10} {what} …");
            _ = stdout().flush();
        }
        Self { who, started: Instant::now() }
    }

    /// Ends it.
    pub(crate) fn done(self, text: &str) {
        if stdout().is_terminal() {
            print!("\r\x1b[2K");
        }
        let seconds = self.started.elapsed().as_secs_f64();
        println!("{:<10} {text:<52} {seconds:>6.1} s", self.who);
    }
}

/// Why nothing was measured, on standard error.
pub(crate) fn failure(error: &anyhow::Error) {
    // There is nobody left to tell where this cannot be written.
    _ = writeln!(stderr(), "bench: {error:#}");
}
