//! `stream_basic`, `stream_replay`, `stream_retention` and `stream_partitioning`

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::{
    super::shared::lock,
    Append, MAX_PARTITIONS, Streams, group_not_found,
    log::State,
    partition::{Partition, Policy},
    partition_not_found,
    reader::{End, Read, Start},
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, AppendToPartitionRequest, AppendToPartitionResponse, CompactRequest, CompactResponse,
        GetLatestOffsetRequest, GetLatestOffsetResponse, GetPartitionsRequest, GetPartitionsResponse, GetRetentionRequest,
        GetRetentionResponse, PartitionInfo, PartitionOffset, ReadPartitionRequest, ReadPartitionResponse, ReadRequest, ReadResponse,
        ReplayRangeRequest, ReplayRangeResponse, RetentionPolicy, SeekToOffsetRequest, SeekToOffsetResponse, SeekToTimestampRequest,
        SeekToTimestampResponse, SetPartitionsRequest, SetPartitionsResponse, SetRetentionRequest, SetRetentionResponse, StreamBasic,
        StreamPartitioning, StreamReplay, StreamRetention, read_partition_request, read_request, replay_range_request,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, _: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        let AppendRequest { stream, payload, key, attributes, expected_next_offset } = request;
        let append = Append { stream: &stream, key: &key, payload: &payload, attributes, expected_next_offset, partition: None };
        let (partition, offset, append_time) = self.append(append)?;
        Ok(AppendResponse { offset, partition, append_time: Some(time::timestamp(append_time)) })
    }

    async fn read(&self, _: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        let start = match request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(read_request::Start::Cursor(cursor)) => Start::Cursor(cursor),
            Some(read_request::Start::Latest(true)) => Start::Latest,
            Some(read_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let end = if request.follow { End::Follow } else { End::Now };
        let read = Read { stream: &request.stream, partition: None, start, end, limit: request.limit };
        self.read(&read, |record| ReadResponse { record: Some(record) })
    }

    async fn get_latest_offset(&self, _: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        self.look(&request.stream, |state| GetLatestOffsetResponse {
            offset: state.partitions.iter().filter_map(Partition::last_offset).max(),
            next_offset: state.partitions.iter().map(|partition| partition.next_offset).max().unwrap_or(0),
        })
    }
}

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
        let read = Read { stream: &request.stream, partition: request.partition, start, end, limit: request.limit };
        self.read(&read, |record| ReplayRangeResponse { record: Some(record) })
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, _: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        let policy = request.policy.unwrap_or_default();
        let positive = |field: &str, limit: Option<u64>| match limit {
            Some(0) => Err(Error::invalid(field, "must be greater than zero; leave it out for no limit")),
            limit => Ok(limit),
        };
        let policy = Policy {
            max_age: policy.max_age.map(|age| time::positive("policy.max_age", &age)).transpose()?,
            max_records: positive("policy.max_records", policy.max_records)?,
            max_bytes: positive("policy.max_bytes", policy.max_bytes)?,
        };
        let log = self.log(&request.stream)?;
        let mut state = lock(&log.state);
        state.policy = policy;
        state.retain(time::now());
        Ok(SetRetentionResponse { policy: Some(policy.into()) })
    }

    async fn get_retention(&self, _: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        self.look(&request.stream, |state| GetRetentionResponse {
            policy: Some(state.policy.into()),
            first_offset: state.first_offset(),
            records: Some(state.partitions.iter().map(Partition::len).sum()),
            bytes: Some(state.partitions.iter().map(|partition| partition.bytes).sum()),
        })
    }

    async fn compact(&self, _: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        self.look(&request.stream, |state| {
            let mut removed = state.retain(time::now());
            if request.by_key {
                removed = removed.and(state.compact());
            }
            CompactResponse { removed: Some(removed.records), first_offset: state.first_offset() }
        })
    }
}

