//! Logs the outages of a collector: one line when it can't be reached, and one when it can be again.

use std::{
    fmt::Display,
    sync::atomic::{AtomicBool, Ordering},
};

/// What is known about the collector from the last export of one signal.
#[derive(Debug)]
pub struct Outage {
    signal: &'static str,
    endpoint: String,
    failing: AtomicBool,
}

impl Outage {
    /// Starts without an outage.
    pub fn new(signal: &'static str, endpoint: &str) -> Self {
        Self { signal, endpoint: endpoint.to_owned(), failing: AtomicBool::new(false) }
    }

    /// Takes note of how an export ended, and logs it if the one before ended differently.
    pub fn record<E: Display>(&self, result: &Result<(), E>) {
        let failed = result.is_err();
        if self.failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        let (signal, endpoint) = (self.signal, &self.endpoint);
        if let Err(error) = result {
            tracing::warn!(endpoint, %error, "{signal} can't be exported to the collector; calls are not affected");
        } else {
            tracing::info!(endpoint, "{signal} are exported to the collector again");
        }
    }
}
