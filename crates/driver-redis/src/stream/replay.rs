//! `stream_replay`.

use async_trait::async_trait;

use super::{
    SEEK, Streams,
    basic::next_offset,
    groups,
    offset::Id,
    reader::{Reader, Start},
    record,
};
use crate::reply;
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        PartitionOffset, ReplayRangeRequest, ReplayRangeResponse, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, StreamReplay,
        replay_range_request::{End, Start as From},
    },
};
use prism_driver::check;

impl Streams {
    async fn seek(
        &self,
        context: &Context,
        stream: &str,
        group: &str,
        partition: Option<u32>,
        to: Id,
    ) -> Result<Vec<PartitionOffset>, Error> {
        let call = self.script(&SEEK, stream).arg(group).arg(to);
        if partition.is_some_and(|partition| partition != 0) {
            return Err(no_partition());
        }
        let answer = self.call(context, &call).await?;
        if answer == redis::Value::Nil {
            return Err(groups::not_found(stream, group));
        }
        let [next, last] = reply::exactly(answer)?;
        let last = Id::read(&last)?.unwrap_or_default();
        let offset = Id::read(&next)?.map_or(next_offset(last), |id| id.0);
        Ok(vec![PartitionOffset { partition: 0, offset }])
    }
}

/// `NOT_FOUND PARTITION_NOT_FOUND`
fn no_partition() -> Error {
    Error::new(Code::NotFound, "PARTITION_NOT_FOUND", "streams of this backend have only partition 0")
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, context: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        groups::check_names(&request.stream, &request.group)?;
        let positions = self.seek(context, &request.stream, &request.group, request.partition, Id(request.offset)).await?;
        Ok(SeekToOffsetResponse { positions })
    }

    async fn seek_to_timestamp(&self, context: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        groups::check_names(&request.stream, &request.group)?;
        let time = request.time.ok_or_else(|| Error::invalid("time", "is required, as 2026-01-31T12:00:00Z"))?;
        let positions = self.seek(context, &request.stream, &request.group, request.partition, Id::at(&time)).await?;
        Ok(SeekToTimestampResponse { positions })
    }

    async fn replay_range(&self, context: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match &request.start {
            Some(From::FromOffset(offset)) => Start::At(Id(*offset)),
            Some(From::FromTime(time)) => Start::At(Id::at(time)),
            Some(From::Cursor(cursor)) => record::place(&request.stream, cursor)?.map_or(Start::At(Id(0)), Start::Behind),
            None => Start::At(Id(0)),
        };
        if request.partition.is_some_and(|partition| partition != 0) {
            return Err(no_partition());
        }
        let last = self.ends(context, &request.stream).await?.last;
        // The range ends before this one; 0-0 is no record's.
        let end = match &request.end {
            Some(End::ToOffset(offset)) => last.min(Id(*offset).before()),
            Some(End::ToTime(time)) => last.min(Id::at(time).before()),
            None => last,
        };
        let reader = Reader {
            streams: self.clone(),
            context: context.clone(),
            stream: request.stream,
            start,
            end: Some(end),
            left: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        };
        Ok(reader.messages(|record| ReplayRangeResponse { record: Some(record) }))
    }
}
