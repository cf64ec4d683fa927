//! `stream_retention`

use async_trait::async_trait;
use tokio_postgres::types::Type;

use super::{Streams, log::Log, signed};
use crate::{
    columns::unsigned,
    database::{Database, Parameters},
    error,
    sql::Sql,
};
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{check, stream::RetentionLimits};

/// Records that one transaction removes. The number is limited so that appends don't wait long.
const RECORDS_PER_TRANSACTION: usize = 500;
/// A transaction removes no more records after those with which it has this many bytes. [`APPLY`] has the number in SQL.
const BYTES_PER_TRANSACTION: i64 = 64 << 20;
/// Most records that one execution of [`REPLACED`] finds.
const REPLACED_PER_STATEMENT: usize = 50_000;

static SET: Sql = Sql {
    text: "INSERT INTO {schema}.streams (keyspace, kind, name, max_age, max_records, max_bytes) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (keyspace, kind, name)
           DO UPDATE SET max_age = EXCLUDED.max_age, max_records = EXCLUDED.max_records, max_bytes = EXCLUDED.max_bytes",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::INT8, Type::INT8, Type::INT8],
};

static GET: Sql = Sql {
    text: "SELECT max_age, max_records, max_bytes, records, bytes, (SELECT min(position) FROM {schema}.records WHERE stream = id)
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3",
    types: &[Type::INT8, Type::INT2, Type::TEXT],
};

/// The streams that exceed a limit.
static DUE: Sql = Sql {
    text: "SELECT id FROM {schema}.streams
           WHERE (max_age IS NOT NULL OR max_records IS NOT NULL OR max_bytes IS NOT NULL)
               AND (records > max_records OR bytes > max_bytes
                    OR (SELECT time FROM {schema}.records WHERE stream = streams.id ORDER BY position LIMIT 1)
                       < statement_timestamp() - max_age * interval '1 millisecond')",
    types: &[],
};

static LOCK: Sql = Sql { text: "SELECT 1 FROM {schema}.streams WHERE id = $1 FOR UPDATE", types: &[Type::INT8] };

/// Removes the oldest records until no limit is exceeded, but not more than one transaction should: a number of records, and 64 MiB or one larger
/// record. Returns how many, and whether there may be more.
static APPLY: Sql = Sql {
    text: "WITH oldest AS (
               SELECT position, time, 32 + octet_length(key) + octet_length(attributes) + octet_length(payload) AS size
               FROM {schema}.records WHERE stream = $1 ORDER BY position LIMIT $2),
           numbered AS (
               SELECT position, time, size, row_number() OVER places - 1 AS older, sum(size) OVER places - size AS older_bytes
               FROM oldest WINDOW places AS (ORDER BY position)),
           removable AS MATERIALIZED (
               SELECT numbered.position, numbered.size FROM numbered JOIN {schema}.streams AS log ON log.id = $1
               WHERE numbered.older_bytes < 67108864 AND (
                   numbered.time < statement_timestamp() - log.max_age * interval '1 millisecond'
                   OR log.records - numbered.older > log.max_records OR log.bytes - numbered.older_bytes > log.max_bytes)),
           total AS MATERIALIZED (SELECT count(*) AS records, sum(size) AS bytes, max(position) AS last FROM removable),
           removed AS (DELETE FROM {schema}.records AS record USING removable WHERE record.stream = $1 AND record.position = removable.position),
           updated AS (
               UPDATE {schema}.streams AS log SET records = log.records - total.records, bytes = log.bytes - total.bytes,
                   expired_to = greatest(log.expired_to, total.last + 1)
               FROM total WHERE log.id = $1 AND total.records > 0)
           SELECT records, records >= $2 OR coalesce(bytes, 0) >= 67108864 FROM total",
    types: &[Type::INT8, Type::INT8],
};

/// Offsets and sizes of records that have a later record with the same key.
static REPLACED: Sql = Sql {
    text: "SELECT old.position, 32 + octet_length(old.key) + octet_length(old.attributes) + octet_length(old.payload)
           FROM {schema}.records AS old JOIN (
               SELECT key, max(position) AS position FROM {schema}.records WHERE stream = $1 AND key <> '' GROUP BY key HAVING count(*) > 1) AS newest
           ON old.key = newest.key AND old.position < newest.position WHERE old.stream = $1 LIMIT 50000",
    types: &[Type::INT8],
};

/// Removes records by their offsets, and returns how many existed.
static REMOVE: Sql = Sql {
    text: "WITH removed AS (
               DELETE FROM {schema}.records WHERE stream = $1 AND position = ANY ($2)
               RETURNING 32 + octet_length(key) + octet_length(attributes) + octet_length(payload) AS size),
           total AS MATERIALIZED (SELECT count(*) AS records, coalesce(sum(size), 0) AS bytes FROM removed),
           updated AS (
               UPDATE {schema}.streams AS log SET records = log.records - total.records, bytes = log.bytes - total.bytes FROM total WHERE log.id = $1)
           SELECT records FROM total",
    types: &[Type::INT8, Type::INT8_ARRAY],
};

