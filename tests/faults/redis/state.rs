//! The server answers, but not as it should.

use std::time::Instant;

use bytes::Bytes;
use prism::{
    call::Code,
    proto::models::keyvalue::v1::{
        BatchSetItem, BatchSetRequest, CountRequest, DeleteOperation, DeleteRequest, Operation, SetOperation, TransactRequest,
        operation::Action,
    },
};

use super::{
    super::{away, context, slot},
    command, connected, get, keyvalue, set,
};
use crate::servers::{Options, Redis};

#[tokio::test]
async fn full() {
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
        assert!(stored.len() < 100, "it never becomes full");
    };
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "BACKEND_FULL"), "{error:?}");
    let interfaces = slot(&backend).interfaces;
    let (batch, transactions) = (interfaces.keyvalue_batch.unwrap(), interfaces.keyvalue_transactional.unwrap());
    let large = Bytes::from(vec![1; 256 << 10]);
    let items = ["x", "y"].map(|key| BatchSetItem { key: key.into(), value: large.clone(), ttl: None }).to_vec();
    assert_eq!(batch.batch_set(&context(), BatchSetRequest { items }).await.unwrap_err().reason(), "BACKEND_FULL");
    let delete = Action::Delete(DeleteOperation { key: stored[0].clone().into() });
    let actions = [delete, Action::Set(SetOperation { key: "x".into(), value: large, ttl: None })];
    let then_operations = actions.map(|action| Operation { action: Some(action) }).to_vec();
    let request = TransactRequest { then_operations, ..Default::default() };
    assert_eq!(transactions.transact(&context(), request).await.unwrap_err().reason(), "BACKEND_FULL");
    // Nothing of what was refused is there, and room can be made.
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
async fn data_of_others() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    command(&server, "LPUSH prism:{shop/data}:value:list x", true);
    command(&server, "SET prism:{shop/data}:value:short x", true);
    for key in ["list", "short"] {
        let error = get(&store, key).await.unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "BACKEND_KEY_CONFLICT"), "{error:?}");
        assert!(error.message().contains("key_prefix"), "{error:?}");
    }
}

#[tokio::test]
async fn without_scripts_in_its_cache() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    command(&server, "SCRIPT FLUSH", true);
    set(&store, "k", "w").await.unwrap();
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "w");
}
