//! The buffer of one open subscription.

use std::sync::Mutex;

use tokio::sync::Notify;

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

/// Which messages a subscription wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Those of PublishOrdered; with a key, only those of its line.
    Ordered(Option<String>),
}

/// An open subscription.
pub struct Subscriber {
    pub topic: String,
    pub wanted: Wanted,
    /// Messages on the bus before this offset were published before the subscription.
    pub bus_from: u64,
    /// The same in the journal.
    pub journal_from: u64,
    state: Mutex<State>,
    /// Wakes the stream of the subscription.
    changed: Notify,
}

struct State {
    buffer: SubscriptionBuffer<Message>,
    error: Option<Error>,
}

impl Subscriber {
    pub fn new(topic: String, wanted: Wanted, bus_from: u64, journal_from: u64, max_messages: usize, max_bytes: u64) -> Self {
        let state = Mutex::new(State { buffer: SubscriptionBuffer::new(max_messages, max_bytes), error: None });
        Self { topic, wanted, bus_from, journal_from, state, changed: Notify::new() }
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

    /// The next event; `None` at the end.
    pub async fn next(&self) -> Result<Option<SubscriptionEvent>, Error> {
        loop {
            {
                let mut state = lock(&self.state);
                match state.buffer.pop() {
                    NextItem::Message(message) => return Ok(Some(SubscriptionEvent::Message(message))),
                    NextItem::Gap(missed) => return Ok(Some(SubscriptionEvent::Gap(Gap { missed }))),
                    NextItem::End => return state.error.take().map_or(Ok(None), Err),
                    NextItem::Empty => {}
                }
            }
            self.changed.notified().await;
        }
    }

    /// Gives it a message, if it wants it.
    pub fn offer(&self, message: &Message) {
        let wanted = match (&self.wanted, &message.ordering_key) {
            (Wanted::All, _) | (Wanted::Ordered(None), Some(_)) => true,
            (Wanted::Ordered(Some(key)), Some(other)) => key == other,
            (Wanted::Ordered(_), None) => false,
        };
        if wanted && message.topic == self.topic {
            lock(&self.state).buffer.offer(message.clone(), size(message));
            self.changed.notify_one();
        }
    }

    /// Tells it that messages were lost.
    pub fn add_gap(&self) {
        lock(&self.state).buffer.add_unknown_gap();
        self.changed.notify_one();
    }
}

fn size(message: &Message) -> u64 {
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.topic.len() + message.payload.len() + attributes + OVERHEAD) as u64
}
