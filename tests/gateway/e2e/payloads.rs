//! Payloads beside their messages, over real backends: a producer stores them, a consumer delivers them, and those that nobody needs are removed.

use std::{fs, path::Path, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    poll,
};
#[cfg(feature = "s3")]
use test_support::{
    gateway::Setup,
    servers::{Nats, S3},
};

const JSON: (&str, &str) = ("content-type", "application/json");
/// The backend `disk` for payloads, and two for messages.
const LOCAL: &str = "
  disk: {type: files, path: prism-data/blobs}
  local: {type: sqlite, path: messages.db}
  ram: {type: memory}";

/// Returns a configuration: a producer and a consumer over these backends.
fn config(backends: &str, messages: &str, payloads: &str, retention: &str) -> String {
    format!(
        "
backends:{backends}
namespaces:
  - name: orders
    pattern: producer
    slots: {{messaging: {messages}, payloads: {payloads}}}
    settings: {{payloads: {{retention: {retention}, sweep_interval: 200ms}}}}
  - name: billing
    pattern: consumer
    slots:
      messaging: {{backend: {messages}, keyspace: orders}}
      progress: {messages}
      payloads: {{backend: {payloads}, keyspace: orders}}
    settings: {{lease_duration: 1s}}
"
    )
}

/// Returns bytes that differ from place to place.
fn content(size: usize, seed: u8) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0] ^ seed).collect()
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn upload(gateway: &Gateway, key: &str, payload: Vec<u8>) -> Result<Answer, Failure> {
    let path = format!("/orders/v1/topics/photos:upload?key={key}");
    http::send(gateway.address, "POST", &path, &[("content-type", "application/octet-stream")], payload).await
}

/// Receives messages, and acknowledges them. Returns those that came.
async fn receive(gateway: &Gateway, wait: &str) -> Vec<Value> {
    let body = json!({"limit": 20, "wait": wait}).to_string();
    let answer = http::send(gateway.address, "POST", "/billing/v1/topics/photos/groups/g:receive", &[JSON], body).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let messages = answer.json()["messages"].as_array().cloned().unwrap_or_default();
    if !messages.is_empty() {
        let leases = messages.iter().map(|message| message["lease"].clone()).collect::<Vec<_>>();
        let body = json!({"leases": leases}).to_string();
        let answer = http::send(gateway.address, "POST", "/billing/v1/topics/photos/groups/g:ack", &[JSON], body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    messages
}

fn payload(message: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(message["payload"].as_str().unwrap()).unwrap()
}

/// Returns the number of large files in a folder and below it.
fn large_files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => large_files(&entry.path()),
        Ok(metadata) => usize::from(metadata.len() > 100_000),
        Err(_) => 0,
    };
    entries.map(count).sum()
}

/// Publishes payloads of all sizes, and receives them.
async fn payloads_of_all_sizes_arrive(gateway: &Gateway) {
    let sizes = [10, 300 << 10, 3 << 20, 6 << 20];
    for (seed, size) in (0..).zip(sizes) {
        let answer = upload(gateway, &format!("photo-{seed}"), content(size, seed)).await.unwrap();
        assert_eq!((answer.status, answer.json()["duplicate"].clone()), (200, json!(false)), "{}", answer.text());
    }
    let mut messages = vec![];
    while messages.len() < sizes.len() {
        messages.extend(receive(gateway, "10s").await);
    }
    messages.sort_by_key(|message| message["key"].as_str().unwrap().to_owned());
    messages.dedup_by_key(|message| message["key"].clone());
    for (seed, (message, size)) in (0..).zip(messages.iter().zip(sizes)) {
        assert_eq!(message["key"], format!("photo-{seed}"));
        if size <= 4 << 20 {
            assert!(payload(message) == content(size, seed), "{size} bytes");
            assert_eq!(message["storedPayload"], Value::Null);
        }
    }
    // The last one is too large for its message.
    let stored = &messages[3]["storedPayload"];
    assert_eq!((&stored["size"], payload(&messages[3]).len()), (&json!((6 << 20).to_string()), 0), "{stored}");
    let path = format!("/billing/v1/topics/photos/payloads/{}", stored["name"].as_str().unwrap());
    let whole = http::get(gateway.address, &path).await.unwrap();
    assert!(whole.status == 200 && whole.body == content(6 << 20, 3), "another payload came back");
    let part = http::send(gateway.address, "GET", &path, &[("range", "bytes=5-9")], "").await.unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &content(10, 3)[5..]));
    assert_eq!(part.headers["content-range"], format!("bytes 5-9/{}", 6 << 20).as_str());
    let elsewhere = path.replace("photos", "other");
    let missing = http::get(gateway.address, &elsewhere).await.unwrap();
    assert_eq!((missing.status, missing.json()["reason"].clone()), (404, json!("PAYLOAD_NOT_FOUND")));
}

#[tokio::test]
async fn payloads_in_files_with_messages_in_sqlite_and_memory() {
    for messages in ["local", "ram"] {
        let gateway = Gateway::start(&config(LOCAL, messages, "disk", "1h")).await;
        payloads_of_all_sizes_arrive(&gateway).await;
        assert_eq!(large_files(&gateway.folder().join("prism-data")), 3);
    }
}

