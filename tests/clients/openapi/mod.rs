//! The OpenAPI documents that gateways serve. They are well-formed (`redocly lint`), they describe the API correctly (schemathesis with
//! all checks and phases), and they contain exactly the operations that the namespace supports.

mod pages;
mod public;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use test_support::{gateway::Gateway, http};

use super::suite::{self, installed, report};

const CONFIG: &str = "
backends:
  disk: {type: sqlite, path: prism-data/prism.db}
  ram: {type: memory, max_bytes: 256MiB}
frontends:
  notes: {definition: MANIFEST/examples/frontends/notes.yaml}
namespaces:
  - {name: disk, pattern: keyvalue, slots: {storage: disk}}
  - {name: ram, pattern: keyvalue, slots: {storage: ram}, limits: {max_key_bytes: 100, max_batch_items: 20}}
  - {name: notes, pattern: keyvalue, slots: {storage: disk}, frontends: [{frontend: notes, base_path: /api}]}
  - {name: consul, pattern: keyvalue, slots: {storage: disk}, frontends: [{frontend: consul-kv, base_path: /consul}]}
  - {name: etcd, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: etcd-v3, base_path: /etcd}]}
  - {name: schemas, pattern: schema-registry, slots: {storage: ram}}
  - {name: confluent, pattern: schema-registry, slots: {storage: disk}, frontends: [{frontend: confluent-schema-registry, base_path: /confluent}]}
  - {name: silent, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: rest, documentation: false}]}
";

/// The base paths of all APIs. A new frontend is a line here and in the configuration above.
const BINDINGS: &[&str] = &["/disk", "/ram", "/api", "/consul", "/etcd", "/schemas", "/confluent"];
/// The base paths of schema registries. They have so many operations that a separate test runs them concurrently with the others.
const REGISTRIES: &[&str] = &["/schemas", "/confluent"];

/// Returns the configuration with the path of the repository.
fn config() -> String {
    CONFIG.replace("MANIFEST", env!("CARGO_MANIFEST_DIR"))
}

/// Number of generated requests for each operation, in the phase that generates them.
const EXAMPLES: &str = "15";
/// The same for schema registries. Their requests use few names, so fewer requests are enough.
const EXAMPLES_OF_REGISTRIES: &str = "5";
const SEED: &str = "1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/openapi")
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_true() {
    let others: Vec<&str> = BINDINGS.iter().copied().filter(|base| !REGISTRIES.contains(base)).collect();
    run_schemathesis(&others, EXAMPLES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_registries_are_true() {
    run_schemathesis(REGISTRIES, EXAMPLES_OF_REGISTRIES).await;
}

async fn run_schemathesis(bases: &[&str], examples: &str) {
    let gateway = Gateway::start(&config()).await;
    for base in bases {
        schemathesis(&format!("{}{base}", gateway.url()), "examples,coverage,fuzzing,stateful", examples);
    }
}

/// Calls every operation of a document with valid and invalid requests.
fn schemathesis(base: &str, phases: &str, examples: &str) {
    let mut command = Command::new(installed(".tools/schemathesis/bin/schemathesis"));
    command
        .args(["--config-file", "schemathesis.toml", "run", &format!("{base}/openapi.json")])
        .args(["--checks", "all", "--phases", phases, "--max-examples", examples, "--seed", SEED])
        .args(["--generation-deterministic", "--continue-on-failure", "--no-color"])
        .current_dir(folder())
        .env("PYTHONPATH", folder())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = suite::output(&mut command);
    let report = report(&output);
    assert!(output.status.success(), "{base}: {report}");
    // The examples phase skips an operation without parameters and body. All other operations run in all phases.
    let count = |name: &str| report.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().split('/').next()?.parse::<u32>().ok());
    assert!(count("Selected:").is_some_and(|selected| selected > 0) && count("Selected:") == count("Tested:"), "{base}: {report}");
    let other_phases = report.split("Coverage (in").last().unwrap();
    assert!(!other_phases.lines().any(|line| line.ends_with("skipped")), "{base}: something was skipped\n{report}");
}

#[tokio::test]
async fn documents_are_well_formed() {
    let redocly = installed("tests/clients/openapi/node_modules/.bin/redocly");
    let gateway = Gateway::start(&config()).await;
    let mut files = Vec::new();
    for base in BINDINGS {
        for name in ["openapi.json", "openapi.yaml"] {
            let answer = http::get(gateway.address, &format!("{base}/{name}")).await.unwrap();
            let path = gateway.folder().join(format!("{}.{name}", base.replace('/', "_")));
            std::fs::write(&path, &answer.body).unwrap();
            files.push(path);
        }
    }
    let mut command = Command::new(redocly);
    command
        .args(["lint", "--extends", "recommended", "--max-problems", "20"])
        .args(&files)
        .env("REDOCLY_TELEMETRY", "off")
        .env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    let output = suite::output(&mut command);
    let report = report(&output);
    assert!(output.status.success() && !report.contains("was generated by"), "{report}");
}
