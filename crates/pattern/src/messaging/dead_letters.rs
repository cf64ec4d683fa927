//! Dead-letter queues: where messages of a queue go that were delivered too often.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, DequeueRequest, GetQueueDepthRequest, GetQueueDepthResponse, QueueBasic, QueueDeadLetter,
        RedriveRequest,
    },
};

/// Queues that are known to have a dead-letter queue. That of another one is set again, which changes nothing.
const KNOWN_QUEUES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// Dead messages that a call lists if it does not say how many.
pub const DEFAULT_LISTED: u32 = 20;
/// Most messages that one operation of the backend shows or removes.
pub const MAX_LISTED: u32 = 100;
/// Most messages that one call removes.
pub const MAX_DISCARDED: u32 = 1000;

/// Sets the dead-letter queues of queues.
pub struct DeadLetters {
    interface: Arc<dyn QueueDeadLetter>,
    max_attempts: u32,
    configured: Mutex<LruCache<String, ()>>,
}

/// Returns the name of the dead-letter queue. No queue of a client has a `:`.
pub fn queue_of(queue: &str) -> String {
    format!("{queue}:dead")
}

impl DeadLetters {
    pub fn new(interface: Arc<dyn QueueDeadLetter>, max_attempts: u32) -> Self {
        Self { interface, max_attempts, configured: Mutex::new(LruCache::new(KNOWN_QUEUES)) }
    }

    /// Sets the dead-letter queue of a queue, if this gateway has not done so.
    pub async fn configure(&self, context: &Context, queue: &str) -> Result<(), Error> {
        if self.configured().get(queue).is_some() {
            return Ok(());
        }
        let (queue, dead_letter_queue) = (queue.to_owned(), queue_of(queue));
        let request = ConfigureDeadLetterRequest { queue: queue.clone(), dead_letter_queue, max_delivery_attempts: self.max_attempts };
        self.interface.configure_dead_letter(context, request).await?;
        self.configured().put(queue, ());
        Ok(())
    }

    /// As [`Self::configure`], for calls that have taken messages: an error must not cost their leases, and the next call tries it again.
    pub async fn try_configure(&self, context: &Context, queue: &str) {
        if let Err(error) = self.configure(context, queue).await {
            tracing::warn!(namespace = %context.namespace, %error, "the dead-letter queue of a queue could not be set");
        }
    }

    /// Moves messages back into their queue. Returns how many.
    pub async fn redrive(&self, context: &Context, queue: String, limit: u32) -> Result<u64, Error> {
        match self.interface.redrive(context, RedriveRequest { queue, limit }).await {
            Ok(done) => Ok(done.moved),
            // No message of this queue ever failed.
            Err(error) if error.reason() == "DEAD_LETTER_NOT_CONFIGURED" => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn configured(&self) -> MutexGuard<'_, LruCache<String, ()>> {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the depth of a queue, and the number of messages in its dead-letter queue.
pub async fn depths(queues: &dyn QueueBasic, context: &Context, queue: &str) -> Result<(GetQueueDepthResponse, u64), Error> {
    let depth = |queue: String| queues.get_queue_depth(context, GetQueueDepthRequest { queue });
    let (alive, dead) = futures::try_join!(depth(queue.to_owned()), depth(queue_of(queue)))?;
    Ok((alive, dead.ready.saturating_add(dead.leased)))
}

/// Removes messages of the dead-letter queue of a queue. Returns how many.
pub async fn discard(queues: &dyn QueueBasic, context: &Context, queue: &str, limit: u32) -> Result<u64, Error> {
    discard_from(queues, context, &queue_of(queue), limit).await
}

/// Removes messages of a dead-letter queue, which has this name. Returns how many.
pub async fn discard_from(queues: &dyn QueueBasic, context: &Context, dead_letter_queue: &str, limit: u32) -> Result<u64, Error> {
    check_discarded(limit)?;
    let mut discarded = 0;
    while discarded < limit {
        let page = (limit - discarded).min(MAX_LISTED);
        let request = DequeueRequest { queue: dead_letter_queue.to_owned(), limit: page, wait: None };
        let removed = queues.dequeue(context, request).await?.messages.len();
        discarded += u32::try_from(removed).unwrap_or(page);
        if removed == 0 {
            break;
        }
    }
    Ok(u64::from(discarded))
}

/// Checks the field `limit` of calls that remove messages: it must be set.
pub fn check_discarded(limit: u32) -> Result<(), Error> {
    if limit == 0 || limit > MAX_DISCARDED {
        return Err(Error::invalid("limit", format!("is {limit}; it must be 1 to {MAX_DISCARDED}")));
    }
    Ok(())
}
