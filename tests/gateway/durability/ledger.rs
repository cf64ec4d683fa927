//! What the children said, and whether the file has it.

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
    /// Revisions of keys that must be there.
    keys: HashMap<String, u64>,
    /// Keys that were being deleted, and whether that was acknowledged.
    deleted: HashMap<String, bool>,
    count: u64,
    appended: HashMap<u64, String>,
    enqueued: HashSet<String>,
    /// Each revision was given out once, and to whom.
    revisions: HashMap<u64, String>,
    /// The greatest revision of the rounds before the present one.
    before: u64,
    round: u32,
}

impl Ledger {
    /// Notes a line of a child.
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
                let other = self.appended.insert(offset.parse().unwrap(), key.to_owned());
                assert_eq!(other, None, "the offset of {key} was given out twice");
            }
            ["enqueued", _, id] => assert!(self.enqueued.insert(id.to_owned()), "the message id {id} was given out twice"),
            _ => panic!("a child said {line:?}"),
        }
    }

    fn revision(&mut self, revision: &str, key: &str) -> u64 {
        let revision: u64 = revision.parse().unwrap();
        let other = self.revisions.insert(revision, key.to_owned());
        assert_eq!(other, None, "revision {revision} of {key} was given out before");
        assert!(revision > self.before, "revision {revision} of {key} is not above {}, which an earlier round had", self.before);
        revision
    }

    /// Looks for everything in the file.
    pub async fn check(&self, interfaces: &Interfaces) {
        let round = self.round;
        let mut there = HashMap::new();
        let scan = interfaces.keyvalue_scan.as_ref().unwrap().scan(&context(), ScanRequest::default()).await.unwrap();
        let entries: Vec<_> = scan.map_ok(|answer| answer.entry.unwrap()).try_collect().await.unwrap();
        for entry in entries {
            let key = String::from_utf8(entry.key.to_vec()).unwrap();
            if key != "count" {
                assert!(entry.value == value(&key), "round {round}: the value of {key} is torn");
            }
            there.insert(key, entry.revision);
        }
        for (key, revision) in &self.keys {
            assert_eq!(there.get(key), Some(revision), "round {round}: {key} was acknowledged");
        }
        for (key, acknowledged) in &self.deleted {
            assert!(!acknowledged || !there.contains_key(key), "round {round}: the deletion of {key} was acknowledged");
        }
        self.check_batches(&there);
        self.check_count(interfaces).await;
        self.check_stream(interfaces).await;
        let request = GetQueueDepthRequest { queue: "jobs".to_owned() };
        let depth = interfaces.queue_basic.as_ref().unwrap().get_queue_depth(&context(), request).await.unwrap();
        assert!(depth.ready >= self.enqueued.len() as u64, "round {round}: messages are lost");
    }

    /// A batch is there as a whole or not at all, acknowledged or not.
    fn check_batches(&self, there: &HashMap<String, u64>) {
        for key in there.keys() {
            if let Some(batch) = key.strip_suffix("-a").or_else(|| key.strip_suffix("-b")).or_else(|| key.strip_suffix("-c")) {
                let parts = ["a", "b", "c"].iter().filter(|part| there.contains_key(&format!("{batch}-{part}"))).count();
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
            let there = record.is_some_and(|record| record.key == key.as_bytes() && record.payload == value(key));
            assert!(there, "round {}: {key} was appended at {offset}", self.round);
        }
    }

    /// Number of acknowledged writes.
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
