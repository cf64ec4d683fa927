//! Wakes calls that wait for records and messages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::watch;

use prism_driver::lock::lock;

/// What a call waits for. The number is the id of the keyspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// New records of a stream, by its name.
    Stream(i64, Arc<str>),
    /// Changes of a consumer group, by the names of stream and group.
    Group(i64, Arc<str>, Arc<str>),
    /// Changes of a queue, by its name.
    Queue(i64, Arc<str>),
    /// New elements of a list, by its key.
    List(i64, Arc<[u8]>),
    /// Changes of keys.
    Watch(i64),
}

/// The topics for which calls are waiting. Other topics are not stored.
#[derive(Default)]
pub struct Signals {
    topics: Mutex<HashMap<Topic, watch::Sender<()>>>,
}

impl Signals {
    /// Starts to wait for a topic. The next [`Waiter::changed`] returns after any signal from now on, so read the data after this
    /// call.
    pub fn wait(self: &Arc<Self>, topic: Topic) -> Waiter {
        let receiver = self.topics().entry(topic.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Waiter { signals: self.clone(), topic, receiver }
    }

    /// Wakes all waiters of a topic.
    pub fn send(&self, topic: &Topic) {
        if let Some(sender) = self.topics().get(topic) {
            sender.send_replace(());
        }
    }

    /// Wakes all waiters, because another process has written.
    pub fn send_all(&self) {
        for sender in self.topics().values() {
            sender.send_replace(());
        }
    }

    /// Whether there are no waiters.
    pub fn is_empty(&self) -> bool {
        self.topics().is_empty()
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        lock(&self.topics)
    }
}

/// Waits for a topic until it is dropped.
pub struct Waiter {
    signals: Arc<Signals>,
    topic: Topic,
    receiver: watch::Receiver<()>,
}

impl Waiter {
    /// Returns when there was a signal since the last return, or since the waiter was created.
    pub async fn changed(&mut self) {
        // It can't fail: the sender stays in the map as long as this waiter exists.
        let _ = self.receiver.changed().await;
    }

    /// Wakes all waiters of the topic.
    pub fn send(&self) {
        self.signals.send(&self.topic);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut topics = self.signals.topics();
        // The count includes this receiver.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_between_reading_and_waiting_is_not_lost() {
        let signals = Arc::new(Signals::default());
        let topic = Topic::Queue(1, "q".into());
        let mut first = signals.wait(topic.clone());
        let second = signals.wait(topic.clone());
        signals.send(&topic);
        first.changed().await;
        drop(second);
        signals.send_all();
        first.changed().await;
        drop(first);
        assert!(signals.is_empty());
    }
}
