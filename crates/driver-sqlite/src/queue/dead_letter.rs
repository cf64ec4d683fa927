//! `queue_dead_letter`.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Queues,
    rows::{self, READY},
    settle::{self, Held},
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Code, Context, Error,
    proto::models::queue::v1::{
        ConfigureDeadLetterRequest, ConfigureDeadLetterResponse, DeadLetterConfig, GetDeadLetterQueueRequest, GetDeadLetterQueueResponse,
        QueueDeadLetter, RedriveRequest, RedriveResponse,
    },
};
use prism_driver::check;

/// After how many deliveries a message has failed, unless it is said.
const DEFAULT_ATTEMPTS: u32 = 5;
const MAX_ATTEMPTS: u32 = 1000;
/// Messages that move in one write, so that no other write waits long.
const CHUNK: u64 = 500;

fn configure(tx: &Tx<'_>, space: i64, request: &ConfigureDeadLetterRequest) -> DatabaseResult<()> {
    // What is due by now ends under what was set when it was due.
    settle::due(tx)?;
    let queue = rows::open(tx, space, &request.queue)?;
    let dead_letter = if request.dead_letter_queue.is_empty() { None } else { Some(rows::open(tx, space, &request.dead_letter_queue)?) };
    let attempts = if request.max_delivery_attempts == 0 { DEFAULT_ATTEMPTS } else { request.max_delivery_attempts };
    let mut update = tx.connection.prepare_cached("UPDATE queues SET dead_letter = ?2, max_attempts = ?3 WHERE id = ?1")?;
    update.execute((queue, dead_letter, attempts))?;
    Ok(())
}

fn get(connection: &Connection, space: i64, queue: &str) -> DatabaseResult<GetDeadLetterQueueResponse> {
    let snapshot = connection.unchecked_transaction()?;
    let mut select = snapshot.prepare_cached(
        "SELECT dead.name, source.max_attempts FROM queues AS source JOIN queues AS dead ON dead.id = source.dead_letter
         WHERE source.keyspace = ?1 AND source.name = ?2",
    )?;
    let config =
        select.query_row((space, queue), |row| Ok(DeadLetterConfig { dead_letter_queue: row.get(0)?, max_delivery_attempts: row.get(1)? }));
    let Some(config) = config.optional()? else { return Ok(GetDeadLetterQueueResponse::default()) };
    let [depth, _, _] = rows::count(&snapshot, space, &config.dead_letter_queue)?;
    Ok(GetDeadLetterQueueResponse { config: Some(config), depth })
}

/// A queue and its dead-letter queue.
#[derive(Clone, Copy)]
struct Pair {
    queue: i64,
    dead_letter: i64,
}

fn pair(connection: &Connection, space: i64, queue: &str) -> DatabaseResult<Pair> {
    let mut select = connection.prepare_cached("SELECT id, dead_letter FROM queues WHERE keyspace = ?1 AND name = ?2")?;
    let row = select.query_row((space, queue), |row| Ok((row.get(0)?, row.get(1)?)));
    match row.optional()? {
        Some((queue, Some(dead_letter))) => Ok(Pair { queue, dead_letter }),
        _ => Err(Error::new(
            Code::FailedPrecondition,
            "DEAD_LETTER_NOT_CONFIGURED",
            format!("the queue {queue:?} has no dead-letter queue; set one with ConfigureDeadLetter"),
        )
        .into()),
    }
}

fn waiting(connection: &Connection, Pair { queue, dead_letter }: Pair) -> DatabaseResult<u64> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM messages WHERE queue = ?1 AND source = ?2 AND state = ?3")?;
    let count: i64 = select.query_row((dead_letter, queue, READY), |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn redrive(tx: &Tx<'_>, space: i64, Pair { queue, dead_letter }: Pair, most: u64) -> DatabaseResult<u64> {
    let mut select =
        tx.connection.prepare_cached("SELECT id FROM messages WHERE queue = ?1 AND source = ?2 AND state = ?3 ORDER BY id LIMIT ?4")?;
    let ids = select.query_map((dead_letter, queue, READY, i64::try_from(most).unwrap_or(i64::MAX)), |row| row.get(0))?;
    let mut moved = 0;
    for id in ids.collect::<Result<Vec<i64>, _>>()? {
        Held { keyspace: space, id, queue: dead_letter, attempts: 0 }.move_to(tx, queue, None)?;
        moved += 1;
    }
    Ok(moved)
}

#[async_trait]
impl QueueDeadLetter for Queues {
    async fn configure_dead_letter(&self, _: &Context, request: ConfigureDeadLetterRequest) -> Result<ConfigureDeadLetterResponse, Error> {
        check::name("queue", &request.queue)?;
        check::optional_name("dead_letter_queue", &request.dead_letter_queue)?;
        if request.queue == request.dead_letter_queue {
            return Err(Error::invalid("dead_letter_queue", "must be another queue than the one whose messages fail"));
        }
        if request.max_delivery_attempts > MAX_ATTEMPTS {
            return Err(Error::invalid("max_delivery_attempts", format!("must be at most {MAX_ATTEMPTS}")));
        }
        self.space.write(move |tx, space| configure(tx, space, &request)).await?;
        Ok(ConfigureDeadLetterResponse {})
    }

    async fn get_dead_letter_queue(&self, _: &Context, request: GetDeadLetterQueueRequest) -> Result<GetDeadLetterQueueResponse, Error> {
        check::name("queue", &request.queue)?;
        self.settle().await?;
        self.space.read(move |connection, space| get(connection, space, &request.queue)).await
    }

    async fn redrive(&self, _: &Context, request: RedriveRequest) -> Result<RedriveResponse, Error> {
        check::name("queue", &request.queue)?;
        self.settle().await?;
        let read = self.space.read(move |connection, space| {
            let snapshot = connection.unchecked_transaction()?;
            let pair = pair(&snapshot, space, &request.queue)?;
            Ok((pair, waiting(&snapshot, pair)?))
        });
        let (pair, waiting) = read.await?;
        let most = if request.limit == 0 { waiting } else { waiting.min(request.limit.into()) };
        let mut moved = 0;
        while moved < most {
            let chunk = CHUNK.min(most - moved);
            match self.space.write(move |tx, space| redrive(tx, space, pair, chunk)).await? {
                // Others have taken the rest.
                0 => break,
                some => moved += some,
            }
        }
        Ok(RedriveResponse { moved })
    }
}
