//! Tests of opening, closing and full databases. The behaviour suites test the interfaces.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use rusqlite::Connection;
use serde_json::json;

use super::{KIND, backend::Sqlite, schema};
use prism_call::{
    Code, Context, Error,
    proto::{
        Interfaces,
        models::{
            keyvalue::v1::{DeleteRequest, GetRequest, SetRequest, WatchRequest, WatchResponse, watch_response::Event},
            queue::v1::{CompleteRequest, DequeueWithTimeoutRequest, EnqueueRequest},
            stream::v1::{
                AckRequest, AppendRequest, CreateConsumerGroupRequest, GetConsumerGroupInfoRequest, JoinConsumerGroupRequest, ReadRequest,
            },
        },
    },
};
use prism_driver::{Backend as _, BackendSettings, Keyspace};

async fn open(path: &Path, more: serde_json::Value) -> Result<Sqlite, Error> {
    let mut values = json!({"path": path}).as_object().cloned().unwrap();
    values.extend(more.as_object().cloned().unwrap());
    Sqlite::open(&BackendSettings { name: "local".into(), values }).await
}

async fn refused(path: &Path) -> String {
    let error = open(path, json!({})).await.err().expect("the file must be refused");
    assert_eq!(error.code(), Code::FailedPrecondition);
    let message = error.message().to_owned();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    assert!(!message.contains('\n'));
    message
}

fn interfaces_of(backend: &Sqlite) -> Interfaces {
    backend.keyspace(&Keyspace { namespace: "n".into(), slot: "s".into() })
}

async fn set(backend: &Sqlite, key: &'static str, size: usize) -> Result<u64, Error> {
    let request = SetRequest { key: key.into(), value: vec![7; size].into(), ttl: None, flags: 0 };
    Ok(interfaces_of(backend).keyvalue_basic.unwrap().set(&Context::internal("n"), request).await?.revision)
}

async fn get(backend: &Sqlite, key: &'static str) -> Result<Option<usize>, Error> {
    let response = interfaces_of(backend).keyvalue_basic.unwrap().get(&Context::internal("n"), GetRequest { key: key.into() }).await?;
    Ok(response.entry.map(|entry| entry.value.len()))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn creates_the_folder_and_keeps_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/prism.db");
    let first = open(&path, json!({"durability": "normal"})).await.unwrap();
    let revision = set(&first, "k", 200_000).await.unwrap();
    first.health().await.unwrap();
    first.close().await;
    assert_eq!(get(&first, "k").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(set(&first, "k", 1).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(first.health().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(files(path.parent().unwrap()), ["prism.db", "prism.db-reserve"], "closing removes the log");

    let begun = Instant::now();
    let second = open(&path, json!({})).await.unwrap();
    println!("opened in {:?}", begun.elapsed());
    assert_eq!(get(&second, "k").await.unwrap(), Some(200_000));
    assert!(set(&second, "k", 1).await.unwrap() > revision);
}

#[tokio::test]
async fn two_processes_may_share_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let (one, two) = tokio::join!(open(&path, json!({})), open(&path, json!({})));
    let (one, two) = (one.unwrap(), two.unwrap());
    let first = set(&one, "k", 1).await.unwrap();
    let second = set(&two, "k", 2).await.unwrap();
    assert!(set(&one, "l", 1).await.unwrap() > second && second > first);
    assert_eq!(get(&one, "k").await.unwrap(), Some(2));
}

#[tokio::test]
async fn a_write_of_another_process_wakes_waiting_readers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let (one, two) = (open(&path, json!({})).await.unwrap(), open(&path, json!({})).await.unwrap());
    let context = Context::internal("n");
    let request = ReadRequest { stream: "s".into(), follow: true, limit: 1, ..Default::default() };
    let mut read = interfaces_of(&one).stream_basic.unwrap().read(&context, request).await.unwrap();
    let append = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let request = AppendRequest { stream: "s".into(), payload: "p".into(), ..Default::default() };
        interfaces_of(&two).stream_basic.unwrap().append(&context, request).await.unwrap();
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(read.next(), append).0 }).await;
    assert_eq!(waited.unwrap().unwrap().unwrap().record.unwrap().payload, "p");
}

