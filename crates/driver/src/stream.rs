//! Limits, defaults and checks of stream requests that are the same in every driver, and the errors that the contract names.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Limits, check,
    time::{self, Millis},
};
use prism_call::{Code, Error, proto::models::stream::v1::RetentionPolicy};

/// Most members that GetConsumerGroupInfo lists.
pub const MAX_LISTED_CONSUMERS: usize = 1000;

const DEFAULT_IN_FLIGHT: u32 = 100;
const MAX_IN_FLIGHT: u32 = 10_000;

const MIN_ACK_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_ACK_TIMEOUT: Duration = Duration::from_hours(12);
const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Checks the fields that every request to append has.
pub fn check_record(limits: &Limits, stream: &str, key: &[u8], payload: &[u8], attributes: &BTreeMap<String, String>) -> Result<(), Error> {
    check::name("stream", stream)?;
    check::key_bound(limits, "key", key)?;
    check::value(limits, "payload", payload)?;
    check::attributes(attributes)
}

/// Checks the names of a stream and a consumer group.
pub fn check_group_names(stream: &str, group: &str) -> Result<(), Error> {
    check::name("stream", stream)?;
    check::name("group", group)
}

/// The field `max_in_flight`: how many records may wait for the acknowledgement of one member.
pub fn max_in_flight(limit: u32) -> Result<u32, Error> {
    check::limit("max_in_flight", limit, DEFAULT_IN_FLIGHT, MAX_IN_FLIGHT)
}

/// The field `ack_timeout`: after this time a record without acknowledgement is delivered again.
pub fn ack_timeout(timeout: Option<&prost_types::Duration>) -> Result<Duration, Error> {
    timeout.map_or(Ok(DEFAULT_ACK_TIMEOUT), |timeout| time::between("ack_timeout", timeout, MIN_ACK_TIMEOUT, MAX_ACK_TIMEOUT))
}

/// A checked retention policy; `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionLimits {
    /// Greatest age of a record in milliseconds.
    pub max_age: Option<Millis>,
    /// Greatest number of records.
    pub max_records: Option<u64>,
    /// Greatest size of all records in bytes.
    pub max_bytes: Option<u64>,
}

impl RetentionLimits {
    /// Checks the policy of a request. An absent policy has no limits.
    pub fn parse(policy: Option<RetentionPolicy>) -> Result<Self, Error> {
        let policy = policy.unwrap_or_default();
        let positive = |field: &str, limit: Option<u64>| match limit {
            Some(0) => Err(Error::invalid(field, "must be greater than zero; leave it out for no limit")),
            limit => Ok(limit),
        };
        let max_age = policy.max_age.map(|age| time::positive("policy.max_age", &age)).transpose()?;
        Ok(Self {
            max_age: max_age.map(time::ceil_millis),
            max_records: positive("policy.max_records", policy.max_records)?,
            max_bytes: positive("policy.max_bytes", policy.max_bytes)?,
        })
    }
}

impl From<RetentionLimits> for RetentionPolicy {
    fn from(limits: RetentionLimits) -> Self {
        let RetentionLimits { max_age, max_records, max_bytes } = limits;
        Self { max_age: max_age.map(time::duration), max_records, max_bytes }
    }
}

/// `NOT_FOUND CONSUMER_GROUP_NOT_FOUND`
pub fn consumer_group_not_found(stream: &str, group: &str) -> Error {
    Error::new(
        Code::NotFound,
        "CONSUMER_GROUP_NOT_FOUND",
        format!("the stream {stream:?} has no consumer group {group:?}; create it with CreateConsumerGroup"),
    )
}

/// `NOT_FOUND PARTITION_NOT_FOUND`; partitions have the numbers 0 to `count - 1`.
pub fn partition_not_found(partition: u32, count: usize) -> Error {
    let partitions = if count == 1 { "it has only partition 0".to_owned() } else { format!("its {count} partitions are numbered from 0") };
    Error::new(Code::NotFound, "PARTITION_NOT_FOUND", format!("the stream has no partition {partition}; {partitions}"))
        .with("partitions", count.to_string())
}

/// Refuses partitions other than 0, for drivers whose streams have only that one.
pub fn check_only_partition(partition: Option<u32>) -> Result<(), Error> {
    match partition {
        None | Some(0) => Ok(()),
        Some(other) => Err(partition_not_found(other, 1)),
    }
}

/// `ABORTED OFFSET_MISMATCH`
pub fn offset_mismatch(next_offset: u64) -> Error {
    Error::new(
        Code::Aborted,
        "OFFSET_MISMATCH",
        format!("another client appended first: the next offset is {next_offset}; read the new records and try again"),
    )
    .with("next_offset", next_offset.to_string())
}

/// `OUT_OF_RANGE OFFSET_EXPIRED`
pub fn offset_expired(first_offset: u64) -> Error {
    Error::new(
        Code::OutOfRange,
        "OFFSET_EXPIRED",
        format!("retention removed records that were not read yet; the oldest record that still exists has offset {first_offset}"),
    )
    .with("first_offset", first_offset.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_limit_is_positive_and_in_whole_milliseconds() {
        let age = Some(prost_types::Duration { seconds: 1, nanos: 1 });
        let limits = RetentionLimits::parse(Some(RetentionPolicy { max_age: age, max_records: Some(5), max_bytes: None })).unwrap();
        assert_eq!(limits, RetentionLimits { max_age: Some(1001), max_records: Some(5), max_bytes: None });
        for policy in [
            RetentionPolicy { max_age: Some(prost_types::Duration::default()), ..Default::default() },
            RetentionPolicy { max_records: Some(0), ..Default::default() },
            RetentionPolicy { max_bytes: Some(0), ..Default::default() },
        ] {
            assert_eq!(RetentionLimits::parse(Some(policy)).unwrap_err().reason(), "INVALID_FIELD");
        }
        assert_eq!(RetentionLimits::parse(None).unwrap(), RetentionLimits::default());
    }
}
