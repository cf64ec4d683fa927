//! What operators can rely on while the gateway is attacked: it can be ended, watched, and its files are private.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    time::{Duration, Instant},
};

use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::until,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::target::STORE;

#[tokio::test]
async fn the_files_of_its_data_are_private() {
    let gateway = Gateway::start("").await;
    assert_eq!(http::send(gateway.address, "PUT", "/default/v1/values/a", &[], "x").await.unwrap().status, 200);
    let folder = gateway.folder().join("prism-data");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn clients_that_take_all_connections_do_not_lock_out_operators() {
    // The shell sets the limit, and the program is the gateway.
    let folder = tempfile::tempdir().unwrap();
    let shell = folder.path().join("prism-with-few-files");
    let program = test_support::gateway::program();
    fs::write(&shell, format!("#!/bin/sh\nulimit -n 200\nexec {} \"$@\"\n", program.to_str().unwrap())).unwrap();
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
    let gateway = Setup { config: STORE, program: Some(&shell), ..Setup::default() }.launch();
    gateway.ready().await;
    let mut idle = Vec::new();
    for _ in 0..300 {
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(1), TcpStream::connect(gateway.address)).await {
            idle.push(stream);
        }
    }
    until("refused", || async {
        let metrics = http::get(gateway.admin, "/metrics").await.unwrap();
        let refused = r#"prism_connections_refused_total{limit="file_descriptors",listener="main"}"#;
        if metrics.text().contains(refused) { Ok(()) } else { Err(metrics.text().to_owned()) }
    })
    .await;
    assert_eq!(http::get(gateway.admin, "/healthz").await.unwrap().status, 200);
    assert_eq!(http::get(gateway.admin, "/readyz").await.unwrap().status, 200);
    drop(idle);
    until("served again", || async {
        match http::get(gateway.address, "/store/v1/count").await {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn requests_to_the_admin_listener_that_never_end_are_closed() {
    let gateway = Gateway::start(STORE).await;
    let mut slow = Vec::new();
    for sent in ["", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx:"].repeat(40) {
        let mut stream = TcpStream::connect(gateway.admin).await.unwrap();
        let _ = stream.write_all(sent.as_bytes()).await;
        slow.push(stream);
    }
    for mut stream in slow {
        assert!(timeout(Duration::from_secs(30), stream.read_to_end(&mut Vec::new())).await.is_ok(), "still open");
    }
    assert_eq!(http::get(gateway.admin, "/healthz").await.unwrap().status, 200);
}

#[tokio::test]
async fn it_ends_within_the_drain_timeout_whatever_clients_do() {
    let mut gateway = Gateway::start(&format!("shutdown: {{drain_timeout: 3s}}{STORE}")).await;
    let mut unfinished = TcpStream::connect(gateway.address).await.unwrap();
    unfinished.write_all(b"PUT /store/v1/values/a HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
    let began = Instant::now();
    gateway.terminate().await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let status = Command::new("kill").args(["-0", &gateway.id().to_string()]).status().unwrap();
    assert!(!status.success(), "the process is still there");
}
