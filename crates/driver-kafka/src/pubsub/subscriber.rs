//! One open subscription.

use std::sync::Arc;

use prism_call::proto::models::pubsub::v1::Message;
use prism_driver::{
    pubsub::Filter,
    subscriptions::{Subscriber, Subscriptions},
};

/// An open subscription.
pub struct Subscription {
    pub topic: String,
    filter: Filter,
    /// Messages on the bus before this offset were published before the subscription.
    pub bus_from: u64,
    /// The same in the journal.
    pub journal_from: u64,
    pub subscriber: Subscriber,
}

impl Subscription {
    pub fn new(topic: String, filter: Filter, bus_from: u64, journal_from: u64, settings: &Subscriptions) -> Self {
        let subscriber = Subscriber::new(settings);
        // The offsets say where it begins.
        subscriber.confirm();
        Self { topic, filter, bus_from, journal_from, subscriber }
    }

    /// Gives it a message, if it wants it.
    pub fn offer(&self, message: &Arc<Message>) {
        if message.topic == self.topic && self.filter.matches(message) {
            self.subscriber.offer(message);
        }
    }
}
