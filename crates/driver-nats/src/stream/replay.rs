//! `stream_replay`

use async_trait::async_trait;
use prost_types::Timestamp;

use super::{
    Streams,
    group::Group,
    group_tokens,
    reader::{Start, StreamReader},
    record::{decode_cursor, offset, sequence},
};
use crate::{client::Deadline, documents::Changed, log::Log};
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
    time,
};

impl Streams {
    /// Moves a group to the first record with this sequence or a later one. Returns its new position.
    async fn seek(
        &self,
        deadline: &Deadline,
        stream: &str,
        group: &str,
        log: &Log,
        partition: Option<u32>,
        to: u64,
    ) -> Result<Vec<PartitionOffset>, Error> {
        check_only_partition(partition)?;
        let end = log.info(deadline).await?.map_or(1, |info| info.state.last_seq + 1);
        let first = log.page(deadline, to.min(end), 1).await?.first().map_or(end, |stored| stored.sequence);
        let tokens = group_tokens(stream, group);
        let moved = self.documents.update(deadline, &tokens, |group: &mut Group| {
            group.seek(first);
            Changed::Yes(())
        });
        moved.await?.ok_or_else(|| consumer_group_not_found(stream, group))?;
        Ok(vec![PartitionOffset { partition: 0, offset: offset(first) }])
    }

    /// The sequence of the first record that was appended at a time or later; behind the last one if there is none.
    pub(super) async fn sequence_at(&self, deadline: &Deadline, log: &Log, at: &Timestamp) -> Result<u64, Error> {
        // Times of records are in whole milliseconds.
        let at = time::timestamp(time::millis_up(at));
        match log.sequence_at(deadline, &at).await? {
            Some(sequence) => Ok(sequence),
            None => Ok(log.info(deadline).await?.map_or(1, |info| info.state.last_seq + 1)),
        }
    }
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, context: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        let SeekToOffsetRequest { stream, group, offset, partition } = request;
        check_group_names(&stream, &group)?;
        let deadline = self.client.deadline(context);
        let positions = self.seek(&deadline, &stream, &group, &self.log(&stream), partition, sequence(offset)).await?;
        Ok(SeekToOffsetResponse { positions })
    }

    async fn seek_to_timestamp(&self, context: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let SeekToTimestampRequest { stream, group, time, partition } = request;
        check_group_names(&stream, &group)?;
        let time = time.ok_or_else(|| Error::invalid("time", "must be set, for example 2026-01-31T12:00:00Z"))?;
        let (deadline, log) = (self.client.deadline(context), self.log(&stream));
        let to = self.sequence_at(&deadline, &log, &time).await?;
        Ok(SeekToTimestampResponse { positions: self.seek(&deadline, &stream, &group, &log, partition, to).await? })
    }

    async fn replay_range(&self, context: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        let (deadline, log) = (self.client.deadline(context), self.log(&request.stream));
        let cursor = match &request.start {
            Some(From::Cursor(cursor)) => decode_cursor(&request.stream, cursor)?,
            _ => None,
        };
        check_only_partition(request.partition)?;
        let last = log.info(&deadline).await?.map_or(0, |info| info.state.last_seq);
        let start = match &request.start {
            Some(From::FromOffset(offset)) => Start::At(sequence(*offset)),
            Some(From::FromTime(time)) => Start::At(self.sequence_at(&deadline, &log, time).await?),
            Some(From::Cursor(_)) | None => cursor.map_or(Start::At(1), Start::After),
        };
        // The end of the request is exclusive, and so is the sequence of an offset: it is one more.
        let end = match &request.end {
            Some(End::ToOffset(offset)) => last.min(*offset),
            Some(End::ToTime(time)) => last.min(self.sequence_at(&deadline, &log, time).await? - 1),
            None => last,
        };
        let reader = StreamReader {
            streams: self.clone(),
            context: context.clone(),
            log,
            stream: request.stream,
            start,
            end: Some(end),
            remaining: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        };
        Ok(reader.messages(|record| ReplayRangeResponse { record: Some(record) }))
    }
}
