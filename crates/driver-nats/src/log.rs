//! A log: a JetStream stream with one subject, which keeps messages in order.

use std::sync::Arc;

use async_nats::HeaderMap;
use bytes::Bytes;
use prost_types::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    client::{Client, Deadline},
    error::{self, ApiError},
    jetstream::{Stored, StreamInfo},
};
use prism_call::Error;

const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
/// Bytes after which a page ends.
const PAGE_BYTES: usize = 1 << 20;

/// Most messages of a page. They must all fit into the buffer of a subscription of the connection, which drops messages that don't.
const MAX_PAGE: usize = 4096;

/// A log.
#[derive(Clone)]
pub struct Log {
    client: Arc<Client>,
    stream: String,
    subject: String,
    config: Value,
}

/// The result of an append.
pub enum Appended {
    /// The sequence of the message.
    Done(u64),
    /// The log ends at this sequence, and not at the expected one.
    Mismatch(u64),
}

impl Log {
    /// A log with the names of its stream and its subject. For each message that was stored, the server publishes its headers to `wake`.
    pub fn new(client: Arc<Client>, stream: String, subject: String, wake: &str) -> Self {
        let config = json!({
            "name": stream,
            "subjects": [subject],
            "retention": "limits",
            "storage": "file",
            "discard": "old",
            "num_replicas": client.replicas(),
            "max_msgs": -1,
            "max_bytes": -1,
            "allow_direct": true,
            "republish": {"src": subject, "dest": wake, "headers_only": true},
        });
        Self { client, stream, subject, config }
    }

    /// Sets a property of the stream, if this log creates it.
    #[must_use]
    pub fn with(mut self, property: &str, value: impl Into<Value>) -> Self {
        self.config[property] = value.into();
        self
    }

    /// The subject of its messages.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Creates the stream, if it does not exist.
    pub async fn create(&self, deadline: &Deadline) -> Result<(), Error> {
        self.client.create_stream(deadline, &self.config).await
    }

    /// Appends a message; with `expected`, only if the last message has this sequence.
    pub async fn append(
        &self,
        deadline: &Deadline,
        mut headers: HeaderMap,
        payload: Bytes,
        expected: Option<u64>,
    ) -> Result<Appended, Error> {
        if let Some(expected) = expected {
            headers.insert(EXPECTED_SEQUENCE, expected.to_string());
        }
        match self.store(deadline, &self.subject, headers, payload).await? {
            Ok(sequence) => Ok(Appended::Done(sequence)),
            Err(error) if error::WRONG_LAST_SEQUENCE.contains(&error.err_code) => {
                let last = error.description.rsplit(' ').next().and_then(|last| last.parse().ok());
                Ok(Appended::Mismatch(last.ok_or_else(error::unexpected_response)?))
            }
            Err(error) => Err(error::map_api_error(&error)),
        }
    }

    /// Stores a message under one of the subjects of the stream, and creates the stream if necessary.
    pub async fn store(
        &self,
        deadline: &Deadline,
        subject: &str,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Result<u64, ApiError>, Error> {
        self.client.store(deadline, subject, headers, payload, &self.config).await
    }

    /// Reads the message with a sequence.
    pub async fn read(&self, deadline: &Deadline, sequence: u64) -> Result<Option<Stored>, Error> {
        self.client.read(deadline, &self.stream, json!({"seq": sequence})).await
    }

    /// Reads messages with this sequence and later ones: at most `batch`, and fewer if a page has no room for them.
    pub async fn page(&self, deadline: &Deadline, from: u64, batch: usize) -> Result<Vec<Stored>, Error> {
        let selector = json!({"seq": from.max(1), "next_by_subj": self.subject});
        self.client.read_page(deadline, &self.stream, selector, batch.min(MAX_PAGE), PAGE_BYTES).await
    }

    /// Returns the sequence of the first message that was stored at a time or later.
    pub async fn sequence_at(&self, deadline: &Deadline, time: &Timestamp) -> Result<Option<u64>, Error> {
        let selector = json!({"start_time": time.to_string(), "next_by_subj": self.subject});
        let page = self.client.read_page(deadline, &self.stream, selector, 1, 1).await?;
        Ok(page.first().map(|stored| stored.sequence))
    }

    /// State and configuration; `None` if nothing was ever stored.
    pub async fn info(&self, deadline: &Deadline) -> Result<Option<StreamInfo>, Error> {
        self.client.stream_info(deadline, &self.stream, None).await
    }

    /// The same with the number of messages under the subject of the log.
    pub async fn info_with_count(&self, deadline: &Deadline) -> Result<Option<(StreamInfo, u64)>, Error> {
        let info = self.client.stream_info(deadline, &self.stream, Some((&self.subject, 0))).await?;
        Ok(info.map(|info| {
            let count = info.state.subjects.get(&self.subject).copied().unwrap_or_default();
            (info, count)
        }))
    }

    /// Changes the configuration of the stream.
    pub async fn update(&self, deadline: &Deadline, config: &Map<String, Value>) -> Result<(), Error> {
        let updated: Result<Value, ApiError> = self.client.api(deadline, &format!("STREAM.UPDATE.{}", self.stream), config).await?;
        updated.map(drop).map_err(|error| error::map_api_error(&error))
    }

    /// Deletes one message. Returns whether it existed: of several calls, one returns true.
    pub async fn delete(&self, deadline: &Deadline, sequence: u64) -> Result<bool, Error> {
        self.client.delete_message(deadline, &self.stream, sequence).await
    }
}