#[async_trait]
impl StreamPartitioning for Streams {
    async fn set_partitions(&self, _: &Context, request: SetPartitionsRequest) -> Result<SetPartitionsResponse, Error> {
        if request.count == 0 || request.count > MAX_PARTITIONS {
            return Err(Error::invalid("count", format!("is {}; it must be 1 to {MAX_PARTITIONS}", request.count)));
        }
        let log = self.log(&request.stream)?;
        let mut state = lock(&log.state);
        let (wanted, present) = (request.count as usize, state.partitions.len());
        if wanted < present {
            return Err(Error::new(
                Code::FailedPrecondition,
                "PARTITIONS_SHRINK",
                format!("count: the stream has {present} partitions, and they can't be taken away"),
            )
            .with("partitions", present.to_string()));
        }
        let changed = wanted > present || state.is_pristine();
        state.set_partitions(wanted)?;
        drop(state);
        log.changed.notify_waiters();
        Ok(SetPartitionsResponse { changed })
    }

    async fn get_partitions(&self, _: &Context, request: GetPartitionsRequest) -> Result<GetPartitionsResponse, Error> {
        self.look(&request.stream, |state| {
            let info = |(number, partition): (u32, &Partition)| PartitionInfo {
                partition: number,
                first_offset: partition.first_offset(),
                next_offset: partition.next_offset,
            };
            GetPartitionsResponse { partitions: state.numbered(None).map(info).collect() }
        })
    }

    async fn append_to_partition(&self, _: &Context, request: AppendToPartitionRequest) -> Result<AppendToPartitionResponse, Error> {
        let AppendToPartitionRequest { stream, partition, payload, key, attributes, expected_next_offset } = request;
        let partition = Some(partition);
        let append = Append { stream: &stream, key: &key, payload: &payload, attributes, expected_next_offset, partition };
        let (_, offset, append_time) = self.append(append)?;
        Ok(AppendToPartitionResponse { offset, append_time: Some(time::timestamp(append_time)) })
    }

    async fn read_partition(&self, _: &Context, request: ReadPartitionRequest) -> Result<Messages<ReadPartitionResponse>, Error> {
        let start = match request.start {
            Some(read_partition_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(read_partition_request::Start::Cursor(cursor)) => Start::Cursor(cursor),
            Some(read_partition_request::Start::Latest(true)) => Start::Latest,
            Some(read_partition_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let end = if request.follow { End::Follow } else { End::Now };
        let read = Read { stream: &request.stream, partition: Some(request.partition), start, end, limit: request.limit };
        self.read(&read, |record| ReadPartitionResponse { record: Some(record) })
    }
}

impl Streams {
    /// Moves a group in one partition or in all, to a place between the oldest record and the end.
    fn seek(&self, stream: &str, group: &str, only: Option<u32>, place: impl Fn(&Partition) -> u64) -> Result<Vec<PartitionOffset>, Error> {
        check::name("group", group)?;
        let log = self.find(stream)?.ok_or_else(|| group_not_found(group))?;
        let mut state = lock(&log.state);
        let State { partitions, groups, .. } = &mut *state;
        let moved = groups.get_mut(group).ok_or_else(|| group_not_found(group))?;
        if let Some(only) = only.filter(|only| *only as usize >= partitions.len()) {
            return Err(partition_not_found(only, partitions.len()));
        }
        moved.settle(partitions.len(), Instant::now());
        let mut positions = Vec::new();
        for (number, partition) in (0..).zip(&*partitions).filter(|(number, _)| only.is_none_or(|only| only == *number)) {
            let offset = place(partition).clamp(partition.oldest(), partition.next_offset);
            moved.seek(number, offset);
            positions.push(PartitionOffset { partition: number, offset });
        }
        drop(state);
        log.changed.notify_waiters();
        Ok(positions)
    }
}

impl From<Policy> for RetentionPolicy {
    fn from(policy: Policy) -> Self {
        let age = |age: Duration| prost_types::Duration::try_from(age).ok();
        Self { max_age: policy.max_age.and_then(age), max_records: policy.max_records, max_bytes: policy.max_bytes }
    }
}
