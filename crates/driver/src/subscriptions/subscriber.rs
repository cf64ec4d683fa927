//! The state of one open subscription of a driver that connects to a server.

use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Subscriptions;
use crate::{
    lock::lock,
    pubsub::{NextItem, SubscriptionBuffer, SubscriptionEvent},
};
use prism_call::{
    Error,
    proto::models::pubsub::v1::{Gap, Message},
};

/// Bytes that each message counts in a buffer in addition to its content.
const OVERHEAD: usize = 128;

/// An open subscription: its buffer, and whether the backend has confirmed it.
#[derive(Debug)]
pub struct Subscriber {
    state: Mutex<SubscriberState>,
    /// Wakes the stream of the subscription after a change of the state.
    changed: Notify,
}

#[derive(Debug)]
struct SubscriberState {
    buffer: SubscriptionBuffer<Arc<Message>>,
    /// Whether the backend has confirmed the subscription at least once.
    confirmed: bool,
    error: Option<Error>,
}

impl Subscriber {
    /// A subscription that is not confirmed yet.
    pub fn new(settings: &Subscriptions) -> Self {
        let buffer = SubscriptionBuffer::new(settings.buffer.to_usize(), *settings.buffer_bytes);
        Self { state: Mutex::new(SubscriberState { buffer, confirmed: false, error: None }), changed: Notify::new() }
    }

    /// The backend has confirmed the subscription: the first time, or again after a new connection, before which messages may have been
    /// lost.
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

    /// Whether the backend has confirmed the subscription at least once.
    pub fn is_confirmed(&self) -> bool {
        lock(&self.state).confirmed
    }

    /// Waits until the backend has confirmed the subscription. The error is that of [`end`](Self::end), if the subscription ended before.
    pub async fn confirmed(&self) -> Result<(), Error> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.confirmed {
                    return Ok(());
                }
                if state.buffer.has_ended() {
                    return state.error.take().map_or(Ok(()), Err);
                }
            }
            self.changed.notified().await;
        }
    }

    /// Adds a message to the buffer, or counts it as missed if there is no room. A subscription that is not confirmed gets no messages.
    pub fn offer(&self, message: &Arc<Message>) {
        let mut state = lock(&self.state);
        if !state.confirmed {
            return;
        }
        state.buffer.offer(message.clone(), size(message));
        drop(state);
        self.changed.notify_one();
    }

    /// Messages may have been lost at this position.
    pub fn add_gap(&self) {
        let mut state = lock(&self.state);
        if state.confirmed {
            state.buffer.add_unknown_gap();
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Returns the next event, or `None` at the end.
    pub async fn next(&self) -> Result<Option<SubscriptionEvent>, Error> {
        loop {
            {
                let mut state = lock(&self.state);
                match state.buffer.pop() {
                    NextItem::Message(message) => return Ok(Some(SubscriptionEvent::Message(Arc::unwrap_or_clone(message)))),
                    NextItem::Gap(missed) => return Ok(Some(SubscriptionEvent::Gap(Gap { missed }))),
                    NextItem::End => return state.error.take().map_or(Ok(None), Err),
                    NextItem::Empty => {}
                }
            }
            self.changed.notified().await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_confirmation_is_a_gap() {
        let subscriber = Subscriber::new(&Subscriptions::default());
        let message = Arc::new(Message { topic: "a".to_owned(), ..Message::default() });
        subscriber.offer(&message);
        subscriber.add_gap();
        subscriber.confirm();
        subscriber.confirmed().await.unwrap();
        subscriber.offer(&message);
        subscriber.confirm();
        subscriber.end(Some(Error::internal("x")));
        assert!(matches!(subscriber.next().await, Ok(Some(SubscriptionEvent::Message(_)))));
        assert!(matches!(subscriber.next().await, Ok(Some(SubscriptionEvent::Gap(Gap { missed: 0 })))));
        assert_eq!(subscriber.next().await.unwrap_err().message(), "x");
        assert!(subscriber.next().await.unwrap().is_none());
    }
}
