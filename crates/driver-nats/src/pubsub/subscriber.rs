//! One open subscription: a task that moves messages from the connection to the buffer of the subscriber.

use std::{sync::Arc, time::Duration};

use async_nats::Subscriber as NatsSubscriber;
use futures::StreamExt as _;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::message;
use crate::{connection::Link, error};
use prism_driver::{
    pubsub::Filter,
    subscriptions::{Subscriber, Subscriptions},
};

/// An open subscription.
pub struct Subscription {
    pub subscriber: Subscriber,
    /// Ends the subscription after the messages that have come.
    ending: Notify,
}

impl Subscription {
    pub fn new(settings: &Subscriptions) -> Self {
        let subscriber = Subscriber::new(settings);
        // Messages come only when the server knows the subscription.
        subscriber.confirm();
        Self { subscriber, ending: Notify::new() }
    }

    /// Ends the subscription after the messages that have come.
    pub fn end_gracefully(&self) {
        self.ending.notify_one();
    }
}

/// Moves messages to a subscriber until it has ended.
pub struct Forwarder {
    pub subscription: Arc<Subscription>,
    pub messages: NatsSubscriber,
    pub link: watch::Receiver<Link>,
    /// What stands before the kind in the subjects of messages.
    pub root: String,
    pub filter: Filter,
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
                    None => return self.subscription.subscriber.end(Some(error::backend_closed())),
                },
                changed = self.link.changed() => {
                    if changed.is_err() {
                        return self.subscription.subscriber.end(Some(error::backend_closed()));
                    }
                    let link = self.link.borrow_and_update().clone();
                    if link.epoch != epoch || link.overflows != overflows {
                        (epoch, overflows) = (link.epoch, link.overflows);
                        self.subscription.subscriber.add_gap();
                    }
                    give_up = if link.connected { None } else { give_up.or_else(|| Some(Instant::now() + self.patience)) };
                }
                () = self.subscription.ending.notified() => return self.subscription.subscriber.end(None),
                () = outage => {
                    return self.subscription.subscriber.end(Some(error::unavailable("NATS can't be reached", Duration::from_secs(1))));
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
        if self.filter.matches(&message) {
            self.subscription.subscriber.offer(&Arc::new(message));
        }
    }
}
