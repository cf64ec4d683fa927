//! `stream_retention`: the configuration of the Kafka topic. The brokers apply it to whole segments; Compact applies `max_age` exactly.

use async_trait::async_trait;

use super::Streams;
use crate::{
    client::{Client, Place},
    deadline::Deadline,
    error,
};
use prism_call::{
    Context, Error,
    proto::models::stream::v1::{
        CompactRequest, CompactResponse, GetRetentionRequest, GetRetentionResponse, SetRetentionRequest, SetRetentionResponse,
        StreamRetention,
    },
};
use prism_driver::{
    check,
    stream::RetentionLimits,
    time::{self, Millis},
};

/// Kafka accepts no smaller segment.
const MIN_SEGMENT_BYTES: u64 = 1 << 20;
/// The segments of Kafka by default.
const MAX_SEGMENT_BYTES: u64 = 1 << 30;
/// A segment is a part of what a policy keeps, so that not much more is kept.
const SEGMENTS: u64 = 4;
/// Bounds of the age at which a new segment begins.
const MIN_SEGMENT_AGE: Millis = 1_000;
const MAX_SEGMENT_AGE: Millis = 7 * 86_400_000;

/// The names that a policy sets.
const NAMES: [&str; 4] = ["retention.ms", "retention.bytes", "segment.ms", "segment.bytes"];

/// What Kafka makes of a policy: it removes whole segments, so that at least a segment more than `retention.bytes` stays.
fn round_up(limits: RetentionLimits) -> RetentionLimits {
    RetentionLimits { max_bytes: limits.max_bytes.map(|bytes| bytes.max(2 * MIN_SEGMENT_BYTES)), ..limits }
}

fn config(limits: &RetentionLimits) -> Vec<(String, String)> {
    let mut config = vec![("retention.ms".to_owned(), limits.max_age.unwrap_or(-1).to_string())];
    if let Some(age) = limits.max_age {
        config.push(("segment.ms".to_owned(), (age / 4).clamp(MIN_SEGMENT_AGE, MAX_SEGMENT_AGE).to_string()));
    }
    match limits.max_bytes {
        Some(bytes) => {
            let segment = (bytes / SEGMENTS).clamp(MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES);
            config.push(("segment.bytes".to_owned(), segment.to_string()));
            config.push(("retention.bytes".to_owned(), (bytes - segment).to_string()));
        }
        None => config.push(("retention.bytes".to_owned(), "-1".to_owned())),
    }
    config
}

fn policy(config: &[(String, String)]) -> RetentionLimits {
    let number = |name: &str| config.iter().find(|(other, _)| other == name).and_then(|(_, value)| value.parse::<u64>().ok());
    let bytes = number("retention.bytes").map(|bytes| bytes.saturating_add(number("segment.bytes").unwrap_or(MAX_SEGMENT_BYTES)));
    RetentionLimits {
        max_age: number("retention.ms").map(|age| Millis::try_from(age).unwrap_or(Millis::MAX)),
        max_records: None,
        max_bytes: bytes,
    }
}

impl Streams {
    /// The policy of a stream that exists.
    async fn policy(&self, deadline: &Deadline, topic: &str) -> Result<RetentionLimits, Error> {
        Ok(policy(&self.client.topic_config(deadline, topic).await?))
    }

    /// The lowest offset that is there, and the number of records.
    async fn extent(&self, deadline: &Deadline, topic: &str) -> Result<(Option<u64>, u64), Error> {
        let first = self.offsets(deadline, topic, Place::First).await?;
        let ends = self.offsets(deadline, topic, Place::End).await?;
        let present: Vec<(u64, u64)> = first.into_iter().zip(ends).filter(|(first, end)| first < end).collect();
        Ok((present.iter().map(|(first, _)| *first).min(), present.iter().map(|(first, end)| end - first).sum()))
    }
}

#[async_trait]
impl StreamRetention for Streams {
    async fn set_retention(&self, context: &Context, request: SetRetentionRequest) -> Result<SetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let limits = round_up(RetentionLimits::parse(request.policy)?);
        if limits.max_records.is_some() {
            return Err(error::unsupported(
                "policy.max_records",
                "Kafka limits the age and the size of a stream, not the number of records",
            ));
        }
        let (topic, deadline) = (self.names.stream(&request.stream), self.client.deadline(context));
        self.client.ensure(&deadline, &topic, Client::base_config).await?;
        let mut all = self.client.topic_config(&deadline, &topic).await?;
        all.retain(|(name, _)| !NAMES.contains(&name.as_str()));
        all.extend(config(&limits));
        self.client.set_topic_config(&deadline, &topic, &all).await?;
        Ok(SetRetentionResponse { policy: Some(limits.into()) })
    }

    async fn get_retention(&self, context: &Context, request: GetRetentionRequest) -> Result<GetRetentionResponse, Error> {
        check::name("stream", &request.stream)?;
        let (topic, deadline) = (self.names.stream(&request.stream), self.client.deadline(context));
        if self.client.partitions(&deadline, &topic).await?.is_none() {
            let policy = Some(RetentionLimits::default().into());
            return Ok(GetRetentionResponse { policy, records: Some(0), bytes: Some(0), ..Default::default() });
        }
        let limits = self.policy(&deadline, &topic).await?;
        let (first_offset, records) = self.extent(&deadline, &topic).await?;
        Ok(GetRetentionResponse { policy: Some(limits.into()), first_offset, records: Some(records), bytes: None })
    }

    async fn compact(&self, context: &Context, request: CompactRequest) -> Result<CompactResponse, Error> {
        check::name("stream", &request.stream)?;
        if request.by_key {
            return Err(error::unsupported(
                "by_key",
                "Kafka can't remove records by their key at once; leave it out to apply the policy only",
            ));
        }
        let (topic, deadline) = (self.names.stream(&request.stream), self.client.deadline(context));
        let Some(count) = self.client.partitions(&deadline, &topic).await? else { return Ok(CompactResponse::default()) };
        let mut removed = None;
        if let Some(age) = self.policy(&deadline, &topic).await?.max_age {
            let partitions: Vec<u32> = (0..count).collect();
            let first = self.client.offsets(&deadline, &topic, &partitions, Place::First).await?;
            let keep = self.client.offsets(&deadline, &topic, &partitions, Place::Time(time::now() - age)).await?;
            let old: Vec<(u32, u64)> = partitions.into_iter().zip(keep.iter().copied()).collect();
            let old: Vec<(u32, u64)> = old.into_iter().zip(&first).filter(|((_, keep), first)| keep > first).map(|(old, _)| old).collect();
            if !old.is_empty() {
                self.client.delete_before(&deadline, &topic, &old).await?;
            }
            removed = Some(keep.iter().zip(&first).map(|(keep, first)| keep.saturating_sub(*first)).sum());
        }
        Ok(CompactResponse { removed, first_offset: self.extent(&deadline, &topic).await?.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_from_the_configuration_that_it_makes() {
        for (max_age, max_bytes, expected) in [
            (None, None, None),
            (Some(300), None, None),
            (Some(86_400_000), Some(1), Some(2 << 20)),
            (None, Some(1 << 30), Some(1 << 30)),
            (None, Some(1 << 40), Some(1 << 40)),
        ] {
            let limits = round_up(RetentionLimits { max_age, max_records: None, max_bytes });
            assert_eq!(limits.max_bytes, expected);
            assert_eq!(policy(&config(&limits)), limits);
        }
    }
}
