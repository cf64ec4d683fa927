//! The setting `subscriptions` of drivers that connect to a server: how many subscriptions and members of consumer groups are open, and how
//! long their streams wait during an outage.

mod subscriber;

use std::{sync::Arc, time::Duration};

pub use subscriber::Subscriber;

use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pubsub::too_many_subscriptions;
use prism_call::{Code, Error};
use prism_settings::{ByteSize, Count, HumanDuration};

/// Limits of subscriptions and of members of consumer groups.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Subscriptions {
    /// Most open subscriptions and members of consumer groups together.
    pub max: Count,
    /// Messages that wait for a slow subscriber. Further messages are dropped, and the subscriber receives a `Gap`.
    pub buffer: Count,
    /// Bytes that wait for a slow subscriber.
    pub buffer_bytes: ByteSize,
    /// How long a subscription waits for a server that is not reachable before it ends with `UNAVAILABLE`.
    pub patience: HumanDuration,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            max: Count::new(10_000),
            buffer: Count::new(1024),
            buffer_bytes: ByteSize::new(16 << 20),
            patience: HumanDuration::from_millis(60_000),
        }
    }
}

/// Applies the limits of a backend.
#[derive(Debug)]
pub struct SubscriptionLimits {
    settings: Subscriptions,
    permits: Arc<Semaphore>,
}

impl SubscriptionLimits {
    /// No subscription is open yet.
    pub fn new(settings: Subscriptions) -> Self {
        Self { permits: Arc::new(Semaphore::new(settings.max.to_usize().min(Semaphore::MAX_PERMITS))), settings }
    }

    /// The settings of the backend.
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

/// How long a stream waits for a server that is not reachable.
#[derive(Debug)]
pub struct Outage {
    patience: Duration,
    since: Option<tokio::time::Instant>,
}

impl Outage {
    /// No outage yet.
    pub fn new(patience: Duration) -> Self {
        Self { patience, since: None }
    }

    /// The server is reachable.
    pub fn ended(&mut self) {
        self.since = None;
    }

    /// Waits before the next attempt. Returns the error if it is not temporary, or if the outage lasts longer than the setting `patience`.
    pub async fn wait(&mut self, error: Error, closed: bool) -> Result<(), Error> {
        let since = *self.since.get_or_insert_with(tokio::time::Instant::now);
        if error.code() != Code::Unavailable || since.elapsed() >= self.patience || closed {
            return Err(error);
        }
        let pause = error.retry_after().unwrap_or_default().clamp(Duration::from_millis(20), Duration::from_secs(1));
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
