//! The file descriptors of the process. Connections of clients leave some for the admin listener and for backends.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Most descriptors that are kept from clients.
const MAX_RESERVE: usize = 256;
/// The part of all descriptors that is kept from clients.
const RESERVED_PART: usize = 4;

/// Counts the connections of all listeners for clients.
pub struct Descriptors {
    open: AtomicUsize,
    max: usize,
}

impl Descriptors {
    /// Counts against the limit of the process, which is first raised as far as the system allows.
    pub fn of_process() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        // If it can't be raised, the present limit counts.
        let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
        let limit = if raised { maximum } else { current };
        Self::new(limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    fn new(limit: usize) -> Self {
        Self { open: AtomicUsize::new(0), max: limit - (limit / RESERVED_PART).min(MAX_RESERVE) }
    }

    /// Counts a connection. Returns false if there are too many.
    pub fn take(&self) -> bool {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.max {
            return true;
        }
        self.give_back();
        false
    }

    /// Counts the end of a connection.
    pub fn give_back(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_from_clients() {
        for (limit, max) in [(300, 225), (1024, 768), (1 << 20, (1 << 20) - 256)] {
            assert_eq!(Descriptors::new(limit).max, max, "{limit}");
        }
        let few = Descriptors::new(4);
        assert!(few.take() && few.take() && few.take());
        assert!(!few.take());
        few.give_back();
        assert!(few.take() && !few.take());
    }
}
