//! The subscriptions of a backend, which share one connection.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use prost::Message as _;
use redis::Msg;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::subscriber::{ChannelSelector, Subscription};
use crate::error;
use prism_call::{Code, Error, proto::models::pubsub::v1::Message};
use prism_driver::{
    lock::lock,
    pubsub::{TopicPattern, subscription_in_use},
    subscriptions::{Subscriber, SubscriptionLimits, Subscriptions},
};

/// The subscriptions of a backend.
pub struct Hub {
    limits: SubscriptionLimits,
    state: Mutex<HubState>,
    last_id: AtomicU64,
    /// Wakes the task of the connection after a subscription was added or removed.
    pub(super) changed: Notify,
}

#[derive(Default)]
struct HubState {
    by_channels: HashMap<ChannelSelector, Vec<Arc<Subscription>>>,
    by_name: HashMap<Vec<u8>, Arc<Subscription>>,
    /// Channels and patterns that Redis has confirmed on the current connection.
    confirmed: HashSet<ChannelSelector>,
    /// The time of the next attempt to connect, and the error of the last one; `None` while there is a connection.
    failure: Option<(Instant, Error)>,
    closed: bool,
}

/// Channels to subscribe to and to unsubscribe from.
pub struct ChannelChanges {
    pub add: Vec<ChannelSelector>,
    pub remove: Vec<ChannelSelector>,
}

impl Hub {
    pub fn new(settings: Subscriptions) -> Self {
        Self { limits: SubscriptionLimits::new(settings), state: Mutex::default(), last_id: AtomicU64::new(0), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        lock(&self.state)
    }

    pub fn settings(&self) -> &Subscriptions {
        self.limits.settings()
    }

    /// A permit for one more subscription or member of a consumer group.
    pub fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.limits.permit()
    }

    /// Adds a subscription with an id from the client. It is confirmed at once if Redis has confirmed its channels before.
    pub fn add(&self, name: Vec<u8>, id: &str, channels: ChannelSelector, pattern: TopicPattern) -> Result<Arc<Subscription>, Error> {
        let mut guard = self.state();
        let state = &mut *guard;
        if state.closed {
            return Err(error::backend_closed());
        }
        if let Some((next_attempt, cause)) = &state.failure {
            return Err(unreachable_error(cause, *next_attempt));
        }
        if state.by_name.contains_key(&name) {
            return Err(subscription_in_use(id));
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let subscriber = Subscriber::new(self.settings());
        let subscription = Arc::new(Subscription { id, name: name.clone(), channels: channels.clone(), pattern, subscriber });
        if state.confirmed.contains(&channels) {
            subscription.subscriber.confirm();
        }
        state.by_name.insert(name, subscription.clone());
        state.by_channels.entry(channels).or_default().push(subscription.clone());
        drop(guard);
        self.changed.notify_one();
        Ok(subscription)
    }

    /// Ends a subscription by its name. Returns false if there is none.
    pub fn unsubscribe(&self, name: &[u8]) -> bool {
        let subscription = self.state().by_name.get(name).cloned();
        subscription.is_some_and(|subscription| self.remove(&subscription))
    }

    /// Removes a subscription and ends its stream. Returns false if it was removed before.
    pub fn remove(&self, subscription: &Subscription) -> bool {
        let mut guard = self.state();
        let state = &mut *guard;
        let present = state.by_name.get(&subscription.name).is_some_and(|other| other.id == subscription.id);
        if present {
            state.by_name.remove(&subscription.name);
            if let Some(listeners) = state.by_channels.get_mut(&subscription.channels) {
                listeners.retain(|other| other.id != subscription.id);
                if listeners.is_empty() {
                    state.by_channels.remove(&subscription.channels);
                }
            }
        }
        drop(guard);
        subscription.subscriber.end(None);
        self.changed.notify_one();
        present
    }

    pub(super) fn has_subscribers(&self) -> bool {
        !self.state().by_channels.is_empty()
    }

    /// The difference between the wanted channels and those of the connection.
    pub(super) fn changes(&self) -> ChannelChanges {
        let state = self.state();
        ChannelChanges {
            add: state.by_channels.keys().filter(|route| !state.confirmed.contains(*route)).cloned().collect(),
            remove: state.confirmed.iter().filter(|route| !state.by_channels.contains_key(*route)).cloned().collect(),
        }
    }

    /// Redis has confirmed these channels.
    pub(super) fn confirm(&self, confirmed: Vec<ChannelSelector>) {
        let mut guard = self.state();
        let state = &mut *guard;
        for channels in confirmed {
            for subscription in state.by_channels.get(&channels).into_iter().flatten() {
                subscription.subscriber.confirm();
            }
            state.confirmed.insert(channels);
        }
    }

    /// Returns those of the channels that still have no subscribers, and marks them as not confirmed.
    pub(super) fn release(&self, candidates: &[ChannelSelector]) -> Vec<ChannelSelector> {
        let mut guard = self.state();
        let state = &mut *guard;
        let released: Vec<ChannelSelector> =
            candidates.iter().filter(|channels| !state.by_channels.contains_key(*channels)).cloned().collect();
        for channels in &released {
            state.confirmed.remove(channels);
        }
        released
    }

    /// There is a new connection, which has no channels yet.
    pub(super) fn connected(&self) {
        self.state().failure = None;
    }

    /// The connection broke. The next attempt follows at once.
    pub(super) fn connection_lost(&self) {
        self.state().confirmed.clear();
    }

    /// An attempt to connect failed. Subscriptions that are being opened end with the error. All others end when there was no
    /// connection for longer than the setting `patience`, counted from `since`.
    pub(super) fn connection_failed(&self, cause: Error, since: Instant, next_attempt: Instant) {
        let patience_exceeded = since.elapsed() >= *self.settings().patience;
        let mut guard = self.state();
        let state = &mut *guard;
        let ending: Vec<_> = state.by_name.extract_if(|_, open| patience_exceeded || !open.subscriber.is_confirmed()).collect();
        for (_, subscription) in ending {
            subscription.subscriber.end(Some(unreachable_error(&cause, next_attempt)));
            if let Some(listeners) = state.by_channels.get_mut(&subscription.channels) {
                listeners.retain(|other| other.id != subscription.id);
            }
        }
        state.by_channels.retain(|_, listeners| !listeners.is_empty());
        state.failure = Some((next_attempt, cause));
    }

    /// Ends all subscriptions, and refuses new ones.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.by_channels.clear();
        for (_, subscription) in state.by_name.drain() {
            subscription.subscriber.end(Some(error::backend_closed()));
        }
    }

