//! Keys for field encryption, and associations of subjects with topics.

use serde_json::{Value, json};
use test_support::gateway::Gateway;

use super::{CONFIG, answers, ask, avro, error};

const NONE: Value = Value::Null;

#[tokio::test]
async fn keys() {
    let gateway = Gateway::start(CONFIG).await;
    let kek = || json!({"name": "k", "kmsType": "aws-kms", "kmsKeyId": "id", "kmsProps": {"region": "x"}, "doc": "d", "shared": false});
    let dek = || json!({"subject": "a", "encryptedKeyMaterial": "c2VjcmV0"});
    for (line, body) in [("POST /sr/dek-registry/v1/keks", kek()), ("POST /sr/dek-registry/v1/keks/k/deks", dek())] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!(answer.status, 200, "{line}: {}", answer.text());
        assert!(answer.json()["ts"].as_u64().is_some_and(|time| time > 0));
    }
    let missing = |name: &str| error(40470, &format!("Key '{name}' not found"));
    let again = |name: &str| error(40471, &format!("Key '{name}' was soft deleted; undelete it, or delete it permanently first"));
    let first = |name: &str| error(40472, &format!("Key '{name}' was not deleted first before being permanently deleted"));
    let exists = |name: &str| error(40971, &format!("Key {name} already exists; use a different value"));
    let unclear = "dek.encrypted_key_material: is missing: this registry never has a plaintext key, so the client must encrypt the \
                   key and send the result";
    let other = json!({"name": "k", "kmsType": "aws-kms", "kmsKeyId": "other"});
    answers(
        &gateway,
        "/sr/dek-registry/v1",
        &[
            ("GET /keks", NONE, 200, json!(["k"])),
            ("GET /keks/k/deks", NONE, 200, json!(["a"])),
            ("GET /keks/k/deks/a/versions", NONE, 200, json!([1])),
            ("GET /keks/none", NONE, 404, missing("none")),
            ("PUT /keks/none", json!({}), 404, missing("none")),
            ("DELETE /keks/none", NONE, 404, missing("none")),
            ("POST /keks/none/undelete", NONE, 404, missing("none")),
            ("GET /keks/none/deks", NONE, 404, missing("none")),
            ("POST /keks/none/deks", dek(), 404, missing("none")),
            ("GET /keks/k/deks/b", NONE, 404, missing("b")),
            ("GET /keks/k/deks/a/versions/2", NONE, 404, missing("a")),
            ("GET /keks/k/deks/a?algorithm=AES256_SIV", NONE, 404, missing("a")),
            ("POST /keks", other, 409, exists("k")),
            ("POST /keks/k/deks/a", json!({"encryptedKeyMaterial": "b3RoZXI="}), 409, exists("a")),
            ("POST /keks/k/deks/b", json!({}), 422, error(42272, unclear)),
            ("DELETE /keks/k", NONE, 422, error(42271, "One or more references exist to the key k; delete its data keys first")),
            ("DELETE /keks/k/deks/a?permanent=true", NONE, 404, first("a")),
            ("DELETE /keks/k/deks/a", NONE, 204, NONE),
            ("POST /keks/k/deks", dek(), 404, again("a")),
            ("POST /keks/k/deks/a/versions/1/undelete", NONE, 204, NONE),
            ("DELETE /keks/k/deks/a/versions/1", NONE, 204, NONE),
            ("POST /keks/k/deks/a/undelete", NONE, 204, NONE),
            ("DELETE /keks/k/deks/a", NONE, 204, NONE),
            ("DELETE /keks/k/deks/a?permanent=true", NONE, 204, NONE),
            ("DELETE /keks/k?permanent=true", NONE, 404, first("k")),
            ("DELETE /keks/k", NONE, 204, NONE),
            ("GET /keks/k", NONE, 404, missing("k")),
            ("GET /keks?deleted=true", NONE, 200, json!(["k"])),
            ("POST /keks", kek(), 404, again("k")),
            ("POST /keks/k/undelete", NONE, 204, NONE),
            ("DELETE /keks/k", NONE, 204, NONE),
            ("DELETE /keks/k?permanent=true", NONE, 204, NONE),
            ("GET /keks?deleted=true", NONE, 200, json!([])),
        ],
    )
    .await;
    for (line, body) in [
        ("POST /sr/dek-registry/v1/keks", json!({"name": "x"})),
        ("GET /sr/dek-registry/v1/keks/k/deks/a?algorithm=ROT13", NONE),
        ("POST /sr/dek-registry/v1/keks/k/deks", json!({"encryptedKeyMaterial": "c2VjcmV0"})),
    ] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!((answer.status, &answer.json()["error_code"]), (422, &json!(42270)), "{line}: {}", answer.text());
    }
    // Operations that need a key management service are refused.
    let answer = ask(&gateway, "POST /sr/dek-registry/v1/keks/k/test", &NONE).await;
    assert_eq!((answer.status, &answer.json()["error_code"]), (422, &json!(422)), "{}", answer.text());
}

