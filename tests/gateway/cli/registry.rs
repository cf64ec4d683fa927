use std::fs;

use serde_json::Value;

use super::{printed, prism, refused};

/// Whether a line of the text begins with these words in this order.
fn has_line(text: &str, words: &str) -> bool {
    text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(words))
}

fn json(arguments: &str) -> Value {
    serde_json::from_str(&printed(&format!("{arguments} -o json"))).unwrap()
}

#[test]
fn patterns_are_listed_with_version_and_description() {
    let text = printed("registry patterns list");
    assert!(has_line(&text, "keyvalue v1 ✓ Store and retrieve values"), "{text}");
    assert!(has_line(&text, "multicast-registry v1"), "{text}");
    assert_eq!(json("registry patterns list").as_array().unwrap().len(), 12);
}

#[test]
fn pattern_description_lists_each_slot() {
    let text = printed("registry patterns describe multicast-registry");
    for expected in [
        "Pattern: multicast-registry v1",
        "  registry (required):",
        "    Interface: keyvalue",
        "    Required interfaces: keyvalue_basic, keyvalue_scan",
        "    Required capabilities: scan_support",
        "    Optional capabilities: ttl_support",
        "  messaging (required):",
        "    Interface: pubsub, queue, stream",
        "  durability (optional):",
    ] {
        assert!(text.lines().any(|line| line == expected), "{expected}\n{text}");
    }
    let text = printed("registry patterns describe schema-registry");
    assert!(has_line(&text, "snapshot_interval default 1024 Changes between two snapshots"), "{text}");
    assert!(!printed("registry patterns describe interfaces").contains("Settings:"));
    let view = json("registry patterns describe schema-registry");
    assert_eq!(view["settings"][3]["name"], "max_age");
    assert_eq!(view["slots"]["storage"]["any_of"][0][1], "keyvalue_transactional");
    assert!(view["filled_by"]["storage"].as_array().unwrap().contains(&"sqlite".into()));
    assert!(refused("registry patterns describe multicast").contains("did you mean `multicast-registry`?"));
}

#[test]
fn backends_are_found_by_interface_and_capability() {
    let text = printed("registry backends find --interface=keyvalue --capability=scan_support");
    assert!(has_line(&text, "redis ✓ keyvalue with scan_support, ttl_support"), "{text}");
    assert!(has_line(&text, "dynamodb ○ keyvalue with scan_support, ttl_support"), "{text}");
    assert!(!text.contains("memcached"), "{text}");
    let text = printed("registry backends find --interface=keyvalue_scan --available");
    assert!(has_line(&text, "sqlite ✓ keyvalue_scan"), "{text}");
    assert!(!text.contains("dynamodb"), "{text}");
    let found = json("registry backends find --interface=queue --capability=priority_queues");
    assert_eq!(found[0]["backend"], "memory");
    assert_eq!(found[0]["implemented"], true);
    assert!(refused("registry backends find --interface=keyvalue_scam").contains("did you mean `keyvalue_scan`?"));
    assert!(refused("registry backends find --capability=retention").contains("add --interface with one of: stream, timeseries"));
    assert_eq!(prism("registry backends find").code, Some(2));
}

#[test]
fn backends_are_listed_and_described() {
    let text = printed("registry backends list");
    assert!(has_line(&text, "rabbitmq ○"), "{text}");
    let text = printed("registry backends describe redis");
    assert!(text.contains("redis://localhost:6379/0") && has_line(&text, "KeyValue 7 of 7 basic, scan, ttl"), "{text}");
    assert_eq!(json("registry backends describe rabbitmq")["driver"], "none");
    assert!(refused("registry backends describe rediss").contains("did you mean `redis`?"));
}

#[test]
fn interfaces_are_listed_described_and_found() {
    assert_eq!(json("registry interfaces list").as_array().unwrap().len(), 49);
    let text = printed("registry interfaces describe keyvalue_scan");
    assert!(text.contains("Scan(ScanRequest) returns (stream ScanResponse)"), "{text}");
    let text = printed("registry interfaces describe queue");
    assert!(text.contains("Interface: queue_dead_letter") && text.contains("Redrive("), "{text}");
    let found = json("registry interfaces find --capability=set_algebra");
    let names = found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(names, ["set_operations", "sortedset_operations"]);
    let found = json("registry interfaces find --interface=pubsub --backend=redis");
    assert_eq!(found.as_array().unwrap().len(), 2);
}

#[test]
fn patterns_are_found_by_backend_and_interface() {
    let text = printed("registry patterns find --backend=redis");
    assert!(has_line(&text, "multicast-registry") && !has_line(&text, "work-queue"), "{text}");
    let text = printed("registry patterns find --interface=queue_dead_letter");
    assert!(has_line(&text, "work-queue") && !has_line(&text, "keyvalue"), "{text}");
}

#[test]
fn every_output_format_has_the_same_content() {
    let json = json("registry backends list");
    let yaml: Value = serde_saphyr::from_str(&printed("registry backends list -o yaml")).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn the_registry_is_valid_and_the_matrix_is_the_stored_one() {
    // The part that depends on the build: which interfaces each driver implements, which settings it has, and which patterns are served.
    let text = printed("registry validate");
    assert!(text.ends_with("✅ Registry valid\n"), "{text}");
    assert_eq!(printed("registry matrix"), fs::read_to_string("registry/matrix.yaml").unwrap());
    assert!(has_line(&printed("registry matrix -o table"), "keyvalue_basic · · ✓ ✓ ✓"));
}

/// The features of this test are the features with which the program was built.
#[test]
fn registry_contains_every_driver_of_the_default_build() {
    let report: Value = serde_json::from_str(&prism("registry validate -o json").stdout).unwrap();
    let left_out = report["drivers_left_out"].as_array().unwrap().iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>();
    let features = [
        ("memory", cfg!(feature = "memory")),
        ("redis", cfg!(feature = "redis")),
        ("s3", cfg!(feature = "s3")),
        ("sqlite", cfg!(feature = "sqlite")),
    ];
    assert_eq!(left_out, features.iter().filter(|(_, on)| !on).map(|(kind, _)| *kind).collect::<Vec<_>>());
}

#[test]
fn a_folder_is_checked_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    copy("registry", folder.path());
    let path = folder.path().join("backends/sqlite.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("  - stream_replay", "  - stream_reply")).unwrap();
    let run = prism(&format!("registry validate --folder {}", folder.path().display()));
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("unknown interface `stream_reply`; did you mean `stream_replay`?"), "{}", run.stdout);
    assert!(run.stdout.contains("✗ registry/backends/sqlite.yaml:"), "{}", run.stdout);
    assert!(run.stdout.contains("✗ registry/matrix.yaml:"), "{}", run.stdout);
    fs::write(&path, "backend: sqlite\ntitel: SQLite\n").unwrap();
    let complaint = refused(&format!("registry validate --folder {}", folder.path().display()));
    assert!(complaint.contains("registry/backends/sqlite.yaml:2:"), "{complaint}");
}

fn copy(from: &str, to: &std::path::Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path().to_string_lossy(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
