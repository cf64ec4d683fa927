//! `stream_basic`

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use rusqlite::OptionalExtension as _;

use super::{
    PARTITION, Streams,
    log::{self, OVERHEAD},
    reader::{End, Start, StreamReader},
    signed, unsigned,
};
use crate::{error::DatabaseResult, signals::Topic, writer::Tx};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{
    attributes, check,
    stream::{check_record, offset_mismatch},
    time::{self, Millis},
};

/// A record to append.
struct NewRecord {
    stream: Arc<str>,
    key: Bytes,
    attributes: Vec<u8>,
    payload: Bytes,
    expected: Option<u64>,
}

impl NewRecord {
    /// Appends the record, and returns its offset and time.
    fn append(&self, tx: &Tx<'_>, keyspace: i64) -> DatabaseResult<(i64, Millis)> {
        if let Some(expected) = self.expected {
            let next = log::find(tx.connection, keyspace, &self.stream)?.map_or(0, |stream| unsigned(stream.next_offset));
            if next != expected {
                return Err(offset_mismatch(next).into());
            }
        }
        let mut position = self.advance(tx, keyspace)?;
        if position.is_none() {
            log::open(tx, keyspace, &self.stream)?;
            position = self.advance(tx, keyspace)?;
        }
        let (stream, offset, time) = position.ok_or_else(|| Error::internal("a stream has disappeared during a write"))?;
        let mut insert = tx
            .connection
            .prepare_cached("INSERT INTO records (stream, offset, time, key, attributes, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        insert.execute((stream, offset, time, &self.key[..], &self.attributes, &self.payload[..]))?;
        tx.signal(Topic::Stream(keyspace, self.stream.clone()));
        Ok((offset, time))
    }

    /// Advances the next offset of the stream. Returns the id of the stream, and offset and time of the record; `None` if the stream does
    /// not exist.
    fn advance(&self, tx: &Tx<'_>, keyspace: i64) -> DatabaseResult<Option<(i64, i64, Millis)>> {
        let size = i64::try_from(self.key.len() + self.attributes.len() + self.payload.len()).unwrap_or(0);
        let mut update = tx.connection.prepare_cached(
            "UPDATE streams SET next_offset = next_offset + 1, last_time = max(last_time, ?3), records = records + 1, bytes = bytes + ?4
             WHERE keyspace = ?1 AND name = ?2 RETURNING id, next_offset - 1, last_time",
        )?;
        let row =
            update.query_row((keyspace, &*self.stream, time::now(), OVERHEAD + size), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        Ok(row.optional()?)
    }
}

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, _: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        check_record(self.keyspace.limits(), &request.stream, &request.key, &request.payload, &request.attributes)?;
        let new = NewRecord {
            stream: request.stream.into(),
            key: request.key,
            attributes: attributes::encode(request.attributes),
            payload: request.payload,
            expected: request.expected_next_offset,
        };
        let (offset, time) = self.keyspace.write(move |tx, keyspace| new.append(tx, keyspace)).await?;
        Ok(AppendResponse { offset: unsigned(offset), partition: PARTITION, append_time: Some(time::timestamp(time)) })
    }

    async fn read(&self, _: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match &request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(read_request::Start::Cursor(cursor)) => log::decode_cursor(&request.stream, cursor)?.map_or(Start::Oldest, Start::After),
            Some(read_request::Start::Latest(true)) => Start::Latest,
            Some(read_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let reader = StreamReader::new(&self.keyspace, request.stream, start, End::Now, request.follow, request.limit).await?;
        Ok(reader.records().map_ok(|record| ReadResponse { record: Some(record) }).boxed())
    }

    async fn get_latest_offset(&self, _: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let read = self.keyspace.quick(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(stream) = log::find(&snapshot, keyspace, &request.stream)? else { return Ok(GetLatestOffsetResponse::default()) };
            let offset = log::last_offset(&snapshot, stream.id)?.map(unsigned);
            Ok(GetLatestOffsetResponse { offset, next_offset: unsigned(stream.next_offset) })
        });
        read.await
    }
}