#[tokio::test]
async fn leases_and_groups_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let context = Context::internal("n");
    let first = open(&path, json!({})).await.unwrap();
    let all = interfaces_of(&first);
    let message = EnqueueRequest { queue: "q".into(), payload: "p".into(), ..Default::default() };
    all.queue_basic.as_ref().unwrap().enqueue(&context, message).await.unwrap();
    let take = DequeueWithTimeoutRequest { queue: "q".into(), ..Default::default() };
    let lease = all.queue_visibility.unwrap().dequeue_with_timeout(&context, take).await.unwrap().messages.remove(0).lease;
    for payload in ["a", "b", "c"] {
        let record = AppendRequest { stream: "s".into(), payload: payload.into(), ..Default::default() };
        all.stream_basic.as_ref().unwrap().append(&context, record).await.unwrap();
    }
    let groups = all.stream_consumer_groups.unwrap();
    let group = CreateConsumerGroupRequest { stream: "s".into(), group: "g".into(), start: None };
    groups.create_consumer_group(&context, group).await.unwrap();
    let join = || JoinConsumerGroupRequest { stream: "s".into(), group: "g".into(), max_in_flight: 2, ..Default::default() };
    let mut member = groups.join_consumer_group(&context, join()).await.unwrap();
    assert_eq!(member.next().await.unwrap().unwrap().record.unwrap().offset, 0);
    let ack = AckRequest { stream: "s".into(), group: "g".into(), partition: 0, offsets: vec![0] };
    assert_eq!(groups.ack(&context, ack).await.unwrap().acknowledged, 1);
    first.close().await;

    let second = open(&path, json!({})).await.unwrap();
    let all = interfaces_of(&second);
    let groups = all.stream_consumer_groups.unwrap();
    let ask = GetConsumerGroupInfoRequest { stream: "s".into(), group: "g".into() };
    let info = groups.get_consumer_group_info(&context, ask).await.unwrap().info.unwrap();
    assert_eq!((info.committed[0].offset, info.pending, info.lag), (1, 1, 1));
    all.queue_visibility.unwrap().complete(&context, CompleteRequest { lease }).await.unwrap();
}

async fn watch(backend: &Sqlite, cursor: &str) -> Vec<WatchResponse> {
    let request = WatchRequest { cursor: cursor.to_owned(), ..WatchRequest::default() };
    let mut watch = interfaces_of(backend).keyvalue_watch.unwrap().watch(&Context::internal("n"), request).await.unwrap();
    let mut events = Vec::new();
    while !matches!(events.last(), Some(WatchResponse { event: Some(Event::CaughtUp(_)), .. })) {
        events.push(watch.next().await.unwrap().unwrap());
    }
    events
}

#[tokio::test]
async fn a_watch_resumes_after_a_restart_until_its_history_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path, json!({})).await.unwrap();
    set(&backend, "a", 1).await.unwrap();
    let events = watch(&backend, "").await;
    let cursor = &events.last().unwrap().cursor;
    set(&backend, "b", 2).await.unwrap();
    backend.close().await;

    // Writes after the restart are recorded before anybody watches again.
    let backend = open(&path, json!({})).await.unwrap();
    set(&backend, "c", 3).await.unwrap();
    let keys = |events: Vec<WatchResponse>| -> Vec<String> {
        let key = |event: &WatchResponse| match event.event.as_ref()? {
            Event::Stored(entry) => Some(format!("stored {}", String::from_utf8_lossy(&entry.key))),
            Event::Entry(entry) => Some(format!("entry {}", String::from_utf8_lossy(&entry.key))),
            Event::Gap(_) => Some("gap".to_owned()),
            _ => None,
        };
        events.iter().filter_map(key).collect()
    };
    assert_eq!(keys(watch(&backend, cursor).await), ["stored b", "stored c"]);
    backend.close().await;

    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE histories SET until = 1", []).unwrap();
    drop(connection);
    let backend = open(&path, json!({})).await.unwrap();
    set(&backend, "d", 4).await.unwrap();
    assert_eq!(keys(watch(&backend, cursor).await), ["gap", "entry a", "entry b", "entry c", "entry d"]);
    backend.close().await;
}

