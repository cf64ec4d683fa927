//! Connections: how many there may be, and how long they may be idle.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ::http::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prism::proto::patterns::keyvalue::v1::*;
use test_support::{gateway::Gateway, http, poll::until, servers::Certificate};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::backend::Backend;

const NAMESPACES: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";

/// Longer than a connection takes to be closed on a busy machine.
const CLOSED_WITHIN: Duration = Duration::from_secs(20);
const IDLE: Duration = Duration::from_secs(1);

/// Connects from an address of the loopback network.
async fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends a request, and tells whether there is a response. The connection stays open.
async fn is_served(stream: &mut TcpStream) -> bool {
    let request = b"HEAD /store/v1/keys/none HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut head = Vec::new();
    if stream.write_all(request).await.is_err() {
        return false;
    }
    while !head.ends_with(b"\r\n\r\n") {
        // A connection that is refused is closed or reset.
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    head.starts_with(b"HTTP/1.1 404 ")
}

/// Waits until the gateway closes a connection that sends nothing, and returns how long that took.
async fn closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let read = timeout(CLOSED_WITHIN, stream.read_to_end(&mut Vec::new())).await.expect("the connection is still open");
    drop(read);
    began.elapsed()
}

async fn has_metrics(gateway: &Gateway, wanted: &[&str]) {
    until("counted", || async {
        let metrics = gateway.metrics().await;
        if wanted.iter().all(|line| metrics.lines().any(|known| known == *line)) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn connections_are_limited_in_total_and_for_each_address() {
    let gateway = Gateway::start(&format!("listeners: {{main: {{max_connections: 3, max_connections_per_peer: 2}}}}{NAMESPACES}")).await;
    let mut open = Vec::new();
    for from in ["127.0.0.1", "127.0.0.1", "127.0.0.2"] {
        let mut stream = connect(from, gateway.address).await;
        assert!(is_served(&mut stream).await, "{from}");
        open.push(stream);
        if open.len() == 2 {
            assert!(!is_served(&mut connect(from, gateway.address).await).await, "the third from one address");
        }
    }
    for from in ["127.0.0.2", "127.0.0.3"] {
        assert!(!is_served(&mut connect(from, gateway.address).await).await, "the fourth of all, from {from}");
    }
    has_metrics(
        &gateway,
        &[
            r#"prism_connections{listener="main"} 3"#,
            r#"prism_connections_refused_total{limit="max_connections",listener="main"} 2"#,
            r#"prism_connections_refused_total{limit="max_connections_per_peer",listener="main"} 1"#,
        ],
    )
    .await;
    assert!(is_served(&mut open[0]).await, "open connections are not disturbed");

    // A connection that ends makes room for another one.
    open.remove(0);
    has_metrics(&gateway, &[r#"prism_connections{listener="main"} 2"#]).await;
    let mut next = connect("127.0.0.1", gateway.address).await;
    assert!(is_served(&mut next).await);
    drop((open, next));
    has_metrics(&gateway, &[r#"prism_connections{listener="main"} 0"#]).await;
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let backend = Backend::start().await;
    let config = format!("listeners: {{main: {{idle_timeout: 1s}}}}\nnamespaces:\n{}", backend.namespace("far", ""));
    let gateway = Gateway::start(&config).await;

    // These are in use from now on.
    let mut lines = http::open(gateway.address, "/far/v1/keys").await;
    lines.body_mut().frame().await.unwrap().unwrap();
    let client = gateway.client("far");
    let mut scan = client.stream::<ScanResponse>("Scan", ScanRequest::default()).await.unwrap();
    scan.message().await.unwrap().unwrap();
    let address = gateway.address;
    let unary = tokio::spawn(async move { http::get(address, "/far/v1/values/a").await });

    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(IDLE / 2).await;
        assert!(is_served(&mut first).await, "a request resets the time");
    }
    let took = closed(&mut first).await;
    assert!(took > IDLE / 2, "closed after {took:?}");

    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/nowhere", gateway.address)).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 404);
    answer.into_body().collect().await.unwrap();
    let began = Instant::now();
    timeout(CLOSED_WITHIN, connection).await.expect("the connection is still open").unwrap().expect("it ends properly");
    assert!(began.elapsed() > IDLE / 2, "closed after {:?}", began.elapsed());

    assert_eq!(backend.waiting(), 3, "the calls have been running for longer than the timeout");
    backend.release();
    assert_eq!(unary.await.unwrap().unwrap().text(), "late");
    assert!(scan.message().await.unwrap().is_none());
    lines.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn headers_and_handshakes_must_arrive_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let Certificate { certificate, key } = Certificate::make(folder.path()).unwrap();
    let gateway = Gateway::start(&format!(
        "listeners:\n  main: {{header_timeout: 1s}}\n  secure: {{address: '127.0.0.1:0', header_timeout: 1s, tls: {{certificate: '{}', key: '{}'}}}}{NAMESPACES}",
        certificate.display(),
        key.display()
    ))
    .await;
    for (listener, sent) in [("main", ""), ("main", "GET /store/v1/keys HTTP/1.1\r\nhost:"), ("main", "PRI * HT"), ("secure", "")] {
        let mut stream = TcpStream::connect(gateway.listeners[listener]).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let took = closed(&mut stream).await;
        assert!(took > IDLE / 2, "{listener} {sent:?}: closed after {took:?}");
    }
    // The time is for each request: headers in pieces are fine, and the next request has its own time.
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"HEAD /store/v1/keys/none HTTP/1.1\r\n").await.unwrap();
        tokio::time::sleep(IDLE * 7 / 10).await;
        stream.write_all(b"host: localhost\r\n\r\n").await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
    }
    stream.write_all(b"HEAD /store/v1/keys HTTP/1.1\r\n").await.unwrap();
    closed(&mut stream).await;
}
