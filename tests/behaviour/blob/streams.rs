//! `blob_basic`: long streams, and streams that end early.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, channel::mpsc, stream};
use prism::{
    call::{Code, Error, Messages},
    proto::models::blob::v1::{GetRequest, NewBlob, PutRequest, get_response, put_request::Part},
};

use super::new;
use crate::{
    subject::Subject,
    suite::suite,
    support::{PATIENCE, eventually, refused},
};

suite! { "blob_basic":
    sixty_four_mebibytes;
    a_dropped_write_stores_nothing;
    a_write_whose_stream_fails_stores_nothing;
    a_write_is_invisible_until_its_end;
    a_deadline_ends_a_write;
    a_read_returns_one_blob_although_it_is_replaced;
    a_dropped_read_leaves_the_rest_working;
}

const CHUNK: usize = 64 << 10;

/// Bytes that differ from chunk to chunk.
fn pattern(index: usize) -> Bytes {
    (0..CHUNK).map(|at| ((index * 31 + at * 7) % 251).to_le_bytes()[0]).collect()
}

/// Where a case sends the messages of a write.
type Messenger = mpsc::Sender<Result<PutRequest, Error>>;

/// A write whose messages are sent by the case.
fn open_write(s: &Subject, blob: NewBlob) -> (Messenger, tokio::task::JoinHandle<Result<(), Error>>) {
    let (mut send, receive) = mpsc::channel(1);
    send.try_send(Ok(PutRequest { part: Some(Part::Blob(blob)) })).unwrap();
    let s = s.clone();
    let request: Messages<PutRequest> = Box::pin(receive);
    let task = tokio::spawn(async move { s.blob_basic().put(&s.context, request).await.map(drop) });
    (send, task)
}

async fn chunk(send: &mut Messenger, bytes: Bytes) {
    send.send(Ok(PutRequest { part: Some(Part::Chunk(bytes)) })).await.unwrap();
}

async fn sixty_four_mebibytes(s: Subject) {
    let chunks = (64 << 20) / CHUNK;
    let parts = (0..chunks).map(|index| Part::Chunk(pattern(index)));
    let parts = std::iter::once(Part::Blob(NewBlob { size: Some(64 << 20), ..new("large") })).chain(parts);
    let request = Box::pin(stream::iter(parts.map(|part| Ok(PutRequest { part: Some(part) }))));
    assert_eq!(s.blob_basic().put(&s.context, request).await.unwrap().size, 64 << 20);
    let mut read = s.blob_basic().get(&s.context, GetRequest { key: "large".to_owned(), ..GetRequest::default() }).await.unwrap();
    let (mut at, mut wanted) = (0, Bytes::new());
    while let Some(message) = read.next().await {
        let Some(get_response::Part::Chunk(mut got)) = message.unwrap().part else { continue };
        while !got.is_empty() {
            if at % CHUNK == 0 {
                wanted = pattern(at / CHUNK);
            }
            let same = got.len().min(CHUNK - at % CHUNK);
            assert!(got.split_to(same) == wanted.split_to(same), "other bytes at {at}");
            at += same;
        }
    }
    assert_eq!(at, 64 << 20);
    s.remove("large").await;
}

async fn a_dropped_write_stores_nothing(s: Subject) {
    s.put("key", b"old").await;
    for chunks in [0, 1, 40] {
        let (mut send, task) = open_write(&s, new("key"));
        for index in 0..chunks {
            chunk(&mut send, pattern(index)).await;
        }
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(s.content("key").await.as_deref(), Some(&b"old"[..]));
    }
    s.put("key", b"new").await;
    assert_eq!(s.content("key").await.as_deref(), Some(&b"new"[..]));
}

async fn a_write_whose_stream_fails_stores_nothing(s: Subject) {
    let (mut send, task) = open_write(&s, new("key"));
    chunk(&mut send, pattern(0)).await;
    let broken = Error::new(Code::Cancelled, "REQUEST_BROKEN", "the client left");
    send.send(Err(broken)).await.unwrap();
    refused(task.await.unwrap(), Code::Cancelled, "REQUEST_BROKEN");
    assert_eq!(s.head("key").await, None);
}

async fn a_write_is_invisible_until_its_end(s: Subject) {
    s.put("key", b"old").await;
    let (mut send, task) = open_write(&s, new("key"));
    for index in 0..100 {
        chunk(&mut send, pattern(index)).await;
    }
    assert_eq!(s.content("key").await.as_deref(), Some(&b"old"[..]));
    drop(send);
    task.await.unwrap().unwrap();
    assert_eq!(s.head("key").await.unwrap().size, 100 * CHUNK as u64);
}

async fn a_deadline_ends_a_write(s: Subject) {
    let silent = stream::iter([Ok(PutRequest { part: Some(Part::Blob(new("key"))) })]).chain(stream::pending());
    let context = s.with_timeout(Duration::from_millis(50));
    let answer = tokio::time::timeout(PATIENCE, s.blob_basic().put(&context, Box::pin(silent))).await.expect("it does not end");
    refused(answer, Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(s.head("key").await, None);
}

async fn a_read_returns_one_blob_although_it_is_replaced(s: Subject) {
    let old = vec![1; 4 << 20];
    s.put("key", &old).await;
    let mut read = s.blob_basic().get(&s.context, GetRequest { key: "key".to_owned(), ..GetRequest::default() }).await.unwrap();
    read.next().await.unwrap().unwrap();
    s.put("key", &vec![2; 4 << 20]).await;
    s.remove("key").await;
    let mut content = Vec::new();
    while let Some(message) = read.next().await {
        let Ok(message) = message else {
            // A backend may be unable to continue, but must not mix two blobs.
            assert!(content.iter().all(|byte| *byte == 1));
            return;
        };
        if let Some(get_response::Part::Chunk(chunk)) = message.part {
            content.extend_from_slice(&chunk);
        }
    }
    assert!(content == old, "not the blob that was opened");
}

async fn a_dropped_read_leaves_the_rest_working(s: Subject) {
    s.put("key", &vec![7; 8 << 20]).await;
    for _ in 0..40 {
        let mut read = s.blob_basic().get(&s.context, GetRequest { key: "key".to_owned(), ..GetRequest::default() }).await.unwrap();
        read.next().await.unwrap().unwrap();
        read.next().await.unwrap().unwrap();
    }
    eventually("reads go on", || async { s.content("key").await.is_some_and(|content| content.len() == 8 << 20) }).await;
}