#[tokio::test]
async fn the_log_is_copied_into_the_file_during_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path, json!({"durability": "normal"})).await.unwrap();
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        set(&backend, key, 1_000_000).await.unwrap();
    }
    let started = Instant::now();
    while fs::metadata(&path).unwrap().len() < 3 << 20 {
        assert!(started.elapsed() < Duration::from_secs(10), "the log is still beside the file");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    backend.close().await;
    assert_eq!(files(folder.path()), ["prism.db", "prism.db-reserve"]);
}

#[tokio::test]
async fn reports_what_is_wrong_with_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "this is no database ".repeat(100)).unwrap();
    assert!(refused(&text).await.contains("is not a SQLite database; set path to another file"));

    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    assert!(refused(&foreign).await.contains("is a SQLite database of another program"));

    let newer = folder.path().join("newer.db");
    open(&newer, json!({})).await.unwrap().close().await;
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 1000).unwrap();
    assert!(refused(&newer).await.contains("was written by a newer Prism (its tables have version 1000"));

    assert!(refused(&text.join("sub/prism.db")).await.contains("can't be created"));
    let error = open(folder.path(), json!({})).await.err().expect("a folder must be refused");
    assert!(error.violations().iter().any(|violation| violation.description.contains("is a folder")), "{error:?}");

    let damaged = folder.path().join("damaged.db");
    let backend = open(&damaged, json!({})).await.unwrap();
    set(&backend, "k", 100_000).await.unwrap();
    backend.close().await;
    let bytes = fs::read(&damaged).unwrap();
    fs::write(&damaged, [&bytes[..100], &[0xAA; 8000]].concat()).unwrap();
    assert!(refused(&damaged).await.contains("is damaged"));
}

#[tokio::test]
async fn settings_are_checked_before_the_file_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    for (settings, problem) in [
        (json!({"readers": 0}), "readers: must be a whole number from 1 to 64"),
        (json!({"max_bytes": 5}), "max_bytes: must be a size such as 64KiB or 4MiB, at least 1MiB"),
        (json!({"path": ""}), "path: must be the path of a file"),
        (json!({"busy_timeout": "5 s"}), "busy_timeout: must be a duration"),
        (json!({"reader": 1}), "reader: is not a setting"),
        (json!({"durability": "none"}), "durability: must be one of full, normal"),
    ] {
        let error = open(&path, settings).await.err().unwrap();
        assert!(error.message().contains(problem), "{error:?}");
    }
}

#[tokio::test]
async fn a_full_database_refuses_writes_until_data_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Arc::new(open(&folder.path().join("prism.db"), json!({"max_bytes": 1 << 20})).await.unwrap());
    set(&backend, "big", 700_000).await.unwrap();
    // The three share a commit: only the one that is too big fails.
    let (small, too_big, other) = tokio::join!(set(&backend, "small", 10), set(&backend, "second", 700_000), set(&backend, "other", 10));
    let error = too_big.unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "BACKEND_FULL"));
    assert!(small.is_ok() && other.is_ok());
    assert_eq!(get(&backend, "second").await.unwrap(), None);
    let interfaces = interfaces_of(&backend);
    let delete = DeleteRequest { key: "big".into() };
    assert!(interfaces.keyvalue_basic.unwrap().delete(&Context::internal("n"), delete).await.unwrap().deleted);
    set(&backend, "second", 700_000).await.unwrap();
}

