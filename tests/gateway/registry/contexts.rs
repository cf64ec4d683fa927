//! Contexts by `/contexts/{context}/…` and by `:.context:subject`: both give the same results for all kinds of operations.

use serde_json::{Value, json};
use test_support::gateway::Gateway;

use super::{CONFIG, answers, ask, avro, record};

const NONE: Value = Value::Null;

#[tokio::test]
async fn context_has_its_own_ids_and_subjects() {
    let gateway = Gateway::start(CONFIG).await;
    for (line, body) in [
        ("POST /sr/subjects/a/versions", avro(json!("long"))),
        ("POST /sr/contexts/.x/subjects/a/versions", avro(record(&["id"]))),
        ("POST /sr/subjects/:.x:b/versions", avro(json!("string"))),
    ] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    }
    let fits = json!({"is_compatible": true});
    let text = record(&["id"]);
    answers(
        &gateway,
        "/sr",
        &[
            // Reads.
            ("GET /subjects", NONE, 200, json!([":.x:a", ":.x:b", "a"])),
            ("GET /contexts/.x/subjects", NONE, 200, json!([":.x:a", ":.x:b"])),
            ("GET /subjects?subjectPrefix=:.x:", NONE, 200, json!([":.x:a", ":.x:b"])),
            ("GET /contexts", NONE, 200, json!([".", ".x"])),
            ("GET /contexts/.x/subjects/a/versions", NONE, 200, json!([1])),
            ("GET /subjects/:.x:a/versions", NONE, 200, json!([1])),
            ("GET /contexts/.x/subjects/a/versions/latest/schema", NONE, 200, text.clone()),
            ("GET /contexts/.x/schemas/ids/1/schema", NONE, 200, text),
            ("GET /schemas/ids/1/schema", NONE, 200, json!("long")),
            ("GET /schemas/ids/2/schema?subject=:.x:", NONE, 200, json!("string")),
            ("GET /contexts/.x/schemas/ids/1/subjects", NONE, 200, json!([":.x:a"])),
            ("GET /contexts/.x/schemas/ids/1/versions", NONE, 200, json!([{"subject": ":.x:a", "version": 1}])),
            ("GET /contexts/.x/schemas/types", NONE, 200, json!(["JSON", "PROTOBUF", "AVRO"])),
            ("GET /contexts/.x/subjects/b/versions/1/referencedby", NONE, 200, json!([])),
            ("POST /contexts/.x/compatibility/subjects/a/versions/latest", avro(record(&["id"])), 200, fits.clone()),
            ("POST /contexts/.x/compatibility/subjects/a/versions", avro(record(&["id"])), 200, fits),
            // Settings.
            ("PUT /contexts/.x/config", json!({"compatibility": "FULL"}), 200, json!({"compatibility": "FULL"})),
            ("PUT /contexts/.x/config/a", json!({"compatibility": "NONE"}), 200, json!({"compatibility": "NONE"})),
            ("GET /config/:.x:", NONE, 200, json!({"compatibilityLevel": "FULL"})),
            ("GET /config/:.x:a", NONE, 200, json!({"compatibilityLevel": "NONE"})),
            ("GET /contexts/.x/config/b?defaultToGlobal=true", NONE, 200, json!({"compatibilityLevel": "FULL"})),
            ("GET /config", NONE, 200, json!({"compatibilityLevel": "BACKWARD"})),
            ("DELETE /contexts/.x/config/a", NONE, 200, json!({"compatibilityLevel": "NONE"})),
            ("DELETE /contexts/.x/config", NONE, 200, json!({"compatibilityLevel": "FULL"})),
            ("PUT /contexts/.x/mode/a", json!({"mode": "READONLY"}), 200, json!({"mode": "READONLY"})),
            ("GET /mode/:.x:a", NONE, 200, json!({"mode": "READONLY"})),
            ("GET /contexts/.x/mode/b?defaultToGlobal=true", NONE, 200, json!({"mode": "READWRITE"})),
            ("DELETE /contexts/.x/mode/a", NONE, 200, json!({"mode": "READONLY"})),
            // Deletions.
            ("DELETE /contexts/.x/subjects/a/versions/1", NONE, 200, json!(1)),
            ("DELETE /contexts/.x/subjects/b", NONE, 200, json!([1])),
            ("GET /contexts/.x/subjects", NONE, 200, json!([])),
            ("GET /contexts/.x/subjects?deleted=true", NONE, 200, json!([":.x:a", ":.x:b"])),
            ("DELETE /subjects/:.x:a?permanent=true", NONE, 200, json!([1])),
            ("DELETE /contexts/.x/subjects/b?permanent=true", NONE, 200, json!([1])),
            ("GET /subjects", NONE, 200, json!(["a"])),
            ("GET /contexts", NONE, 200, json!(["."])),
        ],
    )
    .await;
}

#[tokio::test]
async fn schema_of_a_context_is_returned_with_its_context() {
    let gateway = Gateway::start(CONFIG).await;
    let answer = ask(&gateway, "POST /sr/contexts/.x/subjects/a/versions", &avro(json!("string"))).await.json();
    assert_eq!((&answer["id"], &answer["version"]), (&json!(1), &json!(1)), "{answer}");
    for (line, body) in [
        ("GET /sr/contexts/.x/subjects/a/versions/1", NONE),
        ("GET /sr/subjects/:.x:a/versions/1", NONE),
        ("POST /sr/contexts/.x/subjects/a", avro(json!("string"))),
        ("GET /sr/contexts/.x/subjects/a/metadata", NONE),
    ] {
        let schema = ask(&gateway, line, &body).await.json();
        assert_eq!(
            (&schema["subject"], &schema["guid"], &schema["schema"]),
            (&json!(":.x:a"), &answer["guid"], &json!("\"string\"")),
            "{line}"
        );
    }
    let guid = answer["guid"].as_str().unwrap();
    let ids = ask(&gateway, &format!("GET /sr/schemas/guids/{guid}/ids"), &NONE).await.json();
    assert_eq!(ids, json!([{"context": ".x", "id": 1}]));
}
