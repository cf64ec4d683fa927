//! `stream_basic`

use async_trait::async_trait;

use super::{
    APPEND, Streams,
    reader::{Start, StreamReader},
    record,
    record_id::RecordId,
};
use crate::reply;
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{
    check,
    stream::{check_record, offset_mismatch},
    time,
};

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        check_record(&self.limits, &request.stream, &request.key, &request.payload, &request.attributes)?;
        let expected = match request.expected_next_offset {
            None => String::new(),
            // 0 is the next offset of a stream without records. No stream has the next offset 1. Every other one is one more than
            // the last id.
            Some(1) => "none".to_owned(),
            Some(next) => RecordId(next).before().to_string(),
        };
        let mut call = self.script(&APPEND, &request.stream).arg(expected);
        record::push_fields(&mut call, &request);
        let [appended, id] = reply::fixed_list(self.call(context, &call).await?)?;
        let id = RecordId::parse(&id)?.unwrap_or_default();
        if reply::integer(&appended)? == 1 {
            return Ok(AppendResponse { offset: id.0, partition: 0, append_time: Some(time::timestamp(id.millis())) });
        }
        Err(offset_mismatch(id.next_offset()))
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let cursor = match &request.start {
            Some(read_request::Start::Cursor(cursor)) => record::decode_cursor(&request.stream, cursor)?,
            _ => None,
        };
        let last = self.stream_info(context, &request.stream).await?.last;
        let start = match request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::At(RecordId(offset)),
            Some(read_request::Start::Latest(true)) => Start::After(last),
            _ => cursor.map_or(Start::At(RecordId(0)), Start::After),
        };
        let reader = StreamReader {
            streams: self.clone(),
            context: context.clone(),
            stream: request.stream,
            start,
            end: (!request.follow).then_some(last),
            remaining: check::limit_or_all(request.limit),
        };
        Ok(reader.messages(|record| ReadResponse { record: Some(record) }))
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let info = self.stream_info(context, &request.stream).await?;
        Ok(GetLatestOffsetResponse { offset: info.last_record.map(|id| id.0), next_offset: info.last.next_offset() })
    }
}
