//! `stream_replay`

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    PARTITION, Streams,
    group::{self, Group},
    log::{self, StreamRow},
    reader::{End, Start, StreamReader},
    signed, unsigned,
};
use crate::{error::DatabaseResult, writer::Tx};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        PartitionOffset, ReplayRangeRequest, ReplayRangeResponse, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, StreamReplay, replay_range_request,
    },
};
use prism_driver::{
    check,
    stream::{check_group_names, check_only_partition},
    time,
};

impl Streams {
    /// Moves a group to the first record at an offset or after it, or to the end. `target` returns the offset.
    async fn seek<F>(&self, stream: String, group: String, target: F) -> Result<Vec<PartitionOffset>, Error>
    where
        F: Fn(&Tx<'_>, &StreamRow) -> DatabaseResult<i64> + Send + 'static,
    {
        check_group_names(&stream, &group)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let Group { id, stream: row, .. } = group::require(tx.connection, keyspace, &stream, &group)?;
            let offset = target(tx, &row)?;
            let position = log::first_offset_from(tx.connection, row.id, offset)?.unwrap_or(row.next_offset);
            group::move_to(tx, id, position)?;
            tx.signal(group::topic(keyspace, &stream, &group));
            Ok(position)
        });
        let offset = unsigned(write.await?);
        Ok(vec![PartitionOffset { partition: PARTITION, offset }])
    }
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, _: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        let (offset, partition) = (signed(request.offset), request.partition);
        let target = move |_: &Tx<'_>, _: &StreamRow| {
            check_only_partition(partition)?;
            Ok(offset)
        };
        Ok(SeekToOffsetResponse { positions: self.seek(request.stream, request.group, target).await? })
    }

    async fn seek_to_timestamp(&self, _: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let Some(time) = request.time else {
            return Err(Error::invalid("time", "must be set, for example 2026-01-31T12:00:00Z"));
        };
        let (time, partition) = (time::millis_up(&time), request.partition);
        let target = move |tx: &Tx<'_>, stream: &StreamRow| {
            check_only_partition(partition)?;
            log::offset_at(tx.connection, stream, time)
        };
        Ok(SeekToTimestampResponse { positions: self.seek(request.stream, request.group, target).await? })
    }

    async fn replay_range(&self, _: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        check_only_partition(request.partition)?;
        let start = match &request.start {
            Some(replay_range_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(replay_range_request::Start::FromTime(time)) => Start::Time(time::millis_up(time)),
            Some(replay_range_request::Start::Cursor(cursor)) => {
                log::decode_cursor(&request.stream, cursor)?.map_or(Start::Oldest, Start::After)
            }
            None => Start::Oldest,
        };
        let end = match &request.end {
            Some(replay_range_request::End::ToOffset(offset)) => End::Offset(signed(*offset)),
            Some(replay_range_request::End::ToTime(time)) => End::Time(time::millis_up(time)),
            None => End::Now,
        };
        let reader = StreamReader::new(&self.keyspace, request.stream, start, end, false, request.limit).await?;
        Ok(reader.records().map_ok(|record| ReplayRangeResponse { record: Some(record) }).boxed())
    }
}
