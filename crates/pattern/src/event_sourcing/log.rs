//! The log: appends, versions, and the end that subscribers wait for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Mutex, watch};

use super::store::{Head, Store};
use prism_call::{
    Code, Context, Error,
    proto::{
        event_sourcing::v1::{Commit, CommittedEvent},
        models::pubsub::v1::{PubSubBasic, PublishRequest, SubscribeRequest},
        patterns::event_sourcing::v1::AppendResponse,
    },
};
use prism_slot::{id, time};

/// Tries to append while others append.
const MAX_TRIES: u32 = 32;
/// The longest pause between two tries. It is random, so that gateways don't meet again.
const MAX_PAUSE: Duration = Duration::from_millis(50);
/// The topic of notifications.
const TOPIC: &str = "events";
/// The pause before a subscription to notifications is tried again.
const NOTIFICATIONS_PAUSE: Duration = Duration::from_secs(1);

/// The log of a namespace.
pub struct Log {
    pub store: Arc<Store>,
    notifications: Option<Arc<dyn PubSubBasic>>,
    pub poll_interval: Duration,
    max_value_bytes: u64,
    /// Held by the call that appends: calls of one gateway wait for each other instead of repeating their work. The revision of the last head whose
    /// events are known to be under their own keys.
    appending: Mutex<u64>,
    /// The position of the last event that this gateway knows.
    end: watch::Sender<u64>,
    /// When a subscriber has last read the end from the backend.
    last_read: Mutex<Option<Instant>>,
}

/// Events to append.
pub struct Append {
    pub aggregate: String,
    pub expected_version: Option<u64>,
    pub events: Vec<CommittedEvent>,
    /// The id that the client gave the first event; empty: none.
    pub first_id: String,
}

impl Log {
    pub fn new(store: Store, notifications: Option<Arc<dyn PubSubBasic>>, poll_interval: Duration, max_value_bytes: u64) -> Self {
        Self {
            store: Arc::new(store),
            notifications,
            poll_interval,
            max_value_bytes,
            appending: Mutex::new(0),
            end: watch::Sender::new(0),
            last_read: Mutex::new(None),
        }
    }

    /// Reads the last commit, and stores its events under their own keys. From then on, all events up to its position are under their own keys.
    pub async fn settled_head(&self, context: &Context) -> Result<Head, Error> {
        let head = self.store.head(context).await?;
        self.store.settle(context, &head).await?;
        self.note_end(head.position());
        Ok(head)
    }

    /// Returns the version of an aggregate.
    pub async fn version(&self, context: &Context, aggregate: &str) -> Result<u64, Error> {
        let head = self.store.head(context).await?;
        if head.commit.aggregate == aggregate {
            return Ok(head.version());
        }
        self.store.version(context, aggregate).await
    }

    /// Returns the version of an aggregate, all of whose events are under their own keys.
    pub async fn settled_version(&self, context: &Context, aggregate: &str) -> Result<u64, Error> {
        let head = self.store.head(context).await?;
        if head.commit.aggregate == aggregate {
            self.store.settle(context, &head).await?;
            return Ok(head.version());
        }
        self.store.version(context, aggregate).await
    }

    /// Appends events.
    ///
    /// Errors: `ABORTED VERSION_MISMATCH`, `ABORTED LOG_BUSY`, `INVALID_ARGUMENT VALUE_TOO_LARGE`.
    pub async fn append(&self, context: &Context, append: Append) -> Result<AppendResponse, Error> {
        let mut settled = self.appending.lock().await;
        for attempt in 0..MAX_TRIES {
            let head = self.store.head(context).await?;
            // Only the last commit may have events that are not under their own keys.
            if *settled != head.revision {
                self.store.settle(context, &head).await?;
                *settled = head.revision;
            }
            let is_last = head.commit.aggregate == append.aggregate;
            let version = if is_last { head.version() } else { self.store.version(context, &append.aggregate).await? };
            if let Some(expected) = append.expected_version.filter(|expected| *expected != version) {
                return self.resolve_mismatch(context, append, expected, version).await;
            }
            let nonce = Bytes::from(id::random().to_be_bytes().to_vec());
            let commit = Commit {
                nonce: nonce.clone(),
                aggregate: append.aggregate.clone(),
                first_version: version + 1,
                first_position: head.position() + 1,
                append_time: Some(time::timestamp(time::now())),
                events: append.events.clone(),
            };
            self.check_size(&commit)?;
            let replaced = match self.store.replace(context, &head, commit).await {
                Ok(replaced) => replaced,
                // The commit may be there despite the error.
                Err(error) => match self.store.head(context).await {
                    Ok(head) if head.commit.nonce == nonce => Some(head),
                    _ => return Err(error),
                },
            };
            if let Some(head) = replaced {
                // The events are appended. Whoever comes next stores them under their own keys if this call can't.
                match self.store.settle(context, &head).await {
                    Ok(()) => *settled = head.revision,
                    Err(error) => tracing::debug!(namespace = %context.namespace, %error, "the events of a commit are not settled yet"),
                }
                self.announce(context, head.position()).await;
                return Ok(AppendResponse { version: head.version(), position: head.position(), duplicate: false });
            }
            let longest = MAX_PAUSE.min(Duration::from_millis(2 << attempt.min(8)));
            tokio::time::sleep(longest.mul_f64(fraction())).await;
        }
        let message = format!("others kept appending events during {MAX_TRIES} tries; try again");
        Err(Error::new(Code::Aborted, "LOG_BUSY", message).with_retry_after(Duration::from_millis(100)))
    }

