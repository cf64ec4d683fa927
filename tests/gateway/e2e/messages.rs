//! Messages over REST, gRPC, Connect and `prism call`: one namespace publishes, another one receives.

use std::{process::Command, str::FromStr as _};

use ::http::uri::PathAndQuery;
use futures::{StreamExt as _, channel::mpsc};
use prism::proto::patterns::{
    consumer::v1::{
        ConsumeRequest, ConsumeResponse,
        consume_request::{Begin, Leases, Request as Ask},
        consume_response::Event,
    },
    producer::v1::{OutgoingMessage, PublishStreamRequest, PublishStreamResponse},
};
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};
use tonic::{Request, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

const CONFIG: &str = "
backends:
  local: {type: sqlite, path: messages.db}
  ram: {type: memory}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: local, ids: ram}}
  - {name: billing, pattern: consumer, slots: {messaging: {backend: local, keyspace: orders}, progress: local}}
  - {name: tasks, pattern: producer, slots: {messaging: ram}, settings: {model: queue}}
  - {name: workers, pattern: consumer, slots: {messaging: {backend: ram, keyspace: tasks}}}
  - {name: alarms, pattern: producer, slots: {messaging: ram}, settings: {model: pubsub}}
  - {name: screens, pattern: consumer, slots: {messaging: {backend: ram, keyspace: alarms}}, settings: {model: pubsub}}
";
const PRODUCER: &str = "/prism.patterns.producer.v1.ProducerService";
const CONSUMER: &str = "/prism.patterns.consumer.v1.ConsumerService";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn ask(gateway: &Gateway, line: &str, body: impl ToString) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    http::send(gateway.address, method, path, &[JSON], body.to_string()).await.unwrap()
}

