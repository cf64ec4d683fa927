//! `stream_retention`

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Streams,
    log::{self, OVERHEAD},
    signed, unsigned,
};
use crate::{database::Database, error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{check, stream::RetentionLimits, time};

/// Records that one write removes. The number is limited so that other writes don't wait long.
const RECORDS_PER_WRITE: usize = 500;
/// Most offsets that one step of compaction keeps in memory.
const OFFSETS_PER_STEP: i64 = 50_000;

/// The size of a stream and its retention limits.
#[derive(Default)]
struct RetentionState {
    limits: RetentionLimits,
    records: i64,
    bytes: i64,
}

fn retention_state(connection: &Connection, stream: i64) -> DatabaseResult<RetentionState> {
    let mut select = connection.prepare_cached("SELECT max_age, max_records, max_bytes, records, bytes FROM streams WHERE id = ?1")?;
    Ok(select.query_row([stream], |row| {
        let number = |column| -> rusqlite::Result<Option<u64>> { Ok(row.get::<_, Option<i64>>(column)?.map(unsigned)) };
        let limits = RetentionLimits { max_age: row.get(0)?, max_records: number(1)?, max_bytes: number(2)? };
        Ok(RetentionState { limits, records: row.get(3)?, bytes: row.get(4)? })
    })?)
}

/// Removes the oldest records until no limit is exceeded, at most [`RECORDS_PER_WRITE`] of them, and returns how many.
fn apply(tx: &Tx<'_>, stream: i64) -> DatabaseResult<usize> {
    let RetentionState { limits, mut records, mut bytes } = retention_state(tx.connection, stream)?;
    let oldest_time = limits.max_age.map_or(i64::MIN, |age| time::now().saturating_sub(age));
    let (max_records, max_bytes) = (limits.max_records.map_or(i64::MAX, signed), limits.max_bytes.map_or(i64::MAX, signed));
    let mut select = tx.connection.prepare_cached(
        "SELECT offset, time, length(key) + length(attributes) + length(payload) FROM records WHERE stream = ?1 ORDER BY offset",
    )?;
    let mut rows = select.query([stream])?;
    let (mut removed, mut last) = (0, None);
    while removed < RECORDS_PER_WRITE
        && let Some(row) = rows.next()?
    {
        if row.get::<_, i64>(1)? >= oldest_time && records <= max_records && bytes <= max_bytes {
            break;
        }
        (records, bytes) = (records - 1, bytes - OVERHEAD - row.get::<_, i64>(2)?);
        (removed, last) = (removed + 1, Some(row.get::<_, i64>(0)?));
    }
    drop(rows);
    let Some(last) = last else { return Ok(0) };
    tx.connection.prepare_cached("DELETE FROM records WHERE stream = ?1 AND offset <= ?2")?.execute((stream, last))?;
    tx.connection
        .prepare_cached("UPDATE streams SET expired_to = max(expired_to, ?2 + 1), records = ?3, bytes = ?4 WHERE id = ?1")?
        .execute((stream, last, records, bytes))?;
    tx.connection
        .prepare_cached(
            "DELETE FROM deliveries WHERE offset <= ?2 AND consumer_group IN (SELECT id FROM consumer_groups WHERE stream = ?1)",
        )?
        .execute((stream, last))?;
    Ok(removed)
}

/// Offsets of records that have a later record with the same key.
fn replaced_offsets(connection: &Connection, stream: i64) -> DatabaseResult<Vec<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT old.offset FROM records AS old JOIN
           (SELECT key, max(offset) AS offset FROM records WHERE stream = ?1 AND key <> x'' GROUP BY key HAVING count(*) > 1) AS newest
         ON old.key = newest.key AND old.offset < newest.offset WHERE old.stream = ?1 LIMIT ?2",
    )?;
    let offsets = select.query_map((stream, OFFSETS_PER_STEP), |row| row.get(0))?;
    Ok(offsets.collect::<Result<_, _>>()?)
}

