//! `stream_partitioning`: the partitions of the Kafka topic.

use async_trait::async_trait;

use super::{
    Streams,
    basic::check_condition,
    record::decode_cursor,
    records::{End, Reading, Start},
};
use crate::{
    client::{Client, Place},
    codec::encode_attributes,
};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendToPartitionRequest, AppendToPartitionResponse, GetPartitionsRequest, GetPartitionsResponse, PartitionInfo,
        ReadPartitionRequest, ReadPartitionResponse, SetPartitionsRequest, SetPartitionsResponse, StreamPartitioning,
        read_partition_request,
    },
};
use prism_driver::{check, stream::check_record, time};

const MAX_PARTITIONS: u32 = 1024;

#[async_trait]
impl StreamPartitioning for Streams {
    async fn set_partitions(&self, context: &Context, request: SetPartitionsRequest) -> Result<SetPartitionsResponse, Error> {
        let SetPartitionsRequest { stream, count } = request;
        check::name("stream", &stream)?;
        if count == 0 || count > MAX_PARTITIONS {
            return Err(Error::invalid("count", format!("must be between 1 and {MAX_PARTITIONS}")));
        }
        let (topic, deadline) = (self.names.stream(&stream), self.client.deadline(context));
        let has = match self.client.partitions_within(&deadline, &topic, std::time::Duration::ZERO).await? {
            Some(has) => has,
            None if self.client.create(&deadline, &topic, count, &self.client.base_config()).await? => {
                self.client.await_partitions(&deadline, &topic, count).await?;
                return Ok(SetPartitionsResponse { changed: true });
            }
            // Another gateway has made it in between.
            None => self.client.await_partitions(&deadline, &topic, 1).await?,
        };
        if count < has {
            return Err(Error::new(
                Code::FailedPrecondition,
                "PARTITIONS_SHRINK",
                format!("the stream has {has} partitions, and Kafka can't take any away"),
            ));
        }
        if count > has {
            self.client.add_partitions(&deadline, &topic, count).await?;
        }
        Ok(SetPartitionsResponse { changed: count > has })
    }

    async fn get_partitions(&self, context: &Context, request: GetPartitionsRequest) -> Result<GetPartitionsResponse, Error> {
        check::name("stream", &request.stream)?;
        let (topic, deadline) = (self.names.stream(&request.stream), self.client.deadline(context));
        let count = self.client.partitions_within(&deadline, &topic, std::time::Duration::ZERO).await?;
        let Some(count) = count else {
            return Ok(GetPartitionsResponse { partitions: vec![PartitionInfo::default()] });
        };
        let partitions: Vec<u32> = (0..count).collect();
        let first = self.client.offsets(&deadline, &topic, &partitions, Place::First).await?;
        let ends = self.client.offsets(&deadline, &topic, &partitions, Place::End).await?;
        let infos = partitions.into_iter().zip(first.into_iter().zip(ends)).map(|(partition, (first, end))| PartitionInfo {
            partition,
            first_offset: (first < end).then_some(first),
            next_offset: end,
        });
        Ok(GetPartitionsResponse { partitions: infos.collect() })
    }

    async fn append_to_partition(&self, context: &Context, request: AppendToPartitionRequest) -> Result<AppendToPartitionResponse, Error> {
        let AppendToPartitionRequest { stream, partition, payload, key, attributes, expected_next_offset } = request;
        check_record(&self.limits, &stream, &key, &payload, &attributes)?;
        let (topic, deadline) = (self.names.stream(&stream), self.client.deadline(context));
        self.check_partition(&deadline, &topic, partition).await?;
        check_condition(expected_next_offset)?;
        self.client.ensure(&deadline, &topic, Client::base_config).await?;
        let appended = self.client.append(&deadline, &topic, partition, &key, &payload, encode_attributes(attributes)).await?;
        Ok(AppendToPartitionResponse { offset: appended.offset, append_time: Some(time::timestamp(appended.time)) })
    }

    async fn read_partition(&self, context: &Context, request: ReadPartitionRequest) -> Result<Messages<ReadPartitionResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match request.start {
            Some(read_partition_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(read_partition_request::Start::Latest(true)) => Start::Latest,
            Some(read_partition_request::Start::Cursor(cursor)) => {
                decode_cursor(&request.stream, &cursor)?.map_or(Start::Offset(0), Start::Cursor)
            }
            Some(read_partition_request::Start::Latest(false)) | None => Start::Offset(0),
        };
        let end = if request.follow { End::Never } else { End::Present };
        let reading = Reading { stream: request.stream, partition: Some(request.partition), start, end, limit: request.limit };
        self.records(context, reading, |record| ReadPartitionResponse { record: Some(record) }).await
    }
}