#[tokio::test]
async fn a_gateway_that_is_killed_again_and_again_loses_no_message_and_leaves_no_payload() {
    let mut gateway = Gateway::start(&config(LOCAL, "local", "disk", "15s")).await;
    let (mut acknowledged, mut arrived) = (vec![], std::collections::BTreeMap::new());
    for round in 0..6_u8 {
        let publish = async {
            for number in 0..1000 {
                let key = format!("{round}-{number}");
                match upload(&gateway, &key, content(400_000, round)).await {
                    Ok(answer) if answer.status == 200 => acknowledged.push(key),
                    _ => break,
                }
            }
        };
        // Cut off in the middle of a call, at another moment in each round.
        let _ = tokio::time::timeout(Duration::from_millis(150 + 57 * u64::from(round)), publish).await;
        gateway.kill();
        gateway = gateway.restart().await;
        loop {
            let messages = receive(&gateway, "0s").await;
            if messages.is_empty() {
                break;
            }
            arrived.extend(messages.into_iter().map(|message| (message["key"].as_str().unwrap().to_owned(), message)));
        }
    }
    let is_missing = |key: &&String| !arrived.contains_key(*key);
    assert_eq!(acknowledged.iter().filter(is_missing).collect::<Vec<_>>(), [""; 0], "acknowledged and lost");
    assert!(!acknowledged.is_empty());
    for (key, message) in &arrived {
        let round: u8 = key.split('-').next().unwrap().parse().unwrap();
        assert!(
            payload(message) == content(400_000, round),
            "the payload of {key} is not what was published: {}",
            message["storedPayload"]
        );
    }
    let folder = gateway.folder().join("prism-data");
    poll::until_true("all payloads expire, also those without a message", || large_files(&folder) == 0).await;
}

#[cfg(feature = "s3")]
fn remote(s3: &S3, nats: &Nats) -> String {
    let (key, secret) = s3.credentials();
    format!(
        "
  bucket: {{type: s3, url: '{}', endpoint: '{}', access_key_id: {key}, secret_access_key: {secret}}}
  broker: {{type: nats, url: '{}'}}",
        s3.url(),
        s3.endpoint(),
        nats.url()
    )
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn payloads_in_s3_with_messages_in_nats() {
    let (s3, nats) = (S3::start().unwrap(), Nats::start().unwrap());
    let gateway = Gateway::start(&config(&remote(&s3, &nats), "broker", "bucket", "1h")).await;
    payloads_of_all_sizes_arrive(&gateway).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_payload_without_its_message_is_removed() {
    let (s3, nats) = (S3::start().unwrap(), Nats::start().unwrap());
    let mut gateway = Gateway::start(&config(&remote(&s3, &nats), "broker", "bucket", "5s")).await;
    assert_eq!(upload(&gateway, "first", content(10, 0)).await.unwrap().status, 200);
    let before = s3.payloads();
    // NATS takes nothing, so the gateway is killed between the payload and the message.
    nats.pause(true);
    let call = tokio::spawn({
        let address = gateway.address;
        async move { http::send(address, "POST", "/orders/v1/topics/photos:upload?key=lost", &[], content(2 << 20, 1)).await }
    });
    poll::until_true("the payload is stored", || s3.payloads() == before + 1).await;
    gateway.kill();
    assert!(call.await.unwrap().is_err(), "the call was acknowledged");
    nats.pause(false);
    let gateway = gateway.restart().await;
    poll::until_true("the payload expires", || s3.payloads() == before).await;
    let keys = receive(&gateway, "1s").await.into_iter().map(|message| message["key"].clone()).collect::<Vec<_>>();
    assert!(keys.contains(&json!("first")), "{keys:?}");
    assert_eq!(upload(&gateway, "next", content(2 << 20, 2)).await.unwrap().status, 200);
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn the_example_archives_scans() {
    let (s3, nats) = (S3::start().unwrap(), Nats::start().unwrap());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/s3/prism.yaml");
    let (key, secret) = s3.credentials();
    let env = [
        ("PRISM_BACKENDS_BUCKET_URL", &*s3.url()),
        ("PRISM_BACKENDS_BUCKET_ENDPOINT", &*s3.endpoint()),
        ("PRISM_BACKENDS_BUCKET_ACCESS_KEY_ID", key),
        ("PRISM_BACKENDS_BUCKET_SECRET_ACCESS_KEY", secret),
        ("PRISM_BACKENDS_BROKER_URL", &*nats.url()),
    ];
    let gateway = Setup { args: &["--config", example.to_str().unwrap()], env: &env, ..Setup::default() }.launch();
    gateway.ready().await;
    let stored = http::send(gateway.address, "PUT", "/photos/v1/objects/2026/photo.jpg", &[], "a photo").await.unwrap();
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(http::get(gateway.address, "/photos/v1/objects/2026/photo.jpg").await.unwrap().text(), "a photo");
    let path = "/scans/v1/topics/incoming:upload?key=customer-7";
    let sent = http::send(gateway.address, "POST", path, &[], content(100_000, 1)).await.unwrap();
    assert_eq!(sent.status, 200, "{}", sent.text());
    assert_eq!(s3.payloads(), 1);
    let body = json!({"wait": "10s"}).to_string();
    let received = http::send(gateway.address, "POST", "/archive/v1/topics/incoming/groups/a:receive", &[JSON], body).await.unwrap();
    let message = &received.json()["messages"][0];
    assert!(message["key"] == "customer-7" && payload(message) == content(100_000, 1), "{}", message["storedPayload"]);
}
