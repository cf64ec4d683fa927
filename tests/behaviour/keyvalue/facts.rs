//! The metadata of an entry: its flags, the revision that created its key, and its version.

use prism::proto::models::keyvalue::v1::{
    BatchGetRequest, BatchSetItem, BatchSetRequest, BeginTransactionRequest, CommitRequest, CompareAndSwapRequest, ExpireRequest,
    GetInTransactionRequest, Operation, PersistRequest, ScanKeysRequest, ScanRequest, SetInTransactionRequest, SetOperation, SetRequest,
    operation::Action, operation_result::Outcome,
};

use super::{copy, transact};
use crate::{
    subject::Subject,
    suite::suite,
    support::{all, millis, seconds, sleep},
};

suite! { "keyvalue_basic":
    the_first_write_sets_the_create_revision;
    later_writes_increase_the_version;
    flags_have_sixty_four_bits;
    a_deleted_key_is_created_anew;
    an_expired_key_is_created_anew needs "keyvalue_ttl", "keyvalue_transactional";
    a_change_of_the_expiration_keeps_facts needs "keyvalue_ttl";
    swaps_return_facts needs "keyvalue_cas";
    batches_return_facts needs "keyvalue_batch";
    scans_return_facts needs "keyvalue_scan";
    transact_returns_facts needs "keyvalue_transactional";
    interactive_transactions_return_facts needs "keyvalue_transactional";
}

/// Flags, create revision, version.
type Facts = (u64, u64, u64);

impl Subject {
    async fn flagged(&self, key: &[u8], flags: u64) -> u64 {
        let request = SetRequest { key: copy(key), value: copy(b"value"), flags, ttl: None };
        self.keyvalue_basic().set(&self.context, request).await.unwrap().revision
    }

    async fn facts(&self, key: &[u8]) -> Facts {
        let entry = self.entry(key).await.expect("the key exists");
        (entry.flags, entry.create_revision, entry.version)
    }
}

async fn the_first_write_sets_the_create_revision(s: Subject) {
    let revision = s.set(b"plain", b"value").await;
    assert_eq!(s.facts(b"plain").await, (0, revision, 1));
    let revision = s.flagged(b"flagged", 42).await;
    assert_eq!(s.facts(b"flagged").await, (42, revision, 1));
}

async fn later_writes_increase_the_version(s: Subject) {
    let created = s.flagged(b"key", 1).await;
    s.flagged(b"key", 2).await;
    assert_eq!(s.facts(b"key").await, (2, created, 2));
    // A write without flags clears them, as a write without TTL clears the expiration.
    let last = s.set(b"key", b"").await;
    assert_eq!(s.facts(b"key").await, (0, created, 3));
    assert_eq!(s.entry(b"key").await.unwrap().revision, last);
    for version in 4..=300 {
        s.set(b"key", b"again").await;
        if version % 64 < 2 {
            assert_eq!(s.facts(b"key").await, (0, created, version));
        }
    }
}

async fn flags_have_sixty_four_bits(s: Subject) {
    for flags in [1, 255, 256, u64::from(u32::MAX) + 1, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX] {
        s.flagged(b"key", flags).await;
        assert_eq!(s.facts(b"key").await.0, flags);
    }
}

async fn a_deleted_key_is_created_anew(s: Subject) {
    s.flagged(b"key", 1).await;
    s.flagged(b"key", 1).await;
    s.delete(b"key").await;
    let revision = s.set(b"key", b"value").await;
    assert_eq!(s.facts(b"key").await, (0, revision, 1));
}

async fn an_expired_key_is_created_anew(s: Subject) {
    for key in [&b"set"[..], b"transact"] {
        s.set(key, b"value").await;
        s.set_with(key, b"value", Some(millis(60))).await;
    }
    sleep(90).await;
    let revision = s.set(b"set", b"value").await;
    assert_eq!(s.facts(b"set").await, (0, revision, 1));
    let revision = s.transact(&[], &[transact::set(b"transact", b"value")], &[]).await.revision;
    assert_eq!(s.facts(b"transact").await, (0, revision, 1));
}

async fn a_change_of_the_expiration_keeps_facts(s: Subject) {
    let created = s.flagged(b"key", 5).await;
    s.flagged(b"key", u64::MAX).await;
    let ttl = s.keyvalue_ttl();
    ttl.expire(&s.context, ExpireRequest { key: copy(b"key"), ttl: Some(seconds(60)) }).await.unwrap();
    assert_eq!(s.facts(b"key").await, (u64::MAX, created, 2));
    assert!(s.entry(b"key").await.unwrap().expire_time.is_some());
    ttl.persist(&s.context, PersistRequest { key: copy(b"key") }).await.unwrap();
    let entry = s.entry(b"key").await.unwrap();
    assert_eq!((&entry.value[..], entry.expire_time), (&b"value"[..], None));
    assert_eq!(s.facts(b"key").await, (u64::MAX, created, 2));
}

