//! The pattern `interfaces`: the interfaces of a backend over every protocol.

use std::process::Command;

use http_body_util::BodyExt as _;
use prism::{
    call::Code,
    proto::models::{
        queue::v1::{DequeueRequest, DequeueResponse, EnqueueRequest, EnqueueResponse},
        stream::v1::AppendRequest,
    },
};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::wire;

const CONFIG: &str = "
backends:
  ram: {type: memory}
  disk: {type: sqlite, path: prism.db}
namespaces:
  - {name: jobs, pattern: interfaces, slots: {backend: disk}}
  - {name: events, pattern: interfaces, slots: {backend: ram}}
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
";

const QUEUE: &str = "/prism.interfaces.queue.v1.QueueBasicService";

async fn gateway() -> Gateway {
    Gateway::start(CONFIG).await
}

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let answer = http::send(gateway.address, "POST", path, &[("content-type", "application/json")], body.to_string()).await.unwrap();
    (answer.status, answer.json())
}

#[tokio::test]
async fn every_protocol_reaches_the_same_queue() {
    let gateway = gateway().await;
    let (status, reply) = post(&gateway, "/jobs/v1/queue_basic/Enqueue", &json!({"queue": "mail", "payload": "cmVzdA=="})).await;
    assert_eq!((status, reply["messageId"].is_string()), (200, true), "{reply}");
    let connect = json!({"queue": "mail", "payload": "Y29ubmVjdA=="});
    assert_eq!(post(&gateway, &format!("/jobs{QUEUE}/Enqueue"), &connect).await.0, 200);
    let namespace = [("x-prism-namespace", "jobs")];
    let grpc = EnqueueRequest { queue: "mail".to_owned(), payload: "grpc".into(), ..EnqueueRequest::default() };
    let reply = wire::grpc(gateway.address, &format!("{QUEUE}/Enqueue"), &namespace, wire::frame(&grpc)).await;
    assert!(!reply.message::<EnqueueResponse>().message_id.is_empty());
    let web = EnqueueRequest { queue: "mail".to_owned(), payload: "web".into(), ..EnqueueRequest::default() };
    let reply = wire::grpc_web(gateway.address, &format!("{QUEUE}/Enqueue"), &namespace, wire::frame(&web)).await;
    assert_eq!(reply.code(), Code::Ok);

    // An RPC that only reads is also GET.
    let depth = http::get(gateway.address, "/jobs/v1/queue_basic/GetQueueDepth?queue=mail").await.unwrap();
    assert_eq!((depth.status, &depth.json()["ready"]), (200, &json!("4")), "{}", depth.text());
    assert_eq!(http::get(gateway.address, "/jobs/v1/queue_basic/Dequeue?queue=mail").await.unwrap().status, 405);

    let all = DequeueRequest { queue: "mail".to_owned(), limit: 10, wait: None };
    let reply = wire::grpc(gateway.address, &format!("{QUEUE}/Dequeue"), &namespace, wire::frame(&all)).await;
    let payloads: Vec<_> = reply.message::<DequeueResponse>().messages.into_iter().map(|message| message.payload).collect();
    assert_eq!(payloads, ["rest", "connect", "grpc", "web"]);

    let metrics = gateway.metrics().await;
    let line = r#"prism_calls_total{code="OK",method="queue_basic.Enqueue",namespace="jobs",protocol="rest"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn streams_are_followed_as_events() {
    let gateway = gateway().await;
    let append = |text: &str| json!({"stream": "orders", "payload": text, "attributes": {"kind": "new"}});
    assert_eq!(post(&gateway, "/events/v1/stream_basic/Append", &append("Zmlyc3Q=")).await.0, 200);
    let lines = http::get(gateway.address, "/events/v1/stream_basic/Read?stream=orders").await.unwrap();
    assert!(lines.text().contains("\"payload\":\"Zmlyc3Q=\""), "{}", lines.text());

    let headers = [("accept", "text/event-stream")];
    let mut events = http::open_with(gateway.address, "/events/v1/stream_basic/Read?stream=orders&follow=true", &headers).await.into_body();
    let request = AppendRequest { stream: "orders".to_owned(), payload: "second".into(), ..AppendRequest::default() };
    let path = "/prism.interfaces.stream.v1.StreamBasicService/Append";
    wire::grpc(gateway.address, path, &[("x-prism-namespace", "events")], wire::frame(&request)).await;
    let mut text = String::new();
    while !text.contains("c2Vjb25k") {
        let frame = events.frame().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&frame.into_data().unwrap_or_default()).unwrap());
    }
    assert!(text.contains("data:") && text.contains("Zmlyc3Q="), "{text}");
}

