//! Statements on the tables `streams` and `records`.

use bytes::Bytes;
use tokio_postgres::{Row, types::Type};

use super::PARTITION;
use crate::{
    columns::{read_bytes, read_time, unsigned},
    database::{Call, Parameters},
    keyspace::KeyspaceHandle,
    notifications::Topic,
    sql::Sql,
};
use prism_call::{Context, Error, proto::models::stream::v1::Record};
use prism_driver::{
    attributes, cursor,
    stream::{RetentionLimits, offset_expired, offset_mismatch},
    time::{self, Millis},
};

/// Bytes that each record counts for retention in addition to its key, attributes and payload. `retention.rs` has it in SQL.
const OVERHEAD: usize = 32;

/// What the records of a stream are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum LogKind {
    Stream = 0,
    /// The stored messages of a topic.
    Topic = 1,
}

/// The identity of a stream in the database.
#[derive(Clone, Debug)]
pub struct Log {
    pub keyspace: i64,
    pub kind: LogKind,
    pub name: String,
    /// The limits that it gets when it is created.
    pub retention: RetentionLimits,
}

/// Records of a page, read in one snapshot.
pub struct RecordPage {
    /// Retention has removed the records below this offset.
    pub expired_to: i64,
    pub records: Vec<Record>,
}

static OPEN: Sql = Sql {
    text: "INSERT INTO {schema}.streams (keyspace, kind, name, max_age, max_bytes) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::INT8, Type::INT8],
};

/// A page of records, up to 64 KiB or one larger record, in the same snapshot as `expired_to`. Always one row if the stream exists.
static PAGE: Sql = Sql {
    text: "SELECT log.expired_to, record.position, record.time, record.key, record.attributes, record.payload
           FROM {schema}.streams AS log LEFT JOIN LATERAL (
               SELECT * FROM (
                   SELECT *, sum(octet_length(key) + octet_length(payload)) OVER (ORDER BY position) - octet_length(key) - octet_length(payload) AS before
                   FROM (SELECT position, time, key, attributes, payload FROM {schema}.records
                         WHERE stream = log.id AND position >= $4 AND position < $5 ORDER BY position LIMIT $6) AS page) AS sized
               WHERE before < 65536) AS record ON true
           WHERE log.keyspace = $1 AND log.kind = $2 AND log.name = $3 ORDER BY record.position",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::INT8, Type::INT8, Type::INT8],
};

/// Appends a record, if the stream exists and its next offset is the expected one.
static APPEND: Sql = Sql {
    text: "WITH log AS (
               UPDATE {schema}.streams SET next_offset = next_offset + 1, records = records + 1, bytes = bytes + $8,
                   last_time = greatest(last_time, date_trunc('milliseconds', clock_timestamp()))
               WHERE keyspace = $1 AND kind = $2 AND name = $3 AND ($4 IS NULL OR next_offset = $4)
               RETURNING id, next_offset - 1 AS position, last_time)
           INSERT INTO {schema}.records (stream, position, time, key, attributes, payload)
           SELECT id, position, last_time, $5, $6, $7 FROM log RETURNING position, time",
    types: &[Type::INT8, Type::INT2, Type::TEXT, Type::INT8, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::INT8],
};

static FIND: Sql = Sql {
    text: "SELECT id, next_offset, (SELECT max(position) FROM {schema}.records WHERE stream = id), (SELECT min(position) FROM {schema}.records WHERE stream = id)
           FROM {schema}.streams WHERE keyspace = $1 AND kind = $2 AND name = $3",
    types: &[Type::INT8, Type::INT2, Type::TEXT],
};

/// A stream that exists.
#[derive(Clone, Copy, Debug)]
pub struct LogState {
    pub id: i64,
    pub next_offset: i64,
    /// The offsets of the first and the last record.
    pub first: Option<i64>,
    pub last: Option<i64>,
}

/// A record to append.
pub struct NewRecord {
    pub key: Bytes,
    pub attributes: Vec<u8>,
    pub payload: Bytes,
    /// The offset that it must get.
    pub expected: Option<u64>,
}

impl Log {
    /// What changes when a record is appended.
    pub fn topic(&self) -> Topic {
        match self.kind {
            LogKind::Stream => Topic::new("stream", &[&self.name]),
            LogKind::Topic => Topic::new("topic", &[&self.name]),
        }
    }

    fn cursor_scope(&self) -> String {
        match self.kind {
            LogKind::Stream => format!("stream:{}", self.name),
            LogKind::Topic => format!("topic:{}", self.name),
        }
    }

    /// Encodes a cursor after a record.
    pub fn encode_cursor(&self, offset: i64) -> String {
        cursor::seal(&self.cursor_scope(), &offset.to_be_bytes())
    }

    /// Decodes a cursor: the offset of the last record before it; `None` if the cursor is empty.
    pub fn decode_cursor(&self, text: &str) -> Result<Option<i64>, Error> {
        let Some(bytes) = cursor::open(&self.cursor_scope(), text)? else { return Ok(None) };
        let offset = <[u8; 8]>::try_from(bytes).map_or(-1, i64::from_be_bytes);
        if (0..i64::MAX).contains(&offset) { Ok(Some(offset)) } else { Err(cursor::invalid()) }
    }

