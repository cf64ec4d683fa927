//! `stream_partitioning`

use async_trait::async_trait;

use super::{
    NewRecord, Streams,
    partition::Partition,
    reader::{End, ReadRange, Start},
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendToPartitionRequest, AppendToPartitionResponse, GetPartitionsRequest, GetPartitionsResponse, PartitionInfo,
        ReadPartitionRequest, ReadPartitionResponse, SetPartitionsRequest, SetPartitionsResponse, StreamPartitioning,
        read_partition_request,
    },
};
use prism_driver::{lock::lock, time};

/// Most partitions of a stream.
const MAX_PARTITIONS: u32 = 1024;

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
                format!("count: the stream has {present} partitions, and partitions can't be removed"),
            )
            .with("partitions", present.to_string()));
        }
        let changed = wanted > present || state.is_unused();
        state.set_partitions(wanted)?;
        drop(state);
        log.changed.notify_waiters();
        Ok(SetPartitionsResponse { changed })
    }

    async fn get_partitions(&self, _: &Context, request: GetPartitionsRequest) -> Result<GetPartitionsResponse, Error> {
        self.with_state(&request.stream, |state| {
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
        let record = NewRecord { stream: &stream, key: &key, payload: &payload, attributes, expected_next_offset, partition };
        let (_, offset, append_time) = self.append(record)?;
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
        let read = ReadRange { stream: &request.stream, partition: Some(request.partition), start, end, limit: request.limit };
        self.read(&read, |record| ReadPartitionResponse { record: Some(record) })
    }
}
