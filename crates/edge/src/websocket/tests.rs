use futures::SinkExt as _;
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as WsMessage, protocol::Role},
};

use super::*;
use crate::tests::*;
use prism_call::proto::websocket::v1::{Call, ClientFrame, ServerFrame, Welcome};

struct Client(WebSocketStream<DuplexStream>);

/// Connects to `/websocket`, or to `/demo/websocket`.
async fn connect(door: &Door, base_path: &str, codec: Codec, draining: &CancellationToken) -> Client {
    let gateway = Gateway {
        pipeline: door.edge.pipeline.clone(),
        current: door.edge.served.clone(),
        peer: Peer::internal(),
        origin: Origin::Trusted,
        scope: ConnectionScope { uri: http::Uri::from_static("/websocket"), headers: HeaderMap::new(), base_path: base_path.to_owned() },
        codec,
    };
    let credentials = HeaderMap::from_iter([(header::AUTHORIZATION, http::HeaderValue::from_static("Bearer a"))]);
    let session = Session::new(Arc::new(gateway), credentials, 1 << 16);
    let (client, server) = duplex(64 << 10);
    tokio::spawn(websocket_transport::serve(server, session, 1 << 16, draining.clone()));
    Client(WebSocketStream::from_raw_socket(client, Role::Client, None).await)
}

/// Connects in JSON, and takes the welcome.
async fn connect_json(door: &Door) -> Client {
    let mut client = connect(door, "/demo", Codec::Json, &CancellationToken::new()).await;
    let welcome = client.json().await;
    assert_eq!(welcome, json!({"id": 0, "welcome": {"maxCalls": 256, "maxFrameBytes": 65536, "requestCredits": 16, "replyCredits": 32}}));
    client
}

