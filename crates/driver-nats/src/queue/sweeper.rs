//! Moves messages to their dead-letter queues when a lease has expired and nobody uses the queue.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use super::{Queues, state::QueueState};
use crate::names::parse_token;
use prism_call::{Code, Context, Error};
use prism_driver::lock::lock;

/// How often the queues are swept that this gateway has seen.
const INTERVAL: Duration = Duration::from_secs(1);
/// Every so many sweeps, all queues of the keyspaces are listed, because another gateway may have used them.
const LIST_EVERY: u32 = 60;
/// Most queues of a keyspace that are listed.
const MAX_LISTED: usize = 100_000;

/// The queues of the keyspaces that this gateway uses, each with the name of its namespace. Queues that nobody uses any more are left out.
#[derive(Default)]
pub struct DeadLetterSweeper(Mutex<Vec<(String, Weak<Queues>)>>);

impl DeadLetterSweeper {
    pub fn add(&self, namespace: &str, queues: &Arc<Queues>) {
        lock(&self.0).push((namespace.to_owned(), Arc::downgrade(queues)));
    }

    /// The queues that are still used. Forgets the others.
    fn in_use(&self) -> Vec<(String, Arc<Queues>)> {
        let mut keyspaces = lock(&self.0);
        keyspaces.retain(|(_, queues)| queues.strong_count() > 0);
        keyspaces.iter().filter_map(|(namespace, queues)| Some((namespace.clone(), queues.upgrade()?))).collect()
    }

    /// Runs until its task is aborted.
    pub async fn run(&self) {
        for round in 0_u32.. {
            tokio::time::sleep(INTERVAL.mul_f64(rand::random_range(0.5..=1.0))).await;
            for (namespace, queues) in self.in_use() {
                let swept = queues.sweep(&Context::internal(namespace), round.is_multiple_of(LIST_EVERY)).await;
                if unless_unavailable(swept).is_err() {
                    break;
                }
            }
        }
    }
}

/// Logs an error. Returns it only if it concerns all queues: if the server is not available.
fn unless_unavailable<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    result.map(Some).or_else(|error| {
        tracing::debug!(%error, "failed messages could not be moved; the next sweep tries again");
        if error.code() == Code::Unavailable { Err(error) } else { Ok(None) }
    })
}

impl Queues {
    async fn sweep(&self, context: &Context, list: bool) -> Result<(), Error> {
        if list {
            for tokens in self.documents.list(&self.client.deadline(context), "queue.*", MAX_LISTED).await? {
                let Some(queue) = tokens.strip_prefix("queue.").and_then(parse_token) else { continue };
                let loaded = self.documents.load::<QueueState>(&self.client.deadline(context), &tokens).await;
                if let Some(Some((state, _))) = unless_unavailable(loaded)? {
                    self.watch(&queue, &state);
                }
            }
        }
        let watched: Vec<String> = lock(&self.watched).iter().cloned().collect();
        for queue in watched {
            unless_unavailable(self.settled(&self.client.deadline(context), &queue).await)?;
        }
        Ok(())
    }
}