#[tokio::test]
async fn associations() {
    let gateway = Gateway::start(CONFIG).await;
    for subject in ["a", "b"] {
        assert_eq!(ask(&gateway, &format!("POST /sr/subjects/{subject}/versions"), &avro(json!("string"))).await.status, 200);
    }
    let orders = |subject: &str, frozen: bool| {
        let one = json!({"subject": subject, "associationType": "value", "lifecycle": "STRONG", "frozen": frozen});
        json!({"resourceName": "orders", "resourceNamespace": "lkc-1", "resourceId": "lkc-1:orders", "associations": [one]})
    };
    let already_exists = "The resource lkc-1:orders has an association value with the subject a already";
    let frozen = "The association value of the resource lkc-1:orders is frozen";
    for (line, body, status, code, message) in [
        ("POST /sr/associations", orders("none", false), 404, 40401, "Subject 'none' not found."),
        ("POST /sr/associations", orders("a", true), 200, 0, ""),
        ("POST /sr/associations", orders("a", true), 200, 0, ""),
        ("POST /sr/associations", orders("b", true), 409, 40980, already_exists),
        ("PUT /sr/associations/resources/lkc-1:orders", orders("b", true), 409, 40980, already_exists),
        ("PUT /sr/associations/resources/lkc-1:orders", orders("a", false), 409, 40981, frozen),
        ("DELETE /sr/associations/resources/lkc-1:orders", NONE, 409, 40981, frozen),
        ("POST /sr/associations", json!({"resourceId": "x"}), 422, 422, "associations: takes 1 to 100 items"),
    ] {
        let answer = ask(&gateway, line, &body).await;
        assert_eq!(answer.status, status, "{line}: {}", answer.text());
        if code != 0 {
            assert_eq!(answer.json(), error(code, message), "{line}");
        }
    }
    for path in ["subjects/a", "resources/lkc-1:orders", "resources/lkc-1/orders", "resources/-/orders"] {
        let listed = ask(&gateway, &format!("GET /sr/associations/{path}"), &NONE).await.json();
        assert_eq!((listed[0]["subject"].as_str(), listed.as_array().unwrap().len()), (Some("a"), 1), "{path}: {listed}");
    }
    let gone = ask(&gateway, "DELETE /sr/associations/resources/lkc-1:orders?cascadeLifecycle=true", &NONE).await;
    assert_eq!((gone.status, gone.body.len()), (204, 0));
    assert_eq!(ask(&gateway, "GET /sr/subjects", &NONE).await.json(), json!(["b"]));
}

