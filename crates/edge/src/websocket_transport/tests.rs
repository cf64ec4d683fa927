use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::{Request, StatusCode, Version, request::Parts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use super::*;
use prism_call::{Delivery, Origin};

/// Returns every message. Ends with 4001 after the text `end`, and with 1001 when the drain begins.
struct Echo;

impl WebSocketProtocol for Echo {
    async fn run(self, socket: &mut WebSocket<impl WebSocketIo>) -> Close {
        let (sender, draining) = (socket.sender(), socket.draining().clone());
        loop {
            let received = tokio::select! {
                received = socket.receive() => received,
                () = draining.cancelled() => return Close::going_away(),
            };
            match received {
                None => return Close::normal(),
                Some(WebSocketMessage::Text(text)) if text.as_str() == "end" => return Close::new(4001, "ended"),
                Some(message) => drop(sender.send(message, Delivery::default()).await),
            }
        }
    }
}

/// Starts a server, and returns the client's end.
fn start(draining: &CancellationToken) -> DuplexStream {
    let (client, server) = duplex(64 << 10);
    tokio::spawn(serve(server, Echo, 1 << 10, draining.clone()));
    client
}

async fn connect() -> WebSocketStream<DuplexStream> {
    WebSocketStream::from_raw_socket(start(&CancellationToken::new()), Role::Client, None).await
}

/// Returns the code and the reason of the close frame.
async fn closed(client: &mut WebSocketStream<DuplexStream>) -> (u16, String) {
    loop {
        match client.next().await.expect("a close frame").unwrap() {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Message::Close(None) => return (1005, String::new()),
            _ => {}
        }
    }
}

/// A masked frame of a client, with a mask of zeros.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    [&[head, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0], payload].concat()
}

/// Sends bytes, and returns the code of the close frame in the reply.
async fn code_after(bytes: &[u8]) -> u16 {
    let mut client = start(&CancellationToken::new());
    client.write_all(bytes).await.unwrap();
    let mut head = [0; 4];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(head[0], 0x88, "a close frame");
    u16::from_be_bytes([head[2], head[3]])
}

#[tokio::test]
async fn messages_pass_in_both_directions() {
    let mut client = connect().await;
    for message in [Message::text("hello"), Message::binary(vec![0, 255]), Message::text("")] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
    client.send(Message::Ping("x".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("x".into()));
    client.send(Message::text("end")).await.unwrap();
    assert_eq!(closed(&mut client).await, (4001, "ended".to_owned()));
    assert!(client.next().await.is_none());
}

#[tokio::test]
async fn client_that_closes_gets_its_code_back() {
    let mut client = connect().await;
    client.close(Some(tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 4123.into(), reason: "done".into() })).await.unwrap();
    assert_eq!(closed(&mut client).await, (4123, "done".to_owned()));
}

#[tokio::test]
async fn broken_frames_end_the_connection_with_the_code_of_the_rfc() {
    let too_large = [&[0x82, 0xfe, 0x40, 0, 0, 0, 0, 0][..], &[0; 100]].concat();
    let fragments: Vec<u8> = [frame(0x01, &[b'x'; 100]), [frame(0, &[b'x'; 100]), frame(0x89, b"")].concat().repeat(11)].concat();
    for (what, bytes, code) in [
        ("a reserved bit", frame(0xc1, b"a"), 1002),
        ("a reserved opcode", frame(0x83, b""), 1002),
        ("a reserved control opcode", frame(0x8b, b""), 1002),
        ("no mask", vec![0x81, 1, b'a'], 1002),
        ("a continuation of nothing", frame(0x80, b"a"), 1002),
        ("a new message within a message", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ("a fragmented ping", frame(0x09, b"a"), 1002),
        ("a ping of 126 bytes", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat(), 1002),
        ("a close frame of one byte", frame(0x88, b"a"), 1002),
        ("a close code that must not be sent", frame(0x88, &1005u16.to_be_bytes()), 1002),
        ("text that is not UTF-8", frame(0x81, b"\xff"), 1007),
        ("fragments that are not UTF-8 together", [frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007),
        ("a frame that is too large", too_large, 1009),
        ("fragments that are too large together", fragments, 1009),
    ] {
        assert_eq!(code_after_pongs(&bytes).await, code, "{what}");
    }
}

/// As [`code_after`], but skips pongs.
async fn code_after_pongs(bytes: &[u8]) -> u16 {
    if !bytes.windows(2).any(|pair| pair == [0x89, 0x80]) {
        return code_after(bytes).await;
    }
    let mut client = start(&CancellationToken::new());
    client.write_all(bytes).await.unwrap();
    let mut head = [0; 2];
    loop {
        client.read_exact(&mut head).await.unwrap();
        if head[0] == 0x88 {
            return client.read_u16().await.unwrap();
        }
        client.read_exact(&mut vec![0; head[1].into()]).await.unwrap();
    }
}

#[tokio::test]
async fn drain_closes_the_connection() {
    let draining = CancellationToken::new();
    let mut client = WebSocketStream::from_raw_socket(start(&draining), Role::Client, None).await;
    client.send(Message::text("a")).await.unwrap();
    client.next().await.unwrap().unwrap();
    draining.cancel();
    assert_eq!(closed(&mut client).await.0, 1001);
}

#[tokio::test]
async fn silent_client_gets_a_ping_and_is_closed_without_an_answer() {
    let mut client = start(&CancellationToken::new());
    for _ in 0..3 {
        let mut ping = [0; 2];
        client.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 0], "a ping");
        client.write_all(&frame(0x8a, b"")).await.unwrap();
    }
    let mut ping = [0; 2];
    client.read_exact(&mut ping).await.unwrap();
    let mut close = [0; 4];
    client.read_exact(&mut close).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1002));
    // It does not confirm the end, and its connection ends all the same.
    client.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test]
