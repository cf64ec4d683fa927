//! One open subscription and its buffer.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::state::SharedState;
use prism_call::proto::models::pubsub::v1::Message;
use prism_driver::{
    lock::lock,
    pubsub::{Filter, NextItem, SubscriptionBuffer},
};

/// A published message, shared by the buffers of all subscribers. Its bytes are released with the last of them.
pub struct SharedMessage {
    pub message: Message,
    bytes: u64,
    shared: Arc<SharedState>,
}

impl SharedMessage {
    /// A message whose bytes the caller has reserved.
    pub fn new(message: Message, bytes: u64, shared: Arc<SharedState>) -> Self {
        Self { message, bytes, shared }
    }
}

impl Drop for SharedMessage {
    fn drop(&mut self) {
        self.shared.release(self.bytes);
    }
}

/// An open subscription.
pub struct Subscriber {
    /// Unique in the hub, unlike the name, which a later subscription may use again.
    pub id: u64,
    pub name: String,
    pub pattern: String,
    pub filter: Filter,
    buffer: Mutex<SubscriptionBuffer<Arc<SharedMessage>>>,
    /// Wakes the stream of the subscription after a change of the buffer.
    pub changed: Notify,
}

impl Subscriber {
    pub fn new(id: u64, name: String, pattern: String, filter: Filter, shared: &SharedState) -> Self {
        let buffer = SubscriptionBuffer::new(shared.settings.subscription_buffer.to_usize(), *shared.settings.max_bytes / 16);
        Self { id, name, pattern, filter, buffer: Mutex::new(buffer), changed: Notify::new() }
    }

    /// Adds a message to the buffer. Returns false if it was dropped.
    pub fn offer(&self, message: &Arc<SharedMessage>) -> bool {
        let accepted = lock(&self.buffer).offer(message.clone(), message.bytes);
        self.changed.notify_one();
        accepted
    }

    /// Removes the next item from the buffer.
    pub fn next(&self) -> NextItem<Arc<SharedMessage>> {
        lock(&self.buffer).pop()
    }

    /// Accepts no more messages. The stream ends after those in the buffer.
    pub fn end(&self) {
        lock(&self.buffer).end();
        self.changed.notify_one();
    }
}
