//! Calls that wait until something in the tables changes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::{Channel, Notifications};
use prism_driver::hash;

/// The longest wait while the gateway listens. A gateway that is killed between a change and its notification delays others by this time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The first and the longest pause between two looks at the tables while the gateway does not listen.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(200)];

/// What changes: the hash of its name. Two topics with the same hash only wake each other's waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic(pub u64);

impl Topic {
    /// A topic of a keyspace. The kind keeps names of different things apart.
    pub fn new(kind: &str, names: &[&str]) -> Self {
        // Names have no control characters.
        let name = [kind].iter().chain(names).copied().collect::<Vec<_>>().join("\0");
        Self(hash::fnv1a(name.as_bytes()))
    }
}

/// Waits for changes of some topics until it is dropped.
pub struct Waiter {
    notifications: Arc<Notifications>,
    keyspace: i64,
    topics: Vec<u64>,
    id: u64,
    wake: Arc<Notify>,
    pause: Duration,
}

impl Notifications {
    /// Starts to wait. [`Waiter::changed`] returns after any change from now on, so read the tables after this call.
    pub fn wait(self: &Arc<Self>, keyspace: i64, topics: &[Topic]) -> Waiter {
        let wake = Arc::new(Notify::new());
        let topics: Vec<u64> = topics.iter().map(|topic| topic.0).collect();
        let mut state = self.state();
        let id = state.next_id();
        let channel = state.channels.entry(keyspace).or_default();
        for topic in &topics {
            channel.waiters.entry(*topic).or_default().push((id, wake.clone()));
        }
        let is_confirmed = channel.is_confirmed;
        drop(state);
        if !is_confirmed {
            self.changed.notify_one();
        }
        Waiter { notifications: self.clone(), keyspace, topics, id, wake, pause: PAUSES[0] }
    }

    /// Wakes the waiters of a topic in this gateway, and later those of other gateways.
    pub fn announce(&self, keyspace: i64, topic: Topic) {
        self.wake(keyspace, &[topic.0]);
        if self.is_enabled {
            self.pending.add(keyspace, topic.0);
        }
    }

    /// Wakes the waiters of topics in this gateway; with an empty list, all waiters of the keyspace.
    pub(super) fn wake(&self, keyspace: i64, topics: &[u64]) {
        let state = self.state();
        let Some(channel) = state.channels.get(&keyspace) else { return };
        if topics.is_empty() {
            channel.wake_all();
        }
        for topic in topics {
            channel.waiters.get(topic).into_iter().flatten().for_each(|(_, wake)| wake.notify_one());
        }
    }

    fn is_listening(&self, keyspace: i64) -> bool {
        self.state().channels.get(&keyspace).is_some_and(|channel| channel.is_confirmed)
    }

    fn remove_waiter(&self, keyspace: i64, topics: &[u64], id: u64) {
        let mut state = self.state();
        let Some(Channel { waiters, .. }) = state.channels.get_mut(&keyspace) else { return };
        for topic in topics {
            if let Some(others) = waiters.get_mut(topic) {
                others.retain(|(other, _)| *other != id);
                if others.is_empty() {
                    waiters.remove(topic);
                }
            }
        }
        state.remove_if_unused(keyspace);
    }
}

impl Waiter {
    /// Returns after a change since the last return, after this time at the latest, or when it is time to look again.
    pub async fn changed(&mut self, at_most: Duration) {
        let pause = if self.notifications.is_listening(self.keyspace) {
            LONGEST_WAIT
        } else {
            // A random part is left out, so that the calls that wait don't look at the same time.
            let pause = self.pause.mul_f64(rand::random_range(0.5..=1.0));
            self.pause = (self.pause * 2).min(PAUSES[1]);
            pause
        };
        let began = Instant::now();
        if tokio::time::timeout(pause.min(at_most), self.wake.notified()).await.is_ok() && began.elapsed() > Duration::from_millis(1) {
            self.pause = PAUSES[0];
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.notifications.remove_waiter(self.keyspace, &self.topics, self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_driver::subscriptions::Subscriptions;

    #[tokio::test]
    async fn a_change_between_reading_and_waiting_is_not_lost() {
        let notifications = Arc::new(Notifications::new("prism", Subscriptions::default(), true));
        let (topic, other) = (Topic::new("stream", &["a"]), Topic::new("stream", &["b"]));
        assert_ne!(topic, other);
        let mut waiter = notifications.wait(1, &[topic, other]);
        assert_eq!(notifications.missing_channels(), [1]);
        notifications.confirm(&[1]);
        let waits = async |waiter: &mut Waiter| {
            tokio::time::timeout(Duration::from_millis(50), waiter.changed(Duration::from_mins(1))).await.is_err()
        };
        assert!(!waits(&mut waiter).await, "a channel that is new may have missed changes");
        assert!(waits(&mut waiter).await);
        notifications.announce(1, topic);
        notifications.announce(1, other);
        assert!(!waits(&mut waiter).await);
        assert!(waits(&mut waiter).await);
        notifications.announce(2, topic);
        assert!(waits(&mut waiter).await);
        drop(waiter);
        assert_eq!(notifications.remove_unused_channels(), [1]);
        assert!(!notifications.is_used());
        drop(notifications.wait(2, &[topic]));
        assert!(notifications.state().channels.is_empty(), "a channel is left that the gateway never listened to");
    }
}
