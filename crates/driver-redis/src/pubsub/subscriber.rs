//! One subscription: a bounded buffer between the connection, which never waits, and one stream.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::topics::Pattern;
use prism_call::{
    Error,
    proto::models::pubsub::v1::{Gap, Message},
};

/// What a subscription listens to in Redis.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// A channel (`SUBSCRIBE`).
    Channel(Vec<u8>),
    /// A glob over channels (`PSUBSCRIBE`), which may match more than is wanted.
    Glob(Vec<u8>),
}

/// What a stream gets next.
pub enum Next {
    /// Redis has confirmed the subscription.
    Confirmed,
    Message(Arc<Message>),
    Gap(Gap),
    /// Nothing yet.
    Wait,
    /// Nothing ever again, in peace or not.
    End(Option<Error>),
}

/// An open subscription.
pub struct Subscriber {
    /// Tells it from all others, also from one with the same name later.
    pub id: u64,
    /// Its name with its keyspace before it.
    pub name: Vec<u8>,
    pub route: Route,
    pub pattern: Pattern,
    buffer: Mutex<Buffer>,
    /// Something is in the buffer; only its one stream waits.
    pub changed: Notify,
}

struct Buffer {
    items: VecDeque<Item>,
    messages: usize,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    /// Messages that were dropped behind the last item.
    missed: u64,
    confirmed: bool,
    ended: bool,
    error: Option<Error>,
}

enum Item {
    Confirmed,
    Message(Arc<Message>),
    Gap(u64),
}

impl Subscriber {
    pub fn new(id: u64, name: Vec<u8>, route: Route, pattern: Pattern, max_messages: usize, max_bytes: usize) -> Self {
        let buffer = Buffer {
            items: VecDeque::new(),
            messages: 0,
            bytes: 0,
            max_messages,
            max_bytes,
            missed: 0,
            confirmed: false,
            ended: false,
            error: None,
        };
        Self { id, name, route, pattern, buffer: Mutex::new(buffer), changed: Notify::new() }
    }

    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redis has confirmed the route: at first, or again after messages may have been lost.
    pub fn confirm(&self) {
        let mut buffer = self.buffer();
        if buffer.confirmed {
            // How many were lost is unknown, whatever was counted before.
            buffer.missed = 0;
            buffer.items.push_back(Item::Gap(0));
        } else {
            buffer.confirmed = true;
            buffer.items.push_back(Item::Confirmed);
        }
        drop(buffer);
        self.changed.notify_one();
    }

    /// Whether Redis has confirmed it once.
    pub fn is_confirmed(&self) -> bool {
        self.buffer().confirmed
    }

    /// Puts a message in, or counts it as missed when there is no room.
    pub fn offer(&self, message: &Arc<Message>) {
        let mut buffer = self.buffer();
        if buffer.ended || !buffer.confirmed {
            return;
        }
        let bytes = size(message);
        if buffer.messages >= buffer.max_messages || (buffer.messages > 0 && buffer.bytes + bytes > buffer.max_bytes) {
            buffer.missed += 1;
        } else {
            let missed = std::mem::take(&mut buffer.missed);
            if missed > 0 {
                buffer.items.push_back(Item::Gap(missed));
            }
            buffer.messages += 1;
            buffer.bytes += bytes;
            buffer.items.push_back(Item::Message(message.clone()));
        }
        drop(buffer);
        self.changed.notify_one();
    }

    /// Takes the next thing out.
    pub fn next(&self) -> Next {
        let mut buffer = self.buffer();
        match buffer.items.pop_front() {
            Some(Item::Confirmed) => Next::Confirmed,
            Some(Item::Message(message)) => {
                buffer.messages -= 1;
                buffer.bytes -= size(&message);
                Next::Message(message)
            }
            Some(Item::Gap(missed)) => Next::Gap(Gap { missed }),
            None if buffer.missed > 0 => Next::Gap(Gap { missed: std::mem::take(&mut buffer.missed) }),
            None if buffer.ended => Next::End(buffer.error.take()),
            None => Next::Wait,
        }
    }

    /// Takes nothing more in; the stream ends behind what is buffered.
    pub fn end(&self, error: Option<Error>) {
        let mut buffer = self.buffer();
        if !buffer.ended {
            buffer.ended = true;
            buffer.error = error;
        }
        drop(buffer);
        self.changed.notify_one();
    }
}

fn size(message: &Message) -> usize {
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    message.topic.len() + message.payload.len() + attributes + 128
}