    /// Creates the stream, if it does not exist.
    pub async fn open(&self, handle: &KeyspaceHandle, context: &Context) -> Result<(), Error> {
        let max_bytes = self.retention.max_bytes.map(super::signed);
        let parameters: Parameters<'_> = &[&self.keyspace, &(self.kind as i16), &self.name, &self.retention.max_age, &max_bytes];
        handle.database.query(context, &OPEN, parameters).await.map(drop)
    }

    /// Finds the stream; `None` if it was never used.
    pub async fn find(&self, handle: &KeyspaceHandle, context: &Context) -> Result<Option<LogState>, Error> {
        let row = handle.database.query_optional(context, &FIND, &[&self.keyspace, &(self.kind as i16), &self.name]).await?;
        Ok(row.map(|row| LogState { id: row.get(0), next_offset: row.get(1), last: row.get(2), first: row.get(3) }))
    }

    /// Appends a record, and returns its offset and time.
    pub async fn append(&self, handle: &KeyspaceHandle, context: &Context, record: &NewRecord) -> Result<(i64, Millis), Error> {
        let NewRecord { key, attributes, payload, expected } = record;
        let expected = expected.map(super::signed);
        let bytes = i64::try_from(OVERHEAD + key.len() + attributes.len() + payload.len()).unwrap_or(0);
        let kind = self.kind as i16;
        let parameters: Parameters<'_> = &[&self.keyspace, &kind, &self.name, &expected, &&key[..], attributes, &&payload[..], &bytes];
        let mut rows = handle.database.query(context, &APPEND, parameters).await?;
        if rows.is_empty() && expected.is_none_or(|expected| expected == 0) {
            self.open(handle, context).await?;
            rows = handle.database.query(context, &APPEND, parameters).await?;
        }
        let Some(row) = rows.first() else {
            let next = self.find(handle, context).await?.map_or(0, |state| state.next_offset);
            return Err(offset_mismatch(unsigned(next)));
        };
        handle.notifications.announce(self.keyspace, self.topic());
        Ok((row.get(0), read_time(row, 1).unwrap_or_default()))
    }

    /// Reads records from one offset (inclusive) to another (exclusive): at most `most`, and at most a page of bytes. Executes another statement
    /// in the same round trip.
    pub async fn page(
        &self,
        handle: &KeyspaceHandle,
        context: &Context,
        from: i64,
        to: i64,
        most: i64,
        other: Call<'_>,
    ) -> Result<(RecordPage, Vec<Row>), Error> {
        let parameters: Parameters<'_> = &[&self.keyspace, &(self.kind as i16), &self.name, &from, &to, &most];
        let [rows, other] = handle.database.query_two(context, (&PAGE, parameters), other).await?;
        Ok((self.read_page(&rows)?, other))
    }

    /// Reads records as [`page`](Self::page) does.
    pub async fn records(&self, handle: &KeyspaceHandle, context: &Context, from: i64, to: i64, most: i64) -> Result<RecordPage, Error> {
        let parameters: Parameters<'_> = &[&self.keyspace, &(self.kind as i16), &self.name, &from, &to, &most];
        self.read_page(&handle.database.query(context, &PAGE, parameters).await?)
    }

    fn read_page(&self, rows: &[Row]) -> Result<RecordPage, Error> {
        let records = rows.iter().filter(|row| row.get::<_, Option<i64>>(1).is_some()).map(|row| self.read_record(row, 1));
        Ok(RecordPage { expired_to: rows.first().map_or(0, |row| row.get(0)), records: records.collect::<Result<_, _>>()? })
    }

    /// Reads a record from the columns `position, time, key, attributes, payload`, the first of which has the index `first`.
    pub fn read_record(&self, row: &Row, first: usize) -> Result<Record, Error> {
        let offset: i64 = row.get(first);
        Ok(Record {
            offset: unsigned(offset),
            partition: PARTITION,
            append_time: read_time(row, first + 1).map(time::timestamp),
            key: read_bytes(row, first + 2),
            attributes: attributes::decode(row.get(first + 3))?,
            payload: read_bytes(row, first + 4),
            cursor: self.encode_cursor(offset),
        })
    }

    /// `OUT_OF_RANGE OFFSET_EXPIRED`
    pub async fn expired(&self, handle: &KeyspaceHandle, context: &Context) -> Result<Error, Error> {
        let first = self.find(handle, context).await?.map_or(0, |state| state.first.unwrap_or(state.next_offset));
        Ok(offset_expired(unsigned(first)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_only_for_its_stream() {
        let log = |name: &str| Log { keyspace: 1, kind: LogKind::Stream, name: name.to_owned(), retention: RetentionLimits::default() };
        let cursor = log("orders").encode_cursor(7);
        assert_eq!(log("orders").decode_cursor(&cursor).unwrap(), Some(7));
        assert_eq!(log("orders").decode_cursor("").unwrap(), None);
        for (stream, cursor) in
            [("users", cursor.as_str()), ("orders", "AAAA"), ("orders", "!"), ("orders", &log("orders").encode_cursor(-1))]
        {
            assert_eq!(log(stream).decode_cursor(cursor).unwrap_err().reason(), "INVALID_CURSOR");
        }
    }
}
