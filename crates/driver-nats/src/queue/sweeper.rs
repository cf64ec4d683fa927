//! Moves messages to their dead-letter queues when a lease has expired and nobody uses the queue.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{Queues, state::QueueState};
use crate::names::parse_token;
use prism_call::{Context, Error};
use prism_driver::{Keyspace, lock::lock};

/// How often the queues are swept that this gateway has seen.
const INTERVAL: Duration = Duration::from_secs(1);
/// Every so many sweeps, all queues of the keyspaces are listed, because another gateway may have used them.
const LIST_EVERY: u32 = 60;
/// Most queues of a keyspace that are listed.
const MAX_LISTED: usize = 100_000;

/// The keyspaces that this gateway uses.
#[derive(Default)]
pub struct DeadLetterSweeper(Mutex<HashMap<Keyspace, Arc<Queues>>>);

impl DeadLetterSweeper {
    pub fn add(&self, keyspace: &Keyspace, queues: &Arc<Queues>) {
        lock(&self.0).insert(keyspace.clone(), queues.clone());
    }

    /// Runs until its task is aborted.
    pub async fn run(&self) {
        for round in 0_u32.. {
            tokio::time::sleep(INTERVAL.mul_f64(rand::random_range(0.5..=1.0))).await;
            let all: Vec<_> = lock(&self.0).iter().map(|(keyspace, queues)| (keyspace.clone(), queues.clone())).collect();
            for (keyspace, queues) in all {
                let context = Context::internal(keyspace.namespace);
                if let Err(error) = queues.sweep(&context, round.is_multiple_of(LIST_EVERY)).await {
                    tracing::debug!(%error, "failed messages could not be moved; the next sweep tries again");
                    break;
                }
            }
        }
    }
}

impl Queues {
    async fn sweep(&self, context: &Context, list: bool) -> Result<(), Error> {
        if list {
            for tokens in self.documents.list(&self.client.deadline(context), "queue.*", MAX_LISTED).await? {
                let Some(queue) = tokens.strip_prefix("queue.").and_then(parse_token) else { continue };
                if let Some((state, _)) = self.documents.load::<QueueState>(&self.client.deadline(context), &tokens).await? {
                    self.watch(&queue, &state);
                }
            }
        }
        let watched: Vec<String> = lock(&self.watched).iter().cloned().collect();
        for queue in watched {
            self.settled(&self.client.deadline(context), &queue).await?;
        }
        Ok(())
    }
}
