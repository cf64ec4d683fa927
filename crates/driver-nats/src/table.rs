//! A table: a JetStream stream that keeps the last message of each subject. A write names the sequence of the message that it replaces, so
//! it is a compare-and-set.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    client::{Client, Deadline},
    error::{self, ApiError},
    jetstream::{Stored, StreamInfo},
    names::Names,
};
use prism_call::{Code, Error};
use prism_driver::time::{self, Millis};

const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// Subjects in one page of a list. The server has the same limit.
const LIST_PAGE: usize = 100_000;
/// Subjects that two pages of a list share. If the last one of a page was deleted meanwhile, the next page still begins before it.
const LIST_OVERLAP: usize = 1000;

/// When the history of a table began, in the metadata of its stream.
const HISTORY_SINCE: &str = "prism_history_since";
/// How long a marker stays in the place of a row that was removed, while a table has a history.
pub const MARKER_SECONDS: u64 = 4300;

/// A table.
pub struct Table {
    client: Arc<Client>,
    stream: String,
    /// What stands before the tokens of a row.
    root: String,
    config: Value,
    /// To which the server publishes the headers of what it has stored, while the table has a history.
    wake_root: String,
}

/// The pauses of a writer after conflicts with other writers.
#[derive(Default)]
pub struct Conflicts(u32);

impl Conflicts {
    /// Waits for a random time, longer after each conflict, and fails at the deadline.
    pub async fn pause(&mut self, deadline: &Deadline) -> Result<(), Error> {
        if deadline.remaining().is_zero() {
            return Err(error::unavailable("other writers were faster each time", Duration::from_millis(20)));
        }
        // The first conflict is over when it is noticed.
        if self.0 > 0 {
            let most = 1000_u64 << self.0.min(5);
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..=most))).await;
        }
        self.0 += 1;
        Ok(())
    }
}

