//! Progress on standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// Shortest time between two updates in a terminal.
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

/// A counter that users see. In a terminal one line is updated; elsewhere only the final count is printed.
pub(super) struct Progress {
    what: &'static str,
    total: usize,
    done: usize,
    updated: Instant,
    terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, done: 0, updated: Instant::now(), terminal: io::stderr().is_terminal() }
    }

    /// Counts one more item.
    pub fn step(&mut self) {
        self.done += 1;
        if self.terminal && self.updated.elapsed() >= UPDATE_INTERVAL {
            self.updated = Instant::now();
            self.print("\r", "");
        }
    }

    /// Prints the final count, unless there were no items.
    pub fn end(self) {
        if self.total > 0 {
            self.print(if self.terminal { "\r" } else { "" }, "\n");
        }
    }

    fn print(&self, before: &str, after: &str) {
        let Self { what, done, total, .. } = self;
        let mut out = io::stderr().lock();
        // Standard error may be closed.
        let _ = write!(out, "{before}{what}: {done} of {total}{after}").and_then(|()| out.flush());
    }
}
