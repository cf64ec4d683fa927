//! `stream_basic`

use async_trait::async_trait;

use super::{
    Streams, partition_of,
    record::decode_cursor,
    records::{End, Reading, Start},
};
use crate::{client::Place, codec::encode_attributes, error};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{check, stream::check_record, time};

/// Refuses conditional appends: Kafka has none.
pub fn check_condition(expected_next_offset: Option<u64>) -> Result<(), Error> {
    match expected_next_offset {
        Some(_) => Err(error::unsupported("expected_next_offset", "Kafka can't append under a condition")),
        None => Ok(()),
    }
}

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        let AppendRequest { stream, payload, key, attributes, expected_next_offset } = request;
        check_record(&self.limits, &stream, &key, &payload, &attributes)?;
        let (topic, deadline) = (self.names.stream(&stream), self.client.deadline(context));
        if expected_next_offset.is_some() && self.client.partitions(&deadline, &topic).await?.is_some_and(|count| count > 1) {
            let message = "the stream has several partitions; append to one of them with AppendToPartition";
            return Err(Error::new(Code::FailedPrecondition, "STREAM_PARTITIONED", message));
        }
        check_condition(expected_next_offset)?;
        let count = self.client.ensure(&deadline, &topic, crate::client::Client::base_config).await?;
        let partition = partition_of(&key, count);
        let appended = self.client.append(&deadline, &topic, partition, &key, &payload, encode_attributes(attributes)).await?;
        Ok(AppendResponse { offset: appended.offset, partition: appended.partition, append_time: Some(time::timestamp(appended.time)) })
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let start = match request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(read_request::Start::Latest(true)) => Start::Latest,
            Some(read_request::Start::Cursor(cursor)) => decode_cursor(&request.stream, &cursor)?.map_or(Start::Offset(0), Start::Cursor),
            Some(read_request::Start::Latest(false)) | None => Start::Offset(0),
        };
        let end = if request.follow { End::Never } else { End::Present };
        let reading = Reading { stream: request.stream, partition: None, start, end, limit: request.limit };
        self.records(context, reading, |record| ReadResponse { record: Some(record) }).await
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let (topic, deadline) = (self.names.stream(&request.stream), self.client.deadline(context));
        let ends = self.offsets(&deadline, &topic, Place::End).await?;
        let first = self.offsets(&deadline, &topic, Place::First).await?;
        let last = ends.iter().zip(first).filter(|(end, first)| *end > first).map(|(end, _)| end - 1).max();
        Ok(GetLatestOffsetResponse { offset: last, next_offset: ends.into_iter().max().unwrap_or(0) })
    }
}