async fn sender_waits_for_a_client_that_does_not_read() {
    struct Flood(tokio::sync::mpsc::UnboundedSender<usize>);
    impl WebSocketProtocol for Flood {
        async fn run(self, socket: &mut WebSocket<impl WebSocketIo>) -> Close {
            let sender = socket.sender();
            let sending = async {
                for count in 0.. {
                    if sender.send(WebSocketMessage::Binary(vec![0; 16 << 10].into()), Delivery::default()).await.is_err() {
                        return;
                    }
                    let _ = self.0.send(count);
                }
            };
            tokio::select! {
                () = sending => {}
                _ = socket.receive() => {}
            }
            Close::normal()
        }
    }
    let (mut client, server) = duplex(64 << 10);
    let (count, mut counted) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(serve(server, Flood(count), 1 << 10, CancellationToken::new()));
    let mut last = 0;
    while let Ok(Some(count)) = tokio::time::timeout(Duration::from_millis(200), counted.recv()).await {
        last = count;
    }
    assert!((4..40).contains(&last), "{last} messages were queued");
    // A message of the client arrives all the same, and is the end.
    client.write_all(&frame(0x81, b"stop")).await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
}

fn request(version: Version, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().version(version).uri("http://localhost/websocket");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn handshakes_are_checked() {
    const GOOD: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "other, prism.v1.json"),
    ];
    let with = |name: &str, value: &'static str| {
        let replaced = GOOD.iter().map(|(known, old)| (*known, if *known == name { value } else { old }));
        request(Version::HTTP_11, &replaced.filter(|(_, value)| !value.is_empty()).collect::<Vec<_>>())
    };
    assert!(handshake::is_handshake(&with("", "")));
    assert!(!handshake::is_handshake(&with("upgrade", "h2c")));
    let check = |mut parts: Parts, origin| {
        let refusal = handshake::check(&mut parts, &["prism.v1.json"], origin).err().expect("there is nothing to upgrade");
        (refusal.respond(http::Response::default()).status(), refusal.error().message().to_owned())
    };
    let (status, message) = check(with("", ""), Origin::Trusted);
    assert_eq!((status, message.as_str()), (StatusCode::BAD_REQUEST, "this connection can't be upgraded"), "all headers are right");
    assert_eq!(check(with("", ""), Origin::Foreign).0, StatusCode::FORBIDDEN);
    assert_eq!(check(with("sec-websocket-version", "8"), Origin::Trusted).0, StatusCode::UPGRADE_REQUIRED);
    for (name, value) in [
        ("connection", "keep-alive"),
        ("sec-websocket-key", ""),
        ("sec-websocket-key", "c2hvcnQ="),
        ("sec-websocket-protocol", "other"),
        ("sec-websocket-protocol", ""),
    ] {
        let (status, message) = check(with(name, value), Origin::Trusted);
        assert!(status == StatusCode::BAD_REQUEST && message != "this connection can't be upgraded", "{name}: {value}: {message}");
    }
}

#[test]
fn reasons_are_cut_at_the_end_of_a_character() {
    let close = Close::new(4000, "ä".repeat(100));
    assert_eq!(close.reason.len(), 122);
}