/// Reads the data of server-sent events, until there are so many.
async fn events(gateway: &Gateway, path: &str, headers: &[(&str, &str)], count: usize) -> Vec<(String, Value)> {
    let headers = [&[("accept", "text/event-stream")], headers].concat();
    let response = http::open_with(gateway.address, path, &headers).await;
    assert_eq!(response.status(), 200);
    let mut body = http_body_util::BodyDataStream::new(response.into_body());
    let mut text = String::new();
    let complete = |text: &str| {
        text.split("\n\n").filter(|event| event.contains("data:")).count() > count
            || text.matches("data:").count() >= count && text.ends_with("\n\n")
    };
    while !complete(&text) {
        text.push_str(std::str::from_utf8(&body.next().await.expect("more events").unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    let all = text.split("\n\n").filter(|event| event.contains("data:"));
    all.map(|event| (field(event, "id:"), serde_json::from_str(&field(event, "data:")).unwrap())).take(count).collect()
}

#[tokio::test]
async fn a_stream_is_published_received_and_acknowledged_over_rest() {
    let gateway = Gateway::start(CONFIG).await;
    let raw = http::send(gateway.address, "POST", "/orders/v1/topics/eu:publish?key=7&headers[kind]=paid", &[], "raw").await.unwrap();
    assert_eq!((raw.status, raw.json()["duplicate"].clone()), (200, json!(false)), "{}", raw.text());
    for duplicate in [false, true] {
        let put = http::send(gateway.address, "PUT", "/orders/v1/topics/eu/messages/a", &[], "with an id").await.unwrap();
        assert_eq!((put.json()["id"].clone(), put.json()["duplicate"].clone()), (json!("a"), json!(duplicate)));
    }
    let batch = json!({"messages": [{"payload": "b25l"}, {"payload": "dHdv"}]});
    let published = ask(&gateway, "POST /orders/v1/topics/eu/messages:batch", batch).await;
    assert_eq!(published.json()["results"].as_array().unwrap().len(), 2, "{}", published.text());
    let lines = "{\"payload\": \"dGhyZWU=\"}\n{\"payload\": \"Zm91cg==\"}\n";
    let streamed =
        http::send(gateway.address, "POST", "/orders/v1/topics/eu/messages:stream", &[("content-type", "application/x-ndjson")], lines)
            .await
            .unwrap();
    assert_eq!(streamed.json(), json!({"published": "2", "duplicates": "0"}), "{}", streamed.text());

    let group = "/billing/v1/topics/eu/groups/invoices";
    let received = ask(&gateway, &format!("POST {group}:receive"), json!({"limit": 10, "wait": "5s"})).await.json();
    let messages = received["messages"].as_array().unwrap();
    let payloads: Vec<_> = messages.iter().map(|message| message["payload"].as_str().unwrap()).collect();
    assert_eq!(payloads, ["cmF3", "d2l0aCBhbiBpZA==", "b25l", "dHdv", "dGhyZWU=", "Zm91cg=="]);
    assert_eq!((&messages[0]["key"], &messages[0]["headers"]), (&json!("7"), &json!({"kind": "paid"})));
    let leases: Vec<_> = messages[..4].iter().map(|message| message["lease"].clone()).collect();
    assert_eq!(ask(&gateway, &format!("POST {group}:ack"), json!({"leases": leases})).await.json(), json!({"acknowledged": 4}));
    let nack = ask(&gateway, &format!("POST {group}:nack"), json!({"lease": messages[4]["lease"], "delay": "0s"})).await;
    assert_eq!(nack.json()["dead"], false, "{}", nack.text());
    let again = ask(&gateway, &format!("POST {group}:receive"), json!({"wait": "5s"})).await.json();
    assert_eq!((&again["messages"][0]["payload"], &again["messages"][0]["attempt"]), (&json!("dGhyZWU="), &json!(2)));
    let progress = ask(&gateway, &format!("GET {group}"), "").await.json();
    assert_eq!((&progress["lag"], &progress["inFlight"], &progress["dead"]), (&json!("0"), &json!("2"), &json!("0")));
    let moved = ask(&gateway, &format!("POST {group}:seek"), json!({"start": "START_EARLIEST"})).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    assert_eq!(ask(&gateway, &format!("GET {group}"), "").await.json()["lag"], "6");
    let refused = ask(&gateway, "POST /orders/v1/topics/eu/messages", json!({"delay": "1s"})).await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (501, json!("CAPABILITY_UNAVAILABLE")));
}

#[tokio::test]
async fn an_event_source_reads_a_stream_and_continues_where_it_was() {
    let gateway = Gateway::start(CONFIG).await;
    for payload in ["one", "two", "three"] {
        http::send(gateway.address, "POST", "/orders/v1/topics/eu:publish", &[], payload).await.unwrap();
    }
    let read = events(&gateway, "/billing/v1/topics/eu/messages", &[], 2).await;
    assert_eq!((&read[0].1["message"]["payload"], &read[1].1["message"]["payload"]), (&json!("b25l"), &json!("dHdv")));
    assert!(!read[0].0.is_empty(), "events have ids");
    let continued = events(&gateway, "/billing/v1/topics/eu/messages", &[("last-event-id", &read[0].0)], 2).await;
    assert_eq!((&continued[0].1["message"]["payload"], &continued[1].1["message"]["payload"]), (&json!("dHdv"), &json!("dGhyZWU=")));
    // `headers["x"]` is not there, and `id` is.
    let filtered = events(&gateway, "/billing/v1/topics/eu/messages?filter=id+%3D%3D+%22%22+%26%26+!has(headers.x)", &[], 3).await;
    assert_eq!(filtered[2].1["message"]["payload"], "dGhyZWU=");
    let wrong = ask(&gateway, "GET /billing/v1/topics/eu/messages?filter=headers.x+%3D%3D+1", "").await;
    assert_eq!((wrong.status, &wrong.json()["reason"]), (400, &json!("INVALID_FILTER")), "{}", wrong.text());
    let grouped = events(&gateway, "/billing/v1/topics/eu/groups/sse/messages?autoAck=true", &[], 3).await;
    assert_eq!(grouped[2].1["message"]["payload"], "dGhyZWU=");
    // A page of another site must not take messages of a group away.
    let foreign = [("origin", "http://elsewhere.example"), ("accept", "text/event-stream")];
    let refused = http::open_with(gateway.address, "/billing/v1/topics/eu/groups/sse/messages", &foreign).await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn a_queue_and_a_live_topic_have_the_same_api() {
    let gateway = Gateway::start(CONFIG).await;
    let delayed = ask(&gateway, "POST /tasks/v1/topics/mail/messages", json!({"payload": "eA==", "delay": "0.1s"})).await;
    assert_eq!(delayed.status, 200, "{}", delayed.text());
    let received = ask(&gateway, "POST /workers/v1/topics/mail/groups/default:receive", json!({"wait": "5s"})).await.json();
    let lease = &received["messages"][0]["lease"];
    let acknowledged = ask(&gateway, "POST /workers/v1/topics/mail/groups/default:ack", json!({"leases": [lease]})).await;
    assert_eq!(acknowledged.json(), json!({"acknowledged": 1}), "{}", acknowledged.text());

    let publisher = async {
        loop {
            http::send(gateway.address, "POST", "/alarms/v1/topics/fire:publish", &[], "run").await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let read = events(&gateway, "/screens/v1/topics/fire/messages", &[], 1);
    tokio::select! {
        read = read => assert_eq!(read[0].1["message"]["payload"], "cnVu"),
        () = publisher => {}
    }
    let refused = ask(&gateway, "POST /screens/v1/topics/fire/groups/default:receive", json!({})).await;
    assert_eq!(refused.status, 501);
}

#[tokio::test]
async fn grpc_streams_and_prism_call_continue_what_rest_began() {
    let gateway = Gateway::start(CONFIG).await;
    let mut grpc = Grpc::new(Endpoint::from_shared(gateway.url()).unwrap().connect_lazy());
    let path = |service: &str, rpc: &str| PathAndQuery::from_str(&format!("{service}/{rpc}")).unwrap();
    let message = |payload: &str| Some(OutgoingMessage { payload: payload.to_owned().into(), ..OutgoingMessage::default() });
    let messages = [("eu", "one"), ("", "two"), ("", "three")]
        .map(|(topic, payload)| PublishStreamRequest { topic: topic.to_owned(), message: message(payload) });
    grpc.ready().await.unwrap();
    let mut request = Request::new(futures::stream::iter(messages));
    request.metadata_mut().insert("x-prism-namespace", "orders".parse().unwrap());
    let done = grpc.client_streaming(request, path(PRODUCER, "PublishStream"), ProstCodec::<_, PublishStreamResponse>::default());
    assert_eq!(done.await.unwrap().into_inner().published, 3);

    let (sender, requests) = mpsc::unbounded();
    let begin = Begin { topic: "eu".to_owned(), group: "g".to_owned(), credits: 2, ..Begin::default() };
    sender.unbounded_send(ConsumeRequest { request: Some(Ask::Begin(begin)) }).unwrap();
    grpc.ready().await.unwrap();
    let mut request = Request::new(requests);
    request.metadata_mut().insert("x-prism-namespace", "billing".parse().unwrap());
    let mut events =
        grpc.streaming(request, path(CONSUMER, "Consume"), ProstCodec::<_, ConsumeResponse>::default()).await.unwrap().into_inner();
    let mut leases = vec![];
    for payload in ["one", "two"] {
        let Some(Event::Message(message)) = events.next().await.unwrap().unwrap().event else { panic!("not a message") };
        assert_eq!(message.payload, payload);
        leases.push(message.lease);
    }
    sender.unbounded_send(ConsumeRequest { request: Some(Ask::Ack(Leases { leases })) }).unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().event, Some(Event::Settled(2)));
    drop(sender);
    assert!(events.next().await.is_none());

    let request = json!({"topic": "eu", "group": "g", "limit": 10});
    let output = Command::new(env!("CARGO_BIN_EXE_prism"))
        .args(["call", "billing", "Receive", &request.to_string()])
        .env("PRISM_ADDRESS", gateway.address.to_string())
        .output()
        .unwrap();
    let received: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (received["messages"].as_array().unwrap().len(), &received["messages"][0]["payload"]),
        (1, &json!("dGhyZWU=")),
        "{output:?}"
    );
    let connect = ask(&gateway, &format!("POST /billing{CONSUMER}/GetGroup"), json!({"topic": "eu", "group": "g"})).await;
    assert_eq!(connect.json()["inFlight"], "1", "{}", connect.text());
}

#[tokio::test]
async fn messages_and_groups_survive_a_killed_gateway() {
    let mut gateway = Gateway::start(CONFIG).await;
    for number in 0..10 {
        let put = ask(&gateway, "POST /orders/v1/topics/eu/messages", json!({"headers": {"n": number.to_string()}})).await;
        assert_eq!(put.status, 200);
    }
    let receive = "POST /billing/v1/topics/eu/groups/g:receive";
    let first = ask(&gateway, receive, json!({"limit": 5, "leaseDuration": "1s"})).await.json();
    let lease = &first["messages"][0]["lease"];
    assert_eq!(ask(&gateway, "POST /billing/v1/topics/eu/groups/g:ack", json!({"leases": [lease]})).await.status, 200);
    gateway.kill();
    let gateway = gateway.restart().await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 9 {
        let received = ask(&gateway, receive, json!({"limit": 10, "wait": "10s"})).await.json();
        let messages = received["messages"].as_array().unwrap().clone();
        assert!(!messages.is_empty(), "messages are missing; these came: {seen:?}");
        let leases: Vec<_> = messages.iter().map(|message| message["lease"].clone()).collect();
        ask(&gateway, "POST /billing/v1/topics/eu/groups/g:ack", json!({"leases": leases})).await;
        seen.extend(messages.iter().map(|message| message["headers"]["n"].as_str().unwrap().to_owned()));
    }
    assert!(!seen.contains("0"), "the acknowledged message came again: {seen:?}");
}
