//! One case for each row of `errors` in the definition.

use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::{CONFIG, answers, ask, avro, error, record};

const NONE: Value = Value::Null;

/// Starts a gateway and registers `a` (a field), `b` (which refers to `a`), `gone` (softly deleted) and `half` (its first version is
/// softly deleted).
async fn filled() -> Gateway {
    let gateway = Gateway::start(CONFIG).await;
    let refers = json!({
        "schema": json!({"type": "record", "name": "Basket", "fields": [{"name": "order", "type": "Order"}]}).to_string(),
        "references": [{"name": "Order", "subject": "a", "version": 1}],
    });
    for (line, body) in [
        ("POST /sr/subjects/a/versions", avro(record(&["id"]))),
        ("POST /sr/subjects/b/versions", refers),
        ("POST /sr/subjects/gone/versions", avro(json!("string"))),
        ("DELETE /sr/subjects/gone", NONE),
        ("POST /sr/subjects/half/versions", avro(json!("string"))),
        ("PUT /sr/config/half", json!({"compatibility": "NONE"})),
        ("POST /sr/subjects/half/versions", avro(json!("int"))),
        ("DELETE /sr/subjects/half/versions/1", NONE),
        ("PUT /sr/mode/read", json!({"mode": "READONLY"})),
        ("POST /sr/contexts/.full/subjects/a/versions", avro(json!("string"))),
    ] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    }
    gateway
}

#[tokio::test]
async fn not_found_errors() {
    let gateway = filled().await;
    let none = || error(40401, "Subject 'none' not found.");
    answers(
        &gateway,
        "/sr",
        &[
            ("GET /subjects/none/versions", NONE, 404, none()),
            ("GET /subjects/none/versions/latest", NONE, 404, none()),
            ("GET /subjects/none/versions/1/schema", NONE, 404, none()),
            ("GET /subjects/none/versions/1/referencedby", NONE, 404, none()),
            ("GET /subjects/none/metadata", NONE, 404, none()),
            ("POST /subjects/none", avro(json!("string")), 404, none()),
            ("POST /subjects/none/versions/1/tags", json!({}), 404, none()),
            ("DELETE /subjects/none", NONE, 404, none()),
            ("DELETE /subjects/none/versions/1", NONE, 404, none()),
            ("POST /compatibility/subjects/none/versions/1", avro(json!("string")), 404, error(40402, "Version 1 not found.")),
            ("GET /subjects/gone/versions", NONE, 404, error(40401, "Subject 'gone' not found.")),
            ("GET /subjects/a/versions/9", NONE, 404, error(40402, "Version 9 not found.")),
            ("GET /subjects/half/versions/1", NONE, 404, error(40402, "Version 1 not found.")),
            ("DELETE /subjects/a/versions/9", NONE, 404, error(40402, "Version 9 not found.")),
            ("POST /compatibility/subjects/a/versions/9", avro(json!("string")), 404, error(40402, "Version 9 not found.")),
            ("GET /schemas/ids/999", NONE, 404, error(40403, "Schema 999 not found")),
            ("GET /schemas/ids/999/schema", NONE, 404, error(40403, "Schema 999 not found")),
            ("GET /schemas/ids/999/subjects", NONE, 404, error(40403, "Schema 999 not found")),
            ("GET /schemas/ids/999/versions", NONE, 404, error(40403, "Schema 999 not found")),
            ("GET /schemas/guids/00000000-0000-0000-0000-000000000000", NONE, 404, error(40403, "Schema not found")),
            ("GET /schemas/guids/none/ids", NONE, 404, error(40403, "Schema not found")),
            ("POST /subjects/a", avro(json!("string")), 404, error(40403, "Schema not found")),
            ("GET /subjects/a/metadata?key=x&value=y", NONE, 404, error(40403, "Schema not found")),
            ("GET /config/a", NONE, 404, error(40408, "Subject 'a' does not have subject-level compatibility configured")),
            ("DELETE /config/a", NONE, 404, error(40401, "Subject 'a' not found.")),
            ("GET /mode/a", NONE, 404, error(40409, "Subject 'a' does not have subject-level mode configured")),
            ("DELETE /mode/a", NONE, 404, error(40401, "Subject 'a' not found.")),
            ("DELETE /contexts/.none", NONE, 404, error(404, "Context '.none' not found.")),
        ],
    )
    .await;
}

