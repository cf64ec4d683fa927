//! Stream: append-only logs. Each has its own lock, so that streams don't wait for each other.

mod cursor;
mod group;
mod groups;
mod log;
mod partition;
mod reader;
mod rpc;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use self::{
    log::{Log, State},
    partition::Stored,
};
use super::shared::{OVERHEAD, Shared, lock};
use prism_call::{Code, Error};
use prism_driver::{
    Limits, check,
    time::{self, Millis},
};

/// The streams of one keyspace.
pub struct Streams {
    shared: Arc<Shared>,
    limits: Limits,
    logs: Mutex<HashMap<String, Arc<Log>>>,
}

/// Greatest number of partitions of a stream.
const MAX_PARTITIONS: u32 = 1024;
/// Greatest length of a record's key.
const MAX_KEY_BYTES: usize = 1024;

/// A record that is to be appended.
struct Append<'a> {
    stream: &'a str,
    key: &'a Bytes,
    payload: &'a Bytes,
    attributes: BTreeMap<String, String>,
    expected_next_offset: Option<u64>,
    /// `None`: by the key.
    partition: Option<u32>,
}

impl Streams {
    pub fn new(shared: Arc<Shared>, limits: Limits) -> Self {
        Self { shared, limits, logs: Mutex::default() }
    }

    /// Applies retention, and forgets logs that never held anything and that nobody reads.
    pub fn sweep(&self) {
        let now = time::now();
        let logs: Vec<Arc<Log>> = lock(&self.logs).values().cloned().collect();
        for log in logs {
            lock(&log.state).retain(now);
        }
        lock(&self.logs).retain(|_, log| Arc::strong_count(log) > 1 || !lock(&log.state).is_pristine());
    }

    /// The log of a stream, made if there was none.
    fn log(&self, stream: &str) -> Result<Arc<Log>, Error> {
        check::name("stream", stream)?;
        self.shared.open()?;
        let mut logs = lock(&self.logs);
        if let Some(log) = logs.get(stream) {
            return Ok(log.clone());
        }
        self.shared.reserve(stream.len() as u64 + OVERHEAD)?;
        let log = Arc::new(Log::new(stream, self.shared.clone()));
        logs.insert(stream.to_owned(), log.clone());
        Ok(log)
    }

    /// The log of a stream, if there is one.
    fn find(&self, stream: &str) -> Result<Option<Arc<Log>>, Error> {
        check::name("stream", stream)?;
        self.shared.open()?;
        Ok(lock(&self.logs).get(stream).cloned())
    }

    /// Looks at a log; at an empty one if there is none.
    fn look<T>(&self, stream: &str, look: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        Ok(match self.find(stream)? {
            Some(log) => look(&mut lock(&log.state)),
            None => look(&mut State::new(self.shared.clone())),
        })
    }

    /// Appends a record and gives its partition, offset and time.
    fn append(&self, append: Append<'_>) -> Result<(u32, u64, Millis), Error> {
        check::name("stream", append.stream)?;
        if append.key.len() > MAX_KEY_BYTES {
            return Err(Error::invalid("key", format!("has {} bytes; at most {MAX_KEY_BYTES} are allowed", append.key.len()))
                .with_reason("INVALID_KEY"));
        }
        check::value(&self.limits, "payload", append.payload)?;
        check::attributes(&append.attributes)?;
        // Copies, because the request's bytes may be a small part of a large buffer.
        let record =
            Stored::new(Bytes::copy_from_slice(append.key), Bytes::copy_from_slice(append.payload), append.attributes, time::now());
        let log = self.log(append.stream)?;
        let appended = lock(&log.state).append(record, append.partition, append.expected_next_offset)?;
        log.changed.notify_waiters();
        Ok(appended)
    }
}

/// `NOT_FOUND PARTITION_NOT_FOUND`
fn partition_not_found(partition: u32, count: usize) -> Error {
    Error::new(
        Code::NotFound,
        "PARTITION_NOT_FOUND",
        format!("the stream has no partition {partition}; its {count} partitions are numbered from 0"),
    )
    .with("partitions", count.to_string())
}

/// `NOT_FOUND CONSUMER_GROUP_NOT_FOUND`
fn group_not_found(group: &str) -> Error {
    Error::new(
        Code::NotFound,
        "CONSUMER_GROUP_NOT_FOUND",
        format!("the stream has no consumer group {group:?}; make it with CreateConsumerGroup"),
    )
}
