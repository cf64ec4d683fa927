//! One open subscription: a task that moves messages from the connection to the buffer of the subscriber.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::Subscriber as NatsSubscriber;
use futures::StreamExt as _;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::message;
use crate::{connection::Link, error};
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

/// Which messages of its subject a subscription wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    All,
    /// Those of PublishOrdered.
    Ordered,
}

/// The buffer of a subscription.
pub struct Subscriber {
    state: Mutex<State>,
    /// Wakes the stream of the subscription.
    changed: Notify,
    /// Ends the subscription after the messages that have come.
    ending: Notify,
}

struct State {
    buffer: SubscriptionBuffer<Message>,
    error: Option<Error>,
}

impl Subscriber {
    pub fn new(max_messages: usize, max_bytes: u64) -> Self {
        let state = Mutex::new(State { buffer: SubscriptionBuffer::new(max_messages, max_bytes), error: None });
        Self { state, changed: Notify::new(), ending: Notify::new() }
    }

    /// Ends the subscription after the messages that have come.
    pub fn end_gracefully(&self) {
        self.ending.notify_one();
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

    fn offer(&self, message: Message) {
        let bytes = size(&message);
        lock(&self.state).buffer.offer(message, bytes);
        self.changed.notify_one();
    }

    fn add_gap(&self) {
        lock(&self.state).buffer.add_unknown_gap();
        self.changed.notify_one();
    }
}

fn size(message: &Message) -> u64 {
    let attributes: usize = message.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    (message.topic.len() + message.payload.len() + attributes + OVERHEAD) as u64
}

/// Moves messages to a subscriber until it has ended.
pub struct Forwarder {
    pub subscriber: Arc<Subscriber>,
    pub messages: NatsSubscriber,
    pub link: watch::Receiver<Link>,
    /// What stands before the kind in the subjects of messages.
    pub root: String,
    pub wanted: Wanted,
    pub patience: Duration,
}

impl Forwarder {
    pub async fn run(mut self) {
        let (mut epoch, mut overflows) = {
            let link = self.link.borrow_and_update();
            (link.epoch, link.overflows)
        };
        // When the subscription ends, if the connection is not established again.
        let mut give_up: Option<Instant> = None;
        loop {
            let outage = async {
                match give_up {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Messages come first, so that a graceful end loses none.
                biased;
                message = self.messages.next() => match message {
                    Some(message) => self.deliver(message),
                    None => return self.subscriber.end(Some(error::backend_closed())),
                },
                changed = self.link.changed() => {
                    if changed.is_err() {
                        return self.subscriber.end(Some(error::backend_closed()));
                    }
                    let link = self.link.borrow_and_update().clone();
                    if link.epoch != epoch || link.overflows != overflows {
                        (epoch, overflows) = (link.epoch, link.overflows);
                        self.subscriber.add_gap();
                    }
                    give_up = if link.connected { None } else { give_up.or_else(|| Some(Instant::now() + self.patience)) };
                }
                () = self.subscriber.ending.notified() => return self.subscriber.end(None),
                () = outage => {
                    return self.subscriber.end(Some(error::unavailable("NATS can't be reached", Duration::from_secs(1))));
                }
            }
        }
    }

    fn deliver(&self, message: async_nats::Message) {
        let subject = message.subject.clone();
        let Some(message) = message::decode(&self.root, message) else {
            tracing::debug!(%subject, "a message that Prism did not publish was ignored");
            return;
        };
        if self.wanted == Wanted::All || message.ordering_key.is_some() {
            self.subscriber.offer(message);
        }
    }
}
