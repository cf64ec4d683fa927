//! Tags within schema texts (`schemaTags`, `findTags` and similar), and references with their contexts.

use serde_json::{Value, json};
use test_support::gateway::Gateway;

use super::{CONFIG, answers, ask, error};

const NONE: Value = Value::Null;
const PROTO: &str =
    "syntax = \"proto3\";\n\npackage shop;\n\nmessage Order {\n  int64 id = 1;\n\n  message Line {\n    string note = 1;\n  }\n}\n";

fn tags(path: &str, kind: &str, tags: &[&str]) -> Value {
    json!({"schemaEntity": {"entityPath": path, "entityType": kind}, "tags": tags})
}

/// Reads a version, without its timestamp.
async fn read_version(gateway: &Gateway, path: &str) -> Value {
    let answer = ask(gateway, &format!("GET {path}"), &NONE).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

#[tokio::test]
async fn schema_tags_are_added_and_listed() {
    let gateway = Gateway::start(CONFIG).await;
    let avro = json!({"type": "record", "name": "Order", "namespace": "shop", "fields": [{"name": "id", "type": "long"}]}).to_string();
    for (subject, kind, text, record, field) in [
        ("avro", "AVRO", avro.as_str(), "shop.Order", "shop.Order.id"),
        ("json", "JSON", r#"{"type":"object","properties":{"id":{"type":"integer"}}}"#, "object", "object.id"),
        ("proto", "PROTOBUF", PROTO, "shop.Order.Line", "shop.Order.id"),
    ] {
        let path = format!("/sr/subjects/{subject}/versions");
        let (of_record, of_field) = (tags(record, "sr_record", &["X"]), tags(field, "sr_field", &["PII", "Y"]));
        let body = json!({"schemaType": kind, "schema": text, "schemaTagsToAdd": [of_record, of_field]});
        let first = ask(&gateway, &format!("POST {path}"), &body).await.json();
        let id = first["id"].as_u64().unwrap_or_else(|| panic!("{first}"));
        let find = |query: &str| {
            let guid = first["guid"].as_str().unwrap();
            [format!("/sr/schemas/ids/{id}?{query}"), format!("/sr/schemas/guids/{guid}?{query}"), format!("{path}/latest?{query}")]
        };
        let both = if subject == "proto" { json!([of_field, of_record]) } else { json!([of_record, of_field]) };
        for (query, expected) in [
            ("findTags=*", both),
            ("findTags=PII", json!([tags(field, "sr_field", &["PII"])])),
            ("findTags=Y&findTags=Z&format=", json!([tags(field, "sr_field", &["Y"])])),
            ("findTags=Z", NONE),
            ("findTags=", NONE),
            ("", NONE),
        ] {
            for path in find(query) {
                assert_eq!(read_version(&gateway, &path).await["schemaTags"], expected, "{path}");
            }
        }
        // Without all tags, the text is the first version again.
        let change = json!({"tagsToRemove": [of_record, of_field]});
        let bare = ask(&gateway, &format!("POST {path}/1/tags"), &change).await.json();
        assert_eq!((&bare["version"], &bare["schema"]), (&json!(2), &json!(text)), "{bare}");
        // With the tags of the first version, it is a new version all the same.
        let change = json!({"tagsToAdd": [of_record, of_field], "newVersion": 3});
        let again = ask(&gateway, &format!("POST {path}/latest/tags"), &change).await.json();
        assert_eq!((&again["version"], &again["schema"]), (&json!(3), &first["schema"]), "{again}");
        assert_eq!(again["metadata"], json!({"properties": {"confluent:version": "3"}}));
    }
}

#[tokio::test]
async fn schema_tags_are_propagated_to_the_next_version() {
    let gateway = Gateway::start(CONFIG).await;
    let text = |fields: &[&str]| {
        let fields: Vec<_> = fields.iter().map(|name| json!({"name": name, "type": "long", "default": 0})).collect();
        json!({"type": "record", "name": "Order", "fields": fields}).to_string()
    };
    let path = "/sr/subjects/a/versions";
    let add = json!([tags("Order.id", "sr_field", &["PII"]), tags("Order.old", "sr_field", &["X"])]);
    ask(&gateway, &format!("POST {path}"), &json!({"schema": text(&["id", "old"]), "schemaTagsToAdd": add})).await;
    let next = json!({"schema": text(&["id", "new"]), "propagateSchemaTags": true, "schemaTagsToRemove": null});
    assert_eq!(ask(&gateway, &format!("POST {path}"), &next).await.json()["version"], json!(2));
    assert_eq!(
        read_version(&gateway, &format!("{path}/2?findTags=*")).await["schemaTags"],
        json!([tags("Order.id", "sr_field", &["PII"])])
    );
    // Without the parameter, tags are not propagated.
    let last = json!({"schema": text(&["id", "newer"]), "propagateSchemaTags": false});
    assert_eq!(ask(&gateway, &format!("POST {path}"), &last).await.json()["version"], json!(3));
    assert_eq!(read_version(&gateway, &format!("{path}/3?findTags=*")).await["schemaTags"], NONE);
}

#[tokio::test]
async fn tags_on_missing_parts_of_a_schema_are_refused() {
    let gateway = Gateway::start(CONFIG).await;
    let schema = super::record(&["id"]).to_string();
    let with = |one: Value| json!({"schema": schema, "schemaTagsToAdd": [one]});
    let missing = |what: &str| error(42201, &format!("Tags can't be changed: the schema has no {what}"));
    let refused = |message: &str| error(400, message);
    answers(
        &gateway,
        "/sr",
        &[
            ("POST /subjects/a/versions", with(tags("Order.what", "sr_field", &["X"])), 422, missing("sr_field 'Order.what'")),
            ("POST /subjects/a/versions", with(tags("Order.id", "sr_record", &["X"])), 422, missing("sr_record 'Order.id'")),
            ("GET /subjects", NONE, 200, json!([])),
            (
                "POST /subjects/a/versions",
                with(tags("Order", "table", &["X"])),
                400,
                refused("tags_to_add[0].schema_entity.entity_type: \"table\" is neither sr_record nor sr_field"),
            ),
            (
                "POST /subjects/a/versions",
                with(json!({"tags": ["X"]})),
                400,
                refused("tags_to_add[0].schema_entity.entity_path: is missing"),
            ),
        ],
    )
    .await;
    ask(&gateway, "POST /sr/subjects/a/versions", &json!({"schema": schema})).await;
    let change = json!({"tagsToRemove": [tags("object.id", "sr_field", &["X"])]});
    answers(&gateway, "/sr", &[("POST /subjects/a/versions/1/tags", change, 422, missing("sr_field 'object.id'"))]).await;
}

#[tokio::test]
async fn references_with_their_contexts() {
    let gateway = Gateway::start(CONFIG).await;
    ask(&gateway, "POST /sr/subjects/:.x:a/versions", &json!({"schema": super::record(&["id"]).to_string()})).await;
    let schema = json!({"type": "record", "name": "Basket", "fields": [{"name": "order", "type": "Order"}]}).to_string();
    let body = json!({"schema": schema, "references": [{"name": "Order", "subject": "a", "version": 1}]});
    let answer = ask(&gateway, "POST /sr/contexts/.x/subjects/b/versions", &body).await;
    assert_eq!(answer.json()["id"], json!(2), "{}", answer.text());
    for path in ["/sr/contexts/.x/schemas/ids/2", "/sr/contexts/.x/subjects/b/versions/1", "/sr/schemas/ids/2?subject=:.x:b"] {
        let join = if path.contains('?') { '&' } else { '?' };
        for (format, subject) in [("", "a"), ("default", "a"), ("whatever", "a"), ("qualified", ":.x:a")] {
            let version = read_version(&gateway, &format!("{path}{join}referenceFormat={format}")).await;
            assert_eq!(version["references"], json!([{"name": "Order", "subject": subject, "version": 1}]), "{path} {format}");
        }
    }
}
