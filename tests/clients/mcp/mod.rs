//! Runs the suite in `tests/clients/mcp` against a gateway: the published clients of MCP in TypeScript and Python, over HTTP and over `prism mcp`,
//! and the applicable scenarios of the official conformance suite. It needs Node.js 22, which is one of its packages.

use std::{path::Path, process::Command};

use super::node::{npm_missing, total};
use test_support::gateway::{Gateway, program};

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 34;
/// The ways in which the Python client connects.
const PYTHON_CASES: usize = 4;

const CONFIG: &str = "
backends:
  ram: {type: memory, max_bytes: 256MiB}
frontends:
  short: {type: mcp, settings: {max_items: 10}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}, frontends: [short, rest]}
  - {name: interfaces, pattern: interfaces, slots: {backend: ram}}
  - {name: registry, pattern: schema-registry, slots: {storage: ram}}
  - {name: producer, pattern: producer, slots: {messaging: ram}}
  - {name: queue, pattern: work-queue, slots: {jobs: ram}}
  - {name: objects, pattern: object-store, slots: {storage: ram}}
  - {name: sessions, pattern: session-store, slots: {sessions: ram}}
";

#[tokio::test]
async fn published_clients_and_conformance_of_mcp() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/clients/mcp");
    let node = folder.join("node_modules/.bin");
    assert!(
        node.join("conformance").exists() && root.join(".tools/mcp/bin/python").exists(),
        "the packages of tests/clients/mcp are not installed; run scripts/install-tools"
    );
    let gateway = Gateway::start(CONFIG).await;
    let path = format!("{}:{}", node.display(), std::env::var("PATH").unwrap_or_default());
    let environment = [("PRISM_URL", gateway.url()), ("PRISM_BIN", program().into_string().unwrap()), ("PATH", path)];
    let output = Command::new("npm")
        .args(["test", "--silent", "--", "--test-reporter=tap"])
        .current_dir(&folder)
        .envs(environment.clone())
        .output()
        .unwrap_or_else(|error| npm_missing(&error));
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    assert_eq!((total(&report, "fail"), total(&report, "skipped"), total(&report, "cancelled")), (Some(0), Some(0), Some(0)), "{report}");
    let passed = total(&report, "pass").unwrap_or_default();
    assert!(passed >= CASES, "only {passed} cases ran, of at least {CASES}:\n{report}");

    let output = Command::new(root.join(".tools/mcp/bin/python")).arg(folder.join("client.py")).envs(environment).output().unwrap();
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    assert_eq!(report.lines().filter(|line| line.starts_with("passed ")).count(), PYTHON_CASES, "{report}");
}