#[tokio::test]
async fn soft_and_permanent_deletion() {
    let gateway = filled().await;
    let again = "was soft deleted. Set permanent=true to delete permanently";
    let first = "was not deleted first before being permanently deleted";
    answers(
        &gateway,
        "/sr",
        &[
            ("DELETE /subjects/gone", NONE, 404, error(40404, &format!("Subject 'gone' {again}"))),
            ("DELETE /subjects/half?permanent=true", NONE, 404, error(40405, &format!("Subject 'half' {first}"))),
            ("DELETE /subjects/half/versions/1", NONE, 404, error(40406, &format!("Subject 'half' Version 1 {again}"))),
            ("DELETE /subjects/half/versions/2?permanent=true", NONE, 404, error(40407, &format!("Subject 'half' Version 2 {first}"))),
            ("DELETE /subjects/half/versions/1?permanent=true", NONE, 200, json!(1)),
            ("DELETE /subjects/half", NONE, 200, json!([2])),
            ("DELETE /subjects/half?permanent=true", NONE, 200, json!([2])),
            ("DELETE /subjects/half?permanent=true", NONE, 404, error(40401, "Subject 'half' not found.")),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_incompatible_schema_has_the_code_that_the_binding_says() {
    let gateway = filled().await;
    let verbose = ask(&gateway, "POST /sr/compatibility/subjects/a/versions/1?verbose=true", &avro(json!("string"))).await.json();
    let messages: Vec<_> = verbose["messages"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    let difference = "{errorType:'TYPE_MISMATCH', description:'";
    assert!(messages[0].starts_with(difference) && messages[0].contains(" (at path '/')', additionalInfo:'"), "{verbose}");
    let earlier = format!("{{oldSchema: '{}'}}", record(&["id"]));
    assert_eq!(messages[1..], ["{oldSchemaVersion: 1}", &earlier, "{compatibility: 'BACKWARD'}"]);
    let quiet = ask(&gateway, "POST /sr/compatibility/subjects/a/versions/1", &avro(json!("string"))).await.json();
    assert_eq!(quiet, json!({"is_compatible": false}));
    for (base, code) in [("/sr", 409), ("/newer", 40901)] {
        let answer = ask(&gateway, &format!("POST {base}/subjects/a/versions"), &avro(json!("string"))).await;
        let body = answer.json();
        assert_eq!((answer.status, &body["error_code"]), (409, &json!(code)), "{body}");
        let begin = "Schema being registered is incompatible with an earlier schema for subject \"a\", details: [";
        assert_eq!(body["message"].as_str().unwrap(), format!("{begin}{}]", messages.join(", ")));
    }
}

#[tokio::test]
async fn invalid_values() {
    let gateway = filled().await;
    let version = |text: &str| {
        let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
        error(42202, &format!("The specified version '{text}' is not a valid version id. {allowed}"))
    };
    let level = "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and \
                 full_transitive";
    let policy = "Invalid compatibility policy. Valid values are strict and lenient";
    let mode = "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, and FORWARD.";
    let subject = |text: &str| error(42208, &format!("The specified subject '{text}' is not a valid."));
    answers(
        &gateway,
        "/sr",
        &[
            ("POST /subjects/a/versions", json!({"schema": ""}), 422, error(42201, "Invalid schema: the text is empty")),
            ("POST /subjects/a", json!({"schema": ""}), 422, error(42201, "Invalid schema: the text is empty")),
            ("POST /compatibility/subjects/a/versions", json!({}), 422, error(42201, "Invalid schema: the text is empty")),
            ("GET /subjects/a/versions/0", NONE, 422, version("0")),
            ("GET /subjects/a/versions/newest", NONE, 422, version("newest")),
            ("GET /subjects/a/versions/-2/schema", NONE, 422, version("-2")),
            ("DELETE /subjects/a/versions/2147483648", NONE, 422, version("2147483648")),
            ("POST /compatibility/subjects/a/versions/x", avro(json!("int")), 422, version("x")),
            ("PUT /config", json!({"compatibility": "SOME"}), 422, error(42203, level)),
            ("PUT /config/a", json!({"compatibility": "SOME"}), 422, error(42203, level)),
            ("PUT /config/a", json!({"compatibilityPolicy": "SOME"}), 422, error(42203, policy)),
            ("PUT /mode", json!({"mode": "SOME"}), 422, error(42204, mode)),
            ("PUT /mode/a", json!({"mode": "SOME"}), 422, error(42204, mode)),
            ("GET /subjects/%07/versions", NONE, 422, subject("\u{7}")),
            ("POST /subjects/__GLOBAL/versions", avro(json!("int")), 422, subject("__GLOBAL")),
        ],
    )
    .await;
    // Messages about invalid schemas and contexts are for people, so only the code is compared.
    let large = avro(json!({"type": "string", "doc": "x".repeat(1 << 20)}));
    for (line, body, code) in [
        ("POST /sr/subjects/a/versions", json!({"schema": "no schema"}), 42201),
        ("POST /sr/subjects/a/versions", json!({"schema": "\"string\"", "schemaType": "XML"}), 42201),
        ("POST /sr/subjects/:.a%2Fb:c/versions", avro(json!("int")), 42208),
        ("POST /sr/subjects/a/versions", large, 42209),
        (
            "POST /sr/subjects/a/versions",
            json!({"schema": "\"string\"", "ruleSet": {"domainRules": [{"name": "1 x", "type": "CEL"}]}}),
            42210,
        ),
    ] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!((answer.status, &answer.json()["error_code"]), (422, &json!(code)), "{line}: {}", answer.text());
    }
}

#[tokio::test]
async fn conflicting_operations() {
    let gateway = filled().await;
    let referred = "One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=a,version=1}.";
    let not_empty = "Cannot import since found existing subjects; delete them first, or set the mode with force";
    let imported = |id: u32, version: u32| json!({"schema": "\"long\"", "id": id, "version": version});
    let other_id = json!({"schema": record(&["id"]).to_string(), "id": 77});
    answers(
        &gateway,
        "/sr",
        &[
            ("POST /subjects/read/versions", avro(json!("int")), 422, error(42205, "Subject read is in read-only mode")),
            ("PUT /config/read", json!({"compatibility": "FULL"}), 422, error(42205, "Subject read is in read-only mode")),
            ("POST /subjects/new/versions", json!({"schema": "\"int\"", "id": 5}), 422, error(42205, "Subject new is not in import mode")),
            ("PUT /mode/a", json!({"mode": "IMPORT"}), 422, error(42205, not_empty)),
            ("PUT /mode/half?force=true", json!({"mode": "IMPORT"}), 200, json!({"mode": "IMPORT"})),
            ("POST /subjects/half/versions", imported(1, 9), 422, error(42205, "Overwrite new schema with id 1 is not permitted.")),
            ("POST /subjects/half/versions", imported(50, 2), 422, error(42205, "Overwrite version 2 is not permitted.")),
            ("DELETE /subjects/a", NONE, 422, error(42206, referred)),
            ("DELETE /subjects/a/versions/1", NONE, 422, error(42206, referred)),
            ("POST /subjects/a/versions", other_id, 422, error(42207, "Schema already registered with id 1 instead of input id 77")),
            ("DELETE /contexts/.full", NONE, 422, error(42211, "The specified context '.full' is not empty.")),
        ],
    )
    .await;
}

#[tokio::test]
async fn malformed_requests() {
    let gateway = filled().await;
    answers(
        &gateway,
        "/sr",
        &[
            ("POST /subjects/a/versions", NONE, 422, error(422, "the request needs a body")),
            ("POST /subjects/a/versions", json!([]), 400, error(400, "[] is not of type \"object\"")),
            ("POST /subjects/a/versions", json!({"schemaType": 5}), 400, error(400, "schemaType: 5 is not of types \"null\", \"string\"")),
            ("GET /schemas/ids/one", NONE, 404, error(404, "HTTP 404 Not Found")),
        ],
    )
    .await;
    let answer = http::send(gateway.address, "PUT", "/sr/config", &[], "{").await.unwrap();
    assert_eq!((answer.status, &answer.json()["error_code"]), (400, &json!(400)), "{}", answer.text());
}

#[tokio::test]
async fn backend_errors_and_timeouts() {
    let away = CONFIG.replace("{type: memory, max_bytes: 64MiB}", "{type: redis, url: 'redis://127.0.0.1:1'}");
    let gateway = Gateway::launch(&away);
    let answer = ask(&gateway, "GET /sr/subjects", &NONE).await;
    assert_eq!((answer.status, answer.json()), (500, error(50001, "Error in the backend data store: Redis can't be reached")));
    let gateway = Gateway::start(CONFIG).await;
    let answer = http::send(gateway.address, "GET", "/sr/subjects", &[("grpc-timeout", "1n")], "").await.unwrap();
    assert_eq!((answer.status, answer.json()), (500, error(50002, "Operation timed out")));
}
