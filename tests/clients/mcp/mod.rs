//! Runs the suite in `tests/clients/mcp` against a gateway: the published clients of MCP in TypeScript and Python, over HTTP and over `prism mcp`,
//! and the applicable scenarios of the official conformance suite. It needs Node.js 22, which is one of its packages.

use std::process::Command;

use test_support::gateway::{Gateway, program};

use super::suite::{self, installed};

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
    let folder = installed("tests/clients/mcp");
    installed("tests/clients/mcp/node_modules/.bin/conformance");
    let gateway = Gateway::start(CONFIG).await;
    let path = format!("{}:{}", folder.join("node_modules/.bin").display(), std::env::var("PATH").unwrap_or_default());
    let environment = [("PRISM_URL", gateway.url()), ("PRISM_BIN", program().into_string().unwrap()), ("PATH", path)];
    suite::npm(&folder, environment.clone(), CASES);

    let output = suite::output(Command::new(installed(".tools/mcp/bin/python")).arg(folder.join("client.py")).envs(environment));
    let report = suite::report(&output);
    assert!(output.status.success(), "{report}");
    assert_eq!(report.lines().filter(|line| line.starts_with("passed ")).count(), PYTHON_CASES, "{report}");
}
