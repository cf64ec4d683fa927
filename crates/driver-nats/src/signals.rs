//! Wakes what waits for a change: one subscription for each subject, which all waiters of this gateway share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_nats::Subscriber;
use futures::StreamExt as _;
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    client::{Client, Deadline},
    connection::Link,
};
use prism_call::Error;
use prism_driver::lock::lock;

type Open = Mutex<HashMap<String, Weak<Signal>>>;

/// The subjects that something waits for.
pub struct Signals {
    client: Arc<Client>,
    open: Arc<Open>,
}

/// The subscription of one subject. Dropping it ends the subscription.
struct Signal {
    subject: String,
    /// Number of messages that came.
    changes: watch::Receiver<u64>,
    task: AbortHandle,
    open: Arc<Open>,
}

/// Waits for changes.
pub struct Listener {
    changes: watch::Receiver<u64>,
    _signal: Arc<Signal>,
}

impl Signals {
    pub fn new(client: Arc<Client>) -> Self {
        Self { client, open: Arc::default() }
    }

    /// Starts to listen. What is published from now on is noticed, if it is read over the same connection after this call.
    pub async fn listen(&self, deadline: &Deadline, subject: &str) -> Result<Listener, Error> {
        if let Some(signal) = lock(&self.open).get(subject).and_then(Weak::upgrade) {
            return Ok(Listener::new(signal));
        }
        let subscriber = self.client.subscribe(deadline, subject.to_owned()).await?;
        let (sender, changes) = watch::channel(0);
        let task = tokio::spawn(forward(subscriber, self.client.connection().link(), sender)).abort_handle();
        let signal = Arc::new(Signal { subject: subject.to_owned(), changes, task, open: self.open.clone() });
        // Of two calls at the same time, the later one replaces the entry. Both signals work.
        lock(&self.open).insert(subject.to_owned(), Arc::downgrade(&signal));
        Ok(Listener::new(signal))
    }
}

impl Listener {
    fn new(signal: Arc<Signal>) -> Self {
        let mut changes = signal.changes.clone();
        changes.mark_unchanged();
        Self { changes, _signal: signal }
    }

    /// Returns when something changed since the last call, or after a time.
    pub async fn changed(&mut self, at_most: Duration) {
        // An error means that the backend was closed; then the caller waits until its next request fails.
        if let Ok(Err(_)) = tokio::time::timeout(at_most, self.changes.changed()).await {
            tokio::time::sleep(at_most).await;
        }
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.task.abort();
        let mut open = lock(&self.open);
        if open.get(&self.subject).is_some_and(|signal| signal.strong_count() == 0) {
            open.remove(&self.subject);
        }
    }
}

/// Counts messages. After a new connection, messages may have been lost, so that counts too.
async fn forward(mut subscriber: Subscriber, mut link: watch::Receiver<Link>, changes: watch::Sender<u64>) {
    let mut epoch = link.borrow_and_update().epoch;
    loop {
        let changed = tokio::select! {
            message = subscriber.next() => match message {
                Some(_) => true,
                None => return,
            },
            changed = link.changed() => match changed {
                Ok(()) => {
                    let before = epoch;
                    epoch = link.borrow_and_update().epoch;
                    epoch != before
                }
                Err(_) => return,
            },
        };
        if changed {
            changes.send_modify(|count| *count += 1);
        }
    }
}