impl Client {
    async fn ask(&mut self, frame: Value) {
        self.0.send(WsMessage::text(frame.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> WsMessage {
        self.0.next().await.expect("the connection is open").unwrap()
    }

    /// Returns the next frame, without the id of the request.
    async fn json(&mut self) -> Value {
        let message = self.next().await;
        let mut frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if let Some(end) = frame.get_mut("end").and_then(Value::as_object_mut) {
            assert!(end.remove("requestId").is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty())));
        }
        frame
    }

    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let WsMessage::Close(Some(frame)) = self.next().await {
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

/// A stream with one message that does not end.
#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
fn endless() -> Result<Reply, Error> {
    let first = futures::stream::iter([Ok(Bytes::from(entry("a").unwrap().encode_to_vec()))]);
    Ok(Output::stream(first.chain(futures::stream::pending())).into())
}

fn call(id: u32, method: &str, message: impl serde::Serialize) -> Value {
    json!({"id": id, "call": {"method": method}, "message": message})
}

#[tokio::test]
async fn unary_calls_have_one_frame_in_each_direction() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    door.will(retrieved(b"v", 3));
    let method = format!("{SERVICE}/Retrieve");
    client.ask(json!({"id": 1, "call": {"method": method, "metadata": {"x-tag": "t"}, "timeoutMs": 5000}, "message": {"key": "a"}})).await;
    let reply = client.json().await;
    assert_eq!((&reply["id"], &reply["message"]["revision"], &reply["end"]), (&json!(1), &json!("3"), &json!({})));
    let seen = door.seen();
    assert_eq!(RetrieveRequest::decode(seen.messages[0].clone()).unwrap().key, "a");
    assert_eq!(seen.metadata.get("x-tag").unwrap(), "t");
    assert!(!seen.metadata.contains_key("authorization"), "credentials are no metadata");
    assert!(seen.remaining.unwrap() <= Duration::from_secs(5));
    client.ask(call(1, "Exists", json!({}))).await;
    assert_eq!(client.json().await, json!({"id": 1, "message": {"exists": true}, "end": {}}), "the id is free again");
    let text = door.metrics.render();
    assert!(text.contains(r#"prism_calls_total{code="OK",method="Retrieve",namespace="demo",protocol="websocket"} 1"#), "{text}");
}

#[tokio::test]
async fn frames_are_protobuf_in_the_other_subprotocol() {
    let door = Door::new();
    let mut client = connect(&door, "", Codec::Proto, &CancellationToken::new()).await;
    let frame = |message: WsMessage| ServerFrame::decode(message.into_data()).unwrap();
    assert!(matches!(frame(client.next().await).welcome, Some(Welcome { max_calls: 256, .. })));
    door.will(retrieved(b"v", 3));
    let call = Call { method: "Retrieve".to_owned(), namespace: "demo".to_owned(), ..Call::default() };
    let message = RetrieveRequest { key: "a".to_owned() }.encode_to_vec().into();
    let ask = ClientFrame { id: 7, call: Some(call), message: Some(message), ..ClientFrame::default() };
    client.0.send(WsMessage::binary(ask.encode_to_vec())).await.unwrap();
    let reply = frame(client.next().await);
    assert_eq!((reply.id, RetrieveResponse::decode(reply.message.unwrap()).unwrap().revision), (7, 3));
    assert!(reply.end.unwrap().error.is_none());
    client.0.send(WsMessage::text("{}")).await.unwrap();
    assert_eq!(client.closed().await, (4400, "frames of prism.v1.proto are binary messages".to_owned()));
}

#[tokio::test]
async fn errors_have_code_reason_and_violations() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    let error = Error::new(Code::NotFound, "KEY_NOT_FOUND", "no value").with("key", "a").with_retry_after(Duration::from_millis(1500));
    door.will(Err(error));
    client.ask(call(1, "Retrieve", json!({"key": "a"}))).await;
    let expected =
        json!({"code": "NOT_FOUND", "reason": "KEY_NOT_FOUND", "message": "no value", "metadata": {"key": "a"}, "retryAfterMs": 1500});
    assert_eq!(client.json().await, json!({"id": 1, "end": {"error": expected}}));
    for (frame, code, text) in [
        (call(2, "Retrieve", json!({"kee": "a"})), "INVALID_ARGUMENT", "kee"),
        (call(2, "Retrieve", json!([])), "INVALID_ARGUMENT", ""),
        (call(2, "Nothing", json!({})), "UNIMPLEMENTED", "Nothing"),
        (call(2, &format!("{SERVICE}/Nothing"), json!({})), "UNIMPLEMENTED", "Nothing"),
        (call(2, "a.B/C", json!({})), "UNIMPLEMENTED", "a.B"),
        (json!({"id": 2, "call": {"method": "Retrieve"}}), "INVALID_ARGUMENT", "message"),
        (json!({"id": 2, "call": {"method": "Retrieve", "namespace": "x"}, "message": {}}), "NOT_FOUND", "namespace x"),
        (json!({"id": 2, "call": {"method": "Retrieve", "metadata": {"a b": "c"}}, "message": {}}), "INVALID_ARGUMENT", "a b"),
    ] {
        client.ask(frame.clone()).await;
        let reply = client.json().await;
        let error = &reply["end"]["error"];
        assert_eq!((&reply["id"], error["code"].as_str()), (&json!(2), Some(code)), "{frame}: {reply}");
        assert!(error["message"].as_str().unwrap().contains(text), "{frame}: {reply}");
    }
    assert!(door.nothing_seen() || door.seen().method == "Retrieve");
}

#[tokio::test]
async fn streams_send_as_many_messages_as_there_are_credits() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    door.will(scanned(["a", "b", "c", "d"].map(entry).into()));
    client.ask(json!({"id": 1, "call": {"method": "Scan", "credits": 2}, "message": {}})).await;
    for (key, cursor) in [("a", "c-a"), ("b", "c-b")] {
        let reply = client.json().await;
        assert_eq!((&reply["id"], &reply["message"]["key"], &reply["message"]["cursor"]), (&json!(1), &json!(key), &json!(cursor)));
    }
    // Another call is not held up by the stream that waits.
    client.ask(call(2, "Exists", json!({}))).await;
    assert_eq!(client.json().await["id"], 2);
    client.ask(json!({"id": 1, "credits": 1})).await;
    assert_eq!(client.json().await["message"]["key"], "c");
    client.ask(json!({"id": 1, "credits": 4_000_000_000_u32})).await;
    assert_eq!(client.json().await["message"]["key"], "d");
    assert_eq!(client.json().await, json!({"id": 1, "end": {}}));

    let broken = Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone");
    door.will(scanned(vec![entry("a"), Err(broken)]));
    client.ask(call(3, "Scan", json!({}))).await;
    assert_eq!(client.json().await["message"]["key"], "a");
    assert_eq!(client.json().await["end"]["error"]["reason"], "BACKEND_UNAVAILABLE");
}

#[tokio::test]
async fn cancelled_call_sends_nothing_more() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    door.will(endless());
    client.ask(call(1, "Scan", json!({}))).await;
    assert_eq!(client.json().await["message"]["key"], "a");
    client.ask(json!({"id": 1, "cancel": true})).await;
    client.ask(json!({"id": 1, "credits": 3})).await;
    client.ask(call(2, "Exists", json!({}))).await;
    assert_eq!(client.json().await["id"], 2);
    let cancelled = r#"prism_calls_total{code="CANCELLED",method="Scan",namespace="demo",protocol="websocket"} 1"#;
    assert!(door.metrics.render().contains(cancelled), "{}", door.metrics.render());
}

#[tokio::test]
async fn frames_that_violate_the_protocol_close_the_connection() {
    let door = Door::new();
    for (frames, code, text) in [
        (vec!["nonsense"], 4400, "malformed frame"),
        (vec![r#"{"id":1,"cal":{}}"#], 4400, "cal"),
        (vec![r#"{"call":{"method":"Exists"},"message":{}}"#], 4400, "above zero"),
        (vec![r#"{"id":1,"authenticate":{}}"#], 4400, "zero"),
        (vec![r#"{"authenticate":{"authorization":"a\nb"}}"#], 4400, "unprintable"),
        (vec![r#"{"id":1,"call":{"method":"Scan"},"message":{}}"#, r#"{"id":1,"call":{"method":"Scan"},"message":{}}"#], 4409, "id 1"),
    ] {
        let mut client = connect_json(&door).await;
        if frames.len() > 1 {
            door.will(Ok(Output::Stream(Box::pin(futures::stream::pending())).into()));
        }
        for frame in &frames {
            client.0.send(WsMessage::text(*frame)).await.unwrap();
        }
        let (closed, reason) = client.closed().await;
        assert!(closed == code && reason.contains(text), "{frames:?}: {closed} {reason}");
        door.handler.seen.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn message_of_a_call_that_takes_no_more_ends_it() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    door.will(endless());
    client.ask(call(1, "Scan", json!({}))).await;
    assert_eq!(client.json().await["message"]["key"], "a");
    client.ask(json!({"id": 1, "message": {}})).await;
    assert_eq!(client.json().await["end"]["error"]["code"], "INVALID_ARGUMENT");
    client.ask(json!({"id": 1, "message": {}, "end": true})).await;
    client.ask(call(2, "Exists", json!({}))).await;
    assert_eq!(client.json().await["id"], 2, "frames of a call that has ended are ignored");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused() {
    let door = Door::new();
    let mut client = connect_json(&door).await;
    for id in 1..=256 {
        door.will(Ok(Output::Stream(Box::pin(futures::stream::pending())).into()));
        client.ask(call(id, "Scan", json!({}))).await;
    }
    client.ask(call(257, "Scan", json!({}))).await;
    let reply = client.json().await;
    assert_eq!((&reply["id"], &reply["end"]["error"]["reason"]), (&json!(257), &json!("TOO_MANY_CALLS")));
}

#[tokio::test]
async fn drain_lets_calls_finish_and_refuses_further_ones() {
    let door = Door::new();
    let draining = CancellationToken::new();
    let mut client = connect(&door, "/demo", Codec::Json, &draining).await;
    client.json().await;
    let (more, messages) = futures::channel::mpsc::unbounded::<Result<Bytes, Error>>();
    door.will(Ok(Output::stream(messages).into()));
    client.ask(call(1, "Scan", json!({}))).await;
    let entry = || Ok(Bytes::from(entry("a").unwrap().encode_to_vec()));
    more.unbounded_send(entry()).unwrap();
    assert_eq!(client.json().await["message"]["key"], "a");
    draining.cancel();
    let away = client.json().await;
    assert!(away["goAway"]["reconnectAfterMs"].as_u64().unwrap() < 5000, "{away}");
    client.ask(call(2, "Exists", json!({}))).await;
    assert_eq!(client.json().await["end"]["error"]["reason"], "SHUTTING_DOWN");
    more.unbounded_send(entry()).unwrap();
    assert_eq!(client.json().await["message"]["key"], "a");
    drop(more);
    assert_eq!(client.json().await, json!({"id": 1, "end": {}}));
    assert_eq!(client.closed().await.0, 1001);
}
