//! The client in `clients/python`: built and installed as its users do it, its types, and its suite in `tests/clients/python` against a gateway.

use std::{path::Path, process::Command};

use test_support::{
    gateway::{Gateway, program},
    servers::Certificate,
};

use super::suite::{self, installed};

/// Minimum number of cases. If fewer run, some were not found.
const CASES: usize = 41;

#[tokio::test]
async fn the_python_client() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());

    let certificate = Certificate::make(folder.path()).unwrap();
    let keys = folder.path().join("keys.yaml");
    let created = suite::output(Command::new(program()).args(["auth", "key", "create", "--subject", "ada", "--file"]).arg(&keys));
    assert!(created.status.success(), "{}", suite::report(&created));
    let config = format!(
        "
authenticators:
  keys: {{type: api-key, file: '{}'}}
listeners:
  main: {{}}
  secure: {{address: '127.0.0.1:0', authentication: [keys], tls: {{certificate: '{}', key: '{}'}}}}
backends:
  disk: {{type: sqlite, path: prism-data/prism.db}}
  ram: {{type: memory}}
namespaces:
  - {{name: default, pattern: keyvalue, slots: {{storage: disk}}}}
  - {{name: examples, pattern: keyvalue, slots: {{storage: disk}}}}
  - {{name: scratch, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: orders, pattern: producer, slots: {{messaging: disk, ids: disk}}}}
  - name: billing
    pattern: consumer
    slots: {{messaging: {{backend: disk, keyspace: orders}}, progress: disk}}
  - {{name: live, pattern: producer, slots: {{messaging: ram}}}}
  - {{name: devices, pattern: multicast-registry, slots: {{registry: ram, messaging: ram}}}}
  - {{name: events, pattern: event-sourcing, slots: {{events: disk}}}}
  - {{name: objects, pattern: object-store, slots: {{storage: ram}}}}
  - {{name: sessions, pattern: session-store, slots: {{sessions: disk}}}}
  - {{name: jobs, pattern: work-queue, slots: {{jobs: disk}}}}
",
        keys.display(),
        certificate.certificate.display(),
        certificate.key.display()
    );
    let gateway = Gateway::start(&config).await;
    let mut command = python(folder.path());
    command.args(["-m", "unittest", "discover", "--start-directory"]).arg(installed("tests/clients/python"));
    command.env("PRISM_URL", gateway.url()).env("PRISM_ADMIN_URL", format!("http://{}", gateway.admin));
    command.env("PRISM_SECURE_URL", format!("https://{}", gateway.listeners["secure"])).env("PRISM_CERTIFICATE", &certificate.certificate);
    command.env("PRISM_TOKEN", String::from_utf8(created.stdout).unwrap().trim()).env("PRISM_PROGRAM", program());
    let output = suite::output(&mut command);
    let report = suite::report(&output);
    // A run with skipped cases ends with `OK (skipped=N)`.
    assert!(output.status.success() && report.lines().any(|line| line == "OK"), "{report}");
    let ran = report.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next()?.parse::<usize>().ok()).unwrap_or_default();
    assert!(ran >= CASES, "only {ran} cases ran, of at least {CASES}:\n{report}");
}

/// Builds the package, which generates the messages and clients, installs it into a folder, and checks the types of all of it.
fn install(folder: &Path) {
    let client = installed("clients/python");
    let mut pip = python(folder);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]);
    let mut mypy = python(folder);
    mypy.args(["-m", "mypy", "--cache-dir"]).arg(folder.join("mypy"));
    for command in [pip.arg("--target").arg(folder).arg(&client), mypy.current_dir(&client)] {
        let output = suite::output(command);
        assert!(output.status.success(), "{}", suite::report(&output));
    }
}

/// Python with the client in a folder. It must not write compiled files next to the scripts.
fn python(folder: &Path) -> Command {
    let mut command = Command::new(installed(".tools/python-client/bin/python"));
    command.arg("-B").env("PYTHONPATH", folder);
    command
}
