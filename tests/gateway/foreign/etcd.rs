//! `frontends/etcd-v3.yaml`: nulls, and every way to sort ranges.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: keys, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: etcd-v3, base_path: /}]}
";

fn encode(text: &str) -> Value {
    STANDARD.encode(text).into()
}

fn decode(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()).unwrap()
}

async fn call(gateway: &Gateway, operation: &str, body: &Value) -> Value {
    let answer = http::send(gateway.address, "POST", &format!("/v3/kv/{operation}"), &[], body.to_string()).await.unwrap();
    assert_eq!(answer.status, 200, "{operation} {body}: {}", answer.text());
    answer.json()
}

/// Stores `a` = 2 (in version 2), `b` = 3 (in version 3) and `c` = 1. The last write is that of `a`.
async fn filled() -> Gateway {
    let gateway = Gateway::start(CONFIG).await;
    for (key, value) in [("b", "x"), ("a", "x"), ("b", "y"), ("c", "1"), ("b", "3"), ("a", "2")] {
        call(&gateway, "put", &json!({"key": encode(key), "value": encode(value)})).await;
    }
    gateway
}

#[tokio::test]
async fn null_members_count_as_absent() {
    let gateway = filled().await;
    let all =
        ["limit", "revision", "sort_order", "sort_target", "serializable", "keys_only", "count_only", "range_end", "min_mod_revision"];
    let mut body = json!({"key": encode("a")});
    for name in all {
        body[name] = Value::Null;
    }
    let one = call(&gateway, "range", &body).await;
    assert_eq!((decode(&one["kvs"][0]["value"]), &one["count"]), ("2".to_owned(), &json!("1")));
    body["range_end"] = encode("z");
    assert_eq!(call(&gateway, "range", &body).await["count"], "3");
    let put = json!({"key": encode("d"), "value": null, "lease": null, "prev_kv": null, "ignore_value": null, "ignore_lease": null});
    assert!(call(&gateway, "put", &put).await["header"].is_object());
    assert_eq!(call(&gateway, "deleterange", &json!({"key": encode("d"), "range_end": null, "prev_kv": null})).await["deleted"], "1");
    let compare = json!({"key": encode("a"), "target": "VERSION", "result": null, "version": "2", "value": null, "range_end": null});
    let operation = json!({"request_range": {"key": encode("a"), "range_end": null}, "request_put": null});
    let txn = call(&gateway, "txn", &json!({"compare": [compare], "success": [operation], "failure": null})).await;
    assert_eq!(txn["succeeded"], true, "{txn}");
    let answer = http::send(gateway.address, "POST", "/v3/kv/range", &[], "{\"key\":null}").await.unwrap();
    assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("etcdserver: key is not provided")));
}

#[tokio::test]
async fn ranges_are_sorted_by_every_target() {
    let gateway = filled().await;
    for (number, target, ascending) in
        [(0, "KEY", "abc"), (1, "VERSION", "cab"), (2, "CREATE", "bac"), (3, "MOD", "cba"), (4, "VALUE", "cab")]
    {
        for (order_number, order) in [(0, "NONE"), (1, "ASCEND"), (2, "DESCEND")] {
            let descending: String = ascending.chars().rev().collect();
            let expected = if order == "DESCEND" { &*descending } else { ascending };
            for keys_only in [false, true] {
                for (names, limit) in [(true, 0), (false, 0), (true, 2)] {
                    let mut body = json!({"key": encode("a"), "range_end": encode("z"), "keys_only": keys_only, "limit": limit});
                    body["sort_target"] = if names { target.into() } else { number.into() };
                    body["sort_order"] = if names { order.into() } else { order_number.into() };
                    let answer = call(&gateway, "range", &body).await;
                    let entries = answer["kvs"].as_array().unwrap();
                    let keys: String = entries.iter().map(|entry| decode(&entry["key"])).collect();
                    let most = if limit == 0 { 3 } else { limit };
                    assert_eq!(keys, expected[..most], "{body}");
                    assert_eq!(entries.iter().all(|entry| entry.get("value").is_none()), keys_only, "{body}");
                    assert_eq!((&answer["count"], answer["more"] == json!(true)), (&json!("3"), limit != 0), "{body}");
                }
            }
            let body = json!({"key": encode("a"), "range_end": encode("z"), "count_only": true, "sort_target": target, "sort_order": order, "limit": 1});
            let answer = call(&gateway, "range", &body).await;
            assert_eq!((&answer["count"], answer.get("kvs")), (&json!("3"), None), "{body}");
        }
    }
}
