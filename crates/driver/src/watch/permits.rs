//! Limits the open watches of a backend.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pubsub::too_many_subscriptions;
use prism_call::Error;

/// The permits of a backend, one for each watch that may be open: the setting `max_watches`.
#[derive(Debug)]
pub struct WatchPermits {
    permits: Arc<Semaphore>,
    limit: usize,
}

impl WatchPermits {
    /// Permits for at most this many open watches.
    pub fn new(limit: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))), limit }
    }

    /// Returns a permit for one more watch, or `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS`.
    pub fn acquire(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.permits.clone().try_acquire_owned().map_err(|_| too_many_subscriptions(self.limit, "max_watches"))
    }
}
