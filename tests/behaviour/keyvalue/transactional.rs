//! `keyvalue_transactional`: interactive transactions.

use prism::{
    call::{Code, Error},
    proto::models::keyvalue::v1::{
        BeginTransactionRequest, CommitRequest, CommitResponse, DeleteInTransactionRequest, Entry, GetInTransactionRequest,
        RollbackRequest, SetInTransactionRequest,
    },
};

use super::copy;
use crate::{
    subject::Subject,
    suite::suite,
    support::{invalid, millis, now, refused, seconds, since_1970, sleep},
};

suite! { "keyvalue_transactional":
    commit_applies_all_writes;
    nobody_sees_writes_before_commit;
    reads_see_own_writes;
    reads_are_repeatable;
    a_conflict_aborts;
    a_deletion_is_a_conflict;
    a_creation_is_a_conflict;
    an_expiration_is_a_conflict needs "keyvalue_ttl";
    keys_that_were_only_written_never_conflict;
    rollback;
    a_transaction_ends_once;
    a_transaction_expires;
    a_commit_without_operations;
    a_read_only_commit;
    the_last_write_of_a_key_counts;
    times_to_live_begin_at_commit needs "keyvalue_ttl";
    transfers_keep_the_sum;
    too_large;
    keyspaces_do_not_share_handles;
    bad_requests_are_refused;
}

/// An open transaction.
struct Open<'a> {
    s: &'a Subject,
    handle: String,
}

impl Subject {
    async fn begin(&self) -> Open<'_> {
        let answer =
            self.keyvalue_transactional().begin_transaction(&self.context, BeginTransactionRequest { timeout: None }).await.unwrap();
        assert!(since_1970(answer.expire_time.as_ref()) > now());
        Open { s: self, handle: answer.transaction }
    }
}

impl Open<'_> {
    async fn try_get(&self, key: &[u8]) -> Result<Option<Entry>, Error> {
        let request = GetInTransactionRequest { transaction: self.handle.clone(), key: copy(key) };
        Ok(self.s.keyvalue_transactional().get_in_transaction(&self.s.context, request).await?.entry)
    }

    async fn get(&self, key: &[u8]) -> Option<Entry> {
        self.try_get(key).await.unwrap()
    }

    async fn value(&self, key: &[u8]) -> Option<String> {
        self.get(key).await.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
    }

    async fn try_set(&self, key: &[u8], value: &[u8], ttl: Option<prost_types::Duration>) -> Result<(), Error> {
        let request = SetInTransactionRequest { transaction: self.handle.clone(), key: copy(key), value: copy(value), ttl, flags: 0 };
        self.s.keyvalue_transactional().set_in_transaction(&self.s.context, request).await.map(drop)
    }

    async fn set(&self, key: &[u8], value: &[u8]) {
        self.try_set(key, value, None).await.unwrap();
    }

    async fn try_delete(&self, key: &[u8]) -> Result<(), Error> {
        let request = DeleteInTransactionRequest { transaction: self.handle.clone(), key: copy(key) };
        self.s.keyvalue_transactional().delete_in_transaction(&self.s.context, request).await.map(drop)
    }

    async fn commit(&self) -> Result<CommitResponse, Error> {
        self.s.keyvalue_transactional().commit(&self.s.context, CommitRequest { transaction: self.handle.clone() }).await
    }

    async fn rollback(&self) -> bool {
        let request = RollbackRequest { transaction: self.handle.clone() };
        self.s.keyvalue_transactional().rollback(&self.s.context, request).await.unwrap().rolled_back
    }
}

async fn commit_applies_all_writes(s: Subject) {
    s.set(b"gone", b"old").await;
    let last = s.set(b"changed", b"old").await;
    let open = s.begin().await;
    open.set(b"new", b"1").await;
    open.set(b"changed", b"").await;
    open.try_delete(b"gone").await.unwrap();
    open.try_delete(b"never there").await.unwrap();
    let committed = open.commit().await.unwrap();
    assert!(committed.revision > last);
    let writes: Vec<_> = committed.writes.iter().map(|write| (&write.key[..], write.revision)).collect();
    assert_eq!(writes, [(&b"changed"[..], committed.revision), (b"new", committed.revision)]);
    for (key, value) in [(&b"new"[..], Some("1")), (b"changed", Some("")), (b"gone", None), (b"never there", None)] {
        assert_eq!(s.value(key).await.as_deref(), value);
    }
    assert_eq!(s.entry(b"new").await.unwrap().revision, committed.revision);
    assert_eq!(s.entry(b"changed").await.unwrap().revision, committed.revision);
    assert!(s.set(b"after", b"").await > committed.revision);
}

