//! WebSocket through the whole program. The edge has the cases of the protocol.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http, poll::until_true};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error as WebSocketError, Message, client::IntoClientRequest as _, http::HeaderValue},
};

/// A client of the subprotocol `prism.v1.json`.
pub struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// Connects, and takes the welcome.
    pub async fn connect(address: SocketAddr, path: &str) -> Self {
        let mut client = Self(handshake(address, path, &[("sec-websocket-protocol", "prism.v1.json")]).await.unwrap());
        assert_eq!(client.next().await["welcome"]["maxCalls"], 256);
        client
    }

    pub async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    pub async fn next(&mut self) -> Value {
        let message = self.0.next().await.expect("the connection is open").unwrap();
        serde_json::from_str(message.to_text().unwrap()).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }

    /// Calls an RPC with one message, and returns the reply.
    pub async fn call(&mut self, id: u32, method: &str, message: Value) -> Value {
        self.send(json!({"id": id, "call": {"method": method}, "message": message})).await;
        let reply = self.next().await;
        assert_eq!(reply["id"], id, "{reply}");
        assert!(reply["end"].is_object(), "{reply}");
        reply
    }
}

async fn handshake(
    address: SocketAddr,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, WebSocketError> {
    let mut request = format!("ws://{address}{path}").into_client_request()?;
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(address).await?;
    client_async(request, stream).await.map(|(client, _)| client)
}

/// Returns the status of a handshake that fails.
async fn refused(address: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    match handshake(address, path, headers).await {
        Err(WebSocketError::Http(response)) => response.status().as_u16(),
        other => panic!("{path} {headers:?}: {:?}", other.map(drop)),
    }
}

const JSON: (&str, &str) = ("sec-websocket-protocol", "prism.v1.json");

#[tokio::test]
async fn calls_of_all_kinds_share_a_connection() {
    const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
  - {name: objects, pattern: object-store, slots: {storage: ram}}
";
    let gateway = Gateway::start(CONFIG).await;
    let mut client = Client::connect(gateway.address, "/websocket").await;
    let keyvalue = |rpc: &str| format!("prism.patterns.keyvalue.v1.KeyValueService/{rpc}");
    for (id, key) in ["a", "b", "c"].into_iter().enumerate() {
        let reply = client.call(id as u32 + 1, &keyvalue("Store"), json!({"key": key, "value": "dg=="})).await;
        assert!(reply["end"]["error"].is_null(), "{reply}");
    }

    // The first two keys; then the rest, from the cursor.
    client.send(json!({"id": 10, "call": {"method": keyvalue("Scan"), "credits": 2}, "message": {}})).await;
    let first = [client.next().await, client.next().await].map(|reply| reply["message"].clone());
    assert_eq!(first.clone().map(|entry| entry["key"].clone()), [json!("a"), json!("b")]);
    client.send(json!({"id": 10, "cancel": true})).await;
    client.send(json!({"id": 11, "call": {"method": keyvalue("Scan")}, "message": {"cursor": first[1]["cursor"]}})).await;
    assert_eq!(client.next().await["message"]["key"], "c");
    assert!(client.next().await["end"].is_object());

    // Many more messages than there are credits.
    let object = |rpc: &str| json!({"method": format!("prism.patterns.object_store.v1.ObjectStoreService/{rpc}"), "namespace": "objects"});
    client.send(json!({"id": 20, "call": object("PutObject"), "message": {"key": "o"}})).await;
    let mut credits = 15;
    for _ in 0..100 {
        while credits == 0 {
            let grant = client.next().await;
            credits += grant["credits"].as_u64().unwrap_or_else(|| panic!("{grant}"));
        }
        client.send(json!({"id": 20, "message": {"chunk": "eHl6"}})).await;
        credits -= 1;
    }
    client.send(json!({"id": 20, "end": true})).await;
    let stored = loop {
        let frame = client.next().await;
        if frame["end"].is_object() {
            break frame;
        }
    };
    assert!(stored["end"]["error"].is_null(), "{stored}");
    client.send(json!({"id": 21, "call": object("GetObject"), "message": {"key": "o"}})).await;
    client.send(json!({"id": 21, "credits": 1000})).await;
    let mut data = String::new();
    loop {
        let frame = client.next().await;
        data += frame["message"]["chunk"].as_str().unwrap_or_default();
        if frame["end"].is_object() {
            assert!(frame["end"]["error"].is_null(), "{frame}");
            break;
        }
    }
    assert_eq!(data.len(), 400, "300 bytes in base64");
}

#[tokio::test]
async fn compression_is_declined_and_the_client_works_without_it() {
    let gateway =
        Gateway::start("{backends: {ram: {type: memory}}, namespaces: [{name: default, pattern: keyvalue, slots: {storage: ram}}]}").await;
    let mut request = format!("ws://{}/default/websocket", gateway.address).into_client_request().unwrap();
    // As browsers offer it.
    let offer = HeaderValue::from_static("permessage-deflate; client_max_window_bits");
    request.headers_mut().insert("sec-websocket-extensions", offer);
    request.headers_mut().insert(JSON.0, HeaderValue::from_static(JSON.1));
    let (socket, response) = client_async(request, TcpStream::connect(gateway.address).await.unwrap()).await.unwrap();
    assert_eq!(response.headers().get("sec-websocket-extensions"), None, "the extension is declined");
    let mut client = Client(socket);
    assert!(client.next().await["welcome"].is_object());
    assert_eq!(client.call(1, "Exists", json!({"key": "a"})).await["message"], json!({"exists": false}));
}

#[tokio::test]
async fn handshakes_reach_only_namespaces_that_are_served() {
    const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}, frontends: [websocket]}
  - {name: other, pattern: keyvalue, slots: {storage: ram}, frontends: [rest]}
