//! Gateways with a cache in front of the same data.

use tempfile::TempDir;
use test_support::{gateway::Gateway, http, poll, servers::Redis};

/// A configuration with the data in a file in this folder.
fn config(folder: &TempDir, cache: &str, settings: &str) -> String {
    format!(
        "
backends:
  file: {{type: sqlite, path: '{}'}}
  quick: {cache}
namespaces:
  - name: store
    pattern: keyvalue
    slots: {{storage: file, cache: quick}}
    settings: {{cache: {settings}}}
",
        folder.path().join("data.db").display()
    )
}

async fn write(gateway: &Gateway, key: &str, value: &str) {
    let answer = http::send(gateway.address, "PUT", &format!("/store/v1/values/{key}"), &[], value.to_owned()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn read(gateway: &Gateway, key: &str) -> String {
    let answer = http::get(gateway.address, &format!("/store/v1/values/{key}")).await.unwrap();
    assert!(answer.status == 200 || answer.status == 404, "{}", answer.text());
    if answer.status == 404 { String::new() } else { answer.text().to_owned() }
}

async fn hits(gateway: &Gateway) -> u64 {
    let metrics = gateway.metrics().await;
    let line = metrics.lines().find_map(|line| line.strip_prefix(r#"prism_cache_reads_total{namespace="store",result="hit"} "#));
    line.map_or(0, |count| count.parse().unwrap())
}

/// Reads a key until a read uses a copy, and checks each value.
async fn read_copy(gateway: &Gateway, key: &str, expected: &str) {
    poll::until("a copy", || async {
        let before = hits(gateway).await;
        assert_eq!(read(gateway, key).await, expected);
        if hits(gateway).await > before { Ok(()) } else { Err("read from the storage") }
    })
    .await;
}

#[tokio::test]
async fn a_cache_of_one_gateway_follows_the_writes_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "{type: memory}", "{}");
    let (first, second) = (Gateway::start(&config).await, Gateway::start(&config).await);
    for value in ["1", "2"] {
        write(&first, "a", value).await;
        assert_eq!(read(&first, "a").await, value, "a gateway sees its own writes at once");
        poll::until("the new value", || async { if read(&second, "a").await == value { Ok(()) } else { Err("an old one") } }).await;
        read_copy(&second, "a", value).await;
        read_copy(&first, "a", value).await;
    }
}

#[tokio::test]
async fn gateways_with_one_cache_see_each_write_at_once() {
    let (folder, redis) = (tempfile::tempdir().unwrap(), Redis::start().unwrap());
    let config = config(&folder, &format!("{{type: redis, url: '{}'}}", redis.url()), "{follow_changes: false, ttl: 1h}");
    let (first, second) = (Gateway::start(&config).await, Gateway::start(&config).await);
    for round in 0..50 {
        let value = round.to_string();
        write(if round % 2 == 0 { &first } else { &second }, "a", &value).await;
        assert_eq!((read(&first, "a").await, read(&second, "a").await), (value.clone(), value));
    }
    read_copy(&first, "a", "49").await;
    read_copy(&second, "a", "49").await;
    write(&first, "a", "50").await;
    assert_eq!(read(&second, "a").await, "50", "the copy of the other gateway is gone");
}

#[tokio::test]
async fn an_outage_of_the_cache_is_no_outage() {
    let (folder, mut redis) = (tempfile::tempdir().unwrap(), Redis::start().unwrap());
    let config = config(&folder, &format!("{{type: redis, url: '{}'}}", redis.url()), "{follow_changes: false, ttl: 1h}");
    let gateway = Gateway::start(&config).await;
    write(&gateway, "a", "1").await;
    read_copy(&gateway, "a", "1").await;
    redis.kill();
    for value in ["2", "3"] {
        write(&gateway, "a", value).await;
        assert_eq!(read(&gateway, "a").await, value);
    }
    redis.resume().unwrap();
    assert_eq!(read(&gateway, "a").await, "3", "a copy from before the outage");
    read_copy(&gateway, "a", "3").await;
}

#[tokio::test]
async fn replies_of_repeated_calls_are_not_in_the_cache_of_one_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, "{type: memory}", "{}");
    let (first, second) = (Gateway::start(&config).await, Gateway::start(&config).await);
    let mut replies = Vec::new();
    for gateway in [&first, &second] {
        let headers = [("content-type", "application/json"), ("idempotency-key", "order-1")];
        let body = r#"{"thenOperations": [{"store": {"key": "a", "value": "MQ=="}}]}"#;
        let answer = http::send(gateway.address, "POST", "/store/v1/transactions", &headers, body).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        replies.push(answer.text().to_owned());
    }
    assert_eq!(replies[0], replies[1], "the second gateway stored the value again");
}