#[tokio::test]
async fn lists_and_sets_are_served_over_rest() {
    let gateway = gateway().await;
    let push = json!({"key": "dG9kbw==", "values": ["bWlsaw==", "YnJlYWQ="]});
    assert_eq!(post(&gateway, "/events/v1/list_basic/PushRight", &push).await, (200, json!({"length": "2"})));
    let last = http::get(gateway.address, "/events/v1/list_indexing/Get?key=dG9kbw==&index=-1").await.unwrap();
    assert_eq!(last.json(), json!({"value": "YnJlYWQ="}), "{}", last.text());
    let popped = post(&gateway, "/events/v1/list_blocking/BlockingPopLeft", &json!({"keys": ["dG9kbw=="], "wait": "1s"})).await;
    assert_eq!(popped, (200, json!({"element": {"key": "dG9kbw==", "value": "bWlsaw=="}})));

    let add = json!({"key": "c2V0", "members": ["YQ==", "Yg==", "YQ=="]});
    assert_eq!(post(&gateway, "/events/v1/set_basic/Add", &add).await, (200, json!({"added": "2"})));
    let members = http::get(gateway.address, "/events/v1/set_basic/GetMembers?key=c2V0").await.unwrap();
    assert!(members.text().contains("\"member\":\"YQ==\"") && members.text().contains("\"cursor\":\""), "{}", members.text());

    let add = json!({"key": "Z2FtZQ==", "members": [{"member": "YW5u", "score": 7.5}, {"member": "Ym9i", "score": "Infinity"}]});
    let (status, reply) = post(&gateway, "/events/v1/sortedset_basic/Add", &add).await;
    assert_eq!((status, &reply["added"]), (200, &json!("2")), "{reply}");
    let best = http::get(gateway.address, "/events/v1/sortedset_range/GetRange?key=Z2FtZQ==&reverse=true&stop=0").await.unwrap();
    assert!(best.text().contains("\"member\":\"Ym9i\"") && !best.text().contains("YW5u"), "{}", best.text());
    let nan = json!({"key": "Z2FtZQ==", "members": [{"member": "YW5u", "score": "NaN"}]});
    let (status, problem) = post(&gateway, "/events/v1/sortedset_basic/Add", &nan).await;
    assert_eq!((status, &problem["reason"]), (400, &json!("INVALID_SCORE")), "{problem}");
}

#[tokio::test]
async fn what_the_backend_lacks_is_said_in_advance_and_refused() {
    let gateway = gateway().await;
    let capabilities = http::get(gateway.address, "/jobs/v1/capabilities").await.unwrap().json();
    let capabilities = &capabilities["capabilities"];
    let operation = |rpc: &str| {
        let all = capabilities["operations"].as_array().unwrap();
        all.iter().find(|operation| operation["rpc"] == rpc).unwrap_or_else(|| panic!("{rpc} in {capabilities}")).clone()
    };
    assert_eq!((&capabilities["pattern"], &capabilities["slots"][0]["kind"]), (&json!("interfaces"), &json!("sqlite")));
    assert_eq!(operation("queue_basic.Enqueue")["support"], "SUPPORT_NATIVE");
    assert_eq!(operation("pubsub_basic.Publish")["support"], "SUPPORT_UNAVAILABLE");

    let (status, problem) = post(&gateway, "/jobs/v1/pubsub_basic/Publish", &json!({"topic": "a"})).await;
    assert_eq!(
        (status, &problem["reason"], &problem["metadata"]["interface"]),
        (501, &json!("CAPABILITY_UNAVAILABLE"), &json!("pubsub_basic"))
    );
    // Drivers name the fields of bad requests.
    let (status, problem) = post(&gateway, "/jobs/v1/queue_basic/Enqueue", &json!({"queue": "a b"})).await;
    assert_eq!((status, &problem["reason"]), (400, &json!("INVALID_NAME")), "{problem}");
    assert_eq!(post(&gateway, "/jobs/v1/queue_basic/Unknown", &json!({})).await.0, 404);
    assert_eq!(post(&gateway, "/default/v1/queue_basic/Enqueue", &json!({"queue": "a"})).await.0, 404);

    // The only namespace with an interface needs no name.
    let path = "/prism.interfaces.pubsub.v1.PubSubBasicService/Publish";
    assert_eq!(post(&gateway, path, &json!({"topic": "a"})).await.0, 200);
    let (status, error) = post(&gateway, &format!("{QUEUE}/Enqueue"), &json!({"queue": "a"})).await;
    assert_eq!((status, &error["code"]), (400, &json!("invalid_argument")), "two namespaces have queues: {error}");
}

#[tokio::test]
async fn documents_and_commands_have_the_interfaces_of_the_backend() {
    let gateway = gateway().await;
    let document = http::get(gateway.address, "/jobs/openapi.json").await.unwrap().json();
    let paths = document["paths"].as_object().unwrap();
    let enqueue = &paths["/v1/queue_basic/Enqueue"]["post"];
    assert_eq!((&enqueue["operationId"], &enqueue["tags"]), (&json!("QueueBasicEnqueue"), &json!(["QueueBasic"])));
    assert!(enqueue["description"].as_str().unwrap().contains("Puts a message in"), "{enqueue}");
    assert!(paths.contains_key("/v1/capabilities") && !paths.contains_key("/v1/pubsub_basic/Publish"));
    assert!(paths["/v1/queue_basic/Peek"]["get"]["parameters"].to_string().contains("\"queue\""));
    let tags: Vec<_> = document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    assert!(tags.contains(&"QueueBasic") && !tags.contains(&"PubSubBasic"), "{tags:?}");

    let url = gateway.url();
    let run = |arguments: &[&str]| {
        let output = Command::new(test_support::gateway::program()).args(["call", "--address", &url]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(run(&["jobs", "queue_basic.Enqueue", r#"{"queue": "q", "payload": "eA=="}"#]).contains("messageId"));
    assert!(run(&["jobs", "queue_basic.Dequeue", r#"{"queue": "q"}"#]).contains("eA=="));
    assert!(run(&["jobs", "GetCapabilities"]).contains("queue_basic.Enqueue"));
}

#[test]
fn limits_that_drivers_do_not_check_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prism.yaml");
    let text = "backends: {ram: {type: memory}}\nnamespaces:\n  - {name: jobs, pattern: interfaces, slots: {backend: ram}, limits: {max_value_bytes: 1KiB}}\n";
    std::fs::write(&file, text).unwrap();
    let output = Command::new(test_support::gateway::program()).arg("validate").arg(&file).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && printed.contains("the pattern `interfaces` can't have `max_value_bytes`"), "{printed}");
}
