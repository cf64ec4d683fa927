//! `prism call`.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;
use test_support::gateway::Gateway;

/// Runs the command, and returns its success and its output.
fn call(gateway: &Gateway, words: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_prism"))
        .arg("call")
        .args(words)
        .env("PRISM_ADDRESS", gateway.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // With a request as an argument, the command does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn call_takes_json_from_an_argument_or_stdin_and_prints_one_line_per_message() {
    let gateway = Gateway::start("").await;
    let stored = call(&gateway, &["default", "Store", r#"{"key": "a", "value": "aGVsbG8="}"#], "");
    assert_eq!((stored.0, &*stored.2), (Some(0), ""), "{}", stored.1);
    let (code, out, _) = call(&gateway, &["default", "retrieve"], r#"{"key": "a"}"#);
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["value"]), (Some(0), &"aGVsbG8=".into()));
    let (code, out, _) = call(&gateway, &["default", "Scan"], "");
    assert_eq!((code, out.lines().count()), (Some(0), 1));
    let (code, out, stderr) = call(&gateway, &["default", "Retrieve", r#"{"key": "nope"}"#], "");
    assert_eq!((code, &*out), (Some(1), ""));
    assert!(stderr.contains("NOT_FOUND KEY_NOT_FOUND"), "{stderr}");
    let (code, _, stderr) = call(&gateway, &["default", "Retreive"], "");
    assert!(code == Some(1) && stderr.contains("Retrieve"), "{stderr}");
}

#[tokio::test]
async fn rpcs_of_all_patterns_use_the_pattern_of_the_namespace() {
    let gateway = Gateway::start("").await;
    for input in [&["{}"][..], &[]] {
        for (namespace, rpc) in [("default", "Retrieve"), ("registry", "RegisterSchema")] {
            let words = [&[namespace, "GetCapabilities"], input].concat();
            let (code, out, stderr) = call(&gateway, &words, "");
            assert_eq!((code, &*stderr), (Some(0), ""), "{words:?}");
            assert!(out.contains(rpc), "{words:?}: {out}");
        }
    }
}
