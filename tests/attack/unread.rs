//! Clients that ask for much and take nothing.

use std::time::{Duration, Instant};

use test_support::{gateway::Gateway, http, poll::until};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    raw::{Http2, encode, frame, request},
    target::{MEMORY, is_well},
};

/// Settings of HTTP/2: the window of each stream, and the largest frame.
const INITIAL_WINDOW: u16 = 4;
const VALUE: usize = 1 << 20;

fn config(listener: &str, limits: &str) -> String {
    format!(
        "
listeners: {{main: {{{listener}}}}}
backends: {{ram: {{type: memory}}, file: {{type: sqlite, path: store.db}}}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}, limits: {{{limits}}}}}
  - {{name: durable, pattern: keyvalue, slots: {{storage: file}}}}
"
    )
}

async fn fill(gateway: &Gateway, namespace: &str, count: usize, size: usize) {
    for number in 0..count {
        let path = format!("/{namespace}/v1/values/{number:04}");
        assert_eq!(http::send(gateway.address, "PUT", &path, &[], vec![b'x'; size]).await.unwrap().status, 200);
    }
}

/// The value of a metric, whose labels are part of the name.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.metrics().await;
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn replies_that_nobody_takes_are_bounded_and_counted() {
    let gateway = Gateway::start(&config("write_timeout: 2s, max_unsent_bytes: 32MiB, max_unsent_bytes_per_connection: 8MiB", "")).await;
    fill(&gateway, "store", 1, VALUE).await;
    let before = gateway.private_memory();
    // A window of nothing, and one that takes all but the last bytes.
    for window in [0, 1, 60_000] {
        let mut connections = Vec::new();
        for _ in 0..4 {
            let mut connection = Http2::connect(gateway.address, &[(INITIAL_WINDOW, window)]).await;
            connection.send(&encode(frame::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())).await;
            let requests: Vec<u8> =
                (0..990).flat_map(|number| request(number * 2 + 1, "GET", "/store/v1/values/0000", "localhost")).collect();
            connection.send(&requests).await;
            connections.push(connection);
        }
        // Each connection has at least one reply, which counts as a call until it is taken.
        let in_flight = r#"prism_calls_in_flight{namespace="store"}"#;
        until("in flight", || async {
            let calls = metric(&gateway, in_flight).await;
            if calls >= 4 { Ok(()) } else { Err(format!("{calls} calls")) }
        })
        .await;
        let unsent = metric(&gateway, r#"prism_unsent_bytes{listener="main"}"#).await;
        assert!(unsent > 0 && unsent <= 33 << 20, "{unsent} bytes with window {window}");
        is_well(&gateway, before).await;
        // They are not waited for: not although the client answers, and not although the window is not empty.
        until("released", || async {
            let left = (metric(&gateway, in_flight).await, metric(&gateway, r#"prism_unsent_bytes{listener="main"}"#).await);
            if left == (0, 0) { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        drop(connections);
    }
}

#[tokio::test]
async fn a_client_of_http1_that_takes_nothing_is_disconnected() {
    let gateway = Gateway::start(&config("write_timeout: 1s", "")).await;
    fill(&gateway, "store", 16, VALUE).await;
    let before = gateway.private_memory();
    let mut clients = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let path = ["/store/v1/keys", "/store/v1/values/0001"][number % 2];
        // Pipelined requests, so that the replies are more than the buffers of the sockets.
        let requests = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").repeat(16);
        stream.write_all(requests.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    is_well(&gateway, before).await;
    until("released", || async {
        let calls = metric(&gateway, r#"prism_calls_in_flight{namespace="store"}"#).await;
        if calls == 0 { Ok(()) } else { Err(format!("{calls} calls")) }
    })
    .await;
    for mut client in clients {
        // What the buffers held, and then the end.
        let _ = client.read_to_end(&mut Vec::new()).await;
    }
    // A client that is slow, but takes something in time, gets everything.
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    slow.write_all(b"GET /store/v1/keys HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let (began, mut received) = (Instant::now(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        match slow.read(&mut piece).await.unwrap() {
            0 => break,
            read => received += read,
        }
        if began.elapsed() < Duration::from_secs(4) {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    assert!(received > 16 * VALUE && began.elapsed() > Duration::from_secs(2), "{received} bytes in {:?}", began.elapsed());
}

#[tokio::test]
async fn streams_that_nobody_reads_neither_lock_the_namespace_nor_hold_memory() {
    let gateway = Gateway::start(&config("write_timeout: 2s", "max_streams: 200, max_concurrent_calls: 100")).await;
    for namespace in ["store", "durable"] {
        fill(&gateway, namespace, 300, 16 << 10).await;
    }
    let before = gateway.private_memory();
    for namespace in ["store", "durable"] {
        let mut connections = Vec::new();
        for _ in 0..5 {
            let mut connection = Http2::connect(gateway.address, &[(INITIAL_WINDOW, 0)]).await;
            let path = format!("/{namespace}/v1/keys");
            let requests: Vec<u8> = (0..800).flat_map(|number| request(number * 2 + 1, "GET", &path, "localhost")).collect();
            connection.send(&requests).await;
            connections.push(connection);
        }
        // Calls have permits of their own.
        is_well(&gateway, before).await;
        let grown = gateway.private_memory().saturating_sub(before);
        assert!(grown < MEMORY, "{} MiB for {namespace}", grown >> 20);
        until("streams again", || async {
            let answer = http::get(gateway.address, &format!("/{namespace}/v1/keys?limit=1")).await.unwrap();
            if answer.status == 200 { Ok(()) } else { Err(answer.text().to_owned()) }
        })
        .await;
        drop(connections);
    }
    // The allocator gives pages back when threads work again.
    until("small again", || async {
        for _ in 0..20 {
            http::get(gateway.address, "/store/v1/keys").await.unwrap();
        }
        let grown = gateway.private_memory().saturating_sub(before);
        if grown < MEMORY / 2 { Ok(()) } else { Err(format!("{} MiB", grown >> 20)) }
    })
    .await;
}
