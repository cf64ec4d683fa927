//! `stream_replay`

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    Streams,
    log::LogState,
    partition::Partition,
    reader::{End, ReadRange, Start},
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
    lock::lock,
    stream::{consumer_group_not_found, partition_not_found},
    time,
};

#[async_trait]
impl StreamReplay for Streams {
    async fn seek_to_offset(&self, _: &Context, request: SeekToOffsetRequest) -> Result<SeekToOffsetResponse, Error> {
        let SeekToOffsetRequest { stream, group, offset, partition } = request;
        Ok(SeekToOffsetResponse { positions: self.seek(&stream, &group, partition, |_| offset)? })
    }

    async fn seek_to_timestamp(&self, _: &Context, request: SeekToTimestampRequest) -> Result<SeekToTimestampResponse, Error> {
        let SeekToTimestampRequest { stream, group, time, partition } = request;
        let Some(time) = time else { return Err(Error::invalid("time", "must be set")) };
        let time = time::millis_up(&time);
        Ok(SeekToTimestampResponse { positions: self.seek(&stream, &group, partition, |partition| partition.offset_at(time))? })
    }

    async fn replay_range(&self, _: &Context, request: ReplayRangeRequest) -> Result<Messages<ReplayRangeResponse>, Error> {
        let start = match request.start {
            Some(replay_range_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(replay_range_request::Start::FromTime(time)) => Start::Time(time::millis_up(&time)),
            Some(replay_range_request::Start::Cursor(cursor)) => Start::Cursor(cursor),
            None => Start::Oldest,
        };
        let end = match request.end {
            Some(replay_range_request::End::ToOffset(offset)) => End::Offset(offset),
            Some(replay_range_request::End::ToTime(time)) => End::Time(time::millis_up(&time)),
            None => End::Now,
        };
        let read = ReadRange { stream: &request.stream, partition: request.partition, start, end, limit: request.limit };
        self.read(&read, |record| ReplayRangeResponse { record: Some(record) })
    }
}

impl Streams {
    /// Moves a group in one partition or in all of them. `target` returns the offset in a partition, which is then limited to the
    /// range from the oldest record to the end.
    fn seek(
        &self,
        stream: &str,
        group: &str,
        only: Option<u32>,
        target: impl Fn(&Partition) -> u64,
    ) -> Result<Vec<PartitionOffset>, Error> {
        check::name("group", group)?;
        let log = self.find(stream)?.ok_or_else(|| consumer_group_not_found(stream, group))?;
        let mut state = lock(&log.state);
        let LogState { partitions, groups, .. } = &mut *state;
        let moved = groups.get_mut(group).ok_or_else(|| consumer_group_not_found(stream, group))?;
        if let Some(only) = only.filter(|only| *only as usize >= partitions.len()) {
            return Err(partition_not_found(only, partitions.len()));
        }
        moved.update(partitions.len(), Instant::now());
        let mut positions = Vec::new();
        for (number, partition) in (0..).zip(&*partitions).filter(|(number, _)| only.is_none_or(|only| only == *number)) {
            let offset = target(partition).clamp(partition.oldest(), partition.next_offset);
            moved.seek(number, offset);
            positions.push(PartitionOffset { partition: number, offset });
        }
        drop(state);
        log.changed.notify_waiters();
        Ok(positions)
    }
}
