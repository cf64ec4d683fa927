//! The time limits of calls.

use std::time::{Duration, Instant};

use crate::connection::Status;
use prism_call::{Code, Context, Error};

/// When a call must have its result.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    pub began: Instant,
    at: Instant,
    /// The deadline of the caller, if it has one.
    caller: Option<Instant>,
}

impl Deadline {
    /// After a time limit, or at the deadline of the caller if that is earlier.
    pub fn new(context: &Context, limit: Duration) -> Self {
        let began = Instant::now();
        let at = began + limit;
        Self { began, at: context.deadline.map_or(at, |caller| caller.min(at)), caller: context.deadline }
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The error of a request without response.
    pub fn no_response(&self, status: &Status) -> Error {
        match status.no_response(self.began) {
            error if error.code() != Code::Unavailable => error,
            _ if self.caller.is_some_and(|caller| caller <= Instant::now()) => Error::deadline_exceeded(),
            error => error,
        }
    }
}
