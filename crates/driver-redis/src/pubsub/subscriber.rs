//! One open subscription and its buffer.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::pattern::TopicPattern;
use prism_call::{
    Error,
    proto::models::pubsub::v1::{Gap, Message},
};
use prism_driver::{
    lock::lock,
    pubsub::{NextItem, SubscriptionBuffer, SubscriptionEvent},
};

/// Bytes that each message counts in a buffer in addition to its content.
const OVERHEAD: usize = 128;

/// The channels of Redis that a subscription listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ChannelSelector {
    /// One channel (`SUBSCRIBE`).
    Channel(Vec<u8>),
    /// A glob pattern of channels (`PSUBSCRIBE`), which may match more channels than the subscription wants.
    Pattern(Vec<u8>),
}

/// The next event for the stream of a subscription.
pub enum NextEvent {
    Event(SubscriptionEvent),
    /// Nothing yet.
    Empty,
    /// The stream has ended, with an error or without.
    End(Option<Error>),
}

/// An open subscription.
pub struct Subscriber {
    /// Unique in the hub, unlike the name, which a later subscription may use again.
    pub id: u64,
    /// The id that the client gave, with the keyspace before it.
    pub name: Vec<u8>,
    pub channels: ChannelSelector,
    pub pattern: TopicPattern,
    state: Mutex<SubscriberState>,
    /// Wakes the stream of the subscription after a change of the state.
    pub changed: Notify,
}

struct SubscriberState {
    buffer: SubscriptionBuffer<Arc<Message>>,
    /// Whether Redis has confirmed the subscription at least once.
    confirmed: bool,
    error: Option<Error>,
}

impl Subscriber {
    pub fn new(id: u64, name: Vec<u8>, channels: ChannelSelector, pattern: TopicPattern, max_messages: usize, max_bytes: usize) -> Self {
        let buffer = SubscriptionBuffer::new(max_messages, max_bytes as u64);
        let state = Mutex::new(SubscriberState { buffer, confirmed: false, error: None });
        Self { id, name, channels, pattern, state, changed: Notify::new() }
    }

    /// Redis has confirmed the subscription: the first time, or again after a new connection, before which messages may have
    /// been lost.
    pub fn confirm(&self) {
        let mut state = lock(&self.state);
        if state.confirmed {
            state.buffer.add_unknown_gap();
        } else {
            state.confirmed = true;
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether Redis has confirmed the subscription at least once.
    pub fn is_confirmed(&self) -> bool {
        lock(&self.state).confirmed
    }

    /// The result of opening the subscription: whether Redis has confirmed it, or why it ended before; `None` while it is open and not
    /// confirmed. Leaves the buffer as it is.
    pub fn confirmation(&self) -> Option<Result<(), Error>> {
        let mut state = lock(&self.state);
        if state.confirmed {
            return Some(Ok(()));
        }
        state.buffer.has_ended().then(|| state.error.take().map_or(Ok(()), Err))
    }

    /// Adds a message to the buffer, or counts it as missed if there is no room.
    pub fn offer(&self, message: &Arc<Message>) {
        let mut state = lock(&self.state);
        if !state.confirmed {
            return;
        }
        state.buffer.offer(message.clone(), size(message));
        drop(state);
        self.changed.notify_one();
    }

    /// Removes the next event from the buffer.
    pub fn next(&self) -> NextEvent {
        let mut state = lock(&self.state);
        match state.buffer.pop() {
            NextItem::Message(message) => NextEvent::Event(SubscriptionEvent::Message(Arc::unwrap_or_clone(message))),
            NextItem::Gap(missed) => NextEvent::Event(SubscriptionEvent::Gap(Gap { missed })),
            NextItem::Empty => NextEvent::Empty,
            NextItem::End => NextEvent::End(state.error.take()),
        }
    }

    /// Accepts no more messages. The stream ends after those in the buffer.
    pub fn end(&self, error: Option<Error>) {
        let mut state = lock(&self.state);
        if !state.buffer.has_ended() {
            state.buffer.end();
            state.error = error;
        }
        drop(state);
        self.changed.notify_one();
    }
}

fn size(message: &Message) -> u64 {
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.topic.len() + message.payload.len() + attributes + OVERHEAD) as u64
}
