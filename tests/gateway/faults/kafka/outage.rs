//! The Kafka server stops under load and starts again, hangs, or starts late.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use prism::{
    call::{Code, Context},
    driver::Backend,
    proto::models::stream::v1::{AppendRequest, ReadRequest},
};
use test_support::servers::Kafka;

use super::super::{IN_TIME, PATIENCE, Server as _, away, backend, connected, context, healthy, metrics, slot, streams::append};

/// Returns the payloads of all records.
async fn payloads(backend: &Arc<dyn Backend>) -> Vec<String> {
    let read = ReadRequest { stream: "orders".into(), ..Default::default() };
    let records: Vec<_> =
        slot(backend).interfaces.stream_basic.unwrap().read(&Context::internal("shop"), read).await.unwrap().collect().await;
    records.into_iter().map(|record| String::from_utf8(record.unwrap().record.unwrap().payload.to_vec()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    let mut server = Kafka::start().unwrap();
    let backend = connected(&server).await;
    let (stop, done, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..8)
        .map(|number| {
            let streams = slot(&backend).interfaces.stream_basic.unwrap();
            let (stop, done, failed) = (stop.clone(), done.clone(), failed.clone());
            tokio::spawn(async move {
                let (mut acknowledged, mut last) = (Vec::new(), None);
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (payload, began) = (format!("{number}/{round}"), Instant::now());
                    match append(streams.as_ref(), &payload).await {
                        Ok(offset) => {
                            assert!(last.is_none_or(|last| offset > last), "offsets of one writer increase, also across a restart");
                            last = Some(offset);
                            acknowledged.push(payload);
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            away(&error, began);
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                acknowledged
            })
        })
        .collect();
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(800)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(backend.health().await.unwrap_err().code(), Code::Unavailable);
        let before = done.load(Ordering::Relaxed);
        server.resume().unwrap();
        let began = Instant::now();
        while done.load(Ordering::Relaxed) < before + 100 {
            assert!(began.elapsed() < PATIENCE, "no recovery within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeSet::new();
    for worker in workers {
        acknowledged.extend(worker.await.unwrap());
    }
    assert!(failed.load(Ordering::Relaxed) > 0, "no call failed during the outage, so the test proves nothing");
    healthy(&backend).await;
    let stored = payloads(&backend).await;
    let distinct: BTreeSet<&String> = stored.iter().collect();
    assert_eq!(distinct.len(), stored.len(), "the producer stored a record twice");
    for payload in &acknowledged {
        assert!(distinct.contains(payload), "an acknowledged record is lost: {payload}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    let mut server = Kafka::start().unwrap();
    server.kill();
    let backend = backend("kafka", server.settings()).await;
    let streams = slot(&backend).interfaces.stream_basic.unwrap();
    for _ in 0..3 {
        let began = Instant::now();
        away(&append(streams.as_ref(), "lost").await.unwrap_err(), began);
    }
    server.resume().unwrap();
    healthy(&backend).await;
    append(streams.as_ref(), "stored").await.unwrap();
    assert_eq!(payloads(&backend).await.last().unwrap(), "stored");
}

#[tokio::test]
async fn a_server_that_hangs() {
    let server = Kafka::start().unwrap();
    let backend = connected(&server).await;
    let streams = slot(&backend).interfaces.stream_basic.unwrap();
    append(streams.as_ref(), "before").await.unwrap();
    server.pause(true);
    let hung = Instant::now();
    // A caller with a shorter timeout gets its error at that timeout.
    let request = AppendRequest { stream: "orders".into(), ..Default::default() };
    let error = streams.append(&context().with_timeout(Duration::from_millis(300)), request).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable), "{error:?}");
    assert!(hung.elapsed() < Duration::from_millis(1900), "answered after {:?}", hung.elapsed());
    while hung.elapsed() < Duration::from_secs(12) {
        let began = Instant::now();
        away(&append(streams.as_ref(), "lost").await.unwrap_err(), began);
    }
    assert!(backend.health().await.is_err());
    server.pause(false);
    healthy(&backend).await;
    append(streams.as_ref(), "after").await.unwrap();
    let stored = payloads(&backend).await;
    assert_eq!((stored.first().unwrap().as_str(), stored.last().unwrap().as_str()), ("before", "after"));
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    let server = Kafka::start().unwrap();
    let backend = connected(&server).await;
    let streams = slot(&backend).interfaces.stream_basic.unwrap();
    append(streams.as_ref(), "stored").await.unwrap();
    backend.close().await;
    let began = Instant::now();
    let error = append(streams.as_ref(), "refused").await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert!(began.elapsed() < IN_TIME, "answered after {:?}", began.elapsed());
}

#[tokio::test]
async fn connections_are_in_the_metrics() {
    metrics::connections_are_in_the_metrics(&mut Kafka::start().unwrap()).await;
}
