//! S3 is killed, hangs, stops in the middle of a content, or refuses the credentials.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use prism::{
    call::{Code, Error, Messages},
    driver::Backend,
    proto::models::blob::v1::{BlobBasic, GetRequest, NewBlob, PutRequest, get_response, put_request::Part},
};
use serde_json::{Value, json};
use test_support::{http, poll, servers::S3};

use super::{PATIENCE, backend, context, get, healthy, keyvalue, metrics, set, slot};

/// Settings with short timeouts and one attempt, so that errors come soon.
fn settings(server: &S3) -> Value {
    let (key, secret) = server.credentials();
    json!({
        "url": server.url(), "endpoint": server.endpoint(), "access_key_id": key, "secret_access_key": secret,
        "connect_timeout": "300ms", "request_timeout": "4s", "max_attempts": 1,
    })
}

async fn connected(server: &S3) -> Arc<dyn Backend> {
    let backend = backend("s3", settings(server)).await;
    healthy(&backend).await;
    backend
}

fn blobs(backend: &Arc<dyn Backend>) -> Arc<dyn BlobBasic> {
    slot(backend).interfaces.blob_basic.unwrap()
}

async fn put(blobs: &Arc<dyn BlobBasic>, key: &str, content: Vec<u8>) -> Result<(), Error> {
    let parts = [Part::Blob(NewBlob { key: key.to_owned(), ..NewBlob::default() }), Part::Chunk(content.into())];
    let request: Messages<PutRequest> = Box::pin(stream::iter(parts.map(|part| Ok(PutRequest { part: Some(part) }))));
    blobs.put(&context(), request).await.map(drop)
}

async fn content(blobs: &Arc<dyn BlobBasic>, key: &str) -> Result<Vec<u8>, Error> {
    let mut stream = blobs.get(&context(), GetRequest { key: key.to_owned(), ..GetRequest::default() }).await?;
    let mut content = Vec::new();
    while let Some(message) = stream.next().await {
        if let Some(get_response::Part::Chunk(chunk)) = message?.part {
            content.extend_from_slice(&chunk);
        }
    }
    Ok(content)
}

#[track_caller]
fn is_away(error: &Error) {
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "BACKEND_UNAVAILABLE"), "{error:?}");
    assert!(error.retry_after().is_some_and(|wait| !wait.is_zero()), "{error:?}");
}

