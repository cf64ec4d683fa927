//! Schemas that are small and would need much time or memory: to read them, to compare them, or many of them at once.

use std::time::Duration;

use serde_json::json;
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};

use super::target::{MEMORY, is_well};

const REGISTRY: &str = "
backends: {ram: {type: memory}, file: {type: sqlite, path: store.db}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
  - {name: file, pattern: keyvalue, slots: {storage: file}}
  - name: registry
    pattern: schema-registry
    settings: {max_schema_bytes: 4MiB}
    slots: {storage: ram}
    frontends: [{frontend: confluent-schema-registry, base_path: /sr}]
";

/// Most time of one request, with the deadline of its call and a busy machine.
const LONG: Duration = Duration::from_secs(90);
/// The time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(20);
/// Requests at once.
const MANY: usize = 530;

async fn register(gateway: &Gateway, subject: &str, kind: &str, text: &str) -> Answer {
    let body = json!({"schemaType": kind, "schema": text}).to_string();
    let headers = [("content-type", "application/vnd.schemaregistry.v1+json")];
    let path = format!("/sr/subjects/{subject}/versions");
    tokio::time::timeout(LONG, http::send(gateway.address, "POST", &path, &headers, body)).await.expect("an answer").unwrap()
}

/// Registers a schema, and checks the memory of the gateway meanwhile and its health afterwards.
async fn attack(gateway: &Gateway, before: u64, subject: &str, kind: &str, text: &str) -> Answer {
    let mut answer = std::pin::pin!(register(gateway, subject, kind, text));
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            () = tokio::time::sleep(LOOK) => {
                let grown = gateway.private_memory().saturating_sub(before);
                assert!(grown < MEMORY, "{subject}: {} MiB more than before", grown >> 20);
            }
        }
    };
    is_well(gateway, before).await;
    answer
}

fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

const DRAFT: &str = r#""$schema":"https://json-schema.org/draft/2020-12/schema""#;

