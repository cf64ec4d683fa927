//! The journal of a keyspace: commands that all gateways apply in the same order.
//!
//! A gateway reads the journal from the first use on, and keeps the state in memory. It writes a command, and knows its outcome when it has
//! applied it. To read the state as of now, it waits until it has applied what the journal holds.
//!
//! The gateway whose command is the first one after some thousands writes a snapshot into the journal, and then deletes the commands before
//! it. The records from the beginning of the journal on always are either all commands, or contain a snapshot with the effects of those that are gone.

mod command;
mod group;
mod replica;
mod state;
mod take;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use prost::Message as _;
use tokio::{
    sync::{broadcast, oneshot, watch},
    task::AbortHandle,
};

pub use command::{
    Ack, CreateGroup, Durable, DurableName, Leave, LineName, MoveDurable, OpenDurable, Operation, Outcome, PublishOrdered, Seek,
    SnapshotPart,
};
pub use group::{Group, Progress, SEEN_EVERY};
pub use state::State;
pub use take::{At, GroupName, Range, Take, Taken};

use command::Command;

use crate::{
    client::{Client, Place},
    deadline::Deadline,
    error,
    topics::{TopicConfig, set},
};
use prism_call::{Context, Error};
use prism_driver::{
    lock::lock,
    time::{self, Millis},
};
use replica::Replica;

/// Commands after which a snapshot is written.
const SNAPSHOT_COMMANDS: u64 = 5_000;
/// Bytes of commands after which a snapshot is written.
const SNAPSHOT_BYTES: u64 = 32 << 20;
/// Ordered messages that wait for the subscribers of this gateway. A hub that is slower learns that it missed some.
const ORDERED: usize = 1024;

/// A message of a line.
#[derive(Clone, Debug)]
pub struct OrderedMessage {
    pub line: LineName,
    pub payload: bytes::Bytes,
    pub attributes: std::collections::BTreeMap<String, String>,
    pub sequence: u64,
    pub time: Millis,
    /// Its offset in the journal.
    pub offset: u64,
}

/// The journal of a keyspace.
pub struct Journal {
    client: Arc<Client>,
    topic: String,
    namespace: String,
    reading: Mutex<Option<AbortHandle>>,
    state: Mutex<State>,
    /// The commands before this offset are applied.
    applied: watch::Sender<u64>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
    ordered: broadcast::Sender<OrderedMessage>,
    snapshotting: AtomicBool,
}

/// A call that waits for the outcome of its command.
struct Waiter<'j> {
    journal: &'j Journal,
    id: u64,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        lock(&self.journal.waiting).remove(&self.id);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(reading) = lock(&self.reading).take() {
            reading.abort();
        }
    }
}

fn config(client: &Client) -> TopicConfig {
    let mut config = client.base_config();
    // Deleted commands free their place with their segment.
    set(&mut config, "segment.bytes", (16 << 20).to_string());
    config
}

impl Journal {
    /// Reads nothing yet.
    pub fn new(client: Arc<Client>, topic: String, namespace: String) -> Self {
        Self {
            client,
            topic,
            namespace,
            reading: Mutex::default(),
            state: Mutex::default(),
            applied: watch::Sender::new(0),
            waiting: Mutex::default(),
            ordered: broadcast::Sender::new(ORDERED),
            snapshotting: AtomicBool::new(false),
        }
    }

    /// Starts to read the journal, if it is not read yet.
    fn start(self: &Arc<Self>) {
        let mut reading = lock(&self.reading);
        if reading.as_ref().is_none_or(AbortHandle::is_finished) {
            let replica = Replica::new(self);
            *reading = Some(tokio::spawn(replica.run()).abort_handle());
        }
    }

    /// Stops reading.
    pub fn close(&self) {
        if let Some(reading) = lock(&self.reading).take() {
            reading.abort();
        }
    }

    /// The context of work that no call waits for.
    fn context(&self) -> Context {
        Context::internal(self.namespace.as_str())
    }

