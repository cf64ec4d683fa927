//! How many subscriptions and members of consumer groups are open.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error, settings::Subscriptions};
use prism_call::{Code, Error};
use prism_driver::pubsub::too_many_subscriptions;

/// The limits of the setting `subscriptions`.
pub struct SubscriptionLimits {
    settings: Subscriptions,
    permits: Arc<Semaphore>,
}

/// How long a stream waits for brokers that are not reachable.
pub struct Outage {
    patience: Duration,
    since: Option<tokio::time::Instant>,
}

impl SubscriptionLimits {
    pub fn new(settings: Subscriptions) -> Self {
        Self { permits: Arc::new(Semaphore::new(settings.max.to_usize().min(Semaphore::MAX_PERMITS))), settings }
    }

    pub fn settings(&self) -> &Subscriptions {
        &self.settings
    }

    /// A permit for one more subscription or member of a consumer group.
    pub fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.permits.clone().try_acquire_owned().map_err(|_| too_many_subscriptions(self.settings.max.to_usize(), "subscriptions.max"))
    }

    /// No outage yet.
    pub fn outage(&self) -> Outage {
        Outage::new(*self.settings.patience)
    }
}

impl Outage {
    pub fn new(patience: Duration) -> Self {
        Self { patience, since: None }
    }

    /// The brokers are reachable.
    pub fn ended(&mut self) {
        self.since = None;
    }

    /// Waits before the next attempt. Returns the error if it is not temporary, or if the outage lasts longer than the setting `patience`.
    pub async fn wait(&mut self, error: Error, closed: bool) -> Result<(), Error> {
        let since = *self.since.get_or_insert_with(tokio::time::Instant::now);
        if error.code() != Code::Unavailable || since.elapsed() >= self.patience || closed {
            return Err(error);
        }
        tokio::time::sleep(error::retry_pause(&error)).await;
        Ok(())
    }
}
