//! `stream_basic`

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    PARTITION, Streams,
    log::{Log, LogKind, NewRecord},
    reader::{End, ReadOptions, Start, StreamReader},
    signed,
};
use crate::columns::unsigned;
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{
    attributes, check,
    stream::{RetentionLimits, check_record},
    time,
};

impl Streams {
    /// The identity of a stream of this keyspace.
    pub(super) async fn log(&self, context: &Context, name: String) -> Result<Log, Error> {
        Ok(Log { keyspace: self.keyspace.id(context).await?, kind: LogKind::Stream, name, retention: RetentionLimits::default() })
    }
}

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        check_record(&self.keyspace.limits, &request.stream, &request.key, &request.payload, &request.attributes)?;
        let log = self.log(context, request.stream).await?;
        let record = NewRecord {
            key: request.key,
            attributes: attributes::encode(request.attributes),
            payload: request.payload,
            expected: request.expected_next_offset,
        };
        let (offset, time) = log.append(&self.keyspace, context, &record).await?;
        Ok(AppendResponse { offset: unsigned(offset), partition: PARTITION, append_time: Some(time::timestamp(time)) })
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let log = self.log(context, request.stream).await?;
        let start = match &request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::Offset(signed(*offset)),
            Some(read_request::Start::Cursor(cursor)) => log.decode_cursor(cursor)?.map_or(Start::Oldest, Start::After),
            Some(read_request::Start::Latest(true)) => Start::Latest,
            Some(read_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let options = ReadOptions { start, end: End::Now, follow: request.follow, limit: request.limit };
        let reader = StreamReader::new(&self.keyspace, context, log, options).await?;
        Ok(reader.records().map_ok(|record| ReadResponse { record: Some(record) }).boxed())
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let Some(state) = self.log(context, request.stream).await?.find(&self.keyspace, context).await? else {
            return Ok(GetLatestOffsetResponse::default());
        };
        Ok(GetLatestOffsetResponse { offset: state.last.map(unsigned), next_offset: unsigned(state.next_offset) })
    }
}
