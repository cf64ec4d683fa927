//! Notifications (`LISTEN` and `NOTIFY`) between the gateways of a database. A gateway has one connection that listens, from the first call
//! that needs one. Each keyspace has a channel, and the connection listens to those in which something waits.
//!
//! A notification has the content of a message of PubSub, or says what has changed, so that calls that wait look at the tables again. A
//! lost notification of a change only delays them: they also look from time to time.

mod announcer;
mod listener;
mod payload;
mod subscriptions;
mod waiter;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use tokio::sync::Notify;

pub use self::{
    announcer::announce_changes,
    listener::{ListenConnector, listen},
    payload::{MAX_TEXT_BYTES, large_message_text, message_text, sequence_text},
    waiter::{Topic, Waiter},
};

use self::{announcer::PendingChanges, subscriptions::Subscription};
use crate::error;
use prism_call::Error;
use prism_driver::{
    hash, id,
    lock::lock,
    subscriptions::{SubscriptionLimits, Subscriptions},
};

/// What waits for notifications in this gateway.
pub struct Notifications {
    /// The limits of subscriptions and of members of consumer groups.
    pub limits: SubscriptionLimits,
    /// Whether there is a connection that can listen.
    is_enabled: bool,
    /// A random number of this gateway.
    gateway: u64,
    /// The names of channels up to the id of the keyspace.
    channel_prefix: String,
    state: Mutex<State>,
    /// Wakes the task of the connection when a channel is needed.
    changed: Notify,
    pending: PendingChanges,
}

#[derive(Default)]
struct State {
    /// By the id of the keyspace.
    channels: HashMap<i64, Channel>,
    /// By the id of the keyspace, and the id that the client gave.
    by_name: HashMap<(i64, String), Arc<Subscription>>,
    /// The time of the next attempt to connect, and the error of the last one; `None` while there is a connection.
    failure: Option<(Instant, Error)>,
    last_id: u64,
    is_closed: bool,
}

/// What waits in one keyspace.
#[derive(Default)]
struct Channel {
    /// Whether the current connection listens to it.
    is_confirmed: bool,
    waiters: HashMap<u64, Vec<(u64, Arc<Notify>)>>,
    subscriptions: Vec<Arc<Subscription>>,
}

impl Channel {
    fn is_used(&self) -> bool {
        !self.waiters.is_empty() || !self.subscriptions.is_empty()
    }

    fn wake_all(&self) {
        self.waiters.values().flatten().for_each(|(_, wake)| wake.notify_one());
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Removes a channel that is not used. The task of the connection removes those that it listens to.
    fn remove_if_unused(&mut self, keyspace: i64) {
        if self.channels.get(&keyspace).is_some_and(|channel| !channel.is_used() && !channel.is_confirmed) {
            self.channels.remove(&keyspace);
        }
    }
}

impl Notifications {
    /// Nothing waits yet. `schema` is that of the tables.
    pub fn new(schema: &str, settings: Subscriptions, is_enabled: bool) -> Self {
        // The name of a channel has at most 63 bytes, as the name of a schema. The hash keeps schemas of one database apart.
        let hash = hash::fnv1a(schema.as_bytes());
        Self {
            limits: SubscriptionLimits::new(settings),
            is_enabled,
            gateway: id::random_number(),
            channel_prefix: format!("prism_{hash:016x}_"),
            state: Mutex::default(),
            changed: Notify::new(),
            pending: PendingChanges::default(),
        }
    }

    /// The name of the channel of a keyspace.
    pub fn channel(&self, keyspace: i64) -> String {
        format!("{}{keyspace}", self.channel_prefix)
    }

    /// The keyspace of a channel.
    fn keyspace_of(&self, channel: &str) -> Option<i64> {
        channel.strip_prefix(&self.channel_prefix)?.parse().ok()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether something waits.
    fn is_used(&self) -> bool {
        self.state().channels.values().any(Channel::is_used)
    }

    /// The channels that are needed, and that the connection does not listen to.
    fn missing_channels(&self) -> Vec<i64> {
        let state = self.state();
        state.channels.iter().filter(|(_, channel)| channel.is_used() && !channel.is_confirmed).map(|(keyspace, _)| *keyspace).collect()
    }

    /// Removes and returns the channels that the connection listens to, and that are no longer needed.
    fn remove_unused_channels(&self) -> Vec<i64> {
        self.state()
            .channels
            .extract_if(|_, channel| !channel.is_used())
            .filter(|(_, channel)| channel.is_confirmed)
            .map(|(id, _)| id)
            .collect()
    }

    /// The connection listens to these channels from now on. What was announced before may have been missed.
    fn confirm(&self, keyspaces: &[i64]) {
        let mut state = self.state();
        for keyspace in keyspaces {
            let channel = state.channels.entry(*keyspace).or_default();
            channel.is_confirmed = true;
            channel.subscriptions.iter().for_each(|subscription| subscription.subscriber.confirm());
            channel.wake_all();
        }
    }

    /// There is a new connection, which listens to no channel yet.
    fn connected(&self) {
        self.state().failure = None;
    }

    /// The connection broke. The next attempt follows at once. Waiters look at the tables until then.
    fn connection_lost(&self) {
        for channel in self.state().channels.values_mut() {
            channel.is_confirmed = false;
            channel.wake_all();
        }
    }

    /// Ends all subscriptions, and refuses new ones.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.channels.values_mut().for_each(|channel| {
            channel.subscriptions.clear();
            channel.wake_all();
        });
        for (_, subscription) in state.by_name.drain() {
            subscription.subscriber.end(Some(error::backend_closed()));
        }
    }
}
