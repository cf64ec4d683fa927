//! Limits the calls that wait for elements of lists.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use prism_call::Error;
use prism_driver::list::too_many_waiters;

/// The permits of a backend, one for each call that may wait: the setting `max_waiting_pops`.
pub struct PopPermits {
    permits: Arc<Semaphore>,
    limit: usize,
}

impl PopPermits {
    /// Permits for at most this many waiting calls.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Returns a permit for one more waiting call, or `RESOURCE_EXHAUSTED TOO_MANY_WAITERS`.
    pub fn acquire(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.permits.clone().try_acquire_owned().map_err(|_| too_many_waiters(self.limit, "max_waiting_pops"))
    }

    /// Whether calls wait.
    pub fn any(&self) -> bool {
        self.permits.available_permits() < self.limit
    }
}
