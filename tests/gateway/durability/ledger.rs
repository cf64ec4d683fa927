//! Records what the children acknowledged, and checks that the file contains it.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use futures::TryStreamExt as _;
use prism::{
    proto::Interfaces,
    proto::models::{
        keyvalue::v1::{GetRequest, ScanRequest},
        queue::v1::GetQueueDepthRequest,
        stream::v1::ReadRequest,
    },
};

use super::{context, writer::value};

/// Everything that was acknowledged in all rounds.
#[derive(Default)]
pub struct Ledger {
    /// The keys that must exist, with their revisions.
    keys: HashMap<String, u64>,
    /// The keys whose deletion began, and whether it was acknowledged.
    deleted: HashMap<String, bool>,
    count: u64,
    appended: HashMap<u64, String>,
    enqueued: HashSet<String>,
    /// All revisions with their keys; no revision may occur twice.
    revisions: HashMap<u64, String>,
    /// The highest revision of all earlier rounds.
    before: u64,
    round: u32,
}

impl Ledger {
    /// Records one line of a child's output.
    pub fn note(&mut self, round: u32, line: &str) {
        if round != self.round {
            self.round = round;
            self.before = self.revisions.keys().copied().max().unwrap_or(0);
        }
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        match words[..] {
            ["set", key, revision] => {
                let revision = self.revision(revision, key);
                self.keys.insert(key.to_owned(), revision);
            }
            ["deleting", key] => {
                self.keys.remove(key);
                self.deleted.insert(key.to_owned(), false);
            }
            ["deleted", key] => {
                self.deleted.insert(key.to_owned(), true);
            }
            ["counted", count, revision] => {
                self.revision(revision, "count");
                self.count = self.count.max(count.parse().unwrap());
            }
            ["appended", key, offset] => {
                let previous = self.appended.insert(offset.parse().unwrap(), key.to_owned());
                assert_eq!(previous, None, "the offset of {key} was assigned twice");
            }
            ["enqueued", _, id] => assert!(self.enqueued.insert(id.to_owned()), "the message id {id} was assigned twice"),
            _ => panic!("unexpected line of a child: {line:?}"),
        }
    }

    fn revision(&mut self, revision: &str, key: &str) -> u64 {
        let revision: u64 = revision.parse().unwrap();
        let previous = self.revisions.insert(revision, key.to_owned());
        assert_eq!(previous, None, "revision {revision} of {key} was assigned before");
        assert!(revision > self.before, "revision {revision} of {key} is not above {}, which an earlier round had", self.before);
        revision
    }

    /// Checks that the file contains everything that was acknowledged.
    pub async fn check(&self, interfaces: &Interfaces) {
        let round = self.round;
        let mut stored = HashMap::new();
        let scan = interfaces.keyvalue_scan.as_ref().unwrap().scan(&context(), ScanRequest::default()).await.unwrap();
        let entries: Vec<_> = scan.map_ok(|answer| answer.entry.unwrap()).try_collect().await.unwrap();
        for entry in entries {
            let key = String::from_utf8(entry.key.to_vec()).unwrap();
            if key != "count" {
                assert!(entry.value == value(&key), "round {round}: the value of {key} is corrupt");
            }
            stored.insert(key, entry.revision);
        }
        for (key, revision) in &self.keys {
            assert_eq!(stored.get(key), Some(revision), "round {round}: {key} was acknowledged");
        }
        for (key, acknowledged) in &self.deleted {
            assert!(!acknowledged || !stored.contains_key(key), "round {round}: the deletion of {key} was acknowledged");
        }
        self.check_batches(&stored);
        self.check_count(interfaces).await;
        self.check_stream(interfaces).await;
        let request = GetQueueDepthRequest { queue: "jobs".to_owned() };
        let depth = interfaces.queue_basic.as_ref().unwrap().get_queue_depth(&context(), request).await.unwrap();
        assert!(depth.ready >= self.enqueued.len() as u64, "round {round}: messages are lost");
    }

    /// Checks that each batch is stored completely or not at all, acknowledged or not.
    fn check_batches(&self, stored: &HashMap<String, u64>) {
        for key in stored.keys() {
            if let Some(batch) = key.strip_suffix("-a").or_else(|| key.strip_suffix("-b")).or_else(|| key.strip_suffix("-c")) {
                let parts = ["a", "b", "c"].iter().filter(|part| stored.contains_key(&format!("{batch}-{part}"))).count();
                assert_eq!(parts, 3, "round {}: a part of the batch {batch} is missing", self.round);
            }
        }
    }

    async fn check_count(&self, interfaces: &Interfaces) {
        let request = GetRequest { key: "count".into() };
        let entry = interfaces.keyvalue_basic.as_ref().unwrap().get(&context(), request).await.unwrap().entry;
        let count = entry.map_or(0, |entry| u64::from_be_bytes(entry.value[..].try_into().unwrap()));
        assert!(count >= self.count, "round {}: {} was counted, {count} is there", self.round, self.count);
    }

    async fn check_stream(&self, interfaces: &Interfaces) {
        let request = ReadRequest { stream: "log".to_owned(), ..ReadRequest::default() };
        let read = interfaces.stream_basic.as_ref().unwrap().read(&context(), request).await.unwrap();
        let records: Vec<_> = read.map_ok(|answer| answer.record.unwrap()).try_collect().await.unwrap();
        let offsets: Vec<u64> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..records.len() as u64).collect::<Vec<_>>(), "round {}: the log has gaps", self.round);
        for (offset, key) in &self.appended {
            let record = usize::try_from(*offset).ok().and_then(|offset| records.get(offset));
            let matches = record.is_some_and(|record| record.key == key.as_bytes() && record.payload == value(key));
            assert!(matches, "round {}: {key} was appended at {offset}", self.round);
        }
    }

    /// Returns the number of acknowledged writes.
    pub fn len(&self) -> usize {
        self.revisions.len() + self.appended.len() + self.enqueued.len()
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} revisions, {} records and {} messages were acknowledged and are all there",
            self.revisions.len(),
            self.appended.len(),
            self.enqueued.len()
        )
    }
}
