//! MulticastRegistry over REST, gRPC and Connect, and with ten thousand identities.

use std::{collections::BTreeSet, str::FromStr as _};

use ::http::uri::PathAndQuery;
use futures::{StreamExt as _, stream};
use prism::proto::patterns::multicast_registry::v1::{
    MulticastRequest, MulticastResponse, ReceiveRequest, ReceiveResponse, RegisterRequest, RegisterResponse, multicast_response::Outcome,
    receive_response::Event,
};
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    servers::{Nats, Redis},
};
use tonic::{
    Request,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

const CONFIG: &str = "
backends:
  local: {type: sqlite, path: multicast.db}
  ram: {type: memory}
namespaces:
  - {name: fleet, pattern: multicast-registry, slots: {registry: ram, messaging: ram}}
  - {name: durable, pattern: multicast-registry, slots: {registry: local, messaging: ram, durability: local}}
  - {name: logged, pattern: multicast-registry, slots: {registry: ram, messaging: ram}, settings: {model: stream}}
";
const SERVICE: &str = "/prism.patterns.multicast_registry.v1.MulticastRegistryService";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn ask(gateway: &Gateway, line: &str, body: impl ToString) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    http::send(gateway.address, method, path, &[JSON, ("accept", "application/json")], body.to_string()).await.unwrap()
}

