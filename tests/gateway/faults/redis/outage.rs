//! The Redis server stops under load and starts again.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use prism::{call::Code, driver::Backend, proto::models::keyvalue::v1::GetRequest};
use serde_json::json;
use test_support::servers::{Options, Redis};
use tokio::task::JoinHandle;

use super::{
    super::{IN_TIME, PATIENCE, away, backend, context, healthy},
    command, connected, get, keyvalue, set,
};

/// The results of one worker: the last acknowledged value of each key, the last revision, and the number of errors.
#[derive(Default)]
struct WorkerResult {
    acknowledged: HashMap<String, String>,
    revision: u64,
    errors: u32,
}

/// Writes and reads until `stop` is set. Each error must say, within the time limit, that the server is unavailable.
fn worker(backend: &Arc<dyn Backend>, number: u32, stop: Arc<AtomicBool>, done: Arc<AtomicU32>) -> JoinHandle<WorkerResult> {
    let store = keyvalue(backend);
    tokio::spawn(async move {
        let mut result = WorkerResult::default();
        let mut round = 0;
        while !stop.load(Ordering::Relaxed) {
            round += 1;
            let (key, value) = (format!("{number}-{}", round % 50), round.to_string());
            let began = Instant::now();
            match set(&store, &key, value.clone()).await {
                Ok(revision) => {
                    assert!(revision > result.revision, "revisions of one writer increase, also across a restart");
                    result.revision = revision;
                    result.acknowledged.insert(key.clone(), value);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    away(&error, began);
                    result.errors += 1;
                    // The value may or may not be stored.
                    result.acknowledged.remove(&key);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            let began = Instant::now();
            if let Err(error) = get(&store, &key).await {
                away(&error, began);
                result.errors += 1;
            }
        }
        result
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_under_load() {
    let mut server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..8).map(|number| worker(&backend, number, stop.clone(), done.clone())).collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(700)).await;
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
    let store = keyvalue(&backend);
    let mut errors = 0;
    for worker in workers {
        let result = worker.await.unwrap();
        errors += result.errors;
        for (key, value) in result.acknowledged {
            assert_eq!(get(&store, &key).await.unwrap().unwrap(), value, "an acknowledged write of {key} is lost");
        }
    }
    assert!(errors > 0, "no call failed during the outage, so the test proves nothing");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    let mut server = Redis::start().unwrap();
    server.kill();
    let backend = backend("redis", json!({"url": server.url()})).await;
    let store = keyvalue(&backend);
    for _ in 0..5 {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
    }
    server.resume().unwrap();
    healthy(&backend).await;
    set(&store, "k", "v").await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs() {
    let arguments = ["--enable-debug-command", "local"].map(str::to_owned).to_vec();
    let server = Redis::start_with(Options { arguments, ..Options::default() }).unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    let _sleeping = command(&server, "DEBUG SLEEP 4", false);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let hung = Instant::now();
    // A caller with a shorter timeout gets its error at that timeout.
    let context = context().with_timeout(Duration::from_millis(300));
    let error = store.get(&context, GetRequest { key: "k".into() }).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable), "{error:?}");
    assert!(hung.elapsed() < Duration::from_millis(600), "answered after {:?}", hung.elapsed());
    while hung.elapsed() < Duration::from_millis(2500) {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(backend.health().await.is_err());
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
}

#[tokio::test]
async fn a_backend_that_was_closed() {
    let server = Redis::start().unwrap();
    let backend = connected(&server).await;
    let store = keyvalue(&backend);
    backend.close().await;
    let began = Instant::now();
    while get(&store, "k").await.is_ok() {
        assert!(began.elapsed() < IN_TIME, "a closed backend still answers");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    away(&get(&store, "k").await.unwrap_err(), began);
}
