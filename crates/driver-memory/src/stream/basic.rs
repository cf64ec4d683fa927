//! `stream_basic`

use async_trait::async_trait;

use super::{
    NewRecord, Streams,
    partition::Partition,
    reader::{End, ReadRange, Start},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::time;

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, _: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        let AppendRequest { stream, payload, key, attributes, expected_next_offset } = request;
        let record = NewRecord { stream: &stream, key: &key, payload: &payload, attributes, expected_next_offset, partition: None };
        let (partition, offset, append_time) = self.append(record)?;
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
        let read = ReadRange { stream: &request.stream, partition: None, start, end, limit: request.limit };
        self.read(&read, |record| ReadResponse { record: Some(record) })
    }

    async fn get_latest_offset(&self, _: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        self.with_state(&request.stream, |state| GetLatestOffsetResponse {
            offset: state.partitions.iter().filter_map(Partition::last_offset).max(),
            next_offset: state.partitions.iter().map(|partition| partition.next_offset).max().unwrap_or(0),
        })
    }
}