    /// Writes a command and returns its outcome.
    pub async fn execute(self: &Arc<Self>, deadline: &Deadline, operation: Operation) -> Result<Outcome, Error> {
        self.client.ensure(deadline, &self.topic, config).await?;
        self.start();
        let command = Command { id: rand::random(), operation: Some(operation) };
        let (sender, outcome) = oneshot::channel();
        lock(&self.waiting).insert(command.id, sender);
        let _waiter = Waiter { journal: self, id: command.id };
        self.client.append(deadline, &self.topic, 0, &[], &command.encode_to_vec(), rdkafka::message::OwnedHeaders::new()).await?;
        match tokio::time::timeout(deadline.remaining(), outcome).await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_)) => Err(error::backend_closed()),
            Err(_) => Err(deadline.no_response(&self.client.status)),
        }
    }

    /// Returns when everything is applied that is in the journal now. Returns the offset behind it.
    pub async fn catch_up(self: &Arc<Self>, deadline: &Deadline) -> Result<u64, Error> {
        if self.client.partitions(deadline, &self.topic).await?.is_none() {
            return Ok(0);
        }
        self.start();
        let end = self.client.offsets(deadline, &self.topic, &[0], Place::End).await?.first().copied().unwrap_or(0);
        let mut applied = self.applied.subscribe();
        match tokio::time::timeout(deadline.remaining(), applied.wait_for(|applied| *applied >= end)).await {
            Ok(Ok(_)) => Ok(end),
            _ => Err(deadline.no_response(&self.client.status)),
        }
    }

    /// Creates the journal if it does not exist, catches up, and returns the ordered messages from then on.
    pub async fn subscribe(self: &Arc<Self>, deadline: &Deadline) -> Result<broadcast::Receiver<OrderedMessage>, Error> {
        self.client.ensure(deadline, &self.topic, config).await?;
        self.catch_up(deadline).await?;
        Ok(self.ordered.subscribe())
    }

    /// Wakes on every command that is applied.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Looks at the state. For a recent state, call `catch_up` first.
    pub fn view<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&lock(&self.state))
    }

    /// Applies a command that was read.
    fn apply(self: &Arc<Self>, command: Command, offset: u64, at: Millis) {
        let Some(operation) = command.operation else { return };
        let outcome = lock(&self.state).apply(&operation, at);
        // After a lost place, the reader begins again with commands that it has applied before.
        let new = offset >= *self.applied.borrow();
        if let (true, Operation::Publish(publish), Outcome::Sequence(sequence)) = (new, operation, &outcome) {
            let PublishOrdered { line, payload, attributes } = publish;
            // Without subscribers nobody gets it.
            let _ = self.ordered.send(OrderedMessage { line, payload, attributes, sequence: *sequence, time: at, offset });
        }
        if let Some(waiting) = lock(&self.waiting).remove(&command.id) {
            let _ = waiting.send(outcome);
        }
    }

    /// Whether a command is one of this gateway that somebody waits for.
    fn is_own(&self, id: u64) -> bool {
        lock(&self.waiting).contains_key(&id)
    }

    /// Writes a snapshot in the background. `before` is the offset of the next command.
    fn write_snapshot(self: &Arc<Self>, before: u64, at: Millis) {
        if self.snapshotting.swap(true, Ordering::Relaxed) {
            return;
        }
        let parts = lock(&self.state).snapshot(rand::random(), before, at);
        let journal = self.clone();
        tokio::spawn(async move {
            if let Err(error) = journal.store_snapshot(parts, before).await {
                tracing::debug!(%error, topic = journal.topic, "a snapshot of a journal could not be written; the next one replaces it");
            }
            journal.snapshotting.store(false, Ordering::Relaxed);
        });
    }

    async fn store_snapshot(&self, parts: Vec<SnapshotPart>, before: u64) -> Result<(), Error> {
        for part in parts {
            let command = Command { id: rand::random(), operation: Some(Operation::Snapshot(part)) };
            let deadline = self.client.deadline(&self.context());
            self.client.append(&deadline, &self.topic, 0, &[], &command.encode_to_vec(), rdkafka::message::OwnedHeaders::new()).await?;
        }
        self.client.delete_before(&self.client.deadline(&self.context()), &self.topic, &[(0, before)]).await
    }

    /// The time by which due deliveries are found. The time of the command decides.
    pub fn now() -> Millis {
        time::now()
    }
}
