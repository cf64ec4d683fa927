//! How far something is, on standard error.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

/// How often a person is told.
const EVERY: Duration = Duration::from_millis(100);

/// A count that goes up. In a terminal it is one line that changes, elsewhere only its end is told.
pub(super) struct Progress {
    what: &'static str,
    total: usize,
    done: usize,
    last: Instant,
    terminal: bool,
}

impl Progress {
    pub fn new(what: &'static str, total: usize) -> Self {
        Self { what, total, done: 0, last: Instant::now(), terminal: io::stderr().is_terminal() }
    }

    /// One more is done.
    pub fn step(&mut self) {
        self.done += 1;
        if self.terminal && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            self.tell("\r", "");
        }
    }

    /// Tells the end, unless there was nothing to do.
    pub fn end(self) {
        if self.total > 0 {
            self.tell(if self.terminal { "\r" } else { "" }, "\n");
        }
    }

    fn tell(&self, before: &str, behind: &str) {
        let Self { what, done, total, .. } = self;
        let mut out = io::stderr().lock();
        // Nobody has to listen.
        let _ = write!(out, "{before}{what}: {done} of {total}{behind}").and_then(|()| out.flush());
    }
}
