//! `stream_retention`.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension as _};

use super::{
    Streams,
    log::{self, OVERHEAD},
    signed, unsigned,
};
use crate::{error::DatabaseResult, space::Database, writer::Tx};
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, RetentionPolicy, SetRetentionRequest,
        SetRetentionResponse, StreamRetention,
    },
};
use prism_driver::{check, time};

/// Records that go in one write, so that no other write waits long.
const CHUNK: usize = 500;
/// Replaced records that compaction looks for at once, so that memory has a bound.
const REPLACED: i64 = 50_000;

/// Limits as the row has them.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_field_names, reason = "the words of the contract")]
struct Policy {
    max_age: Option<i64>,
    max_records: Option<i64>,
    max_bytes: Option<i64>,
}

impl Policy {
    fn read(policy: Option<RetentionPolicy>) -> Result<Self, Error> {
        let policy = policy.unwrap_or_default();
        let positive = |field: &str, limit: Option<u64>| match limit {
            Some(0) => Err(Error::invalid(field, "must be greater than zero; leave it out for no limit")),
            limit => Ok(limit.map(signed)),
        };
        let age = policy.max_age.map(|age| time::positive("policy.max_age", &age)).transpose()?;
        Ok(Self {
            max_age: age.map(|age| i64::try_from(age.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)),
            max_records: positive("policy.max_records", policy.max_records)?,
            max_bytes: positive("policy.max_bytes", policy.max_bytes)?,
        })
    }

    fn tell(self) -> RetentionPolicy {
        RetentionPolicy {
            max_age: self.max_age.map(time::duration),
            max_records: self.max_records.map(unsigned),
            max_bytes: self.max_bytes.map(unsigned),
        }
    }
}

/// What a stream holds and may hold.
struct State {
    policy: Policy,
    records: i64,
    bytes: i64,
}

fn state(connection: &Connection, stream: i64) -> DatabaseResult<State> {
    let mut select = connection.prepare_cached("SELECT max_age, max_records, max_bytes, records, bytes FROM streams WHERE id = ?1")?;
    Ok(select.query_row([stream], |row| {
        let policy = Policy { max_age: row.get(0)?, max_records: row.get(1)?, max_bytes: row.get(2)? };
        Ok(State { policy, records: row.get(3)?, bytes: row.get(4)? })
    })?)
}

/// Removes the oldest records as long as a limit is exceeded, up to [`CHUNK`] of them, and tells how many went.
fn apply(tx: &Tx<'_>, stream: i64) -> DatabaseResult<usize> {
    let State { policy, mut records, mut bytes } = state(tx.connection, stream)?;
    let oldest_time = policy.max_age.map_or(i64::MIN, |age| time::now().saturating_sub(age));
    let (max_records, max_bytes) = (policy.max_records.unwrap_or(i64::MAX), policy.max_bytes.unwrap_or(i64::MAX));
    let mut select = tx.connection.prepare_cached(
        "SELECT offset, time, length(key) + length(attributes) + length(payload) FROM records WHERE stream = ?1 ORDER BY offset",
    )?;
    let mut rows = select.query([stream])?;
    let (mut removed, mut last) = (0, None);
    while removed < CHUNK
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

/// Offsets of records that a later one with the same key replaces.
fn replaced(connection: &Connection, stream: i64) -> DatabaseResult<Vec<i64>> {
    let mut select = connection.prepare_cached(
        "SELECT old.offset FROM records AS old JOIN
           (SELECT key, max(offset) AS offset FROM records WHERE stream = ?1 AND key <> x'' GROUP BY key HAVING count(*) > 1) AS newest
         ON old.key = newest.key AND old.offset < newest.offset WHERE old.stream = ?1 LIMIT ?2",
    )?;
    let offsets = select.query_map((stream, REPLACED), |row| row.get(0))?;
    Ok(offsets.collect::<Result<_, _>>()?)
}

/// Removes single records and tells how many were there.
fn remove(tx: &Tx<'_>, stream: i64, offsets: &[i64]) -> DatabaseResult<u64> {
    let (mut removed, mut bytes) = (0, 0);
    let mut delete = tx.connection.prepare_cached(
        "DELETE FROM records WHERE stream = ?1 AND offset = ?2 RETURNING length(key) + length(attributes) + length(payload)",
    )?;
    let mut forget = tx.connection.prepare_cached(
        "DELETE FROM deliveries WHERE offset = ?2 AND consumer_group IN (SELECT id FROM consumer_groups WHERE stream = ?1)",
    )?;
    for offset in offsets {
        if let Some(size) = delete.query_row((stream, offset), |row| row.get::<_, i64>(0)).optional()? {
            forget.execute((stream, offset))?;
            removed += 1;
            bytes += OVERHEAD + size;
        }
    }
    tx.connection
        .prepare_cached("UPDATE streams SET records = records - ?2, bytes = bytes - ?3 WHERE id = ?1")?
        .execute((stream, removed, bytes))?;
    Ok(unsigned(removed))
}

/// Applies the policies of all streams.
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
        while database.writer.write(move |tx| apply(tx, stream)).await? == CHUNK {}
    }
    Ok(())
}

impl Streams {
    async fn compact_by_key(&self, stream: i64) -> Result<u64, Error> {
        let mut removed = 0;
        loop {
            // What is replaced stays so, whatever is appended meanwhile: a reader may find it, and it may go later.
            let offsets = self.space.read(move |connection, _| replaced(connection, stream)).await?;
            if offsets.is_empty() {
                return Ok(removed);
            }
            for chunk in offsets.chunks(CHUNK) {
                let chunk = chunk.to_vec();
                removed += self.space.write(move |tx, _| remove(tx, stream, &chunk)).await?;
            }
        }
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let policy = Policy::read(request.policy)?;
        let write =
            self.space.write(move |tx, space| {
                let head = log::open(tx, space, &request.stream)?;
                tx.connection
                    .prepare_cached("UPDATE streams SET max_age = ?2, max_records = ?3, max_bytes = ?4 WHERE id = ?1")?
                    .execute((head.id, policy.max_age, policy.max_records, policy.max_bytes))?;
                Ok(())
            });
        write.await?;
        Ok(SetRetentionResponse { policy: Some(policy.tell()) })
    }

    async fn get_retention(&self, _: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let read = self.space.quick(move |connection, space| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(head) = log::find(&snapshot, space, &request.stream)? else {
                return Ok((State { policy: Policy::default(), records: 0, bytes: 0 }, None));
            };
            Ok((state(&snapshot, head.id)?, log::first_from(&snapshot, head.id, 0)?))
        });
        let (State { policy, records, bytes }, first) = read.await?;
        Ok(GetRetentionResponse {
            policy: Some(policy.tell()),
            first_offset: first.map(unsigned),
            records: Some(unsigned(records)),
            bytes: Some(unsigned(bytes)),
        })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        let head = self.space.quick(move |connection, space| log::find(connection, space, &request.stream)).await?;
        let Some(stream) = head.map(|head| head.id) else { return Ok(CompactResponse { removed: Some(0), first_offset: None }) };
        let mut removed = 0;
        loop {
            let chunk = self.space.write(move |tx, _| apply(tx, stream)).await?;
            removed += chunk as u64;
            if chunk < CHUNK {
                break;
            }
        }
        if request.by_key {
            removed += self.compact_by_key(stream).await?;
        }
        let first = self.space.quick(move |connection, _| log::first_from(connection, stream, 0)).await?;
        Ok(CompactResponse { removed: Some(removed), first_offset: first.map(unsigned) })
    }
}
