//! The documents of these APIs are well formed (`redocly lint`), and what is served is as they say (schemathesis, all checks).

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::{CONFIG, gateway::Gateway};

/// Cases for each operation in the phase that makes them up.
const EXAMPLES: &str = "15";
const SEED: &str = "1";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool(path: &str) -> PathBuf {
    let tool = root().join(path);
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
    for listener in ["consul-ram", "etcd-ram"] {
        let output = Command::new(&schemathesis)
            .args(["--config-file", "schemathesis.toml", "run", &format!("http://{}/openapi.json", gateway.listeners[listener])])
            .args(["--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED])
            .args(["--generation-deterministic", "--continue-on-failure", "--no-color"])
            .current_dir(root().join("tests/foreign"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{listener}: {}", report(&output));
    }
}

#[test]
fn documents_are_well_formed() {
    let output = Command::new(tool("tests/openapi/node_modules/.bin/redocly"))
        .args(["lint", "--extends", "recommended", "--max-problems", "20"])
        .args(["consul-kv", "etcd-v3"].map(|name| root().join(format!("openapi/{name}.yaml"))))
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true")
        .output()
        .unwrap();
    let report = report(&output);
    // It counts warnings in a line of its own; others are about Node.js.
    assert!(output.status.success() && !report.contains("You have"), "{report}");
}
