//! The OpenAPI documents that gateways serve: they are well formed (`redocly lint`), they are true (schemathesis, all checks and
//! phases), and they show what the namespace can do and nothing else.

#![allow(clippy::unwrap_used, clippy::pedantic, missing_docs)]
#![allow(dead_code, reason = "the helpers have more than these tests need")]

#[path = "../e2e/client.rs"]
mod client;
#[path = "../e2e/gateway.rs"]
mod gateway;
#[path = "../e2e/http.rs"]
mod http;
#[path = "../e2e/poll.rs"]
mod poll;

mod pages;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use gateway::Gateway;

const CONFIG: &str = "
backends:
  disk: {type: sqlite, path: prism-data/prism.db}
  ram: {type: memory, max_bytes: 256MiB}
namespaces:
  - {name: disk, pattern: keyvalue, slots: {storage: disk}}
  - {name: ram, pattern: keyvalue, slots: {storage: ram}, limits: {max_key_bytes: 100, max_batch_items: 20}}
  - {name: silent, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: rest, documentation: false}]}
";

/// Where APIs are served, by their base path. A new frontend is a line here, and in the configuration above.
const BINDINGS: &[&str] = &["/disk", "/ram"];

/// Cases for each operation in the phase that makes them up.
const EXAMPLES: &str = "15";
const SEED: &str = "1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    assert!(tool.exists(), "{path} is not installed; run scripts/install-tools");
    tool
}

fn report(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_true() {
    let schemathesis = tool(".tools/schemathesis/bin/schemathesis");
    let gateway = Gateway::start(CONFIG).await;
    for base in BINDINGS {
        let output = Command::new(&schemathesis)
            .args(["--config-file", "schemathesis.toml", "run", &format!("{}{base}/openapi.json", gateway.url())])
            .args(["--checks", "all", "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES, "--seed", SEED])
            .args(["--generation-deterministic", "--generation-database", "none", "--continue-on-failure", "--no-color"])
            .current_dir(folder())
            .env("PYTHONPATH", folder())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        let report = report(&output);
        assert!(output.status.success(), "{base}: {report}");
        assert!(!report.contains("⏭"), "{base}: something was skipped\n{report}");
    }
}

#[tokio::test]
async fn documents_are_well_formed() {
    let redocly = tool("tests/openapi/node_modules/.bin/redocly");
    let gateway = Gateway::start(CONFIG).await;
    let mut files = Vec::new();
    for base in BINDINGS {
        for name in ["openapi.json", "openapi.yaml"] {
            let answer = http::get(gateway.address, &format!("{base}/{name}")).await.unwrap();
            let path = gateway.folder().join(format!("{}.{name}", base.replace('/', "_")));
            std::fs::write(&path, &answer.body).unwrap();
            files.push(path);
        }
    }
    let output = Command::new(redocly)
        .args(["lint", "--extends", "recommended", "--max-problems", "20"])
        .args(&files)
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
        .output()
        .unwrap();
    let report = report(&output);
    assert!(output.status.success() && !report.contains("warning"), "{report}");
}