async fn nobody_sees_writes_before_commit(s: Subject) {
    s.set(b"b", b"old").await;
    let (open, other) = (s.begin().await, s.begin().await);
    open.set(b"a", b"new").await;
    open.try_delete(b"b").await.unwrap();
    assert_eq!(s.entry(b"a").await, None);
    assert!(s.exists(b"b").await);
    assert_eq!(other.get(b"a").await, None);
    assert_eq!(other.value(b"b").await.as_deref(), Some("old"));
}

async fn reads_see_own_writes(s: Subject) {
    s.set(b"key", b"stored").await;
    let open = s.begin().await;
    open.set(b"key", b"mine").await;
    open.set(b"new", b"also mine").await;
    let entry = open.get(b"key").await.unwrap();
    assert_eq!((&entry.key[..], &entry.value[..], entry.revision, entry.expire_time), (&b"key"[..], &b"mine"[..], 0, None));
    assert_eq!(open.value(b"new").await.as_deref(), Some("also mine"));
    open.try_delete(b"key").await.unwrap();
    assert_eq!(open.get(b"key").await, None);
    open.set(b"key", b"once more").await;
    assert_eq!(open.value(b"key").await.as_deref(), Some("once more"));
}

async fn reads_are_repeatable(s: Subject) {
    let revision = s.set(b"key", b"1").await;
    let open = s.begin().await;
    let first = open.get(b"key").await;
    assert_eq!(first.as_ref().unwrap().revision, revision);
    assert_eq!(open.get(b"absent").await, None);
    s.set(b"key", b"2").await;
    s.set(b"absent", b"now here").await;
    assert_eq!(open.get(b"key").await, first);
    assert_eq!(open.get(b"absent").await, None);
}

async fn conflicts(s: &Subject, open: Open<'_>) {
    open.set(b"written", b"never").await;
    refused(open.commit().await, Code::Aborted, "TRANSACTION_CONFLICT");
    assert_eq!(s.entry(b"written").await, None, "an aborted commit wrote something");
    refused(open.commit().await, Code::NotFound, "TRANSACTION_NOT_FOUND");
}

async fn a_conflict_aborts(s: Subject) {
    s.set(b"read", b"1").await;
    let open = s.begin().await;
    open.get(b"read").await;
    s.set(b"read", b"1").await;
    conflicts(&s, open).await;
}

async fn a_deletion_is_a_conflict(s: Subject) {
    s.set(b"read", b"1").await;
    let open = s.begin().await;
    open.get(b"read").await;
    s.delete(b"read").await;
    conflicts(&s, open).await;
    // A key that was deleted and written again has a new revision.
    s.set(b"read", b"1").await;
    let open = s.begin().await;
    open.get(b"read").await;
    s.delete(b"read").await;
    s.set(b"read", b"1").await;
    conflicts(&s, open).await;
}

async fn a_creation_is_a_conflict(s: Subject) {
    let open = s.begin().await;
    assert_eq!(open.get(b"read").await, None);
    s.set(b"read", b"1").await;
    conflicts(&s, open).await;
}

async fn an_expiration_is_a_conflict(s: Subject) {
    s.set_with(b"read", b"1", Some(millis(400))).await;
    let open = s.begin().await;
    // On a very slow machine the key has already expired, and the case can't check anything.
    if open.get(b"read").await.is_some() {
        sleep(420).await;
        conflicts(&s, open).await;
    }
}

async fn keys_that_were_only_written_never_conflict(s: Subject) {
    s.set(b"key", b"1").await;
    let open = s.begin().await;
    open.set(b"key", b"2").await;
    // The read returns the transaction's own write, so it read nothing from the backend.
    assert_eq!(open.value(b"key").await.as_deref(), Some("2"));
    let between = s.set(b"key", b"3").await;
    assert!(open.commit().await.unwrap().revision > between);
    assert_eq!(s.value(b"key").await.as_deref(), Some("2"));
}