#[tokio::test]
async fn killed_and_started_again_under_load() {
    let mut server = S3::start().unwrap();
    let backend = connected(&server).await;
    let store = blobs(&backend);
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            let (mut acknowledged, mut errors) = (Vec::new(), 0);
            for number in 0..10_000_u32 {
                let key = format!("key-{number}");
                match put(&store, &key, number.to_be_bytes().repeat(1000)).await {
                    Ok(()) => acknowledged.push(number),
                    Err(error) => {
                        is_away(&error);
                        errors += 1;
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                if errors > 0 && acknowledged.last() == Some(&number) {
                    break;
                }
            }
            (acknowledged, errors)
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.resume().unwrap();
    let (acknowledged, errors) = writer.await.unwrap();
    assert!(acknowledged.len() > 3 && errors > 0, "{} writes, {errors} errors", acknowledged.len());
    healthy(&backend).await;
    for number in acknowledged {
        assert!(content(&store, &format!("key-{number}")).await.unwrap() == number.to_be_bytes().repeat(1000), "{number}");
    }
}

/// The pool of the SDK does not tell how many connections it has, so only requests and failures are counted.
#[tokio::test]
async fn connections_are_in_the_metrics() {
    let mut server = S3::start().unwrap();
    let gateway = metrics::gateway("s3", &settings(&server)).await;
    let failures = |text: &str| metrics::value(text, "prism_backend_connection_failures_total", "").unwrap();
    let in_use = |text: &str| metrics::value(text, "prism_backend_connections", ",state=\"in_use\"");
    metrics::until_metrics(&gateway, "idle", |text| in_use(text) == Some(0.0)).await;
    let before = failures(&gateway.metrics().await);
    server.kill();
    metrics::until_metrics(&gateway, "counting failures", |text| failures(text) > before).await;
    server.resume().unwrap();
    gateway.ready().await;
    server.pause(true);
    let admin = gateway.admin;
    let asking = tokio::spawn(async move {
        loop {
            // It says that the backend does not answer, which is not the question here.
            let _ = http::get(admin, "/readyz").await;
        }
    });
    poll::until("in use", || async {
        let text = gateway.metrics().await;
        if in_use(&text) > Some(0.0) { Ok(()) } else { Err(format!("{:?}", in_use(&text))) }
    })
    .await;
    asking.abort();
    server.pause(false);
    metrics::until_metrics(&gateway, "idle again", |text| in_use(text) == Some(0.0)).await;
}

#[tokio::test]
async fn a_server_that_hangs() {
    let server = S3::start().unwrap();
    let backend = connected(&server).await;
    let (store, values) = (blobs(&backend), keyvalue(&backend));
    put(&store, "large", vec![7; 40 << 20]).await.unwrap();
    set(&values, "k", "v").await.unwrap();
    let mut reading = store.get(&context(), GetRequest { key: "large".to_owned(), ..GetRequest::default() }).await.unwrap();
    reading.next().await.unwrap().unwrap();
    server.pause(true);
    let began = Instant::now();
    is_away(&put(&store, "key", b"x".to_vec()).await.unwrap_err());
    is_away(&content(&store, "large").await.unwrap_err());
    is_away(&get(&values, "k").await.unwrap_err());
    is_away(&backend.health().await.unwrap_err());
    // A content that was being read ends with an error too.
    let error = loop {
        match tokio::time::timeout(PATIENCE, reading.next()).await.expect("it hangs") {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the content ended without an error"),
        }
    };
    is_away(&error);
    assert!(began.elapsed() < PATIENCE * 2);
    server.pause(false);
    healthy(&backend).await;
    assert_eq!(content(&store, "large").await.unwrap().len(), 40 << 20);
    assert_eq!(get(&values, "k").await.unwrap().as_deref(), Some(&b"v"[..]));
}

#[tokio::test]
async fn credentials_that_are_changed() {
    let mut server = S3::start().unwrap();
    let backend = connected(&server).await;
    let store = blobs(&backend);
    put(&store, "key", b"content".to_vec()).await.unwrap();
    server.change_secret("another-secret").unwrap();
    // The first call may find a connection of the server before.
    poll::until("the credentials are refused", || async {
        let error = put(&store, "key", b"new".to_vec()).await.unwrap_err();
        if (error.code(), error.reason()) == (Code::Unavailable, "BACKEND_AUTHENTICATION") { Ok(()) } else { Err(format!("{error:?}")) }
    })
    .await;
    assert!(backend.health().await.is_err());
    let again = connected(&server).await;
    assert_eq!(content(&blobs(&again), "key").await.unwrap(), b"content");

    let mut values = settings(&server);
    values["url"] = "s3://there-is-no-such-bucket".into();
    let missing = super::backend("s3", values).await;
    // The test server creates buckets by itself when an object is stored, so only the health check says it.
    let error = missing.health().await.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "BACKEND_MISCONFIGURED"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_yet() {
    let mut server = S3::start().unwrap();
    server.kill();
    let backend = backend("s3", settings(&server)).await;
    is_away(&put(&blobs(&backend), "key", b"x".to_vec()).await.unwrap_err());
    server.resume().unwrap();
    healthy(&backend).await;
    put(&blobs(&backend), "key", b"x".to_vec()).await.unwrap();
}

#[tokio::test]
async fn the_parts_of_a_cancelled_upload_are_removed() {
    let server = S3::start().unwrap();
    let backend = connected(&server).await;
    let store = blobs(&backend);
    let part = || Ok(PutRequest { part: Some(Part::Chunk(Bytes::from(vec![1; 1 << 20]))) });
    let first = Ok(PutRequest { part: Some(Part::Blob(NewBlob { key: "large".to_owned(), ..NewBlob::default() })) });
    let parts = stream::iter(std::iter::once(first).chain((0..20).map(move |_| part()))).chain(stream::pending());
    let task = tokio::spawn(async move { store.put(&context(), Box::pin(parts)).await.map(drop) });
    poll::until_true("the upload begins", || server.uploads() == 1).await;
    task.abort();
    poll::until_true("the upload is aborted", || server.uploads() == 0).await;
    assert!(content(&blobs(&backend), "large").await.unwrap().is_empty());
}
