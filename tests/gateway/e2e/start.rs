//! What an operator sees when a gateway starts, or fails to start.

use std::{fs, net::TcpListener, path::Path, process::Command};

use super::wire;
use prism::{call::Code, proto::patterns::keyvalue::v1::*};
use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::until,
};

/// Checks that `prism serve` exits with 1 and one sentence that contains these words, and that it leaves only these files.
fn refused(setup: &Setup<'_>, folder: &Path, words: &[&str], files: &[&str]) {
    let output = setup.refused(folder);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]), "{stderr}");
    let sentences: Vec<_> = stderr.lines().collect();
    assert!(sentences.len() == 1 && stderr.starts_with("error: "), "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no {word:?} in: {stderr}");
    }
    let mut left: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, files, "{stderr}");
}

#[tokio::test]
async fn printed_addresses_and_examples_work_as_they_are() {
    let gateway = Gateway::start("").await;
    let banner = until("told", || async {
        let output = gateway.output();
        if output.lines().filter(|line| line.trim_start().starts_with("curl ")).count() == 3 { Ok(output) } else { Err(output) }
    })
    .await;
    for line in [
        format!("Prism {} serves gRPC, gRPC-Web, Connect, REST, WebSocket, GraphQL and MCP", env!("CARGO_PKG_VERSION")),
        format!("  listener main         http://{}", gateway.address),
        format!("  admin                 http://{}  (/healthz /readyz /metrics)", gateway.admin),
        "  namespace default     keyvalue, storage: local (sqlite in prism-data/prism.db)".to_owned(),
        "  namespace scratch     keyvalue, storage: memory (memory)".to_owned(),
    ] {
        assert!(banner.lines().any(|printed| printed == line), "{line:?} is not in\n{banner}");
    }
    let responses: Vec<_> = banner
        .lines()
        .filter(|line| line.trim_start().starts_with("curl "))
        .map(|line| {
            let output = Command::new("sh").args(["-c", &line.replace("curl ", "curl -sS --fail ")]).output().unwrap();
            assert!(output.status.success(), "{line}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    assert!(responses[0].contains("\"revision\""), "{responses:?}");
    assert_eq!(responses[1], "hello");
    assert!(responses[2].contains("\"greeting\""), "{responses:?}");
    let request = wire::frame(&RetrieveRequest { key: "greeting".to_owned() });
    let replies = [
        wire::grpc(gateway.address, &wire::path("Retrieve"), &[], request.clone()).await,
        wire::grpc_web(gateway.address, &wire::path("Retrieve"), &[], request.clone()).await,
        wire::grpc_web(gateway.address, &wire::path("Retrieve"), &[("x-prism-namespace", "default")], request).await,
    ];
    for reply in replies {
        assert_eq!((reply.status, reply.code()), (200, Code::Ok));
    }
    assert_eq!(gateway.log(), "");
    assert_eq!(http::get(gateway.admin, "/healthz").await.unwrap().text(), "ok\n");
}

#[test]
fn port_in_use_is_named_in_the_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let port = format!("port {} is in use", taken.local_addr().unwrap().port());
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup { args: &["--listen", &address, "--admin", "127.0.0.1:0"], ..Setup::default() };
    refused(&setup, folder.path(), &["listener main", &port, "listeners.main.address"], &[]);
    let setup = Setup { args: &["--listen", "127.0.0.1:0", "--admin", &address], ..Setup::default() };
    refused(&setup, folder.path(), &["admin listener", &port, "admin.address"], &[]);
}

#[test]
fn a_database_that_can_not_be_used_is_named_and_left_as_it_is() {
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();

    fs::write(path.join("file"), "in the way").unwrap();
    let setup = |data| Setup { args: &[&ports[..], &[data]].concat().leak()[..], ..Setup::default() };
    refused(&setup("file/below"), path, &["file/below/prism.db", "can't be created", "set path"], &["file"]);
    // Not even root can write to this path.
    refused(&setup("/proc/prism"), path, &["/proc/prism/prism.db", "can't be created"], &["file"]);

    fs::create_dir(path.join("data")).unwrap();
    let database = path.join("data/prism.db");
    let garbage = "no database at all, though it is long enough to be one. ".repeat(100);
    fs::write(&database, &garbage).unwrap();
    refused(&setup("data"), path, &["data/prism.db", "is not a SQLite database"], &["data", "file"]);
    assert_eq!(fs::read_to_string(&database).unwrap(), garbage);

    fs::remove_file(&database).unwrap();
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer.execute_batch("PRAGMA application_id = 0x5052534D; PRAGMA user_version = 999; CREATE TABLE t (a)").unwrap();
    drop(newer);
    let before = fs::read(&database).unwrap();
    refused(&setup("data"), path, &["data/prism.db", "newer Prism", "999"], &["data", "file"]);
    assert_eq!(fs::read(&database).unwrap(), before);
    assert_eq!(fs::read_dir(path.join("data")).unwrap().count(), 1);
}

#[tokio::test]
async fn two_gateways_share_a_data_folder() {
    let first = Gateway::start("").await;
    let data = first.folder().join("prism-data").display().to_string();
    let second = Setup { args: &["--data", &data], ..Setup::default() }.launch();
    second.ready().await;

    let (one, other) = (first.client("default"), second.client("default"));
    let writes = (0..40).map(|number| {
        let client = if number % 2 == 0 { one.clone() } else { other.clone() };
        let store = StoreRequest { key: format!("k/{number:02}"), value: vec![number].into(), ttl: None, flags: 0 };
        async move { client.call::<StoreResponse>("Store", store).await.unwrap() }
    });
    futures::future::join_all(writes).await;
    for client in [&one, &other] {
        let count: CountResponse = client.call("Count", CountRequest::default()).await.unwrap().into_inner();
        assert_eq!(count.count, 40);
    }
    // Each gateway has its own memory backend.
    http::send(first.address, "PUT", "/scratch/v1/values/a", &[], "1").await.unwrap();
    assert_eq!(http::get(second.address, "/scratch/v1/values/a").await.unwrap().status, 404);
}