/// Removes records by their offsets, and returns how many existed.
fn remove(tx: &Tx<'_>, stream: i64, offsets: &[i64]) -> DatabaseResult<u64> {
    let (mut removed, mut bytes) = (0, 0);
    let mut delete = tx.connection.prepare_cached(
        "DELETE FROM records WHERE stream = ?1 AND offset = ?2 RETURNING length(key) + length(attributes) + length(payload)",
    )?;
    let mut delete_deliveries = tx.connection.prepare_cached(
        "DELETE FROM deliveries WHERE offset = ?2 AND consumer_group IN (SELECT id FROM consumer_groups WHERE stream = ?1)",
    )?;
    for offset in offsets {
        if let Some(size) = delete.query_row((stream, offset), |row| row.get::<_, i64>(0)).optional()? {
            delete_deliveries.execute((stream, offset))?;
            removed += 1;
            bytes += OVERHEAD + size;
        }
    }
    tx.connection
        .prepare_cached("UPDATE streams SET records = records - ?2, bytes = bytes - ?3 WHERE id = ?1")?
        .execute((stream, removed, bytes))?;
    Ok(unsigned(removed))
}

/// Applies retention to all streams.
pub async fn sweep(database: &Database) -> Result<(), Error> {
    let due = database.readers.read(|connection| {
        let mut select = connection.prepare_cached(
            "SELECT id FROM streams WHERE records > max_records OR bytes > max_bytes OR (max_age IS NOT NULL
               AND (SELECT time FROM records WHERE stream = streams.id ORDER BY offset LIMIT 1) < ?1 - max_age)",
        )?;
        let streams = select.query_map([time::now()], |row| row.get(0))?;
        Ok(streams.collect::<Result<Vec<i64>, _>>()?)
    });
    for stream in due.await? {
        while database.writer.write(move |tx| apply(tx, stream)).await? == RECORDS_PER_WRITE {}
    }
    Ok(())
}

impl Streams {
    /// Removes records that have a later record with the same key, and returns how many.
    async fn compact_by_key(&self, stream: i64) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            // A record that has a later one keeps it whatever is appended, so finding and removing need no common transaction.
            let offsets = self.keyspace.read(move |connection, _| replaced_offsets(connection, stream)).await?;
            if offsets.is_empty() {
                return Ok(removed);
            }
            for chunk in offsets.chunks(RECORDS_PER_WRITE) {
                let chunk = chunk.to_vec();
                removed += self.keyspace.write(move |tx, _| remove(tx, stream, &chunk)).await?;
            }
        }
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let limits = RetentionLimits::parse(request.policy)?;
        let write =
            self.keyspace.write(move |tx, keyspace| {
                let stream = log::open(tx, keyspace, &request.stream)?;
                tx.connection
                    .prepare_cached("UPDATE streams SET max_age = ?2, max_records = ?3, max_bytes = ?4 WHERE id = ?1")?
                    .execute((stream.id, limits.max_age, limits.max_records.map(signed), limits.max_bytes.map(signed)))?;
                Ok(())
            });
        write.await?;
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, _: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let read = self.keyspace.quick(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(stream) = log::find(&snapshot, keyspace, &request.stream)? else {
                return Ok((RetentionState::default(), None));
            };
            Ok((retention_state(&snapshot, stream.id)?, log::first_offset_from(&snapshot, stream.id, 0)?))
        });
        let (RetentionState { limits, records, bytes }, first) = read.await?;
        Ok(GetRetentionResponse {
            policy: Some(limits.into()),
            first_offset: first.map(unsigned),
            records: Some(unsigned(records)),
            bytes: Some(unsigned(bytes)),
        })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        let row = self.keyspace.quick(move |connection, keyspace| log::find(connection, keyspace, &request.stream)).await?;
        let Some(stream) = row.map(|row| row.id) else { return Ok(CompactResponse { removed: Some(0), first_offset: None }) };
        let mut removed = 0;
        loop {
            let count = self.keyspace.write(move |tx, _| apply(tx, stream)).await?;
            removed += count as u64;
            if count < RECORDS_PER_WRITE {
                break;
            }
        }
        if request.by_key {
            removed += self.compact_by_key(stream).await?;
        }
        let first = self.keyspace.quick(move |connection, _| log::first_offset_from(connection, stream, 0)).await?;
        Ok(CompactResponse { removed: Some(removed), first_offset: first.map(unsigned) })
    }
}
