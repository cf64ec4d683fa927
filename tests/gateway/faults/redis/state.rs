//! The server responds, but with errors or unexpected data.

use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt as _;
use prism::{
    call::Code,
    proto::models::keyvalue::v1::{
        BatchSetItem, BatchSetRequest, Comparison, Condition, CountRequest, DeleteOperation, DeleteRequest, Entry, ExpireRequest,
        GetRequest, Operation, ScanKeysRequest, SetOperation, TransactRequest,
        comparison::{Fact, Operator},
        condition::Predicate,
        operation::Action,
    },
};
use test_support::servers::{Options, Redis};

use super::{
    super::{away, connected, context, get, keyvalue, set, slot},
    command,
};

#[tokio::test]
async fn full_server_refuses_writes_and_serves_reads() {
    let arguments = ["--maxmemory", "6mb"].map(str::to_owned).to_vec();
    let server = Redis::start_with(Options { arguments, ..Options::default() }).unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    let mut stored = Vec::new();
    let error = loop {
        let key = format!("k{}", stored.len());
        match set(&store, &key, vec![1; 256 << 10]).await {
            Ok(_) => stored.push(key),
            Err(error) => break error,
        }
        assert!(stored.len() < 100, "the server never runs out of memory");
    };
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "BACKEND_FULL"), "{error:?}");
    let interfaces = slot(&backend).interfaces;
    let (batch, transactions) = (interfaces.keyvalue_batch.unwrap(), interfaces.keyvalue_transactional.unwrap());
    let large = Bytes::from(vec![1; 256 << 10]);
    let items = ["x", "y"].map(|key| BatchSetItem { key: key.into(), value: large.clone(), ttl: None, flags: 0 }).to_vec();
    assert_eq!(batch.batch_set(&context(), BatchSetRequest { items }).await.unwrap_err().reason(), "BACKEND_FULL");
    let delete = Action::Delete(DeleteOperation { key: stored[0].clone().into() });
    let actions = [delete, Action::Set(SetOperation { key: "x".into(), value: large, ttl: None, flags: 0 })];
    let then_operations = actions.map(|action| Operation { action: Some(action) }).to_vec();
    let request = TransactRequest { then_operations, ..Default::default() };
    assert_eq!(transactions.transact(&context(), request).await.unwrap_err().reason(), "BACKEND_FULL");
    // No refused write is stored, and deleting makes room again.
    let scan = interfaces.keyvalue_scan.unwrap();
    assert_eq!(scan.count(&context(), CountRequest::default()).await.unwrap().count, stored.len() as u64);
    for key in &stored {
        let request = DeleteRequest { key: key.clone().into() };
        assert!(store.delete(&context(), request).await.unwrap().deleted);
    }
    set(&store, "again", "v").await.unwrap();
}

#[tokio::test]
async fn a_replica() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    command(&server, "REPLICAOF 127.0.0.1 1", true);
    let began = Instant::now();
    away(&set(&store, "k", "w").await.unwrap_err(), began);
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
    command(&server, "REPLICAOF NO ONE", true);
    set(&store, "k", "w").await.unwrap();
}

#[tokio::test]
async fn keys_written_by_other_programs_are_reported() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    command(&server, "LPUSH prism:{shop/data}:value:list x", true);
    command(&server, "SET prism:{shop/data}:value:short x", true);
    for key in ["list", "short"] {
        let error = get(&store, key).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_KEY_CONFLICT"), "{error:?}");
        assert!(error.message().contains("key_prefix"), "{error:?}");
    }
}

#[tokio::test]
async fn reads_data_of_an_older_prism() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let interfaces = slot(&backend).interfaces;
    let (basic, scan) = (interfaces.keyvalue_basic.unwrap(), interfaces.keyvalue_scan.unwrap());
    let (ttl, transactions) = (interfaces.keyvalue_ttl.unwrap(), interfaces.keyvalue_transactional.unwrap());
    // The layout of a value: revision and expiration, 8 bytes each, then the data.
    let old = |key: &str| {
        let head = r"\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00";
        command(&server, &format!("SET prism:{{shop/data}}:value:{key} \"{head}a value of more than twenty-four bytes\""), true);
        command(&server, &format!("ZADD prism:{{shop/data}}:keys 0 {key}"), true);
    };
    let context = context();
    let entry = async |key: &'static str| basic.get(&context, GetRequest { key: key.into() }).await.unwrap().entry.unwrap();
    let value = "a value of more than twenty-four bytes";
    let read = |entry: &Entry| (entry.revision, entry.create_revision, entry.version, entry.flags, entry.expire_time.is_some());

    old("k");
    assert_eq!((read(&entry("k").await), &entry("k").await.value[..]), ((258, 258, 1, 0, false), value.as_bytes()));
    let keys: Vec<_> = scan.scan_keys(&context, ScanKeysRequest::default()).await.unwrap().try_collect().await.unwrap();
    assert_eq!((keys.len(), keys[0].revision, keys[0].create_revision, keys[0].version), (1, 258, 258, 1));
    let conditions = [
        Predicate::ValueEquals(value.into()),
        Predicate::RevisionEquals(258),
        Predicate::Compare(Comparison { fact: Fact::Version.into(), operator: Operator::Equal.into(), number: 1 }),
        Predicate::Compare(Comparison { fact: Fact::CreateRevision.into(), operator: Operator::Equal.into(), number: 258 }),
    ];
    let conditions = conditions.map(|predicate| Condition { key: "k".into(), predicate: Some(predicate) }).to_vec();
    let request = TransactRequest { conditions, ..Default::default() };
    assert!(transactions.transact(&context, request).await.unwrap().succeeded);

    let hour = Some(prost_types::Duration { seconds: 3600, nanos: 0 });
    assert!(ttl.expire(&context, ExpireRequest { key: "k".into(), ttl: hour }).await.unwrap().found);
    assert_eq!((read(&entry("k").await), &entry("k").await.value[..]), ((258, 258, 1, 0, true), value.as_bytes()));
    let revision = set(&basic, "k", "new").await.unwrap();
    assert_eq!((read(&entry("k").await), &entry("k").await.value[..]), ((revision, 258, 2, 0, false), &b"new"[..]));
}

#[tokio::test]
async fn scripts_missing_from_the_cache_are_loaded_again() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    command(&server, "SCRIPT FLUSH", true);
    set(&store, "k", "w").await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "w");
}
