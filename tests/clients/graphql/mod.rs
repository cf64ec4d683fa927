//! Runs the suite in `tests/clients/graphql` with Node.js against a gateway: the audits of GraphQL over HTTP, and published clients.

use std::{path::Path, process::Command};

use super::node::{npm_missing, total};
use test_support::gateway::Gateway;

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 89;

const CONFIG: &str = "
backends:
  ram: {type: memory, max_bytes: 256MiB}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
  - {name: interfaces, pattern: interfaces, slots: {backend: ram}}
";

#[tokio::test]
async fn audits_and_published_clients_of_graphql() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/graphql");
    assert!(
        folder.join("node_modules/graphql-http").exists(),
        "the packages of tests/clients/graphql are not installed; run scripts/install-tools"
    );
    let gateway = Gateway::start(CONFIG).await;
    let output = Command::new("npm")
        .args(["test", "--silent", "--", "--test-reporter=tap"])
        .current_dir(&folder)
        .env("PRISM_URL", gateway.url())
        .output()
        .unwrap_or_else(|error| npm_missing(&error));
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    assert_eq!((total(&report, "fail"), total(&report, "skipped"), total(&report, "cancelled")), (Some(0), Some(0), Some(0)), "{report}");
    let passed = total(&report, "pass").unwrap_or_default();
    assert!(passed >= CASES, "only {passed} cases ran, of at least {CASES}:\n{report}");
}
