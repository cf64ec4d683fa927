//! What clients observe while a gateway drains.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use prism::proto::patterns::keyvalue::v1::*;
use test_support::{
    gateway::{self, Gateway, Setup},
    http,
    poll::{until, until_true},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::backend::Backend;

/// Much less than the drain timeout of 30 seconds.
const SOON: Duration = Duration::from_secs(15);

async fn draining(gateway: &Gateway) {
    until("draining", || async {
        match http::get(gateway.admin, "/readyz").await {
            Ok(answer) if answer.status == 503 && answer.text() == "draining\n" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn calls_finish_and_quiet_streams_end_with_a_status() {
    let backend = Backend::start().await;
    let mut gateway = Gateway::start(&format!("namespaces:\n{}", backend.namespace("far", ""))).await;
    let (address, client) = (gateway.address, gateway.client("far"));

    let unary = tokio::spawn({
        let client = client.clone();
        async move { client.call::<RetrieveResponse>("Retrieve", RetrieveRequest { key: "a".to_owned() }).await }
    });
    let rest = tokio::spawn(async move { http::get(address, "/far/v1/values/a").await.unwrap() });
    let events =
        tokio::spawn(async move { http::send(address, "GET", "/far/v1/keys", &[("accept", "text/event-stream")], "").await.unwrap() });
    let mut scan = client.stream::<ScanResponse>("Scan", ScanRequest::default()).await.unwrap();
    assert_eq!(scan.message().await.unwrap().unwrap().key, "first");
    until_true("in flight", || backend.waiting() == 4).await;

    gateway.signal();
    draining(&gateway).await;
    until("closed to new connections", || async { TcpStream::connect(address).await.map_or(Ok(()), |_| Err("it connects")) }).await;

    let status = scan.message().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    let events = events.await.unwrap();
    assert_eq!(events.status, 200);
    assert!(events.text().contains("data:") && events.text().contains("event: error"), "{}", events.text());
    assert!(events.text().contains("SHUTTING_DOWN"), "{}", events.text());

    // Open calls may take as long as they need.
    assert!(!unary.is_finished() && !rest.is_finished());
    backend.release();
    assert_eq!(unary.await.unwrap().unwrap().into_inner().value, "late");
    let rest = rest.await.unwrap();
    assert_eq!((rest.status, rest.text()), (200, "late"));
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn request_that_is_still_arriving_is_answered_during_drain() {
    let mut gateway = Gateway::start("").await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = "PUT /default/v1/values/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf ";
    stream.write_all(head.as_bytes()).await.unwrap();
    until("in flight", || async {
        let metrics = gateway.metrics().await;
        if metrics.contains("prism_calls_in_flight{namespace=\"default\"} 1") { Ok(()) } else { Err(metrics) }
    })
    .await;
    gateway.signal();
    draining(&gateway).await;
    stream.write_all(b"half").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
}

#[tokio::test]
async fn connections_without_a_call_do_not_hold_it_up() {
    let mut gateway = Gateway::start("").await;
    // A connection without any request, one between two requests, an HTTP/2 connection, and one that watches the health service.
    let _silent = TcpStream::connect(gateway.address).await.unwrap();
    let mut kept = TcpStream::connect(gateway.address).await.unwrap();
    kept.write_all(b"GET /default/v1/count HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(kept.read(&mut [0; 1024]).await.unwrap() > 0);
    let client = gateway.client("default");
    client.call::<CountResponse>("Count", CountRequest::default()).await.unwrap();
    let service = test_support::client::SERVICE.to_owned();
    let mut health = HealthClient::new(client.channel.clone());
    let mut watched = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);

    let began = Instant::now();
    gateway.signal();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(watched.message().await.unwrap_err().code(), tonic::Code::Unavailable);
    assert_eq!(gateway.ended().await.code(), Some(0), "{}", gateway.log());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn client_that_never_reads_is_disconnected() {
    let config = "
shutdown: {drain_timeout: 1500ms}
backends:
  ram: {type: memory}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";
    let mut gateway = Gateway::start(config).await;
    let client = gateway.client("store");
    for key in 0..8 {
        let store = StoreRequest { key: key.to_string(), value: vec![0; 1 << 20].into(), ttl: None, flags: 0 };
        client.call::<StoreResponse>("Store", store).await.unwrap();
    }
    // More than the HTTP/2 windows allow for a client that does not read.
    let mut scan = client.stream::<ScanResponse>("Scan", ScanRequest::default()).await.unwrap();
    let began = Instant::now();
    assert_eq!(gateway.terminate().await.code(), Some(0), "{}", gateway.log());
    assert!((Duration::from_secs(1)..SOON).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert!(gateway.log().contains("their connections are closed"), "{}", gateway.log());
    let end = loop {
        match scan.message().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(end.is_err(), "a stream that was cut off must end with an error");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let backend = Backend::start().await;
    let mut gateway = Gateway::start(&format!("namespaces:\n{}", backend.namespace("far", ""))).await;
    let address = gateway.address;
    let unary = tokio::spawn(async move { http::get(address, "/far/v1/values/a").await });
    until_true("in flight", || backend.waiting() == 1).await;
    gateway.signal();
    draining(&gateway).await;
    let began = Instant::now();
    gateway.signal();
    assert_eq!(gateway.ended().await.code(), Some(130));
    assert!(began.elapsed() < SOON);
    assert!(unary.await.unwrap().is_err());
}

/// A full disk, or a reader of the log that has gone, costs the log and nothing else.
#[tokio::test]
async fn a_log_that_can_not_be_written_disturbs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("prism");
    fs::write(&script, "#!/bin/sh\nexec \"$PROGRAM\" \"$@\" 2>/dev/full\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let program = gateway::program();
    let env = [("PROGRAM", program.to_str().unwrap()), ("PRISM_LOG_ACCESS", "all")];
    let config = "backends: {memory: {type: memory}}\nnamespaces: [{name: default, pattern: keyvalue, slots: {storage: memory}}]\n";
    let mut gateway = Setup { config, env: &env, program: Some(&script), ..Setup::default() }.launch();
    gateway.ready().await;
    for _ in 0..3 {
        let stored = http::send(gateway.address, "PUT", "/default/v1/values/a", &[], "x").await.unwrap();
        assert_eq!(stored.status, 200, "{}", stored.text());
        assert_eq!(http::get(gateway.address, "/default/v1/values/a").await.unwrap().text(), "x");
    }
    // A reload reports its mistake on standard error, too.
    fs::write(gateway.folder().join("prism.yaml"), "namespaces: 1\n").unwrap();
    gateway.hang_up();
    until("the reload was refused", || async {
        let metrics = gateway.metrics().await;
        let refused = metrics.lines().any(|line| line.starts_with("prism_config_last_failure_timestamp_seconds") && !line.ends_with(" 0"));
        if refused { Ok(()) } else { Err(metrics) }
    })
    .await;
    assert_eq!(http::get(gateway.address, "/default/v1/values/a").await.unwrap().text(), "x");
    assert_eq!(gateway.terminate().await.code(), Some(0));
}