async fn rollback(s: Subject) {
    let open = s.begin().await;
    open.set(b"key", b"never").await;
    assert!(open.rollback().await);
    assert!(!open.rollback().await);
    assert_eq!(s.entry(b"key").await, None);
    refused(open.commit().await, Code::NotFound, "TRANSACTION_NOT_FOUND");
    assert!(!Open { s: &s, handle: "unknown".to_owned() }.rollback().await);
}

async fn a_transaction_ends_once(s: Subject) {
    let open = s.begin().await;
    open.set(b"key", b"value").await;
    open.commit().await.unwrap();
    for ended in [open, Open { s: &s, handle: String::new() }, Open { s: &s, handle: "never made".to_owned() }] {
        refused(ended.try_get(b"key").await, Code::NotFound, "TRANSACTION_NOT_FOUND");
        refused(ended.try_set(b"key", b"v", None).await, Code::NotFound, "TRANSACTION_NOT_FOUND");
        refused(ended.try_delete(b"key").await, Code::NotFound, "TRANSACTION_NOT_FOUND");
        refused(ended.commit().await, Code::NotFound, "TRANSACTION_NOT_FOUND");
        assert!(!ended.rollback().await);
    }
    assert_eq!(s.value(b"key").await.as_deref(), Some("value"));
}

async fn a_transaction_expires(s: Subject) {
    let request = BeginTransactionRequest { timeout: Some(millis(80)) };
    let answer = s.keyvalue_transactional().begin_transaction(&s.context, request).await.unwrap();
    let open = Open { s: &s, handle: answer.transaction };
    let _ = open.try_set(b"key", b"never", None).await;
    sleep(120).await;
    refused(open.try_get(b"key").await, Code::NotFound, "TRANSACTION_NOT_FOUND");
    refused(open.commit().await, Code::NotFound, "TRANSACTION_NOT_FOUND");
    assert_eq!(s.entry(b"key").await, None);
}

async fn a_commit_without_operations(s: Subject) {
    let committed = s.begin().await.commit().await.unwrap();
    assert_eq!((committed.revision, committed.writes.len()), (0, 0));
    let open = s.begin().await;
    s.set(b"key", b"value").await;
    open.try_delete(b"key").await.unwrap();
    let committed = open.commit().await.unwrap();
    assert_eq!((committed.revision, committed.writes.len()), (0, 0), "a deletion stores nothing");
    assert!(!s.exists(b"key").await);
}

async fn a_read_only_commit(s: Subject) {
    s.set(b"key", b"value").await;
    let open = s.begin().await;
    open.get(b"key").await;
    assert_eq!(open.commit().await.unwrap().revision, 0);
    let open = s.begin().await;
    open.get(b"key").await;
    s.set(b"key", b"other").await;
    refused(open.commit().await, Code::Aborted, "TRANSACTION_CONFLICT");
}

async fn the_last_write_of_a_key_counts(s: Subject) {
    s.set(b"deleted", b"old").await;
    let open = s.begin().await;
    open.set(b"key", b"1").await;
    open.set(b"key", b"2").await;
    open.set(b"deleted", b"1").await;
    open.try_delete(b"deleted").await.unwrap();
    open.try_delete(b"written").await.unwrap();
    open.set(b"written", b"1").await;
    let committed = open.commit().await.unwrap();
    assert_eq!(committed.writes.iter().map(|write| &write.key[..]).collect::<Vec<_>>(), [&b"key"[..], b"written"]);
    assert_eq!(s.value(b"key").await.as_deref(), Some("2"));
    assert_eq!(s.value(b"written").await.as_deref(), Some("1"));
    assert!(!s.exists(b"deleted").await);
}

async fn times_to_live_begin_at_commit(s: Subject) {
    s.set_with(b"cleared", b"old", Some(seconds(100))).await;
    let open = s.begin().await;
    open.try_set(b"key", b"value", Some(millis(150))).await.unwrap();
    open.set(b"cleared", b"new").await;
    sleep(200).await;
    let before = now();
    open.commit().await.unwrap();
    let after = now();
    if let Some(entry) = s.entry(b"key").await {
        let at = since_1970(entry.expire_time.as_ref());
        assert!((before + 150..=after + 151).contains(&at), "{at} is not 150 ms behind {before}..{after}");
    } else {
        assert!(now() >= before + 150, "the TTL began before the commit");
    }
    sleep(160).await;
    assert_eq!(s.entry(b"key").await, None);
    assert_eq!(s.entry(b"cleared").await.unwrap().expire_time, None);
}

