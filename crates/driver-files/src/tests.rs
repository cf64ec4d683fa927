//! Tests of what the files of a folder are, and of what is left after a crash.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures::StreamExt as _;
use prism_call::{
    Context, Error, Messages,
    proto::{
        Interfaces,
        models::blob::v1::{GetRequest, HeadRequest, ListRequest, NewBlob, PutRequest, PutResponse, get_response, put_request::Part},
    },
};
use prism_driver::{Backend, BackendSettings, Keyspace};
use serde_json::json;

use crate::{KIND, sweeper::sweep};

async fn open(path: &Path) -> Result<Arc<dyn Backend>, Error> {
    let values = json!({"path": path, "sweep_interval": "1h"});
    (KIND.connect)(BackendSettings { name: "files".to_owned(), values: values.as_object().unwrap().clone() }).await
}

fn interfaces(backend: &Arc<dyn Backend>) -> Interfaces {
    backend.keyspace(&Keyspace { namespace: "shop".to_owned(), slot: "storage".to_owned() })
}

fn messages(key: &str, chunks: &[&[u8]]) -> Vec<Result<PutRequest, Error>> {
    let blob = NewBlob { key: key.to_owned(), ..NewBlob::default() };
    let chunks = chunks.iter().map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk)));
    std::iter::once(Part::Blob(blob)).chain(chunks).map(|part| Ok(PutRequest { part: Some(part) })).collect()
}

async fn put(interfaces: &Interfaces, key: &str, content: &[u8]) -> Result<PutResponse, Error> {
    let request = Box::pin(futures::stream::iter(messages(key, &[content])));
    interfaces.blob_basic.as_ref().unwrap().put(&Context::internal("shop"), request).await
}

async fn get(interfaces: &Interfaces, key: &str) -> Result<Vec<u8>, Error> {
    let request = GetRequest { key: key.to_owned(), ..GetRequest::default() };
    let mut stream = interfaces.blob_basic.as_ref().unwrap().get(&Context::internal("shop"), request).await?;
    let mut content = Vec::new();
    while let Some(message) = stream.next().await {
        if let Some(get_response::Part::Chunk(chunk)) = message?.part {
            content.extend_from_slice(&chunk);
        }
    }
    Ok(content)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_content_is_at_the_start_of_one_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("blobs");
    let backend = open(&root).await.unwrap();
    put(&interfaces(&backend), "Ab/c", b"content").await.unwrap();
    let keyspace = root.join("data/shop/storage");
    assert_eq!(files(&keyspace), ["%41b%2fc"]);
    assert!(fs::read(keyspace.join("%41b%2fc")).unwrap().starts_with(b"content{\"key\":\"Ab/c\""));
    for (path, mode) in [(root.clone(), 0o700), (keyspace.clone(), 0o700), (keyspace.join("%41b%2fc"), 0o600), (root.join("format"), 0o600)]
    {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }
    assert_eq!(files(&root.join("uploads")), [""; 0]);
}

#[tokio::test]
async fn the_sweeper_removes_only_what_nobody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path()).await.unwrap();
    let uploads = folder.path().join("uploads");
    fs::write(uploads.join("left-over"), b"half").unwrap();
    let (send, receive) = futures::channel::mpsc::unbounded();
    let interfaces = interfaces(&backend);
    let writing = tokio::spawn({
        let blobs = interfaces.blob_basic.clone().unwrap();
        let request: Messages<PutRequest> = Box::pin(receive);
        async move { blobs.put(&Context::internal("shop"), request).await }
    });
    for message in messages("key", &[b"first", b"second"]) {
        send.unbounded_send(message).unwrap();
    }
    let is_written = || files(&uploads).iter().any(|name| name != "left-over");
    while !is_written() {
        tokio::task::yield_now().await;
    }
    // The sweeper of the start is at work, too.
    while files(&uploads).iter().any(|name| name == "left-over") {
        sweep(&uploads).unwrap();
    }
    assert!(is_written());
    drop(send);
    writing.await.unwrap().unwrap();
    assert_eq!(get(&interfaces, "key").await.unwrap(), b"firstsecond");
    // Another start removes what is left of a process that has ended.
    fs::write(uploads.join("left-over"), b"half").unwrap();
    let _again = open(folder.path()).await.unwrap();
    while !files(&uploads).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn folders_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("letter.txt"), b"mine").unwrap();
    let error = open(folder.path()).await.err().unwrap();
    assert_eq!(error.reason(), "FOLDER_UNUSABLE");
    assert!(error.message().contains("is not empty"), "{error}");
    assert_eq!(files(folder.path()), ["letter.txt"]);

    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("format"), b"prism files 9\n").unwrap();
    assert!(open(other.path()).await.err().unwrap().message().contains("another version"));
}

#[tokio::test]
async fn damaged_files_are_reported_and_foreign_ones_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path()).await.unwrap();
    let interfaces = interfaces(&backend);
    put(&interfaces, "whole", b"content").await.unwrap();
    let keyspace = folder.path().join("data/shop/storage");
    fs::write(keyspace.join("README"), b"not a blob").unwrap();
    let list = |interfaces: Interfaces| async move {
        interfaces.blob_list.unwrap().list(&Context::internal("shop"), ListRequest::default()).await
    };
    assert_eq!(list(interfaces.clone()).await.unwrap().blobs.len(), 1);
    let whole = fs::read(keyspace.join("whole")).unwrap();
    for (name, content) in [("short", &whole[..whole.len() - 1]), ("headless", &whole[1..]), ("empty", &[]), ("other", b"something else")] {
        fs::write(keyspace.join(name), content).unwrap();
        assert_eq!(get(&interfaces, name).await.unwrap_err().reason(), "BLOB_DAMAGED", "{name}");
        assert_eq!(list(interfaces.clone()).await.unwrap_err().reason(), "BLOB_DAMAGED", "{name}");
        put(&interfaces, name, b"again").await.unwrap();
        assert_eq!(get(&interfaces, name).await.unwrap(), b"again");
    }
}

#[tokio::test]
async fn calls_after_the_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path()).await.unwrap();
    backend.health().await.unwrap();
    backend.close().await;
    let head = interfaces(&backend).blob_basic.unwrap();
    let error = head.head(&Context::internal("shop"), HeadRequest { key: "key".to_owned() }).await.unwrap_err();
    assert_eq!(error.reason(), "BACKEND_UNAVAILABLE");
}

#[tokio::test]
async fn a_key_that_another_process_has_locked_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let backend = open(folder.path()).await.unwrap();
    let number = crate::name::lock_number("key");
    let lock = File::options().create(true).truncate(false).write(true).open(folder.path().join(format!("locks/{number:02x}"))).unwrap();
    lock.lock().unwrap();
    let interfaces = interfaces(&backend);
    let writing = put(&interfaces, "key", b"content");
    let mut writing = std::pin::pin!(writing);
    for _ in 0..20 {
        assert!(futures::poll!(&mut writing).is_pending());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    drop(lock);
    writing.await.unwrap();
}
