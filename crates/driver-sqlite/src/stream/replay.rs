//! `stream_replay`.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    PARTITION, Streams,
    groups::{self, Group},
    log::{self, Head},
    only_partition,
    reading::{End, Reading, Start},
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
    time::{self, Millis},
};

/// Records have whole milliseconds, so "at this time or later" rounds up.
pub fn ceil_millis(time: &prost_types::Timestamp) -> Millis {
    time::millis(time).saturating_add(i64::from(time.nanos % 1_000_000 > 0))
}

impl Streams {
    /// Moves a group to the first record at or behind a place, or to the end.
    async fn seek<F>(&self, stream: String, group: String, place: F) -> Result<Vec<PartitionOffset>, Error>
    where
        F: Fn(&Tx<'_>, &Head) -> DatabaseResult<i64> + Send + 'static,
    {
        check::name("stream", &stream)?;
        check::name("group", &group)?;
        let write = self.space.write(move |tx, space| {
            let Group { id, head, .. } = groups::find(tx.connection, space, &stream, &group)?.ok_or_else(|| groups::not_found(&group))?;
            let place = place(tx, &head)?;
            let position = log::first_from(tx.connection, head.id, place)?.unwrap_or(head.next_offset);
            groups::move_to(tx, id, position)?;
            tx.signal(groups::topic(space, &stream, &group));
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
        let place = move |_: &Tx<'_>, _: &Head| {
            only_partition(partition)?;
            Ok(offset)
        };
        Ok(SeekToOffsetResponse { positions: self.seek(request.stream, request.group, place).await? })
    }

    async fn seek_to_timestamp(&self, _: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let Some(time) = request.time else {
            return Err(Error::invalid("time", "must be set: the group goes to the first record of that time or later"));
        };
        let (time, partition) = (ceil_millis(&time), request.partition);
        let place = move |tx: &Tx<'_>, head: &Head| {
            only_partition(partition)?;
            log::from_time(tx.connection, head, time)
        };
        Ok(SeekToTimestampResponse { positions: self.seek(request.stream, request.group, place).await? })
    }

    async fn replay_range(&self, _: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        only_partition(request.partition)?;
        let start = match &request.start {
            Some(replay_range_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(replay_range_request::Start::FromTime(time)) => Start::Time(ceil_millis(time)),
            Some(replay_range_request::Start::Cursor(cursor)) => log::behind(&request.stream, cursor)?.map_or(Start::Oldest, Start::Behind),
            None => Start::Oldest,
        };
        let end = match &request.end {
            Some(replay_range_request::End::ToOffset(offset)) => End::Offset(signed(*offset)),
            Some(replay_range_request::End::ToTime(time)) => End::Time(ceil_millis(time)),
            None => End::Present,
        };
        let reading = Reading::begin(&self.space, request.stream, start, end, false, request.limit).await?;
        Ok(reading.records().map_ok(|record| ReplayRangeResponse { record: Some(record) }).boxed())
    }
}
