//! `stream_retention`: the limits of the JetStream stream. The server applies them.

use async_trait::async_trait;
use serde_json::Value;

use super::{Streams, record::offset};
use crate::{error, jetstream::StreamInfo};
use prism_call::{
    Code, Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{check, stream::RetentionLimits};

/// The server accepts no shorter age.
const MIN_AGE_MILLIS: i64 = 100;
/// How long the server remembers ids of messages by default. It must not be longer than the greatest age.
const DUPLICATE_WINDOW: i64 = 120_000_000_000;

fn nanoseconds(millis: i64) -> i64 {
    millis.saturating_mul(1_000_000)
}

fn policy(info: &StreamInfo) -> RetentionLimits {
    let age = info.limit("max_age").map(|age| i64::try_from(age / 1_000_000).unwrap_or(i64::MAX));
    RetentionLimits { max_age: age, max_records: info.limit("max_msgs"), max_bytes: info.limit("max_bytes") }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let mut limits = RetentionLimits::parse(request.policy)?;
        limits.max_age = limits.max_age.map(|age| age.max(MIN_AGE_MILLIS));
        let (log, deadline) = (self.log(&request.stream), self.client.deadline(context));
        log.create(&deadline).await?;
        let mut config = log.info(&deadline).await?.ok_or_else(error::jetstream_unavailable)?.config;
        let number = |limit: Option<u64>| limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX));
        let age = limits.max_age.map_or(0, nanoseconds);
        let window = if age > 0 { age.min(DUPLICATE_WINDOW) } else { DUPLICATE_WINDOW };
        for (name, value) in [
            ("max_age", age),
            ("duplicate_window", window),
            ("max_msgs", number(limits.max_records)),
            ("max_bytes", number(limits.max_bytes)),
        ] {
            config.insert(name.to_owned(), Value::from(value));
        }
        log.update(&deadline, &config).await?;
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, context: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let Some(info) = self.log(&request.stream).info(&self.client.deadline(context)).await? else {
            let policy = Some(RetentionLimits::default().into());
            return Ok(GetRetentionResponse { policy, records: Some(0), bytes: Some(0), ..Default::default() });
        };
        let state = &info.state;
        Ok(GetRetentionResponse {
            policy: Some(policy(&info).into()),
            first_offset: (state.messages > 0).then(|| offset(state.first_seq)),
            records: Some(state.messages),
            bytes: Some(state.bytes),
        })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        if request.by_key {
            let problem = "NATS can't remove records by their key; leave it out to apply the retention policy only";
            return Err(
                Error::new(Code::Unimplemented, "CAPABILITY_UNAVAILABLE", format!("by_key: {problem}")).with_violation("by_key", problem)
            );
        }
        // The server has applied the policy already.
        let info = self.log(&request.stream).info(&self.client.deadline(context)).await?;
        let first = info.filter(|info| info.state.messages > 0).map(|info| offset(info.state.first_seq));
        Ok(CompactResponse { removed: None, first_offset: first })
    }
}
