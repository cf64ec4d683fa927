//! `prism validate`, `prism config` and `prism completions`.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::{printed, prism, refused};

/// Writes a file into a temporary folder. Dropping the first value deletes the folder.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prism.yaml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn a_valid_configuration_is_shown_slot_by_slot() {
    let (_folder, path) = file(
        "backends: {store: {type: memory}}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: store}}
  - {name: two, pattern: keyvalue, remote: {url: 'http://other:8980'}}
",
    );
    let text = printed(&format!("validate {}", path.display()));
    assert!(text.starts_with("Validating namespace: one\nPattern: keyvalue v1\n\nSlot: storage\n  Backend: store (memory)\n"), "{text}");
    assert!(text.contains("  Required interfaces:\n    ✓ keyvalue_basic"), "{text}");
    assert!(text.contains("Validating namespace: two\nPattern: keyvalue v1\n\nServed by: http://other:8980, namespace two\n"), "{text}");
    assert!(text.ends_with("\n✅ Configuration valid\n"), "{text}");
}

#[test]
fn an_invalid_configuration_is_shown_with_every_problem() {
    let (_folder, path) = file(
        "backends: {store: {type: memory, max_byts: 1}}
namespaces:
  - name: jobs
    pattern: saga
    slots: {state: stor, steps: store}
",
    );
    let run = prism(&format!("validate {}", path.display()));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    for expected in [
        "prism.yaml:1:34: unknown setting `max_byts`; did you mean `max_bytes`?",
        "prism.yaml:4:14: the pattern `saga` is planned, but can't be served yet; there are: consumer, event-sourcing, interfaces, keyvalue, multicast-registry, object-store, producer, schema-registry, session-store, work-queue",
        "prism.yaml:5:20: unknown backend `stor`; did you mean `store`?",
        "❌ Configuration invalid: 3 problems",
    ] {
        assert!(run.stdout.contains(expected), "{}", run.stdout);
    }
    assert_eq!(prism("validate /no/such/prism.yaml").code, Some(2));
    assert_eq!(prism("validate").code, Some(2));
}

#[test]
fn validate_marks_a_backend_that_lacks_an_interface() {
    let (_folder, path) = file(
        "backends: {cache: {type: redis, url: 'redis://localhost'}}
namespaces: [{name: jobs, pattern: work-queue, slots: {jobs: cache}}]
",
    );
    let run = prism(&format!("validate {}", path.display()));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stdout.contains("✗ queue_basic"), "{}", run.stdout);
    assert!(run.stdout.contains("slot `jobs` needs queue_basic"), "{}", run.stdout);
}

#[test]
fn output_of_config_show_is_a_valid_configuration() {
    let output = printed("config show");
    assert!(output.starts_with("# From the embedded configuration, environment variables and defaults.\n"), "{output}");
    assert!(output.contains("the outermost first:\n#   guard: enforces deadlines, "), "{output}");
    assert!(output.contains("\nlisteners:\n  main:\n"), "{output}");
    let (_folder, path) = file(&output);
    let again = printed(&format!("config show --config {}", path.display()));
    assert_eq!(again.lines().skip(1).collect::<Vec<_>>(), output.lines().skip(1).collect::<Vec<_>>());
    assert!(printed(&format!("validate {}", path.display())).contains("Backend: local (sqlite)"));
    let json: serde_json::Value = serde_json::from_str(&printed("config show -o json")).unwrap();
    assert_eq!(json["listeners"]["main"]["address"], "127.0.0.1:8980");
}

#[test]
fn secrets_are_not_shown() {
    let (folder, path) = file(
        "backends: {cache: {type: redis, url: 'redis://ada:hunter2@localhost', password: 'hunter3'}, other: {type: redis, url: '${file:FOLDER/url}'}}
namespaces: [{name: one, pattern: keyvalue, slots: {storage: cache}}]
",
    );
    let secret = folder.path().join("url");
    fs::write(&secret, "redis://ada:hunter4@localhost\n").unwrap();
    let text = fs::read_to_string(&path).unwrap().replace("FOLDER", &folder.path().display().to_string());
    fs::write(&path, text).unwrap();
    let output = printed(&format!("config show --config {}", path.display()));
    assert!(!output.contains("hunter"), "{output}");
    assert!(output.contains("redis://ada:***@localhost"), "{output}");
    assert!(output.contains(&format!("${{file:{}}}", secret.display())), "{output}");
    fs::write(&secret, "http://hunter4").unwrap();
    let complaint = refused(&format!("config show --config {}", path.display()));
    assert!(complaint.contains("`url` must be redis://HOST:PORT/DATABASE") && !complaint.contains("hunter"), "{complaint}");
}

/// The published schema has the settings of all drivers.
#[cfg(feature = "full")]
#[test]
fn the_published_schema_is_up_to_date() {
    let published = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/registry/prism.schema.json")).unwrap_or_default();
    assert!(published == printed("config schema"), "run `prism config schema > registry/prism.schema.json`");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(&format!("completions {shell}")).contains("validate"), "{shell}");
    }
    assert_eq!(prism("completions tcl").code, Some(2));
}
