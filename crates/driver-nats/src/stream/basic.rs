//! `stream_basic`

use async_trait::async_trait;

use super::{
    Streams,
    reader::{Start, StreamReader},
    record::{self, decode_cursor, offset, sequence},
};
use crate::log::Appended;
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
        let (log, deadline) = (self.log(&request.stream), self.client.deadline(context));
        // The next offset is the number of the last sequence, because offsets begin with 0 and sequences with 1.
        let expected = request.expected_next_offset;
        let (headers, payload) = record::encode(request);
        match log.append(&deadline, headers, payload, expected).await? {
            Appended::Done(sequence) => {
                // The acknowledgement has no time. A record that retention has already removed has none any more.
                let time = log.read(&deadline, sequence).await?.map_or_else(time::now, |stored| stored.time);
                Ok(AppendResponse { offset: offset(sequence), partition: 0, append_time: Some(time::timestamp(time)) })
            }
            Appended::Mismatch(last) => Err(offset_mismatch(last)),
        }
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let cursor = match &request.start {
            Some(read_request::Start::Cursor(cursor)) => decode_cursor(&request.stream, cursor)?,
            _ => None,
        };
        let log = self.log(&request.stream);
        let last = log.info(&self.client.deadline(context)).await?.map_or(0, |info| info.state.last_seq);
        let start = match request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::At(sequence(offset)),
            Some(read_request::Start::Latest(true)) => Start::After(last),
            _ => cursor.map_or(Start::At(1), Start::After),
        };
        let reader = StreamReader {
            streams: self.clone(),
            context: context.clone(),
            log,
            stream: request.stream,
            start,
            end: (!request.follow).then_some(last),
            remaining: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        };
        Ok(reader.messages(|record| ReadResponse { record: Some(record) }))
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let Some(info) = self.log(&request.stream).info(&self.client.deadline(context)).await? else {
            return Ok(GetLatestOffsetResponse::default());
        };
        let last = info.state.last_seq;
        Ok(GetLatestOffsetResponse { offset: (info.state.messages > 0).then(|| offset(last)), next_offset: last })
    }
}
