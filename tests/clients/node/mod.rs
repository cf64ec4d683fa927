//! Runs the suite in `tests/clients/node` with Node.js against a gateway: the published clients of gRPC-Web, Connect and server-sent events, the
//! client in `clients/typescript`, and the CORS requests of browsers.

use std::process::Command;

use test_support::gateway::{Gateway, program};

use super::suite::{self, installed};

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 192;

const CONFIG: &str = "
backends:
  disk: {type: sqlite, path: prism-data/prism.db}
  ram: {type: memory, max_bytes: 256MiB}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: disk}}
  - {name: scratch, pattern: keyvalue, slots: {storage: ram}}
  - {name: events, pattern: interfaces, slots: {backend: ram}}
";

#[tokio::test]
async fn published_clients_of_grpc_web_and_connect() {
    let node = installed("tests/clients/node");
    installed("tests/clients/node/node_modules/.bin/buf");
    build_client();
    let gateway = Gateway::start(CONFIG).await;
    let environment = [
        ("PRISM_URL", gateway.url().into()),
        ("PRISM_ADMIN_URL", format!("http://{}", gateway.admin).into()),
        ("PRISM_PROGRAM", program()),
    ];
    suite::npm(&node, environment, CASES);
}

/// Compiles the client in `clients/typescript`, which also checks its types.
fn build_client() {
    installed("clients/typescript/node_modules/.bin/tsc");
    let output = suite::output(Command::new("npm").args(["run", "--silent", "build"]).current_dir(installed("clients/typescript")));
    assert!(output.status.success(), "{}", suite::report(&output));
}
