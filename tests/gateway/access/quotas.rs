//! How often a caller may call.

use test_support::gateway::Gateway;

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
