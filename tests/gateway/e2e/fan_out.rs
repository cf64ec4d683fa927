//! Many subscribers of one topic, over all protocols.

use std::str::FromStr as _;

use ::http::{Response, uri::PathAndQuery};
use futures::{StreamExt as _, future::join_all};
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use prism::proto::patterns::consumer::v1::{Start, SubscribeRequest, SubscribeResponse};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};
use tonic::{Request, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

use super::websocket::Client;

const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: ram}, settings: {model: stream}}
  - {name: billing, pattern: consumer, slots: {messaging: {backend: ram, keyspace: orders}}, settings: {model: stream}}
";
/// Messages that all subscribers get.
const MESSAGES: usize = 5;

async fn publish(gateway: &Gateway, payload: &Value) {
    let answer = http::send(gateway.address, "POST", "/orders/v1/topics/eu:publish", &[], payload.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Subscribes over HTTP to what is published from now on.
async fn open(gateway: &Gateway, accept: &str, query: &str) -> BodyDataStream<Incoming> {
    let path = format!("/billing/v1/topics/eu/messages?start=START_LATEST{query}");
    let response: Response<Incoming> = http::open_with(gateway.address, &path, &[("accept", accept)]).await;
    assert_eq!(response.status(), 200);
    BodyDataStream::new(response.into_body())
}

/// Reads the messages of lines or events.
async fn read(mut body: BodyDataStream<Incoming>) -> Vec<Value> {
    let mut text = String::new();
    let complete = |text: &str| -> Vec<Value> {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines().filter_map(|line| line.strip_prefix("data: ").or_else(|| line.starts_with('{').then_some(line)));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    while complete(&text).len() < MESSAGES {
        text.push_str(std::str::from_utf8(&body.next().await.expect("more messages").unwrap()).unwrap());
    }
    complete(&text)
}

/// Returns how often messages of the namespace were encoded for all subscribers at once.
fn encodings(metrics: &str, format: &str) -> usize {
    let (namespace, format) = (r#"namespace="billing""#, format!("format=\"{format}\""));
    let mut lines = metrics.lines().filter(|line| line.starts_with("prism_fanout_encodings_total{"));
    let line = lines.find(|line| line.contains(namespace) && line.contains(&format));
    line.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[tokio::test]
async fn subscribers_of_a_topic_share_one_encoding_for_each_format() {
    let gateway = Gateway::start(CONFIG).await;
    publish(&gateway, &json!({"number": "first"})).await;

    let filter = "&filter=payload.number+%3E%3D+0";
    let mut bodies = Vec::new();
    for _ in 0..10 {
        for (accept, query) in [("text/event-stream", ""), ("text/event-stream", filter), ("application/x-ndjson", filter)] {
            bodies.push(open(&gateway, accept, query).await);
        }
    }
    let mut sockets = Vec::new();
    for _ in 0..10 {
        let mut socket = Client::connect(gateway.address, "/billing/websocket").await;
        socket.send(json!({"id": 1, "call": {"method": "Subscribe"}, "message": {"topic": "eu"}})).await;
        // It has subscribed when it gets the message that was there before.
        assert_eq!(socket.next().await["message"]["message"]["payload"], "eyJudW1iZXIiOiJmaXJzdCJ9");
        sockets.push(socket);
    }
    let channel = Endpoint::from_shared(gateway.url()).unwrap().connect_lazy();
    let mut calls = Vec::new();
    for _ in 0..10 {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let request = SubscribeRequest { topic: "eu".to_owned(), start: Start::Latest.into(), ..SubscribeRequest::default() };
        let mut request = Request::new(request);
        request.metadata_mut().insert("x-prism-namespace", "billing".parse().unwrap());
        let path = PathAndQuery::from_str("/prism.patterns.consumer.v1.ConsumerService/Subscribe").unwrap();
        calls.push(grpc.server_streaming(request, path, ProstCodec::<_, SubscribeResponse>::default()).await.unwrap().into_inner());
    }

    for number in 0..MESSAGES {
        publish(&gateway, &json!({"number": number})).await;
    }
    let received = join_all(bodies.into_iter().map(read)).await;
    let cursors: Vec<_> = received[0].iter().map(|response| response["cursor"].clone()).collect();
    for messages in &received {
        assert_eq!(messages, &received[0], "all subscribers get the same");
    }
    for socket in &mut sockets {
        for response in &received[0] {
            assert_eq!(socket.next().await["message"], *response);
        }
    }
    for call in &mut calls {
        for (number, cursor) in cursors.iter().enumerate() {
            let response = call.next().await.unwrap().unwrap();
            assert_eq!(response.message.unwrap().payload, json!({"number": number}).to_string());
            assert_eq!(json!(response.cursor), *cursor);
        }
    }
    let metrics = gateway.metrics().await;
    for format in ["proto", "json", "payload"] {
        assert_eq!(encodings(&metrics, format), MESSAGES, "{format}\n{metrics}");
    }
}
