//! Runs the suite in `tests/clients/node` with Node.js against a gateway: the published clients of gRPC-Web, Connect and server-sent events, the
//! client in `clients/typescript`, and the CORS requests of browsers.

use std::{
    io::{Error, ErrorKind},
    path::Path,
    process::Command,
};

use test_support::gateway::{Gateway, program};

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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/node");
    assert!(
        folder.join("node_modules/.bin/buf").exists(),
        "the packages of tests/clients/node are not installed; run scripts/install-tools"
    );
    build_client();
    let gateway = Gateway::start(CONFIG).await;
    let output = Command::new("npm")
        .args(["test", "--silent", "--", "--test-reporter=tap"])
        .current_dir(&folder)
        .env("PRISM_URL", gateway.url())
        .env("PRISM_ADMIN_URL", format!("http://{}", gateway.admin))
        .env("PRISM_PROGRAM", program())
        .output()
        .unwrap_or_else(|error| npm_missing(&error));
    let report = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}");
    assert_eq!((total(&report, "fail"), total(&report, "skipped"), total(&report, "cancelled")), (Some(0), Some(0), Some(0)), "{report}");
    let passed = total(&report, "pass").unwrap_or_default();
    assert!(passed >= CASES, "only {passed} cases ran, of at least {CASES}:\n{report}");
}

/// Compiles the client in `clients/typescript`, which also checks its types.
fn build_client() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/typescript");
    assert!(
        folder.join("node_modules/.bin/tsc").exists(),
        "the packages of clients/typescript are not installed; run scripts/install-tools"
    );
    let output = Command::new("npm").args(["run", "--silent", "build"]).current_dir(&folder).output();
    let output = output.unwrap_or_else(|error| npm_missing(&error));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Fails because npm does not run.
pub fn npm_missing(error: &Error) -> ! {
    match error.kind() {
        ErrorKind::NotFound => panic!("npm is not installed; install Node.js 20 or later with npm, then run scripts/install-tools"),
        _ => panic!("npm does not start: {error}"),
    }
}

/// Returns the number in a line of the summary, such as `# pass 12`.
pub fn total(report: &str, what: &str) -> Option<usize> {
    let prefix = format!("# {what} ");
    report.lines().rev().find_map(|line| line.strip_prefix(&prefix)?.trim().parse().ok())
}
