//! Runs `sequences.yaml`: sequences of requests as registries answer them, each in a registry of its own.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Map, Value, json};
use test_support::{gateway::Gateway, http};

const SEQUENCES: &str = "tests/gateway/registry/sequences.yaml";
/// Members of a step other than its request.
const WORDS: [&str; 5] = ["status", "code", "is", "says", "type"];

/// Whether a body has everything that is expected. `~` means that a member is absent, and lists are compared as a whole.
fn matches(actual: Option<&Value>, expected: &Value) -> bool {
    match (actual, expected) {
        (actual, Value::Null) => actual.is_none(),
        (Some(Value::Object(actual)), Value::Object(expected)) => expected.iter().all(|(name, value)| matches(actual.get(name), value)),
        (Some(Value::Array(actual)), Value::Array(expected)) => {
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(actual, expected)| matches(Some(actual), expected))
        }
        (Some(actual), expected) => actual == expected,
        (None, _) => false,
    }
}

/// Sends the request of a step. Returns what is wrong with the response.
async fn run(gateway: &Gateway, base: &str, step: &Map<String, Value>) -> Result<(), String> {
    let (request, body) = step.iter().find(|(key, _)| !WORDS.contains(&key.as_str())).unwrap();
    let (method, path) = request.split_once(' ').unwrap();
    let kind = step.get("type").map_or("application/json", |kind| kind.as_str().unwrap());
    // A text is sent as it is, so that bodies can be invalid JSON.
    let text = match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        body => body.to_string(),
    };
    let answer = http::send(gateway.address, method, &format!("{base}{path}"), &[("content-type", kind)], text).await.unwrap();
    let code = step.get("code").and_then(Value::as_u64);
    let status = step.get("status").and_then(Value::as_u64).or(code.map(|code| if code > 999 { code / 100 } else { code })).unwrap_or(200);
    let actual: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_as_expected = u64::from(answer.status) == status
        && code.is_none_or(|code| actual["error_code"] == json!(code))
        && step.get("is").is_none_or(|expected| matches(Some(&actual), expected))
        && step.get("says").is_none_or(|words| actual["message"].as_str().is_some_and(|text| text.contains(words.as_str().unwrap())));
    if is_as_expected {
        Ok(())
    } else {
        Err(format!("{request} {body}\n    expected {status} {}\n    got      {} {actual}", json!(step), answer.status))
    }
}

#[tokio::test]
async fn sequences_of_requests() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(SEQUENCES)).unwrap();
    let sequences: Map<String, Value> = serde_saphyr::from_str(&text).unwrap();
    let mut config = "backends: {ram: {type: memory}}\nnamespaces:\n".to_owned();
    for number in 0..sequences.len() {
        let frontends = format!(
            "[{{frontend: confluent-schema-registry, base_path: /r{number}}}, \
             {{frontend: confluent-schema-registry, base_path: /seven{number}, settings: {{release: \"7\"}}}}]"
        );
        writeln!(config, "  - {{name: r{number}, pattern: schema-registry, slots: {{storage: ram}}, frontends: {frontends}}}").unwrap();
    }
    let gateway = Gateway::start(&config).await;
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (number, (name, steps)) in sequences.iter().enumerate() {
        for step in steps.as_array().unwrap() {
            let step = step.as_object().unwrap();
            let base = if name.starts_with("release 7") { "seven" } else { "r" };
            count += 1;
            if let Err(difference) = run(&gateway, &format!("/{base}{number}"), step).await {
                wrong.push(format!("{name}: {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} steps:\n{}", wrong.len(), wrong.join("\n"));
}
