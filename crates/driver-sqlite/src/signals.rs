//! Wakes those who wait for records and messages.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What somebody waits for. The number is the keyspace's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Records of a stream, by its name.
    Stream(i64, Arc<str>),
    /// Acknowledgements and moves of a consumer group, by the names of stream and group.
    Group(i64, Arc<str>, Arc<str>),
    /// Messages of a queue, by its name.
    Queue(i64, Arc<str>),
}

/// The topics that somebody waits for now; others take no room.
#[derive(Default)]
pub struct Signals {
    topics: Mutex<HashMap<Topic, watch::Sender<()>>>,
}

impl Signals {
    /// Begins to wait. Whatever is sent from now on is seen by the next [`Waiter::changed`], so look at the data behind this
    /// call.
    pub fn wait(self: &Arc<Self>, topic: Topic) -> Waiter {
        let receiver = self.topics().entry(topic.clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
        Waiter { signals: self.clone(), topic, receiver }
    }

    /// Wakes those who wait for a topic.
    pub fn send(&self, topic: &Topic) {
        if let Some(sender) = self.topics().get(topic) {
            sender.send_replace(());
        }
    }

    /// Wakes all, because another process has written.
    pub fn send_all(&self) {
        for sender in self.topics().values() {
            sender.send_replace(());
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.topics().is_empty()
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for a topic, until it is dropped.
pub struct Waiter {
    signals: Arc<Signals>,
    topic: Topic,
    receiver: watch::Receiver<()>,
}

impl Waiter {
    /// Returns when there was a signal since the last return, or since the wait began.
    pub async fn changed(&mut self) {
        // The sender lives in the table as long as this waiter does.
        let _ = self.receiver.changed().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut topics = self.signals.topics();
        // This receiver still counts.
        if topics.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_between_looking_and_waiting_is_not_lost() {
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
