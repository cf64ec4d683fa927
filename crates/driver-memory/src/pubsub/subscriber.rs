//! One subscription: a bounded buffer between publishers, who never wait, and one stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::sync::Notify;

use super::{
    super::shared::{Shared, lock},
    Filter,
};
use prism_call::proto::models::pubsub::v1::Message;

/// A message that buffers share. Its bytes count until the last of them is through with it.
pub struct Held {
    pub message: Message,
    bytes: u64,
    shared: Arc<Shared>,
}

impl Held {
    /// For a message whose bytes have been reserved.
    pub fn new(message: Message, bytes: u64, shared: Arc<Shared>) -> Self {
        Self { message, bytes, shared }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shared.release(self.bytes);
    }
}

/// What a stream gets next.
pub enum Next {
    Message(Arc<Held>),
    /// So many messages were dropped here.
    Gap(u64),
    /// Nothing yet.
    Wait,
    /// Nothing ever again.
    End,
}

/// An open subscription.
pub struct Subscriber {
    /// Tells it from all others of its hub, also from one with the same name later.
    pub id: u64,
    pub name: String,
    pub pattern: String,
    pub filter: Filter,
    buffer: Mutex<Buffer>,
    /// Something is in the buffer, or it has ended; only its one stream waits.
    pub changed: Notify,
}

struct Buffer {
    items: VecDeque<Item>,
    messages: usize,
    bytes: u64,
    max_messages: usize,
    max_bytes: u64,
    /// Messages that were dropped behind the last item.
    missed: u64,
    ended: bool,
}

enum Item {
    Message(Arc<Held>),
    Gap(u64),
}

impl Subscriber {
    pub fn new(id: u64, name: String, pattern: String, filter: Filter, shared: &Shared) -> Self {
        let buffer = Buffer {
            items: VecDeque::new(),
            messages: 0,
            bytes: 0,
            max_messages: shared.settings.subscription_buffer,
            max_bytes: shared.settings.max_bytes / 16,
            missed: 0,
            ended: false,
        };
        Self { id, name, pattern, filter, buffer: Mutex::new(buffer), changed: Notify::new() }
    }

    /// Puts a message in; false when it was dropped for want of room.
    pub fn offer(&self, held: &Arc<Held>) -> bool {
        let mut buffer = lock(&self.buffer);
        if buffer.ended {
            return false;
        }
        let full = buffer.messages >= buffer.max_messages || (buffer.messages > 0 && buffer.bytes + held.bytes > buffer.max_bytes);
        if full {
            buffer.missed += 1;
        } else {
            let missed = std::mem::take(&mut buffer.missed);
            if missed > 0 {
                buffer.items.push_back(Item::Gap(missed));
            }
            buffer.messages += 1;
            buffer.bytes += held.bytes;
            buffer.items.push_back(Item::Message(held.clone()));
        }
        drop(buffer);
        self.changed.notify_one();
        !full
    }

    /// Takes the next thing out.
    pub fn next(&self) -> Next {
        let mut buffer = lock(&self.buffer);
        match buffer.items.pop_front() {
            Some(Item::Message(held)) => {
                buffer.messages -= 1;
                buffer.bytes -= held.bytes;
                Next::Message(held)
            }
            Some(Item::Gap(missed)) => Next::Gap(missed),
            None if buffer.missed > 0 => Next::Gap(std::mem::take(&mut buffer.missed)),
            None if buffer.ended => Next::End,
            None => Next::Wait,
        }
    }

    /// Takes nothing more in; the stream ends behind what is buffered.
    pub fn end(&self) {
        lock(&self.buffer).ended = true;
        self.changed.notify_one();
    }
}