/// Texts with their formats and what the answer contains if they are refused.
fn texts() -> Vec<(&'static str, &'static str, String)> {
    let chain = |at: usize| {
        format!(
            r##""d{at}":{{"allOf":[{{"$ref":"#/$defs/d{}"}}],"properties":{{"p{at}":true}},"unevaluatedProperties":false}}"##,
            (at + 1) % 7_000
        )
    };
    let anchors = list(16_000, |at| format!(r##""d{at}":{{"$dynamicAnchor":"n","$dynamicRef":"#n"}}"##));
    let long = "n".repeat(250_000);
    let unevaluated = format!("{}true{}", r#"{"unevaluatedProperties":"#.repeat(120), "}".repeat(120));
    vec![
        ("dynamic", "JSON", format!(r#"{{{DRAFT},"$defs":{{{anchors}}}}}"#)),
        ("unevaluated", "JSON", format!(r#"{{{DRAFT},"$defs":{{{}}}}}"#, list(7_000, chain))),
        ("unevaluated-deep", "JSON", format!(r#"{{{DRAFT},"allOf":[{}]}}"#, list(200, |_| unevaluated.clone()))),
        ("values", "JSON", format!(r#"{{"examples":[{}]}}"#, "0,".repeat(1_900_000) + "0")),
        ("subschemas", "JSON", format!(r#"{{"allOf":[{}]}}"#, list(1_200_000, |_| "{}".to_owned()))),
        ("enum", "JSON", format!(r#"{{"enum":[{}]}}"#, list(400_000, |at| at.to_string()))),
        ("patterns", "JSON", format!(r#"{{"patternProperties":{{{}}}}}"#, list(100, |at| format!(r#""^\\p{{L}}{{800}}y{at}$":{{}}"#)))),
        ("names", "AVRO", format!(r#"{{"type":"record","name":"{long}","fields":[{{"name":"f","type":"{long}b"}}]}}"#)),
        (
            "unknown",
            "AVRO",
            format!(r#"{{"type":"record","name":"R","fields":[{{"name":"f","type":"{long}"}},{{"name":"{long}","type":"int"}}]}}"#),
        ),
        (
            "namespaces",
            "AVRO",
            format!(
                r#"{{"type":"record","name":"R","namespace":"{}","fields":[{}]}}"#,
                "n".repeat(1_000),
                list(60_000, |at| format!(r#"{{"name":"f{at}","type":{{"type":"fixed","name":"n{at}","size":1}}}}"#))
            ),
        ),
        ("union", "AVRO", format!("[{}]", list(100_000, |at| format!(r#"{{"type":"fixed","name":"n{at}","size":1}}"#)))),
        ("messages", "PROTOBUF", (0..80_000).map(|at| format!("message M{at}{{}}")).collect()),
        ("dots", "PROTOBUF", format!("package {}a;", "a.".repeat(500_000))),
        ("fields", "PROTOBUF", format!("message M{{{}}}", (1..18_000).map(|at| format!("optional M f{at}={at};")).collect::<String>())),
    ]
}

#[tokio::test]
async fn hostile_texts_are_read_or_refused_within_bounded_memory() {
    let gateway = Gateway::start(REGISTRY).await;
    is_well(&gateway, u64::MAX).await;
    let before = gateway.private_memory();
    for (subject, kind, text) in texts() {
        assert!(text.len() < 4 << 20, "{subject}");
        let answer = attack(&gateway, before, subject, kind, &text).await;
        assert!([200, 413, 422].contains(&answer.status), "{subject}: {} {}", answer.status, answer.text());
        assert!(answer.status == 200 || answer.body.len() < 64 << 10, "{subject}");
    }
}

#[tokio::test]
async fn hostile_comparisons_end_without_a_wrong_verdict() {
    let gateway = Gateway::start(REGISTRY).await;
    is_well(&gateway, u64::MAX).await;
    let before = gateway.private_memory();
    let definitions = format!(r#","definitions":{{{}}}"#, list(19_000, |at| format!(r#""d{at}":{{}}"#)));
    for definitions in ["", &definitions] {
        let old = format!(
            r#"{{"allOf":[{{"type":"object"}},{},{},{{"anyOf":[{{"maxProperties":0}},{{"maxProperties":1}}]}}]{definitions}}}"#,
            list(30, |at| format!(r#"{{"anyOf":[{{"maxLength":{at}}},{{"maxLength":{}}}]}}"#, 100 + at)),
            list(400, |at| format!(r#"{{"maxItems":{}}}"#, 1_000 + at)),
        );
        let new = format!(r#"{{"not":{{"type":"object","minProperties":2}}{definitions}}}"#);
        let subject = format!("negation-{}", definitions.len());
        assert_eq!(register(&gateway, &subject, "JSON", &old).await.status, 200);
        let answer = attack(&gateway, before, &subject, "JSON", &new).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let choices = |bound: usize| {
        let branch = |name: &str, at: usize| format!(r#"{{"properties":{{"{name}{at}":{{"maximum":{bound}}}}}}}"#);
        format!(r#"{{"type":"object","allOf":[{}]}}"#, list(60, |at| format!(r#"{{"anyOf":[{},{}]}}"#, branch("a", at), branch("b", at))))
    };
    assert_eq!(register(&gateway, "choices", "JSON", &choices(1)).await.status, 200);
    let answer = attack(&gateway, before, "choices", "JSON", &choices(2)).await;
    assert!(answer.status == 422 && answer.text().contains("too complex to be compared"), "{} {}", answer.status, answer.text());
    let union = |namespace: &str| {
        format!(
            "[{}]",
            list(4_000, |at| format!(r#"{{"type":"record","name":"{namespace}{at}.R","fields":[{{"name":"f{at}","type":"int"}}]}}"#))
        )
    };
    assert_eq!(register(&gateway, "union", "AVRO", &union("a")).await.status, 200);
    let answer = attack(&gateway, before, "union", "AVRO", &union("b")).await;
    assert!(answer.status == 422 && answer.text().contains("too complex to be compared"), "{} {}", answer.status, answer.text());
}

#[tokio::test]
async fn other_calls_are_answered_while_many_hostile_schemas_are_registered() {
    let gateway = Gateway::start(REGISTRY).await;
    is_well(&gateway, u64::MAX).await;
    let before = gateway.private_memory();
    let choices = |bound: usize| {
        let branch = |name: &str, at: usize| format!(r#"{{"properties":{{"{name}{at}":{{"maximum":{bound}}}}}}}"#);
        format!(r#"{{"type":"object","allOf":[{}]}}"#, list(60, |at| format!(r#"{{"anyOf":[{},{}]}}"#, branch("a", at), branch("b", at))))
    };
    assert_eq!(register(&gateway, "many", "JSON", &choices(2)).await.status, 200);
    let patterns =
        format!(r#"{{"properties":{{"a":{{}}}},"patternProperties":{{{}}}}}"#, list(100, |at| format!(r#""^\\p{{L}}{{800}}y{at}$":{{}}"#)));
    let mut attackers = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let (address, text) = (gateway.address, if number % 2 == 0 { choices(3) } else { patterns.clone() });
        attackers.spawn(async move {
            let body = json!({"schemaType": "JSON", "schema": text}).to_string();
            let headers = [("content-type", "application/vnd.schemaregistry.v1+json"), ("x-request-timeout", "20s")];
            let answer = http::send(address, "POST", "/sr/subjects/many/versions", &headers, body).await;
            answer.map(|answer| (answer.status, answer.headers.contains_key("retry-after"))).map_err(|error| error.to_string())
        });
    }
    for round in 0..20 {
        is_well(&gateway, before).await;
        let put = http::send(gateway.address, "PUT", &format!("/file/v1/values/{round}"), &[], "yes").await.unwrap();
        assert_eq!(put.status, 200, "{}", put.text());
        assert_eq!(http::get(gateway.admin, "/readyz").await.unwrap().status, 200);
    }
    // Those who leave stop the work that is done for them.
    let mut refused = 0;
    tokio::time::sleep(Duration::from_secs(2)).await;
    while let Some(Ok(answer)) = attackers.try_join_next() {
        match answer.unwrap() {
            (429, true) => refused += 1,
            // The text with the patterns accepts everything, so it is compatible if it gets its turn.
            (status, _) => assert!([200, 409, 422].contains(&status), "{status}"),
        }
    }
    assert!(refused > 0, "nothing is refused");
    attackers.abort_all();
    let answer = register(&gateway, "calm", "JSON", r#"{"type":"string"}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    is_well(&gateway, before).await;
}