    /// Recognizes events that an earlier call has appended. All others have the wrong version.
    async fn resolve_mismatch(&self, context: &Context, append: Append, expected: u64, version: u64) -> Result<AppendResponse, Error> {
        let count = append.events.len() as u64;
        if !append.first_id.is_empty() && expected.saturating_add(count) <= version {
            let there = self.store.event(context, append.aggregate, expected + 1).await?;
            if let Some(first) = there.filter(|event| event.id == append.first_id) {
                return Ok(AppendResponse { version: expected + count, position: first.position + count - 1, duplicate: true });
            }
        }
        let message = format!("the aggregate has version {version}, not {expected}; load it and decide again");
        Err(Error::new(Code::Aborted, "VERSION_MISMATCH", message)
            .with("expected_version", expected.to_string())
            .with("current_version", version.to_string()))
    }

    fn check_size(&self, commit: &Commit) -> Result<(), Error> {
        let (size, limit) = (prost::Message::encoded_len(commit) as u64, self.max_value_bytes);
        if size <= limit {
            return Ok(());
        }
        let problem = format!("have {size} bytes together; at most {limit} are allowed");
        Err(Error::invalid("events", problem).with_reason("VALUE_TOO_LARGE").with("limit", limit.to_string()))
    }

    /// Tells subscribers of this gateway and other gateways of the new end.
    async fn announce(&self, context: &Context, position: u64) {
        self.note_end(position);
        if let Some(topics) = &self.notifications {
            let request = PublishRequest { topic: TOPIC.to_owned(), ..PublishRequest::default() };
            if let Err(error) = topics.publish(context, request).await {
                tracing::debug!(namespace = %context.namespace, %error, "other gateways could not be told of an event");
            }
        }
    }

    fn note_end(&self, position: u64) {
        self.end.send_if_modified(|end| {
            let is_later = position > *end;
            *end = position.max(*end);
            is_later
        });
    }

    /// Waits until there may be events after a position. Of all subscribers of a gateway, one reads the end at a time.
    pub async fn wait_behind(&self, context: &Context, position: u64) -> Result<(), Error> {
        let mut end = self.end.subscribe();
        while *end.borrow_and_update() <= position {
            let changed = tokio::time::timeout(self.poll_interval, end.changed()).await;
            if changed.is_err()
                && let Ok(mut last_read) = self.last_read.try_lock()
                && last_read.is_none_or(|at| at.elapsed() >= self.poll_interval)
            {
                self.read_end(context).await?;
                *last_read = Some(Instant::now());
            }
        }
        Ok(())
    }

    async fn read_end(&self, context: &Context) -> Result<(), Error> {
        let head = self.store.head(context).await?;
        self.note_end(head.position());
        Ok(())
    }

    /// Reads the end whenever another gateway has appended events.
    pub async fn follow_notifications(self: Arc<Self>, topics: Arc<dyn PubSubBasic>, context: Context) {
        loop {
            let request = SubscribeRequest { topic: TOPIC.to_owned(), subscription: String::new() };
            match topics.subscribe(&context, request).await {
                Ok(mut events) => {
                    while let Some(Ok(_)) = futures::StreamExt::next(&mut events).await {
                        if self.end.receiver_count() > 0
                            && let Err(error) = self.read_end(&context).await
                        {
                            tracing::debug!(namespace = %context.namespace, %error, "the end of the log can't be read");
                        }
                    }
                }
                Err(error) => tracing::debug!(namespace = %context.namespace, %error, "there are no notifications of events"),
            }
            tokio::time::sleep(NOTIFICATIONS_PAUSE).await;
        }
    }
}

/// A random number from 0 to 1.
fn fraction() -> f64 {
    f64::from(u16::try_from(id::random() & 0xffff).unwrap_or(u16::MAX)) / f64::from(u16::MAX)
}