    /// Delivers a message from Redis to its subscribers. Messages that Prism can't decode, because another program published them,
    /// are ignored.
    pub(super) fn dispatch(&self, message: &Msg) {
        let Ok(channel) = message.get_channel::<Bytes>() else { return };
        let channels = if message.from_pattern() {
            message.get_pattern().map(ChannelSelector::Pattern)
        } else {
            message.get_channel().map(ChannelSelector::Channel)
        };
        let Ok(channels) = channels else { return };
        let state = self.state();
        let Some(listeners) = state.by_channels.get(&channels) else { return };
        let Some(message) = decode(&channel, message) else { return };
        for subscription in listeners {
            if subscription.pattern.matches(&message.topic) {
                subscription.subscriber.offer(&message);
            }
        }
    }
}

/// The text between the keyspace and the topic in the name of a channel.
const TOPIC_SEPARATOR: &str = "}:topic:";

fn decode(channel: &Bytes, message: &Msg) -> Option<Arc<Message>> {
    // The name of a keyspace has no closing brace, so the first separator is the right one.
    let channel = std::str::from_utf8(channel).ok()?;
    let topic = channel.split_once(TOPIC_SEPARATOR)?.1.to_owned();
    let payload: Bytes = message.get_payload().ok()?;
    let decoded = Message::decode(payload).ok();
    if decoded.is_none() {
        tracing::debug!(channel, "a message that Prism did not publish was ignored");
    }
    decoded.map(|message| Arc::new(Message { topic, ..message }))
}

/// The error for subscriptions while there is no connection.
fn unreachable_error(cause: &Error, next_attempt: Instant) -> Error {
    let wait = next_attempt.saturating_duration_since(Instant::now());
    if cause.code() == Code::Unavailable {
        error::unavailable("Redis can't be reached", wait)
    } else {
        Error::new(cause.code(), cause.reason().to_owned(), cause.message().to_owned())
    }
}