#[tokio::test]
async fn associations_of_many_resources() {
    let gateway = Gateway::start(CONFIG).await;
    assert_eq!(ask(&gateway, "POST /sr/subjects/a/versions", &avro(json!("string"))).await.status, 200);
    let one = |name: &str, subject: &str, lifecycle: &str, schema: Value| {
        let mut change = json!({"subject": subject, "associationType": "value", "lifecycle": lifecycle});
        if !schema.is_null() {
            change["schema"] = schema;
        }
        json!({"resourceName": name, "resourceNamespace": "lkc-1", "resourceId": format!("lkc-1:{name}"), "associations": [change]})
    };
    let made = |name: &str, subject: &str, lifecycle: &str| {
        let mut result = one(name, subject, lifecycle, NONE);
        result["resourceType"] = json!("topic");
        json!({"result": result})
    };
    let refused = |code: u32, message: &str| json!({"error": error(code, message)});
    let requests = json!({"requests": [
        one("orders", "a", "WEAK", NONE),
        one("none", "none", "WEAK", NONE),
        {"associations": [{"subject": "a"}]},
        {"resourceId": "x", "associations": []},
        one("bad", "b", "WEAK", json!({"schema": "no schema"})),
        one("text", "b", "SOMETIMES", NONE),
        one("control", "a\u{1}", "WEAK", NONE),
        one("payments", "b", "STRONG", avro(json!("string"))),
        one("payments", "b", "WEAK", NONE),
    ]});
    let create = ask(&gateway, "POST /sr/associations:batchCreate?dryRun=true", &requests).await;
    assert_eq!(create.json()["results"][7], made("payments", "b", "STRONG"), "{}", create.text());
    assert_eq!(ask(&gateway, "GET /sr/subjects", &NONE).await.json(), json!(["a"]), "a dry run");
    let create = ask(&gateway, "POST /sr/associations:batchCreate", &requests).await;
    assert_eq!(create.headers["content-type"], "application/vnd.schemaregistry.v1+json");
    let answer = create.json();
    let results = answer["results"].as_array().unwrap();
    assert_eq!((create.status, results.len()), (200, 9), "{}", create.text());
    for (index, expected) in [
        (0, made("orders", "a", "WEAK")),
        (1, refused(40401, "Subject 'none' not found.")),
        (2, refused(422, "resource_id: is missing")),
        (3, refused(422, "associations: takes 1 to 100 items")),
        (5, refused(422, "associations[0].lifecycle: takes STRONG and WEAK")),
        // In a batch, codes and messages are those of the table in the definition, too.
        (6, refused(42208, "The specified subject 'a\u{1}' is not a valid.")),
        (7, made("payments", "b", "STRONG")),
        (8, refused(40980, "The resource lkc-1:payments has an association value with the subject b already")),
    ] {
        assert_eq!(results[index], expected, "{index}");
    }
    assert_eq!(results[4]["error"]["error_code"], 42201, "{answer}");
    assert_eq!(ask(&gateway, "GET /sr/subjects", &NONE).await.json(), json!(["a", "b"]));

    // `batchUpsert` changes an existing association. Another context has subjects of its own.
    let requests = json!({"requests": [one("payments", "b", "WEAK", NONE), one("orders", "b", "WEAK", NONE)]});
    let upsert = ask(&gateway, "POST /sr/associations:batchUpsert", &requests).await.json();
    let already_exists = "The resource lkc-1:orders has an association value with the subject a already";
    assert_eq!(upsert, json!({"results": [made("payments", "b", "WEAK"), refused(40980, already_exists)]}));
    let requests = json!({"requests": [one("new", "b", "WEAK", NONE)]});
    let upsert = ask(&gateway, "POST /sr/associations:batchUpsert?context=.x", &requests).await.json();
    assert_eq!(upsert["results"][0], refused(40401, "Subject ':.x:b' not found."));

    let many = vec![one("orders", "a", "WEAK", NONE); 101];
    for (body, message) in [(json!({"requests": []}), "requests: "), (json!({"requests": many}), "requests: "), (json!({}), "\"requests\"")]
    {
        let answer = ask(&gateway, "POST /sr/associations:batchUpsert", &body).await;
        assert_eq!((answer.status, &answer.json()["error_code"]), (422, &json!(422)), "{}", answer.text());
        assert!(answer.json()["message"].as_str().unwrap().contains(message), "{}", answer.text());
    }
}