async fn register(gateway: &Gateway, namespace: &str, identity: &str, region: &str) {
    let body = json!({"metadata": {"region": region, "version": 3}, "tags": ["canary"], "ttl": "60s"});
    let answer = ask(gateway, &format!("PUT /{namespace}/v1/identities/{identity}"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Receives over server-sent events.
struct Events {
    body: http_body_util::BodyDataStream<hyper::body::Incoming>,
    text: String,
}

impl Events {
    async fn open(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Self {
        let headers = [&[("accept", "text/event-stream")], headers].concat();
        let response = http::open_with(gateway.address, path, &headers).await;
        assert_eq!(response.status(), 200);
        let mut events = Self { body: http_body_util::BodyDataStream::new(response.into_body()), text: String::new() };
        let (name, _, data) = events.next().await;
        assert!(name == "connected" && data["connected"]["identity"].is_string(), "{name} {data}");
        events
    }

    /// Returns the name, the id and the data of the next event.
    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
                let data = field("data:");
                if !data.is_empty() {
                    return (field("event:"), field("id:"), serde_json::from_str(&data).unwrap());
                }
                continue;
            }
            self.text.push_str(std::str::from_utf8(&self.body.next().await.expect("more events").unwrap()).unwrap());
        }
    }
}

async fn multicast(gateway: &Gateway, namespace: &str, body: Value) -> Value {
    let answer = ask(gateway, &format!("POST /{namespace}/v1/multicast"), body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_part_of_a_fleet_over_rest() {
    let gateway = Gateway::start(CONFIG).await;
    register(&gateway, "fleet", "eu-1", "eu").await;
    register(&gateway, "fleet", "us-1", "us").await;
    let found = ask(&gateway, "GET /fleet/v1/identities?filter=metadata.region%20%3D%3D%20%22eu%22", "").await.json();
    assert_eq!(found[0]["identity"]["identity"], "eu-1");
    assert_eq!(found[0]["identity"]["metadata"], json!({"region": "eu", "version": 3.0}));
    assert_eq!(found.as_array().unwrap().len(), 1);

    let mut events = Events::open(&gateway, "/fleet/v1/identities/eu-1/messages", &[]).await;
    let body = json!({"filter": "metadata.version >= 3", "payload": "aGVsbG8=", "headers": {"kind": "update"}});
    let sent = multicast(&gateway, "fleet", body).await;
    let sent = sent.as_array().unwrap();
    let statuses: BTreeSet<_> = sent[..2].iter().map(|one| one["result"].to_string()).collect();
    assert_eq!(statuses.len(), 2);
    let summary = &sent[2]["summary"];
    assert_eq!((&summary["matched"], &summary["delivered"], &summary["notConnected"]), (&json!("2"), &json!("1"), &json!("1")));
    let (_, _, event) = events.next().await;
    assert_eq!((&event["message"]["payload"], &event["message"]["id"]), (&json!("aGVsbG8="), &summary["id"]));
    assert_eq!(event["message"]["headers"], json!({"kind": "update"}));

    assert_eq!(ask(&gateway, "POST /fleet/v1/identities/eu-1/heartbeat", "{}").await.status, 200);
    assert_eq!(ask(&gateway, "DELETE /fleet/v1/identities/eu-1", "").await.json()["deregistered"], true);
    assert_eq!(ask(&gateway, "GET /fleet/v1/identities/eu-1", "").await.json()["reason"], "IDENTITY_NOT_FOUND");
    let wrong = ask(&gateway, "POST /fleet/v1/multicast", json!({"filter": "region == 'eu'"})).await;
    assert_eq!((wrong.status, &wrong.json()["reason"]), (400, &json!("INVALID_FILTER")));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_and_are_acknowledged_over_rest() {
    let gateway = Gateway::start(CONFIG).await;
    register(&gateway, "durable", "a", "eu").await;
    let sent = multicast(&gateway, "durable", json!({"payload": "eA=="})).await;
    assert_eq!(sent[0]["result"]["status"], "STATUS_STORED");
    let mut events = Events::open(&gateway, "/durable/v1/identities/a/messages", &[]).await;
    let (_, _, event) = events.next().await;
    let body = json!({"leases": [event["message"]["lease"]]});
    assert_eq!(ask(&gateway, "POST /durable/v1/identities/a/messages/ack", body).await.json()["acknowledged"], 1);
    multicast(&gateway, "durable", json!({"payload": "eQ=="})).await;
    assert_eq!(events.next().await.2["message"]["payload"], "eQ==");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_source_continues_in_a_stream() {
    let gateway = Gateway::start(CONFIG).await;
    register(&gateway, "logged", "a", "eu").await;
    let mut events = Events::open(&gateway, "/logged/v1/identities/a/messages", &[]).await;
    for payload in ["MQ==", "Mg=="] {
        multicast(&gateway, "logged", json!({"payload": payload})).await;
    }
    let (_, id, first) = events.next().await;
    assert_eq!((&first["message"]["payload"], id.is_empty()), (&json!("MQ=="), false));
    drop(events);
    let mut events = Events::open(&gateway, "/logged/v1/identities/a/messages", &[("last-event-id", &id)]).await;
    assert_eq!(events.next().await.2["message"]["payload"], "Mg==");
}

/// A client over gRPC with one connection.
struct Client {
    channel: Channel,
    namespace: &'static str,
}

impl Client {
    async fn connect(gateway: &Gateway, namespace: &'static str) -> Self {
        let channel = Endpoint::from_shared(format!("http://{}", gateway.address)).unwrap().connect().await.unwrap();
        Self { channel, namespace }
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-prism-namespace", self.namespace.parse().unwrap());
        request
    }

    async fn grpc(&self) -> Grpc<Channel> {
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await.unwrap();
        grpc
    }

    async fn register(&self, identity: String, region: &str) {
        let region = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(region.to_owned())) };
        let metadata = Some(prost_types::Struct { fields: [("region".to_owned(), region)].into() });
        let request = self.request(RegisterRequest { identity, metadata, ..RegisterRequest::default() });
        let codec = ProstCodec::<RegisterRequest, RegisterResponse>::default();
        let path = PathAndQuery::from_str(&format!("{SERVICE}/Register")).unwrap();
        self.grpc().await.unary(request, path, codec).await.unwrap();
    }

    async fn receive(&self, identity: &str) -> tonic::Streaming<ReceiveResponse> {
        let request = self.request(ReceiveRequest { identity: identity.to_owned(), ..ReceiveRequest::default() });
        let codec = ProstCodec::<ReceiveRequest, ReceiveResponse>::default();
        let path = PathAndQuery::from_str(&format!("{SERVICE}/Receive")).unwrap();
        let mut events = self.grpc().await.server_streaming(request, path, codec).await.unwrap().into_inner();
        let first = events.message().await.unwrap().and_then(|response| response.event);
        assert!(matches!(first, Some(Event::Connected(_))), "{first:?}");
        events
    }

    async fn multicast(&self, message: MulticastRequest) -> Vec<Outcome> {
        let codec = ProstCodec::<MulticastRequest, MulticastResponse>::default();
        let path = PathAndQuery::from_str(&format!("{SERVICE}/Multicast")).unwrap();
        let responses = self.grpc().await.server_streaming(self.request(message), path, codec).await.unwrap().into_inner();
        responses.map(|response| response.unwrap().outcome.unwrap()).collect().await
    }
}

/// Ten thousand identities in Redis, and messages over NATS: every one has a result, none fails, and those that receive get the message.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_identities_get_a_message() {
    const IDENTITIES: usize = 10_000;
    const RECEIVERS: usize = 40;
    let (redis, nats) = (Redis::start().unwrap(), Nats::start().unwrap());
    let config = format!(
        "backends:\n  redis: {{type: redis, url: \"{}\"}}\n  nats: {{type: nats, url: \"{}\"}}\nnamespaces:\n  - {{name: fleet, pattern: \
         multicast-registry, slots: {{registry: redis, messaging: nats}}}}\n",
        redis.url(),
        nats.url()
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::connect(&gateway, "fleet").await;
    stream::iter(0..IDENTITIES)
        .map(|number| client.register(format!("device-{number}"), if number % 2 == 0 { "eu" } else { "us" }))
        .buffer_unordered(64)
        .for_each(|()| async {})
        .await;
    let mut receivers = Vec::new();
    for number in 0..RECEIVERS {
        receivers.push(client.receive(&format!("device-{}", number * 2)).await);
    }
    let before = gateway.private_memory();
    for filter in ["", "metadata.region == 'eu'"] {
        let message = MulticastRequest { filter: filter.to_owned(), payload: "update".into(), ..MulticastRequest::default() };
        let mut outcomes = client.multicast(message).await;
        let Some(Outcome::Summary(summary)) = outcomes.pop() else { panic!("no summary") };
        let matched = if filter.is_empty() { IDENTITIES } else { IDENTITIES / 2 };
        assert_eq!((summary.matched, summary.failed), (matched as u64, 0), "{summary:?}");
        let identities: BTreeSet<_> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Result(result) => result.identity,
                Outcome::Summary(_) => panic!("a second summary"),
            })
            .collect();
        assert_eq!(identities.len(), matched);
        for receiver in &mut receivers {
            let Some(Event::Message(message)) = receiver.message().await.unwrap().unwrap().event else { panic!("no message") };
            assert_eq!((&message.payload[..], &message.id), (&b"update"[..], &summary.id));
        }
    }
    let grown = gateway.private_memory().saturating_sub(before);
    assert!(grown < 32 << 20, "a multicast to ten thousand identities took {grown} bytes");
}
