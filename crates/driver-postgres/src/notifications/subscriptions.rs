//! Subscriptions of PubSub, which receive the messages of notifications.

use std::{sync::Arc, time::Instant};

use tokio::sync::OwnedSemaphorePermit;

use super::{Notifications, State};
use crate::error;
use prism_call::{Code, Error, proto::models::pubsub::v1::Message};
use prism_driver::{
    pubsub::{Filter, TopicPattern, subscription_in_use},
    subscriptions::Subscriber,
};

/// An open subscription.
pub struct Subscription {
    /// Unique in this gateway, unlike the name, which a later subscription may use again.
    id: u64,
    keyspace: i64,
    name: String,
    pattern: TopicPattern,
    filter: Filter,
    pub subscriber: Subscriber,
}

/// Belongs to the stream of a subscription, and removes the subscription when the stream is dropped.
pub struct OpenSubscription {
    notifications: Arc<Notifications>,
    subscription: Arc<Subscription>,
    _permit: OwnedSemaphorePermit,
}

impl OpenSubscription {
    /// The buffer of the subscription.
    pub fn subscriber(&self) -> &Subscriber {
        &self.subscription.subscriber
    }
}

impl Drop for OpenSubscription {
    fn drop(&mut self) {
        self.notifications.remove(&self.subscription);
    }
}

impl Notifications {
    /// Adds a subscription with an id from the client. It is confirmed at once if the gateway listens to its channel.
    pub fn subscribe(self: &Arc<Self>, keyspace: i64, name: &str, pattern: &str, filter: Filter) -> Result<OpenSubscription, Error> {
        let permit = self.limits.permit()?;
        if !self.is_enabled {
            return Err(error::cannot_listen());
        }
        let mut guard = self.state();
        let state = &mut *guard;
        if state.is_closed {
            return Err(error::backend_closed());
        }
        if let Some((next_attempt, cause)) = &state.failure {
            return Err(unreachable_error(cause, *next_attempt));
        }
        let key = (keyspace, name.to_owned());
        if state.by_name.contains_key(&key) {
            return Err(subscription_in_use(name));
        }
        let subscription = Arc::new(Subscription {
            id: state.next_id(),
            keyspace,
            name: name.to_owned(),
            pattern: TopicPattern::new(pattern),
            filter,
            subscriber: Subscriber::new(self.limits.settings()),
        });
        let channel = state.channels.entry(keyspace).or_default();
        if channel.is_confirmed {
            subscription.subscriber.confirm();
        }
        channel.subscriptions.push(subscription.clone());
        state.by_name.insert(key, subscription.clone());
        drop(guard);
        self.changed.notify_one();
        Ok(OpenSubscription { notifications: self.clone(), subscription, _permit: permit })
    }

    /// Ends a subscription by its id. Returns false if there is none.
    pub fn unsubscribe(&self, keyspace: i64, name: &str) -> bool {
        let subscription = self.state().by_name.get(&(keyspace, name.to_owned())).cloned();
        subscription.is_some_and(|subscription| self.remove(&subscription))
    }

    /// Removes a subscription and ends its stream. Returns false if it was removed before.
    fn remove(&self, subscription: &Subscription) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let key = (subscription.keyspace, subscription.name.clone());
        let is_open = state.by_name.get(&key).is_some_and(|other| other.id == subscription.id);
        if is_open {
            state.by_name.remove(&key);
            remove_from_channel(state, subscription);
        }
        drop(guard);
        subscription.subscriber.end(None);
        is_open
    }

    /// Delivers a message to its subscribers.
    pub(super) fn deliver(&self, keyspace: i64, message: Message) {
        let state = self.state();
        let Some(channel) = state.channels.get(&keyspace) else { return };
        let message = Arc::new(message);
        for subscription in &channel.subscriptions {
            if subscription.pattern.matches(&message.topic) && subscription.filter.matches(&message) {
                subscription.subscriber.offer(&message);
            }
        }
    }

    /// Whether a topic has subscribers. Their filters may refuse its messages.
    pub(super) fn has_subscribers(&self, keyspace: i64, topic: &str) -> bool {
        let state = self.state();
        state.channels.get(&keyspace).is_some_and(|channel| channel.subscriptions.iter().any(|open| open.pattern.matches(topic)))
    }

    /// Reports to the subscribers of a topic that a message was lost.
    pub(super) fn report_loss(&self, keyspace: i64, topic: &str) {
        let state = self.state();
        let Some(channel) = state.channels.get(&keyspace) else { return };
        for subscription in channel.subscriptions.iter().filter(|subscription| subscription.pattern.matches(topic)) {
            subscription.subscriber.add_gap();
        }
    }

    /// An attempt to connect failed. Subscriptions that are being opened end with the error. All others end when there was no connection
    /// for longer than the setting `patience`, counted from `since`.
    pub(super) fn connection_failed(&self, cause: Error, since: Instant, next_attempt: Instant) {
        let is_patience_exceeded = since.elapsed() >= *self.limits.settings().patience;
        let mut guard = self.state();
        let state = &mut *guard;
        let ends = |open: &Subscription| is_patience_exceeded || !open.subscriber.is_confirmed();
        let ending: Vec<_> = state.by_name.extract_if(|_, open| ends(open)).map(|(_, subscription)| subscription).collect();
        for subscription in ending {
            subscription.subscriber.end(Some(unreachable_error(&cause, next_attempt)));
            remove_from_channel(state, &subscription);
        }
        state.failure = Some((next_attempt, cause));
    }
}

fn remove_from_channel(state: &mut State, subscription: &Subscription) {
    if let Some(channel) = state.channels.get_mut(&subscription.keyspace) {
        channel.subscriptions.retain(|other| other.id != subscription.id);
    }
    state.remove_if_unused(subscription.keyspace);
}

/// The error for subscriptions while there is no connection.
fn unreachable_error(cause: &Error, next_attempt: Instant) -> Error {
    let wait = next_attempt.saturating_duration_since(Instant::now());
    if cause.code() == Code::Unavailable {
        error::unavailable("PostgreSQL can't be reached", wait)
    } else {
        Error::new(cause.code(), cause.reason().to_owned(), cause.message().to_owned())
    }
}