";
    let gateway = Gateway::start(CONFIG).await;
    let address = gateway.address;
    let mut client = Client::connect(address, "/default/websocket").await;
    assert_eq!(client.call(1, "Exists", json!({"key": "a"})).await["message"], json!({"exists": false}));
    client.send(json!({"id": 2, "call": {"method": "Exists", "namespace": "other"}, "message": {"key": "a"}})).await;
    assert_eq!(client.next().await["end"]["error"]["reason"], "NAMESPACE_NOT_FOUND");
    for (path, headers, status) in [
        ("/other/websocket", vec![JSON], 404),
        ("/nowhere", vec![JSON], 404),
        ("/websocket", vec![], 400),
        ("/websocket", vec![("sec-websocket-protocol", "graphql-transport-ws")], 400),
        ("/websocket", vec![JSON, ("sec-websocket-version", "8")], 426),
        ("/websocket", vec![JSON, ("origin", "http://evil.example")], 403),
        ("/websocket", vec![JSON, ("host", "evil.example")], 421),
    ] {
        assert_eq!(refused(address, path, &headers).await, status, "{path} {headers:?}");
    }
    let plain = http::get(address, "/websocket").await.unwrap();
    assert_eq!(plain.status, 404);
    let same = format!("http://{address}");
    let accepted = handshake(address, "/websocket", &[JSON, ("origin", &same)]).await;
    assert!(accepted.is_ok(), "{:?}", accepted.err());
    let metrics = gateway.metrics().await;
    let line = r#"prism_calls_total{code="OK",method="Exists",namespace="default",protocol="websocket"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn open_connections_count_and_may_be_idle() {
    const CONFIG: &str = "
listeners: {main: {address: '127.0.0.1:0', max_connections: 2, idle_timeout: 1s, header_timeout: 1s}}
backends: {ram: {type: memory}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
";
    let gateway = Gateway::start(CONFIG).await;
    let mut first = Client::connect(gateway.address, "/websocket").await;
    let second = Client::connect(gateway.address, "/websocket").await;
    assert!(handshake(gateway.address, "/websocket", &[JSON]).await.is_err(), "two connections are open, the limit");
    drop(second);
    test_support::poll::until("a free connection", || async { handshake(gateway.address, "/websocket", &[JSON]).await.map(drop) }).await;
    // Longer than the timeouts for idle connections and for headers.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(first.call(1, "Exists", json!({"key": "a"})).await["end"]["error"]["code"], "INVALID_ARGUMENT", "no namespace");
    first.send(json!({"id": 2, "call": {"method": "Exists", "namespace": "default"}, "message": {"key": "a"}})).await;
    assert_eq!(first.next().await["message"], json!({"exists": false}));
}

#[tokio::test]
async fn drain_says_when_to_connect_again() {
    let mut gateway = Gateway::start("").await;
    let mut client = Client::connect(gateway.address, "/default/websocket").await;
    client.call(1, "Exists", json!({"key": "a"})).await;
    gateway.signal();
    let away = client.next().await;
    assert!(away["goAway"]["reason"].is_string(), "{away}");
    match client.0.next().await.unwrap().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
    assert!(client.0.next().await.is_none());
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn reload_serves_further_calls_of_open_connections() {
    let config = |namespaces: &str| {
        format!(
            "backends: {{ram: {{type: memory}}}}\nnamespaces:\n  - {{name: default, pattern: keyvalue, slots: {{storage: ram}}}}\n{namespaces}"
        )
    };
    let gateway = Gateway::start(&config("")).await;
    let mut client = Client::connect(gateway.address, "/websocket").await;
    let exists = |id: u32| json!({"id": id, "call": {"method": "Exists", "namespace": "late"}, "message": {"key": "a"}});
    client.send(exists(1)).await;
    assert_eq!(client.next().await["end"]["error"]["reason"], "NAMESPACE_NOT_FOUND");
    std::fs::write(gateway.folder().join("prism.yaml"), config("  - {name: late, pattern: keyvalue, slots: {storage: ram}}\n")).unwrap();
    gateway.hang_up();
    until_true("reloaded", || gateway.output().contains("generation 2:")).await;
    client.send(exists(2)).await;
    assert_eq!(client.next().await["message"], json!({"exists": false}));
}
