//! Kafka topics: how many partitions they have, how they are created, and their configuration.

use std::time::{Duration, Instant};

use rdkafka::{
    admin::{AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    consumer::Consumer as _,
    types::{RDKafkaErrorCode, RDKafkaRespErr},
};

use crate::{
    client::{Client, KnownTopic},
    deadline::Deadline,
    error,
};
use prism_call::Error;
use prism_driver::lock::lock;

/// How long the number of partitions is used before it is asked for again. Another gateway may have added some.
const FRESH: Duration = Duration::from_secs(5);
/// Topics whose number of partitions is remembered.
const MAX_KNOWN: usize = 10_000;
/// Pause while the brokers learn of a new topic.
const LEARNING: Duration = Duration::from_millis(10);

/// The configuration of a Kafka topic: names and values.
pub type TopicConfig = Vec<(&'static str, String)>;

impl Client {
    /// The number of partitions of a Kafka topic; `None` if it does not exist.
    pub async fn partitions(&self, deadline: &Deadline, topic: &str) -> Result<Option<u32>, Error> {
        self.partitions_within(deadline, topic, FRESH).await
    }

    /// As `partitions`, at most as old as this.
    pub async fn partitions_within(&self, deadline: &Deadline, topic: &str, age: Duration) -> Result<Option<u32>, Error> {
        let known = lock(&self.known).get(topic).copied();
        match known {
            Some(known) if known.at.elapsed() < age => Ok(Some(known.partitions)),
            _ => self.ask_partitions(deadline, topic).await,
        }
    }

    async fn ask_partitions(&self, deadline: &Deadline, topic: &str) -> Result<Option<u32>, Error> {
        loop {
            let name = topic.to_owned();
            let found = self
                .request(deadline, move |consumer, timeout| {
                    let metadata = consumer.fetch_metadata(Some(&name), timeout)?;
                    let found = metadata.topics().iter().find(|topic| topic.name() == name);
                    Ok(found.map(|topic| {
                        let ready = topic.partitions().iter().all(|partition| partition.leader() >= 0);
                        (topic.error(), topic.partitions().len(), ready)
                    }))
                })
                .await?;
            match found {
                None | Some((Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), ..)) => return Ok(None),
                Some((None, count, true)) if count > 0 => {
                    let partitions = u32::try_from(count).unwrap_or(u32::MAX);
                    self.remember(topic, partitions);
                    return Ok(Some(partitions));
                }
                Some((Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), ..)) => {
                    let cause = rdkafka::error::KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed);
                    return Err(error::map(&cause, 0));
                }
                // It is being created, or a partition has no leader for the moment.
                Some(_) => {
                    if deadline.remaining().is_zero() {
                        return Err(deadline.no_response(&self.status));
                    }
                    tokio::time::sleep(LEARNING).await;
                }
            }
        }
    }

    fn remember(&self, topic: &str, partitions: u32) {
        let mut known = lock(&self.known);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(topic.to_owned(), KnownTopic { partitions, at: Instant::now() });
    }

    /// The number of partitions of a Kafka topic, which is created if it does not exist.
    pub async fn ensure(&self, deadline: &Deadline, topic: &str, config: fn(&Self) -> TopicConfig) -> Result<u32, Error> {
        if let Some(partitions) = self.partitions(deadline, topic).await? {
            return Ok(partitions);
        }
        self.create(deadline, topic, 1, &config(self)).await?;
        self.await_partitions(deadline, topic, 1).await
    }

    /// Creates a Kafka topic. Returns false if it exists.
    pub async fn create(&self, deadline: &Deadline, topic: &str, partitions: u32, config: &TopicConfig) -> Result<bool, Error> {
        let replicas = i32::try_from(self.settings.replicas.to_usize()).unwrap_or(1);
        let mut new = NewTopic::new(topic, i32::try_from(partitions).unwrap_or(i32::MAX), TopicReplication::Fixed(replicas));
        for (name, value) in config {
            new = new.set(name, value);
        }
        let options = Self::admin_options(deadline);
        let created = self.within(deadline, self.admin().await?.create_topics([&new], &options)).await?;
        match created.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(self.map(deadline, &rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(error::no_response()),
        }
    }

    /// Waits until the brokers know as many partitions.
    pub async fn await_partitions(&self, deadline: &Deadline, topic: &str, least: u32) -> Result<u32, Error> {
        loop {
            if let Some(partitions) = self.ask_partitions(deadline, topic).await?
                && partitions >= least
            {
                self.created.send_modify(|count| *count += 1);
                return Ok(partitions);
            }
            if deadline.remaining().is_zero() {
                return Err(deadline.no_response(&self.status));
            }
            tokio::time::sleep(LEARNING).await;
        }
    }

    /// Adds partitions to a Kafka topic.
    pub async fn add_partitions(&self, deadline: &Deadline, topic: &str, count: u32) -> Result<(), Error> {
        let new = NewPartitions::new(topic, usize::try_from(count).unwrap_or(usize::MAX));
        let options = Self::admin_options(deadline);
        let added = self.within(deadline, self.admin().await?.create_partitions([&new], &options)).await?;
        match added.into_iter().next() {
            // Another gateway was faster.
            Some(Ok(_) | Err((_, RDKafkaErrorCode::InvalidPartitions))) => self.await_partitions(deadline, topic, count).await.map(drop),
            Some(Err((_, code))) => Err(self.map(deadline, &rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(error::no_response()),
        }
    }

    /// The values of a Kafka topic's configuration that were set for this topic.
    pub async fn topic_config(&self, deadline: &Deadline, topic: &str) -> Result<Vec<(String, String)>, Error> {
        let resource = ResourceSpecifier::Topic(topic);
        let options = Self::admin_options(deadline);
        let described = self.within(deadline, self.admin().await?.describe_configs([&resource], &options)).await?;
        match described.into_iter().next() {
            Some(Ok(resource)) => {
                let set = resource.entries.into_iter().filter(|entry| entry.source == rdkafka::admin::ConfigSource::DynamicTopic);
                Ok(set.filter_map(|entry| Some((entry.name, entry.value?))).collect())
            }
            Some(Err(code)) => Err(self.map(deadline, &rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(error::no_response()),
        }
    }

    /// Replaces the configuration that was set for a Kafka topic.
    pub async fn set_topic_config(&self, deadline: &Deadline, topic: &str, config: &[(String, String)]) -> Result<(), Error> {
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, value) in config {
            altered = altered.set(name, value);
        }
        let options = Self::admin_options(deadline);
        let results = self.within(deadline, self.admin().await?.alter_configs([&altered], &options)).await?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(self.map(deadline, &rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(error::no_response()),
        }
    }

    /// What all Kafka topics of Prism have: the time of the broker, no limit of age or size, and room for the largest record.
    pub fn base_config(&self) -> TopicConfig {
        let mut config: TopicConfig = vec![
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("max.message.bytes", self.settings.max_record_bytes().to_string()),
        ];
        let replicas = self.settings.replicas.to_usize();
        if replicas > 2 {
            // A record is stored when all but one copy have it, so that one broker may fail.
            config.push(("min.insync.replicas", (replicas - 1).to_string()));
        }
        config
    }
}

/// Replaces a value of a configuration.
pub fn set(config: &mut TopicConfig, name: &'static str, value: String) {
    config.retain(|(other, _)| *other != name);
    config.push((name, value));
}
