//! Counts the connections of a backend, for [`Backend::connections`](crate::Backend::connections).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// The counts of one backend. All of its connections share them.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    open: AtomicU64,
    /// Connections that broke and were not replaced yet.
    broken: AtomicU64,
    reconnects: AtomicU64,
    failures: AtomicU64,
}

impl ConnectionCounters {
    /// Counts a connection that was established. It is open until the returned value is dropped.
    pub fn established(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        let replaced = self.broken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |broken| broken.checked_sub(1));
        if replaced.is_ok() {
            self.reconnects.fetch_add(1, Ordering::Relaxed);
        }
        OpenConnection { counters: self.clone() }
    }

    /// Counts an attempt to connect that failed.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The number of open connections.
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// The number of connections that were established in place of one that broke.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// The number of attempts to connect that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A connection that is open.
#[derive(Debug)]
pub struct OpenConnection {
    counters: Arc<ConnectionCounters>,
}

impl OpenConnection {
    /// Says that the connection broke: the next one that is established replaces it.
    pub fn broke(&self) {
        self.counters.broken.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_only_replacements_of_broken_connections_as_reconnects() {
        let counters = Arc::new(ConnectionCounters::default());
        let first = counters.established();
        let second = counters.established();
        assert_eq!((counters.open(), counters.reconnects()), (2, 0));
        drop(first);
        let _third = counters.established();
        assert_eq!((counters.open(), counters.reconnects()), (2, 0), "a connection that was closed on purpose is not replaced");
        second.broke();
        drop(second);
        counters.failed();
        assert_eq!((counters.open(), counters.reconnects(), counters.failures()), (1, 0, 1));
        let _fourth = counters.established();
        assert_eq!((counters.open(), counters.reconnects(), counters.failures()), (2, 1, 1));
    }
}