impl Table {
    /// A table of a keyspace. More properties of its stream are in `more`.
    pub fn new(client: Arc<Client>, names: &Names, kind: &str, more: &Value) -> Self {
        let (stream, root) = (names.stream(kind), names.subject(kind, ""));
        let mut config = json!({
            "name": stream,
            "subjects": [format!("{root}>")],
            "retention": "limits",
            "storage": "file",
            // With a limit that an operator adds, writes are refused. Otherwise old rows would be removed.
            "discard": "new",
            "num_replicas": client.replicas(),
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "allow_direct": true,
            "allow_msg_ttl": true,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            config[name.as_str()] = value.clone();
        }
        let wake_root = names.subject("wake", &format!("{kind}."));
        Self { client, stream, root, config, wake_root }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads a row.
    pub async fn get(&self, deadline: &Deadline, tokens: &str) -> Result<Option<Stored>, Error> {
        self.client.read(deadline, &self.stream, json!({"last_by_subj": format!("{}{tokens}", self.root)})).await
    }

    /// Replaces the row with this sequence; 0 = there must be none. Returns the new sequence, or `None` if another write came first.
    pub async fn put(
        &self,
        deadline: &Deadline,
        tokens: &str,
        expected: u64,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Option<u64>, Error> {
        headers.insert(EXPECTED_SEQUENCE, expected.to_string());
        let subject = format!("{}{tokens}", self.root);
        match self.client.store(deadline, &subject, headers, payload, &self.config).await? {
            Ok(sequence) => Ok(Some(sequence)),
            Err(error) if error::WRONG_LAST_SEQUENCE.contains(&error.err_code) => Ok(None),
            Err(error) => Err(error::map_api_error(&error)),
        }
    }

    /// Removes the row with this sequence. Returns false if another write came first.
    pub async fn remove(&self, deadline: &Deadline, sequence: u64) -> Result<bool, Error> {
        self.client.delete_message(deadline, &self.stream, sequence).await
    }

    /// State and configuration; `None` if nothing was ever stored.
    pub async fn info(&self, deadline: &Deadline) -> Result<Option<StreamInfo>, Error> {
        self.client.stream_info(deadline, &self.stream, None).await
    }

    /// Begins a history: from now on, the server leaves a marker in the place of each row that expires, and wakes those who listen to
    /// [`wake_filter`](Self::wake_filter). Returns when it began.
    pub async fn begin_history(&self, deadline: &Deadline) -> Result<Millis, Error> {
        let info = if let Some(info) = self.info(deadline).await? {
            info
        } else {
            self.client.create_stream(deadline, &self.config).await?;
            self.info(deadline).await?.ok_or_else(error::jetstream_unavailable)?
        };
        if has_history(&info) {
            let since = info.config.get("metadata").and_then(|metadata| metadata.get(HISTORY_SINCE)?.as_str()?.parse().ok());
            return Ok(since.unwrap_or_default());
        }
        let (mut config, since) = (info.config, time::now());
        if let Some(metadata) = config.entry("metadata").or_insert_with(|| json!({})).as_object_mut() {
            metadata.insert(HISTORY_SINCE.to_owned(), since.to_string().into());
        }
        config.insert("subject_delete_marker_ttl".to_owned(), (MARKER_SECONDS * 1_000_000_000).into());
        let republish = json!({"src": format!("{}>", self.root), "dest": self.wake_filter(), "headers_only": true});
        config.insert("republish".to_owned(), republish);
        let updated: Result<Value, ApiError> = self.client.api(deadline, &format!("STREAM.UPDATE.{}", self.stream), &config).await?;
        updated.map_err(|error| error::map_api_error(&error))?;
        Ok(since)
    }

    /// The subjects of messages that come after something was stored.
    pub fn wake_filter(&self) -> String {
        format!("{}>", self.wake_root)
    }

    /// Reads messages with this sequence and later ones, at most `batch` and about `bytes` bytes. Empty: there are none.
    pub async fn page(&self, deadline: &Deadline, from: u64, batch: usize, bytes: usize) -> Result<Vec<Stored>, Error> {
        let selector = json!({"seq": from, "next_by_subj": format!("{}>", self.root)});
        let page = self.client.read_page(deadline, &self.stream, selector.clone(), batch, bytes).await?;
        if page.is_empty() && self.client.replicas() > 1 {
            // The copy that has answered may be behind. The leader knows better.
            return Ok(self.client.read(deadline, &self.stream, selector).await?.into_iter().collect());
        }
        Ok(page)
    }

    /// The tokens of a row with this subject.
    pub fn tokens<'s>(&self, subject: &'s str) -> Option<&'s str> {
        subject.strip_prefix(&self.root)
    }

    /// Lists the tokens of all rows that match a filter, in byte order. A row that is there all the time is in the list. More than `most`
    /// rows are an error.
    pub async fn list(&self, deadline: &Deadline, filter: &str, most: usize) -> Result<BTreeSet<String>, Error> {
        let filter = format!("{}{filter}", self.root);
        let mut found = BTreeSet::new();
        let mut offset = 0;
        loop {
            let Some(info) = self.client.stream_info(deadline, &self.stream, Some((&filter, offset))).await? else { return Ok(found) };
            if info.total > most {
                return Err(list_too_long(info.total, most));
            }
            let page = info.state.subjects.into_keys().filter_map(|subject| subject.strip_prefix(&self.root).map(str::to_owned));
            let page: BTreeSet<String> = page.collect();
            // Each page is a snapshot, and pages are in byte order. A page that begins at the last subject of the one before, or earlier,
            // leaves nothing out. If rows were deleted meanwhile, the page is read again from an earlier offset.
            if offset > 0 && page.first() > found.last() {
                offset = offset.saturating_sub(LIST_PAGE / 2);
                continue;
            }
            let full = page.len() >= LIST_PAGE;
            found.extend(page);
            if !full {
                return Ok(found);
            }
            offset += LIST_PAGE - LIST_OVERLAP;
        }
    }
}

/// Whether a table has a history.
pub fn has_history(info: &StreamInfo) -> bool {
    info.limit("subject_delete_marker_ttl").is_some() && info.config.get("republish").is_some_and(Value::is_object)
}

/// `RESOURCE_EXHAUSTED TOO_MANY_KEYS`
fn list_too_long(found: usize, most: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_KEYS",
        format!("{found} keys would have to be listed, and max_scan_keys is {most}; use a longer prefix or raise the limit"),
    )
    .with("limit", most.to_string())
}
