//! Connect through the whole program. `tests/conformance` has the cases of the protocol.

use std::process::Command;

use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::wire;

#[tokio::test]
async fn curl_calls_rpcs_over_both_versions_of_http() {
    let gateway = Gateway::start("").await;
    let call = |version: &str, path: String, arguments: &[&str]| -> Value {
        let url = format!("{}{path}", gateway.url());
        let output = Command::new("curl").args(["-sS", version, &url]).args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    };
    for (version, revision) in [("--http1.1", "1"), ("--http2-prior-knowledge", "2")] {
        let json = ["-H", "content-type: application/json", "-d"];
        let stored = call(version, wire::path("Store"), &[&json[..], &[r#"{"key":"a","value":"dg=="}"#]].concat());
        assert_eq!(stored, json!({"revision": revision}));
        let there = call(version, format!("/default{}", wire::path("Exists")), &[&json[..], &[r#"{"key":"a"}"#]].concat());
        assert_eq!(there, json!({"exists": true}));
        let elsewhere = call(version, format!("/scratch{}", wire::path("Exists")), &[&json[..], &[r#"{"key":"a"}"#]].concat());
        assert_eq!(elsewhere, json!({"exists": false}));
        let cached = call(version, wire::path("Exists"), &["-G", "-d", "encoding=json", "--data-urlencode", r#"message={"key":"a"}"#]);
        assert_eq!(cached, there);
        let absent = call(version, wire::path("Retrieve"), &[&json[..], &["{\"key\":\"b\"}"]].concat());
        assert_eq!((&absent["code"], &absent["details"][0]["debug"]["reason"]), (&json!("not_found"), &json!("KEY_NOT_FOUND")));
    }
    let metrics = http::get(gateway.admin, "/metrics").await.unwrap();
    let line = r#"prism_calls_total{code="NOT_FOUND",method="Retrieve",namespace="default",protocol="connect"} 2"#;
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

#[tokio::test]
async fn namespace_is_served_over_connect_only_where_it_is_configured() {
    const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}, frontends: [connect]}
  - {name: other, pattern: keyvalue, slots: {storage: ram}, frontends: [grpc-web]}
";
    let gateway = Gateway::start(CONFIG).await;
    for (path, status, code) in [("", 200, json!(null)), ("/default", 200, json!(null)), ("/other", 404, json!("not_found"))] {
        let path = format!("{path}{}", wire::path("Exists"));
        let answer = http::send(gateway.address, "POST", &path, &[("content-type", "application/json")], "{\"key\":\"a\"}").await.unwrap();
        assert_eq!((answer.status, &answer.json()["code"]), (status, &code), "{path}");
    }
}