/// Removes the oldest records of a stream in one transaction. Returns how many, and whether there may be more.
async fn apply(database: &Database, context: &Context, stream: i64) -> Result<(u64, bool), Error> {
    let most = i64::try_from(RECORDS_PER_TRANSACTION).unwrap_or(i64::MAX);
    let mut session = database.session(context).await?;
    let [_, rows] = session.begin(None, [(&LOCK, &[&stream]), (&APPLY, &[&stream, &most])]).await?;
    session.commit([]).await?;
    rows.first().map(|row| (unsigned(row.get(0)), row.get(1))).ok_or_else(error::unexpected_reply)
}

/// Removes all records that a stream has too many, and returns how many.
async fn apply_all(database: &Database, context: &Context, stream: i64) -> Result<u64, Error> {
    let mut removed = 0;
    loop {
        let (count, may_have_more) = apply(database, context, stream).await?;
        removed += count;
        if !may_have_more {
            return Ok(removed);
        }
    }
}

/// Removes records that have a later record with the same key, and returns how many.
async fn compact_by_key(database: &Database, context: &Context, stream: i64) -> Result<u64, Error> {
    let mut removed = 0;
    loop {
        // A record that has a later one keeps it whatever is appended, so finding and removing need no common transaction.
        let rows = database.query(context, &REPLACED, &[&stream]).await?;
        let replaced: Vec<(i64, i64)> = rows.iter().map(|row| (row.get(0), i64::from(row.get::<_, i32>(1)))).collect();
        let mut rest = &replaced[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(records_of_transaction(rest));
            rest = later;
            let positions: Vec<i64> = now.iter().map(|(position, _)| *position).collect();
            let mut session = database.session(context).await?;
            let [_, rows] = session.begin(None, [(&LOCK, &[&stream]), (&REMOVE, &[&stream, &positions])]).await?;
            session.commit([]).await?;
            removed += rows.first().map_or(0, |row| unsigned(row.get(0)));
        }
        if replaced.len() < REPLACED_PER_STATEMENT {
            return Ok(removed);
        }
    }
}

/// How many of these records, with their sizes in bytes, one transaction removes: at least one, if there are any.
fn records_of_transaction(records: &[(i64, i64)]) -> usize {
    let mut bytes = 0_i64;
    let first = records.iter().take(RECORDS_PER_TRANSACTION).take_while(|(_, size)| {
        let has_room = bytes < BYTES_PER_TRANSACTION;
        bytes += size;
        has_room
    });
    first.count()
}

/// Applies retention to all streams, even if it fails for some of them. Returns the first error.
pub async fn sweep(database: &Database, context: &Context) -> Result<(), Error> {
    let mut result = Ok(());
    for row in database.query(context, &DUE, &[]).await? {
        let applied = apply_all(database, context, row.get(0)).await;
        result = result.and(applied.map(drop));
    }
    result
}

impl Streams {
    async fn named(&self, context: &Context, stream: String) -> Result<Log, Error> {
        check::name("stream", &stream)?;
        self.log(context, stream).await
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let limits = RetentionLimits::parse(request.policy)?;
        let log = self.named(context, request.stream).await?;
        let (records, bytes) = (limits.max_records.map(signed), limits.max_bytes.map(signed));
        let parameters: Parameters<'_> = &[&log.keyspace, &(log.kind as i16), &log.name, &limits.max_age, &records, &bytes];
        self.keyspace.database.query(context, &SET, parameters).await?;
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, context: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        let log = self.named(context, request.stream).await?;
        let row = self.keyspace.database.query_optional(context, &GET, &[&log.keyspace, &(log.kind as i16), &log.name]).await?;
        let number = |column| row.as_ref().and_then(|row| row.get::<_, Option<i64>>(column));
        let limits = RetentionLimits { max_age: number(0), max_records: number(1).map(unsigned), max_bytes: number(2).map(unsigned) };
        Ok(GetRetentionResponse {
            policy: Some(limits.into()),
            first_offset: number(5).map(unsigned),
            records: Some(unsigned(number(3).unwrap_or(0))),
            bytes: Some(unsigned(number(4).unwrap_or(0))),
        })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        let log = self.named(context, request.stream).await?;
        let Some(state) = log.find(&self.keyspace, context).await? else {
            return Ok(CompactResponse { removed: Some(0), first_offset: None });
        };
        let database = &self.keyspace.database;
        let mut removed = apply_all(database, context, state.id).await?;
        if request.by_key {
            removed += compact_by_key(database, context, state.id).await?;
        }
        let first = log.find(&self.keyspace, context).await?.and_then(|state| state.first);
        Ok(CompactResponse { removed: Some(removed), first_offset: first.map(unsigned) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_removes_few_records_or_one_large_record() {
        assert_eq!(records_of_transaction(&[]), 0);
        assert_eq!(records_of_transaction(&[(1, 40); RECORDS_PER_TRANSACTION + 1]), RECORDS_PER_TRANSACTION);
        let large = BYTES_PER_TRANSACTION;
        assert_eq!(records_of_transaction(&[(1, large), (2, 1)]), 1);
        assert_eq!(records_of_transaction(&[(1, large - 1), (2, large), (3, 1)]), 2);
    }
}