/// Transfers money between accounts concurrently, and retries conflicts. In every serializable order the sum stays the same.
async fn transfers_keep_the_sum(s: Subject) {
    const ACCOUNTS: u64 = 4;
    for account in 0..ACCOUNTS {
        s.set(format!("account{account}").as_bytes(), b"100").await;
    }
    let tasks: Vec<_> = (0..6_u64)
        .map(|task| {
            let s = s.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for attempt in 0..200 {
                    let from = format!("account{}", (task + attempt) % ACCOUNTS).into_bytes();
                    let to = format!("account{}", (task + attempt * 3 + 1) % ACCOUNTS).into_bytes();
                    if from == to {
                        continue;
                    }
                    let open = s.begin().await;
                    let read = |text: Option<String>| text.unwrap().parse::<i64>().unwrap();
                    let (a, b) = (read(open.value(&from).await), read(open.value(&to).await));
                    open.set(&from, (a - 7).to_string().as_bytes()).await;
                    open.set(&to, (b + 7).to_string().as_bytes()).await;
                    match open.commit().await {
                        Ok(_) => done += 1,
                        Err(error) => assert_eq!(error.reason(), "TRANSACTION_CONFLICT", "{error:?}"),
                    }
                    if done == 8 {
                        break;
                    }
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    assert!(done > 0, "no transaction was committed");
    let mut sum = 0;
    for account in 0..ACCOUNTS {
        sum += s.value(format!("account{account}").as_bytes()).await.unwrap().parse::<i64>().unwrap();
    }
    assert_eq!(sum, 100 * i64::try_from(ACCOUNTS).unwrap());
}

async fn too_large(s: Subject) {
    let open = s.begin().await;
    for number in 0..128 {
        open.set(format!("w{number}").as_bytes(), b"v").await;
        open.get(format!("r{number}").as_bytes()).await;
    }
    refused(open.try_set(b"one more", b"v", None).await, Code::ResourceExhausted, "TRANSACTION_TOO_LARGE");
    refused(open.try_delete(b"one more").await, Code::ResourceExhausted, "TRANSACTION_TOO_LARGE");
    refused(open.try_get(b"one more").await, Code::ResourceExhausted, "TRANSACTION_TOO_LARGE");
    // Keys that the transaction already uses can still be read and written.
    open.set(b"w5", b"again").await;
    open.try_delete(b"w6").await.unwrap();
    open.get(b"r5").await;
    assert_eq!(open.commit().await.unwrap().writes.len(), 127);
    assert_eq!(s.value(b"w5").await.as_deref(), Some("again"));
    assert_eq!(s.entry(b"one more").await, None);
}

async fn keyspaces_do_not_share_handles(s: Subject) {
    let (open, other) = (s.begin().await, s.other_keyspace());
    open.set(b"key", b"mine").await;
    let stolen = Open { s: &other, handle: open.handle.clone() };
    refused(stolen.try_get(b"key").await, Code::NotFound, "TRANSACTION_NOT_FOUND");
    refused(stolen.commit().await, Code::NotFound, "TRANSACTION_NOT_FOUND");
    open.commit().await.unwrap();
    assert_eq!(other.entry(b"key").await, None);
}

async fn bad_requests_are_refused(s: Subject) {
    for timeout in [millis(0), seconds(-1), seconds(301)] {
        let request = BeginTransactionRequest { timeout: Some(timeout) };
        invalid(s.keyvalue_transactional().begin_transaction(&s.context, request).await, "INVALID_FIELD", "timeout");
    }
    let open = s.begin().await;
    invalid(open.try_get(b"").await, "INVALID_KEY", "key");
    invalid(open.try_set(b"", b"v", None).await, "INVALID_KEY", "key");
    invalid(open.try_delete(b"").await, "INVALID_KEY", "key");
    if s.slot.interfaces.keyvalue_ttl.is_some() {
        invalid(open.try_set(b"key", b"v", Some(millis(0))).await, "INVALID_TTL", "ttl");
    }
    let limit = s.limits().max_value_bytes;
    if limit <= 64 << 20 {
        let value = vec![0; usize::try_from(limit).unwrap() + 1];
        invalid(open.try_set(b"key", &value, None).await, "VALUE_TOO_LARGE", "value");
    }
    assert_eq!(open.commit().await.unwrap().writes.len(), 0, "a refused write waited for the commit");
}
