//! Stream: a Kafka topic for each stream.

mod basic;
mod consumer_groups;
mod member;
mod partitioning;
mod record;
mod records;
mod replay;
mod retention;

use std::sync::Arc;

use crate::{
    client::{Client, Place},
    deadline::Deadline,
    journal::{Group, GroupName, Journal},
    names::Names,
};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{
    Limits,
    stream::{consumer_group_not_found, partition_not_found},
    subscriptions::SubscriptionLimits,
};

/// The stream interfaces over one keyspace.
#[derive(Clone)]
pub struct Streams {
    client: Arc<Client>,
    names: Names,
    journal: Arc<Journal>,
    subscriptions: Arc<SubscriptionLimits>,
    limits: Limits,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(streams: &Arc<Streams>, interfaces: &mut Interfaces) {
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_partitioning = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams.clone());
}

impl Streams {
    pub fn new(client: Arc<Client>, names: Names, journal: Arc<Journal>, subscriptions: Arc<SubscriptionLimits>, limits: Limits) -> Self {
        Self { client, names, journal, subscriptions, limits }
    }

    /// The offsets of all partitions of a Kafka topic, in their order; empty if it does not exist.
    async fn offsets(&self, deadline: &Deadline, topic: &str, place: Place) -> Result<Vec<u64>, Error> {
        match self.client.partitions(deadline, topic).await? {
            Some(count) => self.client.offsets(deadline, topic, &(0..count).collect::<Vec<_>>(), place).await,
            None => Ok(Vec::new()),
        }
    }

    /// Checks that a stream has a partition, and returns how many it has. A stream that nobody made has one.
    async fn check_partition(&self, deadline: &Deadline, topic: &str, partition: u32) -> Result<u32, Error> {
        let count = self.client.partitions(deadline, topic).await?.unwrap_or(1);
        if partition < count {
            return Ok(count);
        }
        // Another gateway may have added it.
        let count = self.client.partitions_within(deadline, topic, std::time::Duration::ZERO).await?.unwrap_or(1);
        if partition < count { Ok(count) } else { Err(partition_not_found(partition, count as usize)) }
    }

    /// Looks at a group as it is now.
    async fn group<R>(&self, deadline: &Deadline, name: &GroupName, look: impl FnOnce(&Group) -> R) -> Result<R, Error> {
        self.journal.catch_up(deadline).await?;
        let found = self.journal.view(|state| state.groups.get(name).map(look));
        found.ok_or_else(|| consumer_group_not_found(&name.stream, &name.group))
    }
}

/// The partition of a key, as clients of Kafka in Java choose it. A record without key goes to any.
fn partition_of(key: &[u8], count: u32) -> u32 {
    match (count, key) {
        (0 | 1, _) => 0,
        (count, []) => rand::random_range(0..count),
        (count, key) => (murmur2(key) & 0x7fff_ffff) % count,
    }
}

/// The hash of keys in Kafka's clients: MurmurHash2 with 32 bits and their seed.
fn murmur2(key: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(key.len()).unwrap_or(0);
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut word = word.iter().rev().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)).wrapping_mul(MULTIPLIER);
        word = (word ^ (word >> 24)).wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ word;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_kafka() {
        // From the tests of Kafka's own client.
        for (key, hash) in
            [("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536), ("abc", 479_470_107)]
        {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn keys_use_all_partitions() {
        let used: std::collections::BTreeSet<u32> = (0..32_u8).map(|key| partition_of(&[key, 0xff], 4)).collect();
        assert_eq!(used.len(), 4);
        assert_eq!((partition_of(b"", 1), partition_of(b"x", 1)), (0, 0));
    }
}
