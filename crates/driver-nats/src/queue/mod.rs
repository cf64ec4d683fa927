//! Queue: a JetStream stream with the messages of each queue, and a document with its leases and the position of the first message that was
//! never taken.
//!
//! A message is deleted from the stream before its lease is removed from the document, and it is added to another queue before it is
//! deleted. So a gateway that dies in between loses no message: what is left is a lease that expires.

mod basic;
mod dead_letter;
mod delayed;
mod lease;
mod message;
mod state;
mod sweeper;
mod take;
mod visibility;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use serde_json::json;

pub use sweeper::DeadLetterSweeper;

use self::state::QueueState;
use crate::{
    client::{Client, Deadline},
    documents::Documents,
    log::Log,
    names::{Names, token},
    signals::Signals,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{Limits, time};

/// The queue interfaces over one keyspace.
#[derive(Clone)]
pub struct Queues {
    client: Arc<Client>,
    names: Names,
    documents: Arc<Documents>,
    signals: Arc<Signals>,
    limits: Limits,
    /// Queues with a dead-letter queue that this gateway has seen.
    watched: Arc<Mutex<BTreeSet<String>>>,
}

/// Adds the queue interfaces to those of a keyspace.
pub fn add(queues: &Arc<Queues>, interfaces: &mut Interfaces) {
    interfaces.queue_basic = Some(queues.clone());
    interfaces.queue_visibility = Some(queues.clone());
    interfaces.queue_dead_letter = Some(queues.clone());
    interfaces.queue_delayed = Some(queues.clone());
}

/// How many messages a queue has.
#[derive(Clone, Copy, Debug, Default)]
struct Depth {
    ready: u64,
    leased: u64,
    scheduled: u64,
}

impl Queues {
    pub fn new(client: Arc<Client>, names: Names, documents: Arc<Documents>, signals: Arc<Signals>, limits: Limits) -> Self {
        Self { client, names, documents, signals, limits, watched: Arc::default() }
    }

    fn log(&self, queue: &str) -> Log {
        let messages = self.names.subject("queue", &format!("{}.m", token(queue)));
        Log::new(self.client.clone(), self.names.named_stream("queue", queue), messages.clone(), &self.wake_subject(queue))
            .with("subjects", json!([messages, self.schedule_subject(queue, "*")]))
            .with("allow_msg_schedules", true)
    }

    /// The subject of a message that waits for its time.
    fn schedule_subject(&self, queue: &str, id: &str) -> String {
        self.names.subject("queue", &format!("{}.s.{id}", token(queue)))
    }

    /// The subject of new messages.
    fn wake_subject(&self, queue: &str) -> String {
        self.names.subject("wake", &format!("queue.{}", token(queue)))
    }

    /// Reads the state of a queue, and moves messages that have failed often enough.
    async fn settled(&self, deadline: &Deadline, queue: &str) -> Result<QueueState, Error> {
        let tokens = document_tokens(queue);
        loop {
            let (state, _) = self.documents.load::<QueueState>(deadline, &tokens).await?.unwrap_or_default();
            if state.failed(time::now(), 1).is_empty() {
                return Ok(state);
            }
            self.take(deadline, queue, 0, std::time::Duration::ZERO).await?;
        }
    }

    async fn depth(&self, deadline: &Deadline, queue: &str) -> Result<Depth, Error> {
        let state = self.settled(deadline, queue).await?;
        let Some((info, messages)) = self.log(queue).info_with_count(deadline).await? else { return Ok(Depth::default()) };
        let (leased, delayed) = state.waiting(time::now());
        // The other messages of the stream wait for the time of their schedule.
        let scheduled = delayed + info.state.messages.saturating_sub(messages);
        Ok(Depth { ready: messages.saturating_sub(leased + delayed), leased, scheduled })
    }
}

/// The tokens of the document of a queue.
fn document_tokens(queue: &str) -> String {
    format!("queue.{}", token(queue))
}
