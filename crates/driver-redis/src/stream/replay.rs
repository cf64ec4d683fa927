//! `stream_replay`

use async_trait::async_trait;

use super::{
    SEEK, Streams,
    reader::{Start, StreamReader},
    record,
    record_id::RecordId,
};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        PartitionOffset, ReplayRangeRequest, ReplayRangeResponse, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, StreamReplay,
        replay_range_request::{End, Start as From},
    },
};
use prism_driver::{
    check,
    stream::{check_group_names, check_only_partition, consumer_group_not_found},
};

impl Streams {
    /// Moves a group to an id. Returns its new position.
    async fn seek(
        &self,
        context: &Context,
        stream: &str,
        group: &str,
        partition: Option<u32>,
        to: RecordId,
    ) -> Result<Vec<PartitionOffset>, Error> {
        let call = self.script(&SEEK, stream).arg(group).arg(to);
        check_only_partition(partition)?;
        let reply = self.call(context, &call).await?;
        if reply == redis::Value::Nil {
            return Err(consumer_group_not_found(stream, group));
        }
        let [next, last] = reply::fixed_list(reply)?;
        let last = RecordId::parse(&last)?.unwrap_or_default();
        let offset = RecordId::parse(&next)?.map_or(last.next_offset(), |id| id.0);
        Ok(vec![PartitionOffset { partition: 0, offset }])
    }
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, context: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let positions = self.seek(context, &request.stream, &request.group, request.partition, RecordId(request.offset)).await?;
        Ok(SeekToOffsetResponse { positions })
    }

    async fn seek_to_timestamp(&self, context: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let time = request.time.ok_or_else(|| Error::invalid("time", "must be set, for example 2026-01-31T12:00:00Z"))?;
        let positions = self.seek(context, &request.stream, &request.group, request.partition, RecordId::at(&time)).await?;
        Ok(SeekToTimestampResponse { positions })
    }

    async fn replay_range(&self, context: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match &request.start {
            Some(From::FromOffset(offset)) => Start::At(RecordId(*offset)),
            Some(From::FromTime(time)) => Start::At(RecordId::at(time)),
            Some(From::Cursor(cursor)) => record::decode_cursor(&request.stream, cursor)?.map_or(Start::At(RecordId(0)), Start::After),
            None => Start::At(RecordId(0)),
        };
        check_only_partition(request.partition)?;
        let last = self.stream_info(context, &request.stream).await?.last;
        // The end of the request is exclusive. No record has the id 0-0.
        let end = match &request.end {
            Some(End::ToOffset(offset)) => last.min(RecordId(*offset).before()),
            Some(End::ToTime(time)) => last.min(RecordId::at(time).before()),
            None => last,
        };
        let reader = StreamReader {
            streams: self.clone(),
            context: context.clone(),
            stream: request.stream,
            start,
            end: Some(end),
            remaining: check::limit_or_all(request.limit),
        };
        Ok(reader.messages(|record| ReplayRangeResponse { record: Some(record) }))
    }
}
