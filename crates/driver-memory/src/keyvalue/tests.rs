//! Tests of what the behaviour suites can't see: accounting of bytes, pages, and transactions over the real data.

use std::time::Duration;

use futures::TryStreamExt as _;

use super::*;
use crate::{MemorySettings, backend::LIMITS};
use prism_call::{
    Context,
    proto::models::keyvalue::v1::{
        BeginTransactionRequest, CommitRequest, CountRequest, DeleteRequest, ExpireRequest, GetInTransactionRequest, GetRequest,
        KeyValueBasic, KeyValueScan, KeyValueTransactional, KeyValueTtl, ScanKeysRequest, SetInTransactionRequest, SetRequest,
    },
};
use prism_driver::{settings::ByteSize, transactions::Transactions, watch::HISTORY_MILLIS};

fn store(max_bytes: u64) -> (Arc<KeyValue>, Arc<SharedState>, Context) {
    let shared = Arc::new(SharedState::new(MemorySettings { max_bytes: ByteSize::new(max_bytes), ..MemorySettings::default() }));
    (Arc::new(KeyValue::new(shared.clone(), LIMITS)), shared, Context::internal("test"))
}

fn set(key: &str, value: &[u8], ttl: Option<Duration>) -> SetRequest {
    let ttl = ttl.map(|ttl| ttl.try_into().unwrap());
    SetRequest { key: Bytes::copy_from_slice(key.as_bytes()), value: Bytes::copy_from_slice(value), ttl, flags: 0 }
}

#[tokio::test]
async fn releases_every_byte() {
    let (store, shared, context) = store(1000);
    store.set(&context, set("a", &[0; 500], None)).await.unwrap();
    assert_eq!(shared.used_bytes(), 501 + OVERHEAD);
    store.set(&context, set("a", &[0; 871], None)).await.unwrap();
    let error = store.set(&context, set("b", b"", None)).await.unwrap_err();
    assert_eq!(error.reason(), "BACKEND_FULL");
    assert_eq!(store.set(&context, set("a", &[0; 872], None)).await.unwrap_err().reason(), "BACKEND_FULL");
    assert_eq!(store.get(&context, GetRequest { key: "a".into() }).await.unwrap().entry.unwrap().value.len(), 871);
    store.delete(&context, DeleteRequest { key: "a".into() }).await.unwrap();
    assert_eq!(shared.used_bytes(), 0);
    store.set(&context, set("c", b"c", None)).await.unwrap();
    drop(store);
    assert_eq!(shared.used_bytes(), 0);
}

#[tokio::test]
async fn expired_entries_free_their_bytes() {
    let (store, shared, context) = store(1000);
    store.set(&context, set("a", &[0; 800], Some(Duration::from_millis(20)))).await.unwrap();
    assert_eq!(store.set(&context, set("b", &[0; 800], None)).await.unwrap_err().reason(), "BACKEND_FULL");
    tokio::time::sleep(Duration::from_millis(25)).await;
    store.set(&context, set("b", &[0; 800], None)).await.unwrap();
    store.expire(&context, ExpireRequest { key: "b".into(), ttl: Duration::from_millis(5).try_into().ok() }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    store.sweep();
    assert_eq!(shared.used_bytes(), 0);
    assert!(store.map.read().unwrap().expiring.is_empty());
}

#[test]
fn a_history_ends_when_nobody_has_watched_for_an_hour() {
    let history = History::new(Arc::new(SharedState::new(MemorySettings::default())));
    let later = time::now() + 2 * HISTORY_MILLIS;
    let watcher = history.last();
    assert!(!history.has_ended(later));
    drop(watcher);
    assert!(!history.has_ended(later + HISTORY_MILLIS - 1));
    assert!(history.has_ended(later + HISTORY_MILLIS));
}

#[tokio::test]
async fn scans_many_pages_during_writes() {
    let (store, _, context) = store(1 << 20);
    for number in 0..1000 {
        store.set(&context, set(&format!("k{number:03}"), b"", None)).await.unwrap();
    }
    let scan = super::Scan(store.clone());
    assert_eq!(scan.count(&context, CountRequest::default()).await.unwrap().count, 1000);
    let mut keys = scan.scan_keys(&context, ScanKeysRequest { limit: 700, ..Default::default() }).await.unwrap();
    let mut last = keys.try_next().await.unwrap().unwrap();
    for number in (0..1000).filter(|number| number % 10 == 1) {
        store.delete(&context, DeleteRequest { key: format!("k{number:03}").into() }).await.unwrap();
    }
    let mut seen = 1;
    while let Some(next) = keys.try_next().await.unwrap() {
        assert!(next.key > last.key);
        last = next;
        seen += 1;
    }
    assert_eq!(seen, 700);
}

#[tokio::test]
async fn a_commit_fails_after_a_write_to_a_key_that_it_read() {
    let (store, _, context) = store(1 << 20);
    let transactions = Transactions::new(store.clone());
    for (interfere, expected) in [(false, None), (true, Some("TRANSACTION_CONFLICT"))] {
        let transaction = transactions.begin_transaction(&context, BeginTransactionRequest::default()).await.unwrap().transaction;
        let read = GetInTransactionRequest { transaction: transaction.clone(), key: "read".into() };
        assert!(transactions.get_in_transaction(&context, read).await.unwrap().entry.is_none());
        let write = SetInTransactionRequest { transaction: transaction.clone(), key: "written".into(), ..Default::default() };
        transactions.set_in_transaction(&context, write).await.unwrap();
        if interfere {
            store.set(&context, set("read", b"", None)).await.unwrap();
        }
        let committed = transactions.commit(&context, CommitRequest { transaction }).await;
        assert_eq!(committed.as_ref().err().map(Error::reason), expected);
        if let Ok(committed) = committed {
            assert_eq!(committed.writes[0].revision, committed.revision);
        }
    }
}
