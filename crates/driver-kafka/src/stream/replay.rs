//! `stream_replay`

use async_trait::async_trait;

use super::{
    Streams,
    record::decode_cursor,
    records::{End, Reading, Start},
};
use crate::{
    client::Place,
    deadline::Deadline,
    journal::{At, GroupName, Operation, Outcome, Seek},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        PartitionOffset, ReplayRangeRequest, ReplayRangeResponse, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, StreamReplay, replay_range_request,
    },
};
use prism_driver::{
    check,
    stream::{check_group_names, consumer_group_not_found},
    time::{self, Millis},
};

/// Where a group goes.
#[derive(Clone, Copy)]
enum Target {
    Offset(u64),
    Time(Millis),
}

impl Streams {
    async fn seek(
        &self,
        deadline: &Deadline,
        name: GroupName,
        partition: Option<u32>,
        target: Target,
    ) -> Result<Vec<PartitionOffset>, Error> {
        self.group(deadline, &name, |_| ()).await?;
        let topic = self.names.stream(&name.stream);
        let count = match partition {
            Some(partition) => self.check_partition(deadline, &topic, partition).await?,
            None => self.client.partitions_within(deadline, &topic, std::time::Duration::ZERO).await?.unwrap_or(1),
        };
        let partitions: Vec<u32> = partition.map_or_else(|| (0..count).collect(), |partition| vec![partition]);
        let positions = if self.client.partitions(deadline, &topic).await?.is_some() {
            let first = self.client.offsets(deadline, &topic, &partitions, Place::First).await?;
            let ends = self.client.offsets(deadline, &topic, &partitions, Place::End).await?;
            let wanted = match target {
                Target::Offset(offset) => vec![offset; partitions.len()],
                Target::Time(time) => self.client.offsets(deadline, &topic, &partitions, Place::Time(time)).await?,
            };
            wanted.into_iter().zip(first.into_iter().zip(ends)).map(|(wanted, (first, end))| wanted.clamp(first, end.max(first))).collect()
        } else {
            vec![0; partitions.len()]
        };
        let positions: Vec<At> = partitions.into_iter().zip(positions).map(|(partition, offset)| At { partition, offset }).collect();
        let seek = Seek { name: name.clone(), positions: positions.clone() };
        match self.journal.execute(deadline, Operation::Seek(seek)).await? {
            Outcome::NotFound => Err(consumer_group_not_found(&name.stream, &name.group)),
            _ => Ok(positions.into_iter().map(|At { partition, offset }| PartitionOffset { partition, offset }).collect()),
        }
    }
}

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, context: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        let SeekToOffsetRequest { stream, group, offset, partition } = request;
        check_group_names(&stream, &group)?;
        let deadline = self.client.deadline(context);
        let positions = self.seek(&deadline, GroupName { stream, group }, partition, Target::Offset(offset)).await?;
        Ok(SeekToOffsetResponse { positions })
    }

    async fn seek_to_timestamp(&self, context: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let SeekToTimestampRequest { stream, group, time, partition } = request;
        check_group_names(&stream, &group)?;
        let time = time.ok_or_else(|| Error::invalid("time", "must be set, for example 2026-01-31T12:00:00Z"))?;
        let deadline = self.client.deadline(context);
        let target = Target::Time(time::millis_up(&time));
        Ok(SeekToTimestampResponse { positions: self.seek(&deadline, GroupName { stream, group }, partition, target).await? })
    }

    async fn replay_range(&self, context: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match request.start {
            Some(replay_range_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(replay_range_request::Start::FromTime(time)) => Start::Time(time::millis_up(&time)),
            Some(replay_range_request::Start::Cursor(cursor)) => {
                decode_cursor(&request.stream, &cursor)?.map_or(Start::Offset(0), Start::Cursor)
            }
            None => Start::Offset(0),
        };
        let end = match request.end {
            Some(replay_range_request::End::ToOffset(offset)) => End::Offset(offset),
            Some(replay_range_request::End::ToTime(time)) => End::Time(time::millis_up(&time)),
            None => End::Present,
        };
        let reading = Reading { stream: request.stream, partition: request.partition, start, end, limit: request.limit };
        self.records(context, reading, |record| ReplayRangeResponse { record: Some(record) }).await
    }
}
