//! Queue: one row for each message, with its state: ready, leased or scheduled.
//!
//! Nothing runs when a lease or a delay ends. Instead, each operation first processes the messages of its keyspace that are due, in the same
//! round trip: a scheduled message becomes ready, and a message whose lease has expired becomes ready or goes to the dead-letter queue.
//!
//! Consumers skip messages that others are taking now (`FOR UPDATE SKIP LOCKED`), so they never wait for each other.

/// A statement about the next messages of a queue that no other consumer is taking: parameters 1 to 3 are the keyspace, the queue and the
/// number of messages. `sized` has the bytes of all messages up to each one, and its number.
macro_rules! next_messages {
    ($statement:literal) => {
        concat!(
            "WITH next AS MATERIALIZED (
               SELECT id, priority, place, octet_length(payload) AS size FROM {schema}.messages
               WHERE queue = (SELECT id FROM {schema}.queues WHERE keyspace = $1 AND name = $2) AND state = 0
               ORDER BY priority DESC, place, id LIMIT $3 FOR UPDATE SKIP LOCKED),
           sized AS (
               SELECT id, sum(size) OVER places AS total, row_number() OVER places AS number FROM next
               WINDOW places AS (ORDER BY priority DESC, place, id ROWS UNBOUNDED PRECEDING))
            ",
            $statement
        )
    };
}

mod basic;
mod dead_letter;
mod delayed;
mod due;
mod lease;
mod priority;
mod rows;
mod visibility;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_postgres::Row;

use crate::{database::Parameters, keyspace::KeyspaceHandle, notifications::Topic, sql::Sql};
use prism_call::{Context, Error, proto::Interfaces};

/// The longest pause between two looks at a queue of a call that waits for a message. Nobody announces that a lease or a delay ends.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The queue interfaces over one keyspace.
pub struct Queues {
    keyspace: Arc<KeyspaceHandle>,
}

/// Adds the queue interfaces to those of a keyspace.
pub fn add(keyspace: &Arc<KeyspaceHandle>, interfaces: &mut Interfaces) {
    let queues = Arc::new(Queues { keyspace: keyspace.clone() });
    interfaces.queue_basic = Some(queues.clone());
    interfaces.queue_dead_letter = Some(queues.clone());
    interfaces.queue_delayed = Some(queues.clone());
    interfaces.queue_priority = Some(queues.clone());
    interfaces.queue_visibility = Some(queues);
}

/// What changes when a message of a queue is ready.
fn topic(queue: &str) -> Topic {
    Topic::new("queue", &[queue])
}

impl Queues {
    /// Executes a statement after messages that are due were processed. The first parameter of the statement is the id of the keyspace.
    async fn query(&self, context: &Context, id: i64, sql: &'static Sql, parameters: Parameters<'_>) -> Result<Vec<Row>, Error> {
        let [mut due, mut rows] = self.keyspace.database.query_two(context, (&due::PROCESS, &[&id]), (sql, parameters)).await?;
        while rows.is_empty() && due.len() >= due::MESSAGES_PER_STATEMENT {
            [due, rows] = self.keyspace.database.query_two(context, (&due::PROCESS, &[&id]), (sql, parameters)).await?;
        }
        Ok(rows)
    }

    /// Takes messages of a queue with a statement. If there are none, waits for the first one.
    async fn take(
        &self,
        context: &Context,
        queue: &str,
        wait: Duration,
        id: i64,
        sql: &'static Sql,
        parameters: Parameters<'_>,
    ) -> Result<Vec<Row>, Error> {
        let deadline = Instant::now() + wait;
        let mut waiter = (!wait.is_zero()).then(|| self.keyspace.notifications.wait(id, &[topic(queue)]));
        loop {
            // The transaction is only committed when the messages are here, so that a caller who leaves takes none.
            let mut session = self.keyspace.database.session(context).await?;
            let [rows] = session.begin(Some((&due::PROCESS, &[&id])), [(sql, parameters)]).await?;
            session.commit([]).await?;
            let remaining = deadline.saturating_duration_since(Instant::now());
            let Some(waiter) = waiter.as_mut().filter(|_| rows.is_empty() && !remaining.is_zero()) else { return Ok(rows) };
            waiter.changed(remaining.min(LONGEST_PAUSE)).await;
        }
    }
}
