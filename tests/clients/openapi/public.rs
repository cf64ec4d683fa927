//! Ten generated documents in the styles of public APIs (`public/generate.py`): they are linted, imported, served, and every operation is called
//! with valid and invalid requests. Each operation answers with what it has read, in the schemas of its parameters.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use test_support::gateway::Gateway;

use super::{SEED, folder, schemathesis};
use crate::suite::{self, installed, report};

/// Number of generated requests for each operation, in the phase that generates them.
const EXAMPLES: &str = "1";

/// Generates the documents and their definitions. Returns their names.
fn generate(target: &Path) -> Vec<String> {
    let mut command = Command::new(installed(".tools/schemathesis/bin/python"));
    command.arg("-B").arg(folder().join("public/generate.py")).args([target.as_os_str(), SEED.as_ref()]);
    let output = suite::output(&mut command);
    assert!(output.status.success(), "{}", report(&output));
    let names = fs::read_to_string(target.join("names")).unwrap();
    names.lines().map(str::to_owned).collect()
}

/// Runs `prism frontend`. Returns whether it succeeded, and its output.
fn prism(arguments: &[&str]) -> (bool, String) {
    let output = suite::output(Command::new(env!("CARGO_BIN_EXE_prism")).arg("frontend").args(arguments));
    (output.status.success(), report(&output))
}

#[test]
fn skeletons_have_a_todo_at_each_problem() {
    let target = tempfile::tempdir().unwrap();
    for name in generate(target.path()) {
        let path = |file: &str| target.path().join(&name).join(file).display().to_string();
        let (fine, text) = prism(&["lint", &path("frontend.yaml")]);
        assert!(fine, "{name}: {text}");
        let imported = path("imported.yaml");
        let (fine, text) = prism(&["import", &path("openapi.json"), "--output", &imported]);
        assert!(fine, "{name}: {text}");
        let skeleton = fs::read_to_string(&imported).unwrap();
        let lines: Vec<&str> = skeleton.lines().collect();
        let (_, text) = prism(&["lint", &imported]);
        for problem in text.lines().filter(|line| !line.contains(": warning: ")) {
            let Some(place) = problem.strip_prefix(&format!("{imported}:")) else {
                assert!(problem.starts_with(['✅', '❌']), "{name}: {problem}");
                continue;
            };
            let line: usize = place.split(':').next().unwrap().parse().unwrap();
            assert!(lines[line - 1].contains("TODO"), "{name}: {problem}: {}", lines[line - 1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_in_the_styles_of_public_apis_are_true() {
    let target = tempfile::tempdir().unwrap();
    let names = generate(target.path());
    let mut config = String::from("backends: {ram: {type: memory, max_bytes: 256MiB}}\nfrontends:\n");
    for name in &names {
        // Writing into a String can't fail.
        let _ = writeln!(config, "  {name}: {{definition: {}/{name}/frontend.yaml}}", target.path().display());
    }
    config.push_str("namespaces:\n");
    for name in &names {
        let _ = writeln!(
            config,
            "  - {{name: the-{name}, pattern: keyvalue, slots: {{storage: ram}}, frontends: [{{frontend: {name}, base_path: /{name}}}]}}"
        );
    }
    let gateway = Gateway::start(&config).await;
    let url = gateway.url();
    // Two at a time, because generating requests takes longer than answering them.
    let (first, second) = names.split_at(names.len() / 2);
    let run = |names: &[String]| {
        let (names, url) = (names.to_vec(), url.clone());
        tokio::task::spawn_blocking(move || {
            for name in names {
                schemathesis(&format!("{url}/{name}"), "examples,coverage,fuzzing", EXAMPLES);
            }
        })
    };
    let (one, other) = (run(first), run(second));
    one.await.unwrap();
    other.await.unwrap();
}
