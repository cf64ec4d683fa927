//! Outages that are the same for every server: it stops under load and starts again, starts late, hangs, or its connections fail.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use prism::{
    call::Code,
    driver::Backend,
    proto::models::keyvalue::v1::{GetRequest, WatchRequest, watch_response::Event},
};
use tokio::task::JoinHandle;

use super::{
    IN_TIME, PATIENCE, Server, away, backend, connected, context, get, healthy, keyvalue,
    proxy::{Mode, Proxy},
    set, slot,
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

/// The server is killed and started again three times while eight workers write and read. No acknowledged write is lost.
pub async fn killed_and_started_again_under_load(server: &mut impl Server) {
    let backend = connected(server).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let workers: Vec<_> = (0..8).map(|number| worker(&backend, number, stop.clone(), done.clone())).collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(backend.health().await.unwrap_err().code(), Code::Unavailable);
        let before = done.load(Ordering::Relaxed);
        server.resume();
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

/// The server is started only after the gateway.
pub async fn a_server_that_is_not_there_yet(server: &mut impl Server) {
    server.kill();
    let backend = backend(server.kind(), server.settings()).await;
    let store = keyvalue(&backend);
    for _ in 0..5 {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
    }
    server.resume();
    healthy(&backend).await;
    set(&store, "k", "v").await.unwrap();
}

/// Calls after the gateway has closed its backend fail at once.
pub async fn a_backend_that_was_closed(server: &impl Server) {
    let backend = connected(server).await;
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

/// A watch that is open while the server is killed and started again continues at its position, and ends when the backend is closed.
pub async fn a_watch_outlives_the_server(server: &mut impl Server) {
    let backend = connected(server).await;
    let store = keyvalue(&backend);
    set(&store, "a", "1").await.unwrap();
    let watches = slot(&backend).interfaces.keyvalue_watch.unwrap();
    let mut watch = watches.watch(&context(), WatchRequest::default()).await.unwrap();
    let mut next = async || tokio::time::timeout(PATIENCE, watch.next()).await.expect("an event").expect("the watch is open");
    assert!(matches!(next().await.unwrap().event, Some(Event::Entry(entry)) if &entry.value[..] == b"1"));
    let caught_up = next().await.unwrap();
    assert!(matches!(caught_up.event, Some(Event::CaughtUp(_))));
    server.kill();
    tokio::time::sleep(Duration::from_millis(700)).await;
    server.resume();
    healthy(&backend).await;
    set(&store, "b", "2").await.unwrap();
    let stored = |event: Option<Event>| matches!(event, Some(Event::Stored(entry)) if &entry.value[..] == b"2");
    assert!(stored(next().await.unwrap().event));
    // So does a new watch with the cursor from before.
    let request = WatchRequest { cursor: caught_up.cursor, ..WatchRequest::default() };
    let mut resumed = watches.watch(&context(), request).await.unwrap();
    assert!(stored(resumed.next().await.unwrap().unwrap().event));
    backend.close().await;
    let began = Instant::now();
    away(&next().await.unwrap_err(), began);
}

/// The server accepts connections but does not reply. Calls end in time, and the same backend works again when the server does.
/// `duration` is long enough that connections are given up, and attempts to connect fail.
pub async fn a_server_that_hangs(server: &impl Server, duration: Duration) {
    let backend = connected(server).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    server.pause(true);
    does_not_reply(&backend, duration).await;
    server.pause(false);
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
    set(&store, "k", "w").await.unwrap();
}

/// Nothing goes through the connections, as when a cable is pulled: neither data nor their end.
pub async fn connections_that_stall(server: &impl Server) {
    let proxy = Proxy::start(server.port()).await;
    let backend = backend(server.kind(), server.settings_through(proxy.port)).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    set(&store, "k", "v").await.unwrap();
    proxy.set(Mode::Stall);
    does_not_reply(&backend, Duration::from_secs(4)).await;
    proxy.set(Mode::Forward);
    healthy(&backend).await;
    assert_eq!(get(&store, "k").await.unwrap().unwrap(), "v");
    set(&store, "k", "w").await.unwrap();
}

async fn does_not_reply(backend: &Arc<dyn Backend>, duration: Duration) {
    let store = keyvalue(backend);
    let began = Instant::now();
    // A caller with a shorter timeout gets its error at that timeout.
    let context = context().with_timeout(Duration::from_millis(300));
    let error = store.get(&context, GetRequest { key: "k".into() }).await.unwrap_err();
    assert!(matches!(error.code(), Code::DeadlineExceeded | Code::Unavailable), "{error:?}");
    assert!(began.elapsed() < Duration::from_millis(900), "answered after {:?}", began.elapsed());
    while began.elapsed() < duration {
        let began = Instant::now();
        away(&get(&store, "k").await.unwrap_err(), began);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(backend.health().await.is_err());
}

/// Connections are cut again and again, and can't be made for a while. No acknowledged write is lost.
pub async fn connections_that_are_cut(server: &impl Server) {
    let proxy = Proxy::start(server.port()).await;
    let backend = backend(server.kind(), server.settings_through(proxy.port)).await;
    healthy(&backend).await;
    let store = keyvalue(&backend);
    for round in 0..3 {
        set(&store, "k", round.to_string()).await.unwrap();
        proxy.set(Mode::Cut);
        tokio::time::sleep(Duration::from_millis(50)).await;
        for _ in 0..3 {
            let began = Instant::now();
            away(&set(&store, "k", "lost").await.unwrap_err(), began);
        }
        proxy.set(Mode::Forward);
        healthy(&backend).await;
        assert_eq!(get(&store, "k").await.unwrap().unwrap(), round.to_string());
    }
}
