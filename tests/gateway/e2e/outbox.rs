//! Transactions of KeyValue that publish messages, over REST, and a consumer that receives them.

use serde_json::{Value, json};
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    poll,
};

const CONFIG: &str = "
backends:
  local: {type: sqlite, path: shop.db}
namespaces:
  - {name: shop, pattern: keyvalue, slots: {storage: local, messaging: local}}
  - {name: billing, pattern: consumer, slots: {messaging: {backend: local, keyspace: shop}, progress: local}}
  - {name: plain, pattern: keyvalue, slots: {storage: local}}
";

async fn ask(gateway: &Gateway, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    http::send(gateway.address, method, path, &[("content-type", "application/json")], body).await.unwrap()
}

/// A transaction that creates an order and publishes it, or publishes nothing if the order is there.
fn order(number: &str) -> Value {
    json!({
        "conditions": [{"key": format!("orders/{number}"), "exists": false}],
        "thenOperations": [
            {"store": {"key": format!("orders/{number}"), "value": "bmV3"}},
            {"publish": {"topic": "orders", "key": "customer-7", "payload": "bmV3", "headers": {"order": number}}},
        ],
        "elseOperations": [{"retrieve": {"key": format!("orders/{number}")}}],
    })
}

/// Waits for a metric of the namespace `shop` to have a value.
async fn metric(gateway: &Gateway, name: &str, value: &str) {
    let line = format!("{name}{{namespace=\"shop\"}} {value}");
    poll::until(&line, || async {
        let metrics = gateway.metrics().await;
        if metrics.lines().any(|found| found == line) { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn a_transaction_publishes_with_its_writes() {
    let gateway = Gateway::start(CONFIG).await;
    let first = ask(&gateway, "POST /shop/v1/transactions", &order("1")).await.json();
    assert_eq!((&first["succeeded"], first["results"][0]["stored"].is_object()), (&json!(true), true), "{first}");
    let id = first["results"][1]["accepted"]["id"].as_str().unwrap().to_owned();
    let again = ask(&gateway, "POST /shop/v1/transactions", &order("1")).await.json();
    assert_eq!((&again["succeeded"], &again["results"][0]["retrieved"]["entry"]["value"]), (&json!(false), &json!("bmV3")), "{again}");
    let second = ask(&gateway, "POST /shop/v1/transactions", &order("2")).await.json();
    assert_eq!(second["succeeded"], json!(true), "{second}");

    let receive = "POST /billing/v1/topics/orders/groups/invoices:receive";
    let mut received = Vec::new();
    while received.len() < 2 {
        let answer = ask(&gateway, receive, &json!({"limit": 5, "wait": "10s"})).await.json();
        let messages = answer["messages"].as_array().unwrap().clone();
        assert!(!messages.is_empty(), "nothing came: {answer}");
        received.extend(messages);
    }
    let messages: Vec<_> = received.iter().map(|one| one.get("message").unwrap_or(one).clone()).collect();
    let facts = |message: &Value| (message["headers"]["order"].clone(), message["key"].clone(), message["payload"].clone());
    assert_eq!(messages.iter().map(facts).collect::<Vec<_>>(), ["1", "2"].map(|order| (json!(order), json!("customer-7"), json!("bmV3"))));
    assert_eq!(messages[0]["id"], json!(id));

    metric(&gateway, "prism_outbox_published_total", "2").await;
    metric(&gateway, "prism_outbox_failures_total", "0").await;
    metric(&gateway, "prism_outbox_waiting", "0").await;
    metric(&gateway, "prism_outbox_lag_seconds", "0").await;
    // The messages and the lease are no values of the namespace.
    let count = ask(&gateway, "GET /shop/v1/count", &Value::Null).await;
    assert_eq!(count.json(), json!({"count": "2"}), "{}", count.text());
    let scanned = ask(&gateway, "GET /shop/v1/keys", &Value::Null).await;
    assert_eq!(scanned.text().lines().count(), 2, "{}", scanned.text());
    let removed = ask(&gateway, "DELETE /shop/v1/keys?all=true", &Value::Null).await;
    assert_eq!(removed.json(), json!({"removed": "2"}), "{}", removed.text());
}

#[tokio::test]
async fn wrong_messages_and_a_missing_slot_are_refused() {
    let gateway = Gateway::start(CONFIG).await;
    let mut wrong = order("1");
    wrong["thenOperations"][1]["publish"]["topic"] = json!("a..b");
    let refused = ask(&gateway, "POST /shop/v1/transactions", &wrong).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("#/then_operations/1/publish/topic"), "{}", refused.text());
    let plain = ask(&gateway, "POST /plain/v1/transactions", &order("1")).await;
    assert_eq!(plain.status, 501, "{}", plain.text());
    assert!(plain.text().contains("CAPABILITY_UNAVAILABLE") && plain.text().contains("messaging"), "{}", plain.text());
    for (namespace, note) in [("shop", ""), ("plain", "without publish, which needs a backend in the slot `messaging`")] {
        let capabilities = ask(&gateway, &format!("GET /{namespace}/v1/capabilities"), &Value::Null).await.json();
        let operations = capabilities["capabilities"]["operations"].as_array().unwrap();
        let transact = operations.iter().find(|one| one["rpc"] == "Transact").unwrap();
        assert_eq!((&transact["support"], transact["note"].as_str().unwrap()), (&json!("SUPPORT_NATIVE"), note));
    }
    let openapi = ask(&gateway, "GET /shop/openapi.json", &Value::Null).await;
    assert!(openapi.text().contains("OutboxMessage"));
}

#[tokio::test]
async fn messages_wait_while_their_backend_is_away_and_survive_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let config = |messages: &str| {
        format!(
            "
backends:
  local: {{type: sqlite, path: '{0}/shop.db'}}
  messages: {messages}
namespaces:
  - name: shop
    pattern: keyvalue
    slots: {{storage: local, messaging: messages}}
    settings: {{outbox: {{model: stream, max_backlog: 128, lease: 1s}}}}
  - {{name: billing, pattern: consumer, slots: {{messaging: {{backend: messages, keyspace: shop}}, progress: local}}}}
",
            folder.path().display()
        )
    };
    // Nobody listens there.
    let mut gateway = Gateway::launch(&config("{type: redis, url: 'redis://127.0.0.1:1', request_timeout: 100ms}"));
    for number in 0..128 {
        let done = ask(&gateway, "POST /shop/v1/transactions", &order(&number.to_string())).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    let full = ask(&gateway, "POST /shop/v1/transactions", &order("128")).await;
    assert_eq!(full.status, 429, "{}", full.text());
    assert!(full.text().contains("OUTBOX_FULL") && full.headers.contains_key("retry-after"), "{}", full.text());
    let absent = ask(&gateway, "GET /shop/v1/values/orders/128", &Value::Null).await;
    assert_eq!(absent.status, 404, "a refused transaction has written nothing");
    metric(&gateway, "prism_outbox_waiting", "128").await;
    gateway.kill();

    let gateway = Gateway::start(&config("{type: memory}")).await;
    let mut received = Vec::new();
    while received.len() < 128 {
        let receive = "POST /billing/v1/topics/orders/groups/invoices:receive";
        let answer = ask(&gateway, receive, &json!({"limit": 100, "wait": "10s"})).await.json();
        let messages = answer["messages"].as_array().unwrap().clone();
        assert!(!messages.is_empty(), "nothing came: {answer}");
        received.extend(messages);
    }
    let order_of = |one: &Value| one.get("message").unwrap_or(one)["headers"]["order"].as_str().unwrap().parse::<u32>().unwrap();
    assert_eq!(received.iter().map(order_of).collect::<Vec<_>>(), (0..128).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_namespace_without_the_slot_does_not_see_what_waits_in_its_keyspace() {
    let gateway = Gateway::launch(
        "
backends:
  local: {type: memory}
  away: {type: redis, url: 'redis://127.0.0.1:1', request_timeout: 100ms}
namespaces:
  - {name: shop, pattern: keyvalue, slots: {storage: local, messaging: away}, settings: {outbox: {model: stream}}}
  - {name: reports, pattern: keyvalue, slots: {storage: {backend: local, keyspace: shop}}}
",
    );
    for number in ["1", "2"] {
        let done = ask(&gateway, "POST /shop/v1/transactions", &order(number)).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    metric(&gateway, "prism_outbox_waiting", "2").await;
    let count = ask(&gateway, "GET /reports/v1/count", &Value::Null).await;
    assert_eq!(count.json(), json!({"count": "2"}), "{}", count.text());
    let scanned = ask(&gateway, "GET /reports/v1/keys", &Value::Null).await;
    assert_eq!(scanned.text().lines().count(), 2, "{}", scanned.text());
    let removed = ask(&gateway, "DELETE /reports/v1/keys?all=true", &Value::Null).await;
    assert_eq!(removed.json(), json!({"removed": "2"}), "{}", removed.text());
    // The messages still wait.
    let done = ask(&gateway, "POST /shop/v1/transactions", &order("1")).await;
    assert_eq!(done.json()["succeeded"], json!(true), "{}", done.text());
    metric(&gateway, "prism_outbox_waiting", "3").await;
}

#[tokio::test]
async fn sessions_end_even_if_the_outbox_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let config = |messaging: &str| {
        format!(
            "
backends:
  local: {{type: sqlite, path: '{}/web.db'}}
  away: {{type: redis, url: 'redis://127.0.0.1:1', request_timeout: 100ms}}
namespaces:
  - name: shop
    pattern: session-store
    slots: {{sessions: local{messaging}}}
    settings: {{outbox: {{model: stream, max_backlog: 128, lease: 1s}}}}
",
            folder.path().display()
        )
    };
    let mut gateway = Gateway::launch(&config(""));
    for _ in 0..300 {
        let done = ask(&gateway, "POST /shop/v1/sessions", &json!({"user": "ada"})).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    gateway.kill();

    let gateway = Gateway::launch(&config(", messaging: away"));
    for _ in 0..128 {
        let done = ask(&gateway, "POST /shop/v1/sessions", &json!({"user": "grace"})).await;
        assert_eq!(done.status, 200, "{}", done.text());
    }
    let full = ask(&gateway, "POST /shop/v1/sessions", &json!({"user": "grace"})).await;
    assert_eq!((full.status, full.json()["reason"].as_str()), (429, Some("OUTBOX_FULL")), "{}", full.text());
    let ended = ask(&gateway, "DELETE /shop/v1/users/ada/sessions", &Value::Null).await;
    assert_eq!((ended.status, ended.text()), (200, r#"{"ended":"300"}"#));
    let left = ask(&gateway, "GET /shop/v1/users/ada/sessions", &Value::Null).await;
    assert_eq!(left.text().trim(), "", "no session is left");
    // The ends have as much room again as all other events. Each of the 428 events waits or is counted as missing.
    poll::until("each event waits or is counted", || async {
        let metrics = gateway.metrics().await;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name}{{namespace=\"shop\"}} ")));
            line.and_then(|number| number.parse::<u64>().ok()).unwrap_or_default()
        };
        let (waiting, dropped) = (value("prism_outbox_waiting"), value("prism_outbox_dropped_total"));
        if waiting > 128 && waiting <= 256 && waiting + dropped == 428 { Ok(()) } else { Err(metrics) }
    })
    .await;
}