#[tokio::test]
async fn a_damaged_database_is_not_ready() {
    const KEYS: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    let backend = open(&path, json!({})).await.unwrap();
    for key in KEYS {
        set(&backend, key, 100_000).await.unwrap();
    }
    backend.health().await.unwrap();
    backend.close().await;
    // The first pages have the tables, the last ones the values.
    let mut file = fs::read(&path).unwrap();
    let half = file.len() / 2;
    file[half..].fill(0xff);
    fs::write(&path, file).unwrap();
    let backend = open(&path, json!({})).await.unwrap();
    let mut errors = Vec::new();
    for key in KEYS {
        errors.extend(get(&backend, key).await.err());
    }
    assert!(errors.iter().any(|error| error.reason() == "DATABASE_DAMAGED"), "{errors:?}");
    assert_eq!(backend.health().await.unwrap_err().reason(), "DATABASE_DAMAGED");
}

#[test]
fn the_interfaces_are_known_without_a_file() {
    assert!((KIND.interfaces)().contains(&"keyvalue_transactional"));
    assert!((KIND.schema)().as_object().unwrap()["properties"]["durability"].is_object());
}

#[test]
fn each_migration_runs_once() {
    let mut connection = Connection::open_in_memory().unwrap();
    assert_eq!(schema::version(&connection).unwrap(), 0);
    schema::migrate(&mut connection).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), schema::latest());
    connection.execute("INSERT INTO keyspaces (namespace, slot) VALUES ('n', 's')", []).unwrap();
    schema::migrate(&mut connection).unwrap();
    let kept: i64 = connection.query_row("SELECT count(*) FROM keyspaces", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 1);
}

/// A file of the first version: an entry without expiration, a large one, one that will expire and one that has expired.
fn old_file(path: &Path) {
    let connection = Connection::open(path).unwrap();
    connection.execute_batch(include_str!("migrations/0001_tables.sql")).unwrap();
    connection.pragma_update(None, "application_id", schema::APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.execute("INSERT INTO keyspaces (id, namespace, slot, revision) VALUES (1, 'n', 's', 9)", []).unwrap();
    let in_an_hour = prism_driver::time::now() + 3_600_000;
    for (key, revision, expires, size) in
        [("k", 3, None, 5), ("large", 9, None, 700_000), ("mortal", 5, Some(in_an_hour), 1), ("gone", 7, Some(1), 1)]
    {
        let insert = "INSERT INTO entries (keyspace, key, revision, expires, value) VALUES (1, ?1, ?2, ?3, ?4)";
        connection.execute(insert, (key.as_bytes(), revision, expires, vec![7_u8; size])).unwrap();
    }
}

#[tokio::test]
async fn an_old_file_keeps_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.db");
    old_file(&path);
    // The migration needs more space than max_bytes leaves.
    let backend = open(&path, json!({"max_bytes": 1 << 20})).await.unwrap();
    let basic = interfaces_of(&backend).keyvalue_basic.unwrap();
    let entry = async |key: &'static str| basic.get(&Context::internal("n"), GetRequest { key: key.into() }).await.unwrap().entry;
    for (key, revision, expires, size) in [("k", 3, false, 5), ("large", 9, false, 700_000), ("mortal", 5, true, 1)] {
        let entry = entry(key).await.unwrap();
        assert_eq!((entry.revision, entry.expire_time.is_some(), entry.value.len()), (revision, expires, size), "{key}");
        assert_eq!((entry.create_revision, entry.version, entry.flags), (revision, 1, 0), "{key}");
    }
    assert_eq!(entry("gone").await, None);
    for (key, created, version) in [("k", 3, 2), ("gone", 11, 1)] {
        let revision = set(&backend, key, 1).await.unwrap();
        let entry = entry(key).await.unwrap();
        assert_eq!((entry.revision, entry.create_revision, entry.version), (revision, created, version), "{key}");
    }
}
