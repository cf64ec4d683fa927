//! PostgreSQL behind a PgBouncer that assigns connections to transactions.

use std::time::Duration;

use futures::{TryStreamExt as _, future::join_all};
use prism::{
    call::Code,
    proto::models::{
        keyvalue::v1::{
            BatchGetRequest, CompareAndSwapRequest, Condition, Operation, ScanRequest, SetOperation, TransactRequest, condition::Predicate,
            operation::Action,
        },
        pubsub::v1::{PublishRequest, SubscribeRequest, subscribe_response::Event},
        queue::v1::{CompleteRequest, DequeueRequest, DequeueWithTimeoutRequest, EnqueueRequest},
        stream::v1::{AppendRequest, CreateConsumerGroupRequest, JoinConsumerGroupRequest, ReadRequest},
    },
};
use serde_json::json;
use test_support::servers::{PgBouncer, Postgres};

use super::super::{backend, context, get, healthy, keyvalue, set, slot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_pgbouncer() {
    let server = Postgres::start().unwrap();
    let pooler = PgBouncer::start(&server).unwrap();
    let settings = json!({"url": pooler.url(), "prepared_statements": false, "max_connections": 8, "schema": "o'hara \"x\""});
    let backend = backend("postgres", settings).await;
    healthy(&backend).await;
    let interfaces = slot(&backend).interfaces;
    let store = keyvalue(&backend);
    // More calls at the same time than the pooler has connections.
    let keys: Vec<_> = (0..64).map(|number| format!("{number:02}")).collect();
    for result in join_all(keys.iter().map(|key| set(&store, key, key.clone()))).await {
        result.unwrap();
    }
    for (key, value) in keys.iter().zip(join_all(keys.iter().map(|key| get(&store, key))).await) {
        assert_eq!(value.unwrap().unwrap(), key.as_bytes());
    }
    let (scan, batch) = (interfaces.keyvalue_scan.unwrap(), interfaces.keyvalue_batch.unwrap());
    let scanned: Vec<_> = scan.scan(&context(), ScanRequest::default()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(scanned.len(), 64);
    let request = BatchGetRequest { keys: keys.iter().map(|key| key.clone().into()).collect() };
    assert!(batch.batch_get(&context(), request).await.unwrap().results.iter().all(|result| result.entry.is_some()));
    let (cas, transactions) = (interfaces.keyvalue_cas.unwrap(), interfaces.keyvalue_transactional.unwrap());
    let transact = |expected: u64| {
        let operation = SetOperation { key: "t".into(), value: "v".into(), ..SetOperation::default() };
        TransactRequest {
            conditions: vec![Condition { key: "head".into(), predicate: Some(Predicate::RevisionEquals(expected)) }],
            then_operations: vec![Operation { action: Some(Action::Set(operation)) }],
            ..TransactRequest::default()
        }
    };
    let swap = || CompareAndSwapRequest { key: "head".into(), value: "v".into(), ..CompareAndSwapRequest::default() };
    let winners = join_all((0..16).map(|_| async { cas.compare_and_swap(&context(), swap()).await.unwrap() })).await;
    assert_eq!(winners.iter().filter(|response| response.swapped).count(), 1);
    let revision = winners[0].revision;
    for response in join_all((0..16).map(|_| async { transactions.transact(&context(), transact(revision)).await.unwrap() })).await {
        assert!(response.succeeded);
    }
    let (queue, leases) = (interfaces.queue_basic.unwrap(), interfaces.queue_visibility.unwrap());
    let enqueue = || EnqueueRequest { queue: "jobs".to_owned(), payload: "1".into(), ..EnqueueRequest::default() };
    for result in join_all((0..16).map(|_| async { queue.enqueue(&context(), enqueue()).await })).await {
        result.unwrap();
    }
    let lease = || DequeueWithTimeoutRequest { queue: "jobs".to_owned(), ..DequeueWithTimeoutRequest::default() };
    for result in join_all((0..8).map(|_| async { leases.dequeue_with_timeout(&context(), lease()).await })).await {
        let lease = result.unwrap().messages.remove(0).lease;
        leases.complete(&context(), CompleteRequest { lease }).await.unwrap();
    }
    let request = DequeueRequest { queue: "jobs".to_owned(), limit: 100, wait: None };
    assert_eq!(queue.dequeue(&context(), request).await.unwrap().messages.len(), 8);
}

fn subscribe() -> SubscribeRequest {
    SubscribeRequest { topic: "t".to_owned(), ..SubscribeRequest::default() }
}

/// Streams don't need notifications. Subscriptions do, over a connection to the server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_behind_pgbouncer() {
    let server = Postgres::start().unwrap();
    let pooler = PgBouncer::start(&server).unwrap();
    for (index, listen_url) in [None, Some(pooler.url()), Some(server.url())].into_iter().enumerate() {
        let settings = json!({"url": pooler.url(), "prepared_statements": false, "max_connections": 8, "listen_url": listen_url});
        let backend = backend("postgres", settings).await;
        healthy(&backend).await;
        let interfaces = slot(&backend).interfaces;
        let (streams, groups) = (interfaces.stream_basic.unwrap(), interfaces.stream_consumer_groups.unwrap());
        let stream = format!("orders-{index}");
        let create = CreateConsumerGroupRequest { stream: stream.clone(), group: "billing".to_owned(), start: None };
        assert!(groups.create_consumer_group(&context(), create).await.unwrap().created);
        let follow = ReadRequest { stream: stream.clone(), follow: true, ..ReadRequest::default() };
        let mut reader = streams.read(&context(), follow).await.unwrap();
        let join = JoinConsumerGroupRequest { stream: stream.clone(), group: "billing".to_owned(), ..JoinConsumerGroupRequest::default() };
        let mut member = groups.join_consumer_group(&context(), join).await.unwrap();
        for number in 0..20 {
            let append = AppendRequest { stream: stream.clone(), payload: number.to_string().into(), ..AppendRequest::default() };
            streams.append(&context(), append).await.unwrap();
            assert_eq!(reader.try_next().await.unwrap().unwrap().record.unwrap().payload, number.to_string());
            assert_eq!(member.try_next().await.unwrap().unwrap().record.unwrap().payload, number.to_string());
        }
        let pubsub = interfaces.pubsub_basic.unwrap();
        if listen_url != Some(server.url()) {
            let error = pubsub.subscribe(&context(), subscribe()).await.err().unwrap();
            assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_MISCONFIGURED"), "{error:?}");
            assert!(error.message().contains("listen_url"), "{error:?}");
            continue;
        }
        let mut messages = pubsub.subscribe(&context(), subscribe()).await.unwrap();
        assert!(matches!(messages.try_next().await.unwrap().unwrap().event, Some(Event::Subscribed(_))));
        for bytes in [10, 100_000] {
            let publish = PublishRequest { topic: "t".to_owned(), payload: vec![b'x'; bytes].into(), ..PublishRequest::default() };
            pubsub.publish(&context(), publish).await.unwrap();
            let event = messages.try_next().await.unwrap().unwrap().event;
            assert!(matches!(event, Some(Event::Message(message)) if message.payload.len() == bytes));
        }
    }
}

#[tokio::test]
async fn prepared_statements_behind_pgbouncer_are_reported() {
    let server = Postgres::start().unwrap();
    let pooler = PgBouncer::start(&server).unwrap();
    let backend = backend("postgres", json!({"url": pooler.url(), "max_connections": 4})).await;
    let store = keyvalue(&backend);
    for _ in 0..50 {
        let results = join_all((0..8).map(|_| get(&store, "k"))).await;
        if let Some(error) = results.into_iter().find_map(Result::err) {
            assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_MISCONFIGURED"), "{error:?}");
            assert!(error.message().contains("prepared_statements"), "{error:?}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("this PgBouncer supports prepared statements");
}
