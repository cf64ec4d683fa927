//! How often a caller may call.

use serde_json::json;
use test_support::{gateway::Gateway, http};

use super::caller::{Action, PROTOCOLS, call, create_key};

#[tokio::test]
async fn each_protocol_limits_its_callers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let (ada, bob) = (create_key(&file, &["--subject", "ada"]), create_key(&file, &["--subject", "bob"]));
    let namespaces: Vec<String> = PROTOCOLS
        .iter()
        .map(|name| format!("  - {{name: {name}, pattern: keyvalue, slots: {{storage: ram}}, quotas: {{principal: {{rate: 2/h}}}}}}\n"))
        .collect();
    let text = format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys]}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
{}",
        file.display(),
        namespaces.concat()
    );
    let gateway = Gateway::start(&text).await;
    for protocol in PROTOCOLS {
        // A namespace for each: one can't use the share of another.
        let mut outcomes = Vec::new();
        for _ in 0..3 {
            outcomes.push(call(gateway.address, protocol, protocol, Action::Store("a"), &[("x-api-key", &ada)]).await);
        }
        let codes: Vec<_> = outcomes.iter().map(|outcome| outcome.code).collect();
        assert_eq!(codes, ["OK", "OK", "RESOURCE_EXHAUSTED"], "{protocol}");
        assert_eq!(outcomes[0].headers["ratelimit-policy"], "\"principal\";q=2;w=3600", "{protocol}");
        assert!(outcomes[0].headers["ratelimit"].to_str().unwrap().starts_with("\"principal\";r=1;t="), "{protocol}");
        let refused = &outcomes[2];
        assert_eq!(refused.reason, "RATE_LIMIT_EXCEEDED", "{protocol}");
        assert!(refused.headers["ratelimit"].to_str().unwrap().starts_with("\"principal\";r=0;t="), "{protocol}");
        if protocol == "rest" || protocol == "connect" {
            assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 1000, "{protocol}");
        }
        let other = call(gateway.address, protocol, protocol, Action::Store("a"), &[("x-api-key", &bob)]).await;
        assert_eq!(other.code, "OK", "{protocol}");
    }
}

#[tokio::test]
async fn each_protocol_charges_what_an_rpc_costs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let ada = create_key(&file, &["--subject", "ada"]);
    let namespaces: Vec<String> = PROTOCOLS
        .iter()
        .chain(&["tools"])
        .map(|name| {
            let quotas = "{principal: {rate: 10/h}, cost: {Store: 4}}";
            format!("  - {{name: {name}, pattern: keyvalue, slots: {{storage: ram}}, quotas: {quotas}}}\n")
        })
        .collect();
    let text = format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys]}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
{}",
        file.display(),
        namespaces.concat()
    );
    let gateway = Gateway::start(&text).await;
    for protocol in PROTOCOLS {
        let headers = [("x-api-key", ada.as_str())];
        let mut left = Vec::new();
        for action in [Action::Store("a"), Action::Retrieve("a"), Action::Store("a")] {
            let outcome = call(gateway.address, protocol, protocol, action, &headers).await;
            assert_eq!(outcome.code, "OK", "{protocol}: {outcome:?}");
            let text = outcome.headers["ratelimit"].to_str().unwrap().to_owned();
            left.push(text.split(';').nth(1).unwrap().to_owned());
        }
        assert_eq!(left, ["r=6", "r=5", "r=1"], "{protocol}");
        let refused = call(gateway.address, protocol, protocol, Action::Store("a"), &headers).await;
        assert_eq!((refused.code, refused.reason.as_str()), ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), "{protocol}");
        // What is left is enough for a cheaper RPC.
        assert_eq!(call(gateway.address, protocol, protocol, Action::Retrieve("a"), &headers).await.code, "OK", "{protocol}");
    }
    // The RPC of a request of MCP is known only when its body is read.
    let arguments = json!({"key": "a", "value": "x"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "store", "arguments": arguments}}).to_string();
    let headers = [("x-api-key", ada.as_str()), ("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let mut results = Vec::new();
    for _ in 0..3 {
        let answer = http::send(gateway.address, "POST", "/tools/mcp", &headers, body.clone()).await.unwrap();
        results.push((answer.headers.get("ratelimit").cloned(), answer.json()["result"].clone()));
    }
    assert!(results[..2].iter().all(|(_, result)| result["isError"] != true), "{results:?}");
    assert!(results[1].0.as_ref().is_some_and(|left| left.to_str().unwrap().contains(";r=2;")), "{results:?}");
    assert_eq!(results[2].1["isError"], true, "{results:?}");
    assert!(results[2].1.to_string().contains("this RPC counts as 4"), "{results:?}");
}

#[tokio::test]
async fn an_operation_with_several_calls_pays_for_each_of_them() {
    let gateway = Gateway::start(
        "
backends: {ram: {type: memory}}
namespaces:
  - name: words
    pattern: interfaces
    slots: {backend: ram}
    frontends: [upstash-redis]
    quotas: {namespace: {rate: 20/h}, cost: {keyvalue_basic.Get: 3, keyvalue_cas.CompareAndSwap: 5}}
",
    )
    .await;
    // One for the request, two more for `Get`, and four more for `CompareAndSwap`.
    let mut left = Vec::new();
    for _ in 0..3 {
        let answer = http::send(gateway.address, "POST", "/", &[("content-type", "application/json")], "[\"INCR\", \"a\"]").await.unwrap();
        left.push((answer.status, answer.headers["ratelimit"].to_str().unwrap().split(';').nth(1).unwrap().to_owned()));
    }
    assert_eq!(left, [(200, "r=13".to_owned()), (200, "r=6".to_owned()), (429, "r=3".to_owned())]);
}

#[test]
fn costs_are_of_rpcs_that_the_pattern_has() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prism.yaml");
    let text = "backends: {ram: {type: memory}}
namespaces:
  - name: store
    pattern: keyvalue
    slots: {storage: ram}
    quotas: {principal: {rate: 10/s}, cost: {Scam: 4}}
";
    std::fs::write(&file, text).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_prism")).arg("validate").arg(&file).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!output.status.success() && said.contains(":6:46: unknown RPC `Scam`; did you mean `Scan`?"), "{said}");
}
