//! `stream_basic`.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use rusqlite::OptionalExtension as _;

use super::{
    PARTITION, Streams,
    log::{self, OVERHEAD},
    reading::{End, Reading, Start},
    signed, unsigned,
};
use crate::{attributes, error::DatabaseResult, signals::Topic, writer::Tx};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{
    check,
    time::{self, Millis},
};

/// A record as it goes into its row.
struct NewRecord {
    stream: Arc<str>,
    key: Bytes,
    attributes: Vec<u8>,
    payload: Bytes,
    expected: Option<u64>,
}

impl NewRecord {
    fn append(&self, tx: &Tx<'_>, space: i64) -> DatabaseResult<(i64, Millis)> {
        if let Some(expected) = self.expected {
            let next = log::find(tx.connection, space, &self.stream)?.map_or(0, |head| unsigned(head.next_offset));
            if next != expected {
                return Err(mismatch(next).into());
            }
        }
        let mut place = self.advance(tx, space)?;
        if place.is_none() {
            log::open(tx, space, &self.stream)?;
            place = self.advance(tx, space)?;
        }
        let (stream, offset, time) = place.ok_or_else(|| Error::internal("a stream is gone while it is written"))?;
        let mut insert = tx
            .connection
            .prepare_cached("INSERT INTO records (stream, offset, time, key, attributes, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        insert.execute((stream, offset, time, &self.key[..], &self.attributes, &self.payload[..]))?;
        tx.signal(Topic::Stream(space, self.stream.clone()));
        Ok((offset, time))
    }

    /// Takes the next offset: the stream's id, the offset and its time.
    fn advance(&self, tx: &Tx<'_>, space: i64) -> DatabaseResult<Option<(i64, i64, Millis)>> {
        let size = i64::try_from(self.key.len() + self.attributes.len() + self.payload.len()).unwrap_or(0);
        let mut update = tx.connection.prepare_cached(
            "UPDATE streams SET next_offset = next_offset + 1, last_time = max(last_time, ?3), records = records + 1, bytes = bytes + ?4
             WHERE keyspace = ?1 AND name = ?2 RETURNING id, next_offset - 1, last_time",
        )?;
        let row = update.query_row((space, &*self.stream, time::now(), OVERHEAD + size), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        Ok(row.optional()?)
    }
}

fn mismatch(next_offset: u64) -> Error {
    Error::new(
        Code::Aborted,
        "OFFSET_MISMATCH",
        format!("somebody else has appended first: the next offset is {next_offset}; read what is new and try again"),
    )
    .with("next_offset", next_offset.to_string())
}

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, _: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        check::name("stream", &request.stream)?;
        check::key_bound(self.space.limits(), "key", &request.key)?;
        check::attributes(&request.attributes)?;
        check::value(self.space.limits(), "payload", &request.payload)?;
        let new = NewRecord {
            stream: request.stream.into(),
            key: request.key,
            attributes: attributes::encode(request.attributes),
            payload: request.payload,
            expected: request.expected_next_offset,
        };
        let (offset, time) = self.space.write(move |tx, space| new.append(tx, space)).await?;
        Ok(AppendResponse { offset: unsigned(offset), partition: PARTITION, append_time: Some(time::timestamp(time)) })
    }

    async fn read(&self, _: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match &request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(read_request::Start::Cursor(cursor)) => log::behind(&request.stream, cursor)?.map_or(Start::Oldest, Start::Behind),
            Some(read_request::Start::Latest(true)) => Start::Latest,
            Some(read_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let reading = Reading::begin(&self.space, request.stream, start, End::Present, request.follow, request.limit).await?;
        Ok(reading.records().map_ok(|record| ReadResponse { record: Some(record) }).boxed())
    }

    async fn get_latest_offset(&self, _: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let read = self.space.quick(move |connection, space| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(head) = log::find(&snapshot, space, &request.stream)? else { return Ok(GetLatestOffsetResponse::default()) };
            let offset = log::last(&snapshot, head.id)?.map(unsigned);
            Ok(GetLatestOffsetResponse { offset, next_offset: unsigned(head.next_offset) })
        });
        read.await
    }
}