async fn swaps_return_facts(s: Subject) {
    let swap = async |expected_revision, flags| {
        let request = CompareAndSwapRequest { key: copy(b"key"), expected_revision, value: copy(b"v"), ttl: None, flags };
        s.keyvalue_cas().compare_and_swap(&s.context, request).await.unwrap()
    };
    let created = swap(0, 7).await.revision;
    assert_eq!(s.facts(b"key").await, (7, created, 1));
    assert!(swap(created, 8).await.swapped);
    assert_eq!(s.facts(b"key").await, (8, created, 2));
    assert!(!swap(created, 9).await.swapped);
    assert_eq!(s.facts(b"key").await, (8, created, 2));
}

async fn batches_return_facts(s: Subject) {
    let created = s.flagged(b"a", 1).await;
    let item = |key: &[u8], flags| BatchSetItem { key: copy(key), value: copy(b"v"), ttl: None, flags };
    let request = BatchSetRequest { items: vec![item(b"b", 2), item(b"a", 3)] };
    let stored = s.keyvalue_batch().batch_set(&s.context, request).await.unwrap().results;
    let request = BatchGetRequest { keys: vec![copy(b"a"), copy(b"b")] };
    let results = s.keyvalue_batch().batch_get(&s.context, request).await.unwrap().results;
    let facts: Vec<Facts> = results
        .iter()
        .map(|result| result.entry.as_ref().map(|entry| (entry.flags, entry.create_revision, entry.version)).unwrap())
        .collect();
    assert_eq!(facts, [(3, created, 2), (2, stored[0].revision, 1)]);
    assert_eq!([s.facts(b"a").await, s.facts(b"b").await], facts[..]);
}

async fn scans_return_facts(s: Subject) {
    let created = s.flagged(b"a", 1).await;
    s.flagged(b"a", 1 << 63).await;
    let other = s.set(b"b", &[b'x'; 5000]).await;
    let expected = [(1 << 63, created, 2), (0, other, 1)];
    let entries = s.scan(ScanRequest::default()).await;
    let facts: Vec<Facts> = entries.iter().map(|entry| (entry.flags, entry.create_revision, entry.version)).collect();
    assert_eq!(facts, expected);
    let keys = all(s.keyvalue_scan().scan_keys(&s.context, ScanKeysRequest::default()).await.unwrap()).await;
    let facts: Vec<Facts> = keys.iter().map(|key| (key.flags, key.create_revision, key.version)).collect();
    assert_eq!(facts, expected);
}

async fn transact_returns_facts(s: Subject) {
    let created = s.flagged(b"a", 1).await;
    let set = |key: &[u8], flags| {
        let set = SetOperation { key: copy(key), value: copy(b"v"), ttl: None, flags };
        Operation { action: Some(Action::Set(set)) }
    };
    let answer = s.transact(&[], &[set(b"a", 4), set(b"b", 5), transact::get(b"a")], &[]).await;
    let Some(Outcome::Get(got)) = &answer.results[2].outcome else { panic!("{answer:?}") };
    let entry = got.entry.as_ref().unwrap();
    assert_eq!((entry.flags, entry.create_revision, entry.version), (4, created, 2));
    s.transact(&[], &[transact::delete(b"b")], &[]).await;
    let revision = s.transact(&[], &[set(b"b", 6)], &[]).await.revision;
    assert_eq!((s.facts(b"a").await, s.facts(b"b").await), ((4, created, 2), (6, revision, 1)));
}

async fn interactive_transactions_return_facts(s: Subject) {
    let created = s.flagged(b"a", 1).await;
    let open = s.keyvalue_transactional();
    let transaction = open.begin_transaction(&s.context, BeginTransactionRequest::default()).await.unwrap().transaction;
    let get = async |key: &[u8]| {
        let request = GetInTransactionRequest { transaction: transaction.clone(), key: copy(key) };
        let entry = open.get_in_transaction(&s.context, request).await.unwrap().entry.unwrap();
        (entry.flags, entry.create_revision, entry.version)
    };
    assert_eq!(get(b"a").await, (1, created, 1));
    for key in [&b"a"[..], b"b"] {
        let request = SetInTransactionRequest { transaction: transaction.clone(), key: copy(key), value: copy(b"v"), ttl: None, flags: 9 };
        open.set_in_transaction(&s.context, request).await.unwrap();
        // The write is not committed yet.
        assert_eq!(get(key).await, (9, 0, 0));
    }
    let revision = open.commit(&s.context, CommitRequest { transaction: transaction.clone() }).await.unwrap().revision;
    assert_eq!((s.facts(b"a").await, s.facts(b"b").await), ((9, created, 2), (9, revision, 1)));
}
