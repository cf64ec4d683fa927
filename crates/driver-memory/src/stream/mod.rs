//! Stream: append-only logs. Each has its own lock, so streams don't wait for each other.

mod basic;
mod consumer_groups;
mod cursor;
mod group;
mod log;
mod member;
mod partition;
mod partitioning;
mod reader;
mod replay;
mod retention;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use self::{
    log::{Log, LogState},
    partition::StoredRecord,
};
use crate::state::{OVERHEAD, SharedState};
use prism_call::{Error, proto::Interfaces};
use prism_driver::{
    Limits, check,
    lock::lock,
    stream::check_record,
    time::{self, Millis},
};

/// The stream interfaces over one keyspace.
pub struct Streams {
    shared: Arc<SharedState>,
    limits: Limits,
    logs: Mutex<HashMap<String, Arc<Log>>>,
}

/// Adds the stream interfaces to those of a keyspace.
pub fn add(streams: &Arc<Streams>, interfaces: &mut Interfaces) {
    interfaces.stream_basic = Some(streams.clone());
    interfaces.stream_consumer_groups = Some(streams.clone());
    interfaces.stream_partitioning = Some(streams.clone());
    interfaces.stream_replay = Some(streams.clone());
    interfaces.stream_retention = Some(streams.clone());
}

/// A record to append.
struct NewRecord<'a> {
    stream: &'a str,
    key: &'a Bytes,
    payload: &'a Bytes,
    attributes: BTreeMap<String, String>,
    expected_next_offset: Option<u64>,
    /// `None` = chosen by the key.
    partition: Option<u32>,
}

impl Streams {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        Self { shared, limits, logs: Mutex::default() }
    }

    /// Applies retention, and removes streams that were never used and have no reader.
    pub fn sweep(&self) {
        let now = time::now();
        let logs: Vec<Arc<Log>> = lock(&self.logs).values().cloned().collect();
        for log in logs {
            lock(&log.state).apply_retention(now);
        }
        lock(&self.logs).retain(|_, log| Arc::strong_count(log) > 1 || !lock(&log.state).is_unused());
    }

    /// A stream; creates it if it does not exist.
    fn log(&self, stream: &str) -> Result<Arc<Log>, Error> {
        check::name("stream", stream)?;
        self.shared.check_open()?;
        let mut logs = lock(&self.logs);
        if let Some(log) = logs.get(stream) {
            return Ok(log.clone());
        }
        self.shared.reserve(stream.len() as u64 + OVERHEAD)?;
        let log = Arc::new(Log::new(stream, self.shared.clone()));
        logs.insert(stream.to_owned(), log.clone());
        Ok(log)
    }

    /// A stream; `None` if it does not exist.
    fn find(&self, stream: &str) -> Result<Option<Arc<Log>>, Error> {
        check::name("stream", stream)?;
        self.shared.check_open()?;
        Ok(lock(&self.logs).get(stream).cloned())
    }

    /// Calls `work` with the state of a stream, or with that of an empty stream if it does not exist.
    fn with_state<T>(&self, stream: &str, work: impl FnOnce(&mut LogState) -> T) -> Result<T, Error> {
        Ok(match self.find(stream)? {
            Some(log) => work(&mut lock(&log.state)),
            None => work(&mut LogState::new(self.shared.clone())),
        })
    }

    /// Appends a record, and returns its partition, offset and time.
    fn append(&self, new: NewRecord<'_>) -> Result<(u32, u64, Millis), Error> {
        check_record(&self.limits, new.stream, new.key, new.payload, &new.attributes)?;
        // Copies: the bytes of the request may be a small part of a large buffer.
        let (key, payload) = (Bytes::copy_from_slice(new.key), Bytes::copy_from_slice(new.payload));
        let record = StoredRecord::new(key, payload, new.attributes, time::now());
        let log = self.log(new.stream)?;
        let appended = lock(&log.state).append(record, new.partition, new.expected_next_offset)?;
        log.changed.notify_waiters();
        Ok(appended)
    }
}
