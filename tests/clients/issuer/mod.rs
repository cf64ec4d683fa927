//! Runs the suite in `tests/clients/issuer` with Node.js: a certified OpenID provider, whose tokens a gateway accepts.

use std::net::TcpListener;

use test_support::gateway::Gateway;

use super::suite::{self, installed};

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 7;

fn config(issuer: &str) -> String {
    format!(
        "
authenticators:
  jwt: {{type: jwt, issuer: '{issuer}', audiences: [prism]}}
  opaque:
    type: introspection
    url: '{issuer}/token/introspection'
    client_id: prism
    client_secret: prism-secret
    recheck_interval: 1s
    issuer: '{issuer}'
    audiences: [prism]
    subject_claim: client_id
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: jwt, pattern: keyvalue, slots: {{storage: ram}}, authentication: [jwt]}}
  - {{name: opaque, pattern: keyvalue, slots: {{storage: ram}}, authentication: [opaque]}}
"
    )
}

#[tokio::test]
async fn tokens_of_a_certified_issuer() {
    let folder = installed("tests/clients/issuer");
    installed("tests/clients/issuer/node_modules/oidc-provider");
    // The issuer takes it when the gateway knows it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = Gateway::start(&config(&format!("http://127.0.0.1:{port}"))).await;
    suite::npm(&folder, [("PRISM_URL", gateway.url()), ("ISSUER_PORT", port.to_string())], CASES);
}
