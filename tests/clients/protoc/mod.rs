//! The corpus of Protobuf files, judged by protoc itself. `crates/schema` compares its own verdicts with the same corpus.

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::suite::installed;

const CORPUS: &str = "crates/schema/tests/schemas/protobuf/corpus.jsonl";
/// Minimum number of files. If there are fewer, some were lost.
const FILES: usize = 2_000;

#[test]
fn verdicts_of_the_corpus_are_those_of_protoc() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(installed(".tools/protoc/bin/python"))
        .arg(root.join("tests/clients/protoc/verdicts.py"))
        .stdin(File::open(root.join(CORPUS)).unwrap())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let accepted: BTreeSet<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|name| serde_json::from_str(name).unwrap()).collect();
    let corpus = std::fs::read_to_string(root.join(CORPUS)).unwrap();
    let cases: Vec<Value> = corpus.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() >= FILES, "{}", cases.len());
    let wrong: Vec<&Value> =
        cases.iter().filter(|case| accepted.contains(case["name"].as_str().unwrap()) != (case["valid"] == true)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
