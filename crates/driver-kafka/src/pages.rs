//! A pool of consumers that read pages of records. Each reads one page at a time, from any place.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use futures::FutureExt as _;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{Consumer as _, StreamConsumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::sync::Semaphore;

use crate::{codec::Stored, connection::Reports, deadline::Deadline, error, settings::KafkaSettings};
use prism_call::Error;
use prism_driver::lock::lock;

/// Bytes of records after which a page ends.
const PAGE_BYTES: usize = 4 << 20;
/// How long a page that has records waits for more.
const MORE: Duration = Duration::from_millis(5);

/// A consumer of librdkafka.
pub type Consumer = StreamConsumer<Reports>;

/// Consumers that read pages.
pub struct Pages {
    config: ClientConfig,
    reports: Reports,
    idle: Mutex<Vec<Consumer>>,
    permits: Semaphore,
}

/// A page of records.
pub enum Page {
    /// The next records, by the order of their offsets in each partition. Empty at the end of all partitions.
    Records(Vec<Stored>),
    /// A position is before the first or behind the last record of its partition.
    OutOfRange,
}

/// A consumer at work. It returns to the pool.
struct Borrowed<'p> {
    pages: &'p Pages,
    consumer: Option<Consumer>,
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take()
            && consumer.unassign().is_ok()
        {
            lock(&self.pages.idle).push(consumer);
        }
    }
}

impl Pages {
    pub fn new(settings: &KafkaSettings, reports: Reports) -> Self {
        let mut config = settings.consumer_config();
        // A consumer leaves at the end of its page, so that it never waits for new records.
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "error").set("fetch.wait.max.ms", "5");
        Self { config, reports, idle: Mutex::default(), permits: Semaphore::new(settings.readers.to_usize()) }
    }

    async fn borrow(&self) -> Result<Borrowed<'_>, Error> {
        let idle = lock(&self.idle).pop();
        let consumer = if let Some(consumer) = idle {
            consumer
        } else {
            // Making one starts its threads and reads the trust roots.
            let (config, reports) = (self.config.clone(), self.reports.clone());
            let made = tokio::task::spawn_blocking(move || Consumer::from_config_and_context(&config, reports)).await;
            made.unwrap_or(Err(KafkaError::Canceled)).map_err(|error| error::no_client(&error))?
        };
        Ok(Borrowed { pages: self, consumer: Some(consumer) })
    }

    /// Reads at most `most` records of a Kafka topic: from these offsets of these partitions.
    pub async fn read(&self, deadline: &Deadline, topic: &str, from: &[(u32, u64)], most: usize) -> Result<Page, Error> {
        let status = &self.reports.status;
        let no_response = || deadline.no_response(status);
        let _permit = tokio::time::timeout(deadline.remaining(), self.permits.acquire()).await.map_err(|_| no_response())?;
        let borrowed = self.borrow().await?;
        let Some(consumer) = &borrowed.consumer else { return Err(error::backend_closed()) };
        let assigned = assignment(topic, from).and_then(|assignment| consumer.assign(&assignment));
        assigned.map_err(|error| error::map(&error, 0))?;
        let (mut records, mut bytes, mut ended): (Vec<Stored>, usize, BTreeSet<u32>) = (Vec::new(), 0, BTreeSet::new());
        while records.len() < most && bytes < PAGE_BYTES && ended.len() < from.len() {
            let wait = if records.is_empty() { deadline.remaining() } else { MORE.min(deadline.remaining()) };
            match tokio::time::timeout(wait, consumer.recv()).await {
                Ok(Ok(message)) => {
                    let position = u32::try_from(message.partition()).ok().and_then(|partition| find(from, partition));
                    if position.is_some_and(|next| message.offset() >= 0 && message.offset().unsigned_abs() >= next)
                        && message.topic() == topic
                    {
                        let stored = Stored::copy(&message);
                        bytes += stored.size();
                        records.push(stored);
                    }
                }
                Ok(Err(KafkaError::PartitionEOF(partition))) => drop(u32::try_from(partition).map(|partition| ended.insert(partition))),
                Ok(Err(cause)) => match error::code(&cause) {
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) if records.is_empty() => {
                        return Ok(Page::OutOfRange);
                    }
                    // The next page begins there.
                    Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => break,
                    // librdkafka tries again until the deadline.
                    _ if error::is_temporary(&cause) => {}
                    _ => return Err(error::map(&cause, 0)),
                },
                Err(_) if records.is_empty() => return Err(no_response()),
                Err(_) => break,
            }
        }
        status.responded();
        Ok(Page::Records(records))
    }

    /// Takes what idle consumers report, so that it does not pile up during an outage.
    pub fn take_reports(&self) {
        // Under the lock: a read that finds no idle consumer makes another one, and the pool would grow beyond `readers`.
        for consumer in lock(&self.idle).iter() {
            while consumer.recv().now_or_never().is_some() {}
        }
    }

    /// Forgets the idle consumers. Ending one takes a moment, so the caller does it outside of the runtime.
    pub fn take_idle(&self) -> Vec<Consumer> {
        std::mem::take(&mut *lock(&self.idle))
    }
}

fn find(from: &[(u32, u64)], partition: u32) -> Option<u64> {
    from.iter().find(|(other, _)| *other == partition).map(|(_, next)| *next)
}

/// The partitions of a topic with offsets, as librdkafka expects them.
pub fn assignment(topic: &str, from: &[(u32, u64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(from.len());
    for (partition, next) in from {
        let offset = Offset::Offset(i64::try_from(*next).unwrap_or(i64::MAX));
        list.add_partition_offset(topic, i32::try_from(*partition).unwrap_or(i32::MAX), offset)?;
    }
    Ok(list)
}
