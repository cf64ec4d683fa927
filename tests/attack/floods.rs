//! Floods of HTTP/2 frames, and many connections that do nothing.

use std::time::{Duration, Instant};

use test_support::gateway::Gateway;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    raw::{END_HEADERS, END_STREAM, Http2, encode, frame, hpack, request},
    target::{STORE, is_well},
};

/// Most bytes of a flood.
const FLOOD: usize = 24 << 20;

/// Sends the same bytes again and again, and reads nothing. Returns whether the gateway ended the connection.
async fn flood(connection: &mut Http2, bytes: &[u8]) -> bool {
    let piece = bytes.repeat((64 << 10) / bytes.len() + 1);
    let mut sent = 0;
    while sent < FLOOD {
        match timeout(Duration::from_secs(5), connection.send(&piece)).await {
            Ok(true) => sent += piece.len(),
            Ok(false) => return true,
            // The gateway does not read, because nobody takes its answers: it can't be flooded.
            Err(_) => return false,
        }
    }
    false
}

#[tokio::test]
async fn streams_that_are_reset_at_once_do_not_occupy_it() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut connection = Http2::connect(gateway.address, &[]).await;
        for batch in 0..40 {
            let mut bytes = Vec::new();
            for number in 0..250 {
                let stream = (batch * 250 + number) * 2 + 1;
                bytes.extend(request(stream, "GET", "/store/v1/keys", "localhost"));
                bytes.extend(encode(frame::RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            }
            if !connection.send(&bytes).await {
                break;
            }
        }
        connections.push(connection);
    }
    is_well(&gateway, before).await;
}

#[tokio::test]
async fn frames_that_need_an_answer_do_not_fill_its_memory() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    let mut polite = Http2::connect(gateway.address, &[]).await;
    polite.send(&request(1, "GET", "/store/v1/count", "localhost")).await;
    let data = loop {
        let next = polite.next().await.unwrap();
        if (next.kind, next.stream) == (frame::DATA, 1) {
            break next.payload;
        }
    };
    assert_eq!(data, b"{\"count\":\"0\"}");
    for bytes in [
        encode(frame::PING, 0, 0, &[7; 8]),
        encode(frame::SETTINGS, 0, 0, &[]),
        encode(frame::SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff].repeat(16)),
        encode(frame::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        encode(0xbe, 0, 0, &[1; 64]),
    ] {
        let mut connection = Http2::connect(gateway.address, &[]).await;
        flood(&mut connection, &bytes).await;
        is_well(&gateway, before).await;
    }
}

#[tokio::test]
async fn empty_data_and_endless_headers_are_ended() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    let head = |stream, flags| {
        let headers = [(":method", "PUT"), (":scheme", "http"), (":authority", "localhost"), (":path", "/store/v1/values/a")];
        encode(frame::HEADERS, flags, stream, &hpack(&headers))
    };
    let mut connection = Http2::connect(gateway.address, &[]).await;
    connection.send(&head(1, END_HEADERS)).await;
    flood(&mut connection, &encode(frame::DATA, 0, 1, &[])).await;
    is_well(&gateway, before).await;

    let mut connection = Http2::connect(gateway.address, &[]).await;
    connection.send(&head(1, END_STREAM)).await;
    let more = hpack(&[("x-more", &"a".repeat(8000))]);
    assert!(flood(&mut connection, &encode(frame::CONTINUATION, 0, 1, &more)).await, "headers without an end are not refused");
    let mut connection = Http2::connect(gateway.address, &[]).await;
    connection.send(&head(1, END_STREAM)).await;
    flood(&mut connection, &encode(frame::CONTINUATION, 0, 1, &[])).await;
    is_well(&gateway, before).await;
}

#[tokio::test]
async fn requests_that_never_end_are_closed() {
    let gateway = Gateway::start(&format!("listeners: {{main: {{header_timeout: 2s}}}}{STORE}")).await;
    let before = gateway.private_memory();
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let sent = ["", "G", "GET /store/v1/keys HTTP/1.1\r\nhost: localhost\r\nx-slow:", "PRI * HTTP/2.0\r\n\r\n"][number % 4];
        stream.write_all(sent.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    is_well(&gateway, before).await;
    let began = Instant::now();
    for mut stream in slow {
        let closed = timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
        assert!(closed.is_ok(), "still open after {:?}", began.elapsed());
    }
    is_well(&gateway, before).await;
}
