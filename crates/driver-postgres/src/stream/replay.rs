//! `stream_replay`

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    PARTITION, Streams,
    group::Target,
    reader::{End, ReadOptions, Start, StreamReader},
    signed,
};
use crate::columns::unsigned;
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        PartitionOffset, ReplayRangeRequest, ReplayRangeResponse, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, StreamReplay, replay_range_request,
    },
};
use prism_driver::{
    check,
    stream::{check_only_partition, consumer_group_not_found},
    time,
};

impl Streams {
    /// Moves a group. That there is no such group is said before that there is no such partition.
    async fn seek(
        &self,
        context: &Context,
        stream: String,
        group: String,
        partition: Option<u32>,
        target: Target,
    ) -> Result<Vec<PartitionOffset>, Error> {
        let name = self.group(context, stream, group).await?;
        check_only_partition(partition)?;
        let position = name.seek(&self.keyspace, context, target).await?;
        let position = position.ok_or_else(|| consumer_group_not_found(&name.log.name, &name.group))?;
        Ok(vec![PartitionOffset { partition: PARTITION, offset: unsigned(position) }])
    }
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, context: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        let SeekToOffsetRequest { stream, group, offset, partition } = request;
        let positions = self.seek(context, stream, group, partition, Target::Offset(signed(offset))).await?;
        Ok(SeekToOffsetResponse { positions })
    }

    async fn seek_to_timestamp(&self, context: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let SeekToTimestampRequest { stream, group, time, partition } = request;
        let Some(time) = time else {
            return Err(Error::invalid("time", "must be set, for example 2026-01-31T12:00:00Z"));
        };
        let positions = self.seek(context, stream, group, partition, Target::Time(time::millis_up(&time))).await?;
        Ok(SeekToTimestampResponse { positions })
    }

    async fn replay_range(&self, context: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        check_only_partition(request.partition)?;
        let log = self.log(context, request.stream).await?;
        let start = match &request.start {
            Some(replay_range_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(replay_range_request::Start::FromTime(time)) => Start::Time(time::millis_up(time)),
            Some(replay_range_request::Start::Cursor(cursor)) => log.decode_cursor(cursor)?.map_or(Start::Oldest, Start::After),
            None => Start::Oldest,
        };
        let end = match &request.end {
            Some(replay_range_request::End::ToOffset(offset)) => End::Offset(signed(*offset)),
            Some(replay_range_request::End::ToTime(time)) => End::Time(time::millis_up(time)),
            None => End::Now,
        };
        let options = ReadOptions { start, end, follow: false, limit: request.limit };
        let reader = StreamReader::new(&self.keyspace, context, log, options).await?;
        Ok(reader.records().map_ok(|record| ReplayRangeResponse { record: Some(record) }).boxed())
    }
}
