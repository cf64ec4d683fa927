//! `queue_dead_letter`

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Queues,
    due::{self, UnreadyMessage},
    rows,
    state::READY,
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::{
    check,
    queue::{dead_letter_not_configured, delivery_attempts},
};

/// Messages that one write moves. The number is limited so that other writes don't wait long.
const MESSAGES_PER_WRITE: u64 = 500;

fn configure(tx: &Tx<'_>, keyspace: i64, request: &ConfigureDeadLetterRequest, max_attempts: u32) -> DatabaseResult<()> {
    // Leases that have expired before end with the former configuration.
    due::process_due(tx)?;
    let queue = rows::open(tx, keyspace, &request.queue)?;
    let dead_letter = if request.dead_letter_queue.is_empty() { None } else { Some(rows::open(tx, keyspace, &request.dead_letter_queue)?) };
    let mut update = tx.connection.prepare_cached("UPDATE queues SET dead_letter = ?2, max_attempts = ?3 WHERE id = ?1")?;
    update.execute((queue, dead_letter, max_attempts))?;
    Ok(())
}

fn get(connection: &Connection, keyspace: i64, queue: &str) -> DatabaseResult<GetDeadLetterQueueResponse> {
    let snapshot = connection.unchecked_transaction()?;
    let mut select = snapshot.prepare_cached(
        "SELECT dead.name, source.max_attempts FROM queues AS source JOIN queues AS dead ON dead.id = source.dead_letter
         WHERE source.keyspace = ?1 AND source.name = ?2",
    )?;
    let config = select
        .query_row((keyspace, queue), |row| Ok(DeadLetterConfig { dead_letter_queue: row.get(0)?, max_delivery_attempts: row.get(1)? }));
    let Some(config) = config.optional()? else { return Ok(GetDeadLetterQueueResponse::default()) };
    let [depth, _, _] = rows::count(&snapshot, keyspace, &config.dead_letter_queue)?;
    Ok(GetDeadLetterQueueResponse { config: Some(config), depth })
}

/// The ids of a queue and its dead-letter queue.
#[derive(Clone, Copy)]
struct QueuePair {
    queue: i64,
    dead_letter: i64,
}

/// The ids of a queue and its dead-letter queue. Fails if it has none.
fn queue_pair(connection: &Connection, keyspace: i64, queue: &str) -> DatabaseResult<QueuePair> {
    let mut select = connection.prepare_cached("SELECT id, dead_letter FROM queues WHERE keyspace = ?1 AND name = ?2")?;
    let row = select.query_row((keyspace, queue), |row| Ok((row.get(0)?, row.get(1)?)));
    match row.optional()? {
        Some((queue, Some(dead_letter))) => Ok(QueuePair { queue, dead_letter }),
        _ => Err(dead_letter_not_configured(queue).into()),
    }
}

/// Number of messages in the dead-letter queue that failed in the queue.
fn count_failed(connection: &Connection, QueuePair { queue, dead_letter }: QueuePair) -> DatabaseResult<u64> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM messages WHERE queue = ?1 AND source = ?2 AND state = ?3")?;
    let count: i64 = select.query_row((dead_letter, queue, READY), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Moves at most `most` messages back to the queue, and returns how many.
fn redrive(tx: &Tx<'_>, keyspace: i64, QueuePair { queue, dead_letter }: QueuePair, most: u64) -> DatabaseResult<u64> {
    let mut select =
        tx.connection.prepare_cached("SELECT id FROM messages WHERE queue = ?1 AND source = ?2 AND state = ?3 ORDER BY id LIMIT ?4")?;
    let ids = select.query_map((dead_letter, queue, READY, i64::try_from(most).unwrap_or(i64::MAX)), |row| row.get(0))?;
    let mut moved = 0;
    for id in ids.collect::<Result<Vec<i64>, _>>()? {
        UnreadyMessage { keyspace, id, queue: dead_letter, attempts: 0 }.move_to(tx, queue, None)?;
        moved += 1;
    }
    Ok(moved)
}

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(&self, _: &Context, request: ConfigureDeadLetterRequest) -> Result<ConfigureDeadLetterResponse, Error> {
        let max_attempts = delivery_attempts(&request)?;
        self.keyspace.write(move |tx, keyspace| configure(tx, keyspace, &request, max_attempts)).await?;
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(&self, _: &Context, request: GetDeadLetterQueueRequest) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        self.process_due().await?;
        self.keyspace.read(move |connection, keyspace| get(connection, keyspace, &request.queue)).await
    }

    async fn redrive(&self, _: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        check::name("queue", &request.queue)?;
        self.process_due().await?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let pair = queue_pair(&snapshot, keyspace, &request.queue)?;
            Ok((pair, count_failed(&snapshot, pair)?))
        });
        let (pair, failed) = read.await?;
        let most = if request.limit == 0 { failed } else { failed.min(request.limit.into()) };
        let mut moved = 0;
        while moved < most {
            let chunk = MESSAGES_PER_WRITE.min(most - moved);
            match self.keyspace.write(move |tx, keyspace| redrive(tx, keyspace, pair, chunk)).await? {
                // Other calls have taken the rest.
                0 => break,
                some => moved += some,
            }
        }
        Ok(RedriveResponse { moved })
    }
}
