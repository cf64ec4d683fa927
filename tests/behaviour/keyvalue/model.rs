//! `keyvalue_basic` with the other key-value interfaces: generated sequences of operations, compared step by step with a model.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;
use prism::proto::models::keyvalue::v1::{
    BatchDeleteRequest, BatchGetRequest, BatchSetItem, BatchSetRequest, CompareAndDeleteRequest, CompareAndSwapRequest, CountRequest,
    Entry, ExpireRequest, PersistRequest, ScanKeysRequest, ScanRequest, SetRequest, condition::Predicate, operation_result::Outcome,
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

use super::{STRANGE_KEYS, copy, transact};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, seconds},
};

suite! { "keyvalue_basic":
    random_operations_match_a_model needs "keyvalue_scan", "keyvalue_ttl", "keyvalue_cas", "keyvalue_batch", "keyvalue_transactional";
}

/// Number of sequences for each driver, and the length of the longest one.
const SEQUENCES: u32 = 40;
const STEPS: usize = 40;

type Key = &'static [u8];

/// How an expected revision relates to the stored one.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Current,
    Absent,
    Stale,
}

#[derive(Clone, Debug)]
enum Step {
    Set(Key, Vec<u8>, bool),
    Get(Key),
    Delete(Key),
    Exists(Key),
    Swap(Key, Expected, Vec<u8>, bool),
    CompareAndDelete(Key, Expected),
    Expire(Key),
    Persist(Key),
    Ttl(Key),
    Scan { prefix: Vec<u8>, start: Vec<u8>, end: Vec<u8>, page: u32 },
    BatchSet(BTreeMap<Key, Vec<u8>>),
    BatchGet(Vec<Key>),
    BatchDelete(Vec<Key>),
    Transact(Key, bool, Vec<(Key, Option<Vec<u8>>)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || select(STRANGE_KEYS);
    let value = || proptest::collection::vec(any::<u8>(), 0..12);
    let expected = || select(&[Expected::Current, Expected::Absent, Expected::Stale][..]);
    let bound =
        || prop_oneof![2 => Just(Vec::new()), 1 => key().prop_map(<[u8]>::to_vec), 1 => proptest::collection::vec(any::<u8>(), 1..3)];
    let step = prop_oneof![
        6 => (key(), value(), any::<bool>()).prop_map(|(key, value, ttl)| Step::Set(key, value, ttl)),
        3 => key().prop_map(Step::Get),
        3 => key().prop_map(Step::Delete),
        1 => key().prop_map(Step::Exists),
        4 => (key(), expected(), value(), any::<bool>()).prop_map(|(key, expected, value, ttl)| Step::Swap(key, expected, value, ttl)),
        2 => (key(), expected()).prop_map(|(key, expected)| Step::CompareAndDelete(key, expected)),
        1 => key().prop_map(Step::Expire),
        1 => key().prop_map(Step::Persist),
        1 => key().prop_map(Step::Ttl),
        3 => (bound(), bound(), bound(), 0..4_u32).prop_map(|(prefix, start, end, page)| Step::Scan { prefix, start, end, page }),
        1 => proptest::collection::btree_map(key(), value(), 1..5).prop_map(Step::BatchSet),
        1 => proptest::collection::vec(key(), 1..5).prop_map(Step::BatchGet),
        1 => proptest::collection::hash_set(key(), 1..5).prop_map(|keys| Step::BatchDelete(keys.into_iter().collect())),
        2 => (key(), any::<bool>(), proptest::collection::btree_map(key(), proptest::option::of(value()), 0..4))
            .prop_map(|(key, exists, writes)| Step::Transact(key, exists, writes.into_iter().collect())),
    ];
    proptest::collection::vec(step, 1..STEPS)
}

async fn random_operations_match_a_model(s: Subject) {
    let handle = tokio::runtime::Handle::current();
    // The runner is synchronous, and a thread of the runtime must not block.
    let ran = tokio::task::spawn_blocking(move || {
        let config = Config { cases: SEQUENCES, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
        TestRunner::new(config)
            .run(&steps(), |steps| {
                handle.block_on(async {
                    let mut model = Model { s: s.other_keyspace(), stored: BTreeMap::new(), highest: 0 };
                    for step in steps {
                        model.step(step).await;
                    }
                    model.agrees().await;
                });
                Ok(())
            })
            .map_err(|error| error.to_string())
    });
    if let Err(error) = ran.await.unwrap() {
        panic!("{error}");
    }
}

struct Stored {
    value: Vec<u8>,
    revision: u64,
    expires: bool,
    flags: u64,
    create_revision: u64,
    version: u64,
}

/// Returns the flags that are written with a value.
fn flags(value: &[u8]) -> u64 {
    value.iter().fold(0, |flags: u64, byte| flags.rotate_left(8) ^ u64::from(*byte))
}

/// The state that the driver should have.
struct Model {
    s: Subject,
    stored: BTreeMap<Key, Stored>,
    highest: u64,
}

impl Model {
    fn same(&self, key: &[u8], entry: Option<&Entry>) {
        match (self.stored.get(key), entry) {
            (None, None) => {}
            (Some(stored), Some(entry)) => {
                assert_eq!(
                    (key, &stored.value[..], stored.revision, stored.expires),
                    (&entry.key[..], &entry.value[..], entry.revision, entry.expire_time.is_some())
                );
                assert_eq!(
                    (stored.flags, stored.create_revision, stored.version),
                    (entry.flags, entry.create_revision, entry.version),
                    "{key:?}"
                );
            }
            (stored, entry) => panic!("{key:?}: {entry:?} instead of revision {:?}", stored.map(|stored| stored.revision)),
        }
    }

    fn wrote(&mut self, key: Key, value: Vec<u8>, revision: u64, expires: bool) {
        assert!(revision > self.highest, "revision {revision} after {}", self.highest);
        self.highest = revision;
        let flags = flags(&value);
        self.insert(key, value, flags, revision, expires);
    }

    fn insert(&mut self, key: Key, value: Vec<u8>, flags: u64, revision: u64, expires: bool) {
        let (create_revision, version) = self.stored.get(key).map_or((revision, 1), |stored| (stored.create_revision, stored.version + 1));
        self.stored.insert(key, Stored { value, revision, expires, flags, create_revision, version });
    }

    fn revision(&self, key: Key) -> u64 {
        self.stored.get(key).map_or(0, |stored| stored.revision)
    }

    fn expected(&self, key: Key, expected: Expected) -> u64 {
        match expected {
            Expected::Current => self.revision(key),
            Expected::Absent => 0,
            Expected::Stale => self.revision(key) + 1,
        }
    }

    async fn step(&mut self, step: Step) {
        let s = self.s.clone();
        let context = &s.context;
        match step {
            Step::Set(key, value, expires) => {
                let (ttl, flags) = (expires.then(|| seconds(3600)), flags(&value));
                let request = SetRequest { key: copy(key), value: copy(&value), ttl, flags };
                let revision = s.keyvalue_basic().set(context, request).await.unwrap().revision;
                self.wrote(key, value, revision, expires);
            }
            Step::Get(key) => self.same(key, s.entry(key).await.as_ref()),
            Step::Exists(key) => assert_eq!(s.exists(key).await, self.stored.contains_key(key)),
            Step::Delete(key) => {
                let answer = s.delete(key).await;
                assert_eq!((answer.deleted, answer.previous_revision), removed(self.stored.remove(key)));
            }
            Step::Swap(key, expected, value, expires) => {
                let expected_revision = self.expected(key, expected);
                let (ttl, flags) = (expires.then(|| seconds(3600)), flags(&value));
                let request = CompareAndSwapRequest { key: copy(key), expected_revision, value: copy(&value), ttl, flags };
                let answer = s.keyvalue_cas().compare_and_swap(context, request).await.unwrap();
                assert_eq!(answer.swapped, expected_revision == self.revision(key));
                if answer.swapped {
                    self.wrote(key, value, answer.revision, expires);
                } else {
                    assert_eq!(answer.revision, self.revision(key));
                }
            }
            Step::CompareAndDelete(key, expected) => {
                let expected_revision = self.expected(key, expected);
                if expected_revision == 0 {
                    return;
                }
                let request = CompareAndDeleteRequest { key: copy(key), expected_revision };
                let answer = s.keyvalue_cas().compare_and_delete(context, request).await.unwrap();
                let current = self.revision(key);
                assert_eq!((answer.deleted, answer.revision), (expected_revision == current, current));
                if answer.deleted {
                    self.stored.remove(key);
                }
            }
            Step::Expire(key) => {
                let request = ExpireRequest { key: copy(key), ttl: Some(seconds(3600)) };
                let answer = s.keyvalue_ttl().expire(context, request).await.unwrap();
                assert_eq!(answer.found, self.stored.contains_key(key));
                if let Some(stored) = self.stored.get_mut(key) {
                    stored.expires = true;
                }
            }
            Step::Persist(key) => {
                let answer = s.keyvalue_ttl().persist(context, PersistRequest { key: copy(key) }).await.unwrap();
                let stored = self.stored.get_mut(key);
                assert_eq!((answer.found, answer.had_expiration), (stored.is_some(), stored.as_ref().is_some_and(|stored| stored.expires)));
                if let Some(stored) = stored {
                    stored.expires = false;
                }
            }
            Step::Ttl(key) => {
                let answer = s.ttl(key).await;
                let stored = self.stored.get(key);
                assert_eq!((answer.found, answer.ttl.is_some()), (stored.is_some(), stored.is_some_and(|stored| stored.expires)));
            }
            Step::Scan { prefix, start, end, page } => self.scan(&prefix, &start, &end, page).await,
            Step::BatchSet(items) => {
                let item =
                    |(key, value): (&Key, &Vec<u8>)| BatchSetItem { key: copy(key), value: copy(value), ttl: None, flags: flags(value) };
                let request = items.iter().map(item).collect();
                let results = s.keyvalue_batch().batch_set(context, BatchSetRequest { items: request }).await.unwrap().results;
                let before = self.highest;
                for ((key, value), result) in items.into_iter().zip(results) {
                    assert!(result.key == key && result.revision > before);
                    self.highest = self.highest.max(result.revision);
                    let flags = flags(&value);
                    self.insert(key, value, flags, result.revision, false);
                }
            }
            Step::BatchGet(keys) => {
                let request = BatchGetRequest { keys: keys.iter().map(|key| copy(key)).collect() };
                let results = s.keyvalue_batch().batch_get(context, request).await.unwrap().results;
                assert_eq!(results.len(), keys.len());
                for (key, result) in keys.into_iter().zip(results) {
                    assert_eq!(result.key, key);
                    self.same(key, result.entry.as_ref());
                }
            }
            Step::BatchDelete(keys) => {
                let request = BatchDeleteRequest { keys: keys.iter().map(|key| copy(key)).collect() };
                let results = s.keyvalue_batch().batch_delete(context, request).await.unwrap().results;
                assert_eq!(results.len(), keys.len());
                for (key, result) in keys.into_iter().zip(results) {
                    assert_eq!((&result.key[..], result.deleted), (key, self.stored.remove(key).is_some()));
                }
            }
            Step::Transact(key, exists, writes) => self.transact(key, exists, writes).await,
        }
    }

    async fn transact(&mut self, key: Key, exists: bool, writes: Vec<(Key, Option<Vec<u8>>)>) {
        let then: Vec<_> = writes
            .iter()
            .map(|(key, value)| value.as_ref().map_or_else(|| transact::delete(key), |value| transact::set(key, value)))
            .collect();
        let conditions = [transact::when(key, Predicate::Exists(exists))];
        let answer = self.s.transact(&conditions, &then, &[transact::get(key)]).await;
        assert_eq!(answer.succeeded, self.stored.contains_key(key) == exists);
        if !answer.succeeded {
            let [result] = &answer.results[..] else { panic!("{answer:?}") };
            let Some(Outcome::Get(got)) = &result.outcome else { panic!("{answer:?}") };
            return self.same(key, got.entry.as_ref());
        }
        assert_eq!(answer.results.len(), writes.len());
        let stores = writes.iter().any(|(_, value)| value.is_some());
        assert!(if stores { answer.revision > self.highest } else { answer.revision == 0 }, "{answer:?} after {}", self.highest);
        self.highest = self.highest.max(answer.revision);
        for ((key, value), result) in writes.into_iter().zip(answer.results) {
            match (value, result.outcome) {
                (Some(value), Some(Outcome::Set(set))) => {
                    assert_eq!(set.revision, answer.revision);
                    self.insert(key, value, 0, answer.revision, false);
                }
                (None, Some(Outcome::Delete(deleted))) => {
                    assert_eq!((deleted.deleted, deleted.previous_revision), removed(self.stored.remove(key)));
                }
                (value, outcome) => panic!("{outcome:?} for {value:?}"),
            }
        }
    }

    /// Compares a range with the model, in pages of this size; 0 means one page.
    async fn scan(&self, prefix: &[u8], start: &[u8], end: &[u8], page: u32) {
        let above = if start.is_empty() { Bound::Unbounded } else { Bound::Included(start) };
        let inside = |key: &[u8]| key.starts_with(prefix) && (end.is_empty() || key < end);
        let keys: Vec<Key> =
            self.stored.range::<[u8], _>((above, Bound::Unbounded)).map(|(key, _)| *key).filter(|key| inside(key)).collect();
        let (prefix, start_key, end_key) = (copy(prefix), copy(start), copy(end));
        let count = CountRequest { prefix: prefix.clone(), start_key: start_key.clone(), end_key: end_key.clone() };
        assert_eq!(self.s.count(count).await, keys.len() as u64);
        let (mut found, mut cursor): (Vec<Bytes>, _) = (Vec::new(), String::new());
        loop {
            let request = ScanRequest {
                prefix: prefix.clone(),
                start_key: start_key.clone(),
                end_key: end_key.clone(),
                limit: page,
                cursor: cursor.clone(),
            };
            let answers = all(self.s.keyvalue_scan().scan(&self.s.context, request).await.unwrap()).await;
            for answer in &answers {
                let entry = answer.entry.as_ref().unwrap();
                self.same(&entry.key, Some(entry));
                found.push(entry.key.clone());
                cursor.clone_from(&answer.cursor);
            }
            if page == 0 || answers.is_empty() {
                break;
            }
        }
        assert_eq!(found, keys);
        let request = ScanKeysRequest { prefix, start_key, end_key, limit: page, cursor: String::new() };
        let answers = all(self.s.keyvalue_scan().scan_keys(&self.s.context, request).await.unwrap()).await;
        let limit = if page == 0 { keys.len() } else { keys.len().min(page as usize) };
        assert_eq!(answers.iter().map(|answer| &answer.key[..]).collect::<Vec<_>>(), keys[..limit]);
    }

    async fn agrees(&self) {
        self.scan(b"", b"", b"", 0).await;
        for key in STRANGE_KEYS {
            self.same(key, self.s.entry(key).await.as_ref());
        }
    }
}

/// Returns the expected response of a deletion.
fn removed(stored: Option<Stored>) -> (bool, Option<u64>) {
    (stored.is_some(), stored.map(|stored| stored.revision))
}
