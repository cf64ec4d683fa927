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

/// A frame of any length, with a mask that changes every byte.
fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x5a, 0xa5, 0x01, 0xff];
    let mut out = vec![head];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            out.push(0xfe);
            out.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// Sends bytes in pieces of this size, and a close frame. Returns the frames of the reply, without their close frame.
async fn answers(bytes: &[u8], piece: usize) -> Vec<(u8, Vec<u8>)> {
    let mut client = start(&CancellationToken::new());
    for piece in bytes.chunks(piece).chain([&*frame(0x88, &1000u16.to_be_bytes())]) {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 2];
        client.read_exact(&mut head).await.unwrap();
        let length = if head[1] == 126 { client.read_u16().await.unwrap() } else { head[1].into() };
        let mut payload = vec![0; length.into()];
        client.read_exact(&mut payload).await.unwrap();
        if head[0] == 0x88 {
            assert_eq!(payload, 1000u16.to_be_bytes(), "{frames:?}");
            return frames;
        }
        // The server asks clients that are silent for a while, and a busy machine is slow.
        if (head[0], payload.as_slice()) != (0x89, b"") {
            frames.push((head[0], payload));
        }
    }
}

#[tokio::test]
async fn frames_of_all_sizes_arrive_in_any_pieces() {
    for size in [0, 1, 125, 126, 127, 128, 1000, 1024] {
        let payload = vec![b'*'; size];
        for piece in [1, 3, 997, 4096] {
            assert_eq!(answers(&masked(0x81, &payload), piece).await, [(0x81, payload.clone())], "{size} bytes of text");
            assert_eq!(answers(&masked(0x82, &payload), piece).await, [(0x82, payload.clone())], "{size} bytes");
        }
    }
}

#[tokio::test]
async fn fragments_are_one_message_and_pings_come_in_between() {
    let text = "Hellö-µ@ßöäüàá-UTF-8!!";
    let (first, second) = text.as_bytes().split_at(5);
    for (what, frames, expected) in [
        ("two fragments", [masked(0x01, first), masked(0x80, second)].concat(), vec![(0x81, text.as_bytes())]),
        ("an empty first one", [masked(0x01, b""), masked(0x80, b"a")].concat(), vec![(0x81, &b"a"[..])]),
        ("only empty ones", [masked(0x02, b""), masked(0x00, b""), masked(0x80, b"")].concat(), vec![(0x82, &b""[..])]),
        (
            "a ping in between",
            [masked(0x01, b"a"), masked(0x89, b"p"), masked(0x80, b"b")].concat(),
            vec![(0x8a, &b"p"[..]), (0x81, b"ab")],
        ),
        ("a ping with 125 bytes", masked(0x89, &[0xfe; 125]), vec![(0x8a, &[0xfe; 125][..])]),
        ("a pong that nobody asked for", [masked(0x8a, b"x"), masked(0x81, b"a")].concat(), vec![(0x81, &b"a"[..])]),
        (
            "several messages",
            [masked(0x81, b"a"), masked(0x82, b"b"), masked(0x81, b"c")].concat(),
            vec![(0x81, &b"a"[..]), (0x82, b"b"), (0x81, b"c")],
        ),
        ("the last code point", masked(0x81, "\u{10ffff}".as_bytes()), vec![(0x81, "\u{10ffff}".as_bytes())]),
    ] {
        for piece in [1, 4096] {
            let answered = answers(&frames, piece).await;
            let answered: Vec<_> = answered.iter().map(|(head, payload)| (*head, &payload[..])).collect();
            assert_eq!(answered, expected, "{what}, in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn close_frames_are_answered_with_their_code_or_refused() {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        assert_eq!(code_after(&frame(0x88, &u16::to_be_bytes(code))).await, code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(code_after(&frame(0x88, &u16::to_be_bytes(code))).await, 1002, "{code}");
    }
    let with_reason = |reason: &[u8]| frame(0x88, &[&1000u16.to_be_bytes(), reason].concat());
    assert_eq!(code_after(&with_reason(&[b'r'; 123])).await, 1000);
    assert_eq!(code_after(&with_reason(b"\xce\xba\xff")).await, 1007, "a reason that is not UTF-8");
    // Without a code, the answer has none. What follows is ignored.
    let mut client = start(&CancellationToken::new());
    client.write_all(&[frame(0x88, b""), frame(0x81, b"late")].concat()).await.unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [0x88, 0]);
}

#[tokio::test]
async fn text_that_is_not_utf8_is_refused() {
    for (what, text) in [
        ("a lone continuation", &b"\x80"[..]),
        ("an overlong slash", b"\xc0\xaf"),
        ("an overlong null", b"\xe0\x80\x80"),
        ("a surrogate", b"\xed\xa0\x80"),
        ("beyond the last code point", b"\xf4\x90\x80\x80"),
        ("a sequence that is cut off", b"\xce\xba\xe1\xbd"),
        ("a byte that never occurs", b"a\xfeb"),
    ] {
        assert_eq!(code_after(&masked(0x81, text)).await, 1007, "{what}");
        let fragments: Vec<u8> = [masked(0x01, &text[..1]), masked(0x00, b""), masked(0x80, &text[1..])].concat();
        assert_eq!(code_after(&fragments).await, 1007, "{what}, in fragments");
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
