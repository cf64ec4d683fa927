//! `stream_basic`.

use async_trait::async_trait;

use super::{
    APPEND, Streams,
    offset::Id,
    reader::{Reader, Start},
    record,
};
use crate::reply;
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AppendRequest, AppendResponse, GetLatestOffsetRequest, GetLatestOffsetResponse, ReadRequest, ReadResponse, StreamBasic,
        read_request,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl StreamBasic for Streams {
    async fn append(&self, context: &Context, request: AppendRequest) -> Result<AppendResponse, Error> {
        check::name("stream", &request.stream)?;
        check::key_bound(&self.limits, "key", &request.key)?;
        check::value(&self.limits, "payload", &request.payload)?;
        check::attributes(&request.attributes)?;
        let expected = match request.expected_next_offset {
            None => String::new(),
            // 0 is that of a stream without records, 1 of none at all, and any other one more than the last id.
            Some(1) => "none".to_owned(),
            Some(next) => Id(next).before().to_string(),
        };
        let mut call = self.script(&APPEND, &request.stream).arg(expected);
        record::push(&mut call, &request);
        let [appended, id] = reply::exactly(self.call(context, &call).await?)?;
        let id = Id::read(&id)?.unwrap_or_default();
        if reply::integer(&appended)? == 1 {
            return Ok(AppendResponse { offset: id.0, partition: 0, append_time: Some(time::timestamp(id.millis())) });
        }
        let next = next_offset(id);
        Err(Error::new(
            Code::Aborted,
            "OFFSET_MISMATCH",
            format!("somebody else appended first: the next offset is {next}; read what is new and try again"),
        )
        .with("next_offset", next.to_string()))
    }

    async fn read(&self, context: &Context, request: ReadRequest) -> Result<Messages<ReadResponse>, Error> {
        check::name("stream", &request.stream)?;
        let place = match &request.start {
            Some(read_request::Start::Cursor(cursor)) => record::place(&request.stream, cursor)?,
            _ => None,
        };
        let last = self.ends(context, &request.stream).await?.last;
        let start = match request.start {
            Some(read_request::Start::FromOffset(offset)) => Start::At(Id(offset)),
            Some(read_request::Start::Latest(true)) => Start::Behind(last),
            _ => place.map_or(Start::At(Id(0)), Start::Behind),
        };
        let reader = Reader {
            streams: self.clone(),
            context: context.clone(),
            stream: request.stream,
            start,
            end: (!request.follow).then_some(last),
            left: if request.limit == 0 { usize::MAX } else { request.limit as usize },
        };
        Ok(reader.messages(|record| ReadResponse { record: Some(record) }))
    }

    async fn get_latest_offset(&self, context: &Context, request: GetLatestOffsetRequest) -> Result<GetLatestOffsetResponse, Error> {
        check::name("stream", &request.stream)?;
        let ends = self.ends(context, &request.stream).await?;
        Ok(GetLatestOffsetResponse { offset: ends.last_record.map(|id| id.0), next_offset: next_offset(ends.last) })
    }
}

/// What `next_offset` of the contract is when this was the last id.
pub fn next_offset(last: Id) -> u64 {
    if last == Id(0) { 0 } else { last.next() }
}
