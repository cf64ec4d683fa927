//! A table: a JetStream stream that keeps the last message of each subject. A write names the sequence of the message that it replaces, so
//! it is a compare-and-set.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    client::{Client, Deadline},
    error,
    jetstream::Stored,
    names::Names,
};
use prism_call::{Code, Error};

const EXPECTED_SEQUENCE: &str = "Nats-Expected-Last-Subject-Sequence";
/// Subjects in one page of a list. The server has the same limit.
const LIST_PAGE: usize = 100_000;
/// Subjects that two pages of a list share. If the last one of a page was deleted meanwhile, the next page still begins before it.
const LIST_OVERLAP: usize = 1000;

/// A table.
pub struct Table {
    client: Arc<Client>,
    stream: String,
    /// What stands before the tokens of a row.
    root: String,
    config: Value,
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
        Self { client, stream, root, config }
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

/// `RESOURCE_EXHAUSTED TOO_MANY_KEYS`
fn list_too_long(found: usize, most: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_KEYS",
        format!("{found} keys would have to be listed, and max_scan_keys is {most}; use a longer prefix or raise the limit"),
    )
    .with("limit", most.to_string())
}
