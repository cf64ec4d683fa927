//! Documents over REST, gRPC and GraphQL, through the pattern `interfaces`.

use prism::proto::models::document::v1::{GetRequest, GetResponse};
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::wire;

const CONFIG: &str = "
backends:
  ram: {type: memory}
namespaces:
  - {name: store, pattern: interfaces, slots: {backend: ram}}
";

async fn post(gateway: &Gateway, path: &str, body: &Value) -> (u16, Value) {
    let answer = http::send(gateway.address, "POST", path, &[("content-type", "application/json")], body.to_string()).await.unwrap();
    (answer.status, answer.json())
}

#[tokio::test]
async fn every_protocol_reaches_the_same_documents() {
    let gateway = Gateway::start(CONFIG).await;
    let body = json!({"name": "Ann", "age": 41.0, "tags": ["a", null, {"deep": [1.5]}], "text": "\0ä"});
    let insert = json!({"collection": "people", "id": "ann", "body": body});
    let (status, reply) = post(&gateway, "/store/v1/document_basic/Insert", &insert).await;
    assert_eq!((status, &reply["id"]), (200, &json!("ann")), "{reply}");
    let again = http::get(gateway.address, "/store/v1/document_basic/Get?collection=people&id=ann").await.unwrap().json();
    assert_eq!(again["document"]["body"], body, "{again}");

    let index = json!({"collection": "people", "index": {"name": "name", "fields": [{"path": "name"}], "unique": true}});
    assert_eq!(post(&gateway, "/store/v1/document_indexing/CreateIndex", &index).await, (200, json!({"created": true})));
    let (status, problem) = post(&gateway, "/store/v1/document_basic/Insert", &json!({"collection": "people", "body": body})).await;
    assert_eq!((status, &problem["reason"], &problem["metadata"]["index"]), (409, &json!("UNIQUE_VIOLATION"), &json!("name")), "{problem}");

    let patch = json!({"collection": "people", "id": "ann", "mergePatch": {"age": 42.0, "text": null}, "returnDocument": true});
    let (status, reply) = post(&gateway, "/store/v1/document_basic/Update", &patch).await;
    assert_eq!((status, &reply["document"]["body"]["age"]), (200, &json!(42.0)), "{reply}");

    let filter = json!({"all": {"conditions": [
        {"compare": {"path": "age", "operator": "COMPARISON_OPERATOR_GREATER", "value": 40}},
        {"anyElement": {"path": "tags", "condition": {"compare": {"value": "a"}}}},
    ]}});
    let find = json!({"collection": "people", "filter": filter, "order": [{"path": "name"}], "fields": ["name"]});
    let lines =
        http::send(gateway.address, "POST", "/store/v1/document_query/Find", &[("content-type", "application/json")], find.to_string())
            .await
            .unwrap();
    assert!(lines.text().contains(r#""body":{"name":"Ann"}"#) && lines.text().contains("\"cursor\":\""), "{}", lines.text());
    let bad = json!({"collection": "people", "filter": {"not": {"presence": {"path": "a..b"}}}});
    let (status, problem) = post(&gateway, "/store/v1/document_query/FindOne", &bad).await;
    assert_eq!((status, &problem["reason"]), (400, &json!("INVALID_CONDITION")), "{problem}");
    assert!(problem.to_string().contains("filter.not.presence.path"), "{problem}");

    let request = GetRequest { collection: "people".to_owned(), id: "ann".to_owned(), fields: vec!["age".to_owned()] };
    let path = "/prism.interfaces.document.v1.DocumentBasicService/Get";
    let reply = wire::grpc(gateway.address, path, &[("x-prism-namespace", "store")], wire::frame(&request)).await;
    let document = reply.message::<GetResponse>().document.unwrap();
    assert_eq!(document.body.unwrap().fields["age"].kind, Some(prost_types::value::Kind::NumberValue(42.0)));

    let query = json!({"query": r#"{ documentBasicGet(collection: "people", id: "ann") { document { id body } } }"#});
    let (status, reply) = post(&gateway, "/store/graphql", &query).await;
    assert_eq!((status, &reply["data"]["documentBasicGet"]["document"]["body"]["age"]), (200, &json!(42.0)), "{reply}");
}

#[tokio::test]
async fn bodies_that_are_too_deep_are_refused() {
    let gateway = Gateway::start(CONFIG).await;
    for levels in [31, 32, 33, 50, 120, 1000] {
        let mut text = "1".to_owned();
        for _ in 0..levels {
            text = format!(r#"{{"a":{text}}}"#);
        }
        let id = format!("id-{levels}");
        let request = format!(r#"{{"collection":"people","id":"{id}","body":{text}}}"#);
        let headers = [("content-type", "application/json")];
        let answer = http::send(gateway.address, "POST", "/store/v1/document_basic/Insert", &headers, request).await.unwrap();
        // What has many more levels is not even decoded.
        let expected = match levels {
            ..=32 => 200,
            33 => 413,
            _ => 400,
        };
        assert_eq!(answer.status, expected, "{levels}: {}", answer.text());
        let found = http::get(gateway.address, &format!("/store/v1/document_basic/Get?collection=people&id={id}")).await.unwrap();
        assert_eq!(found.json()["document"].is_object(), levels <= 32, "{levels}");
    }
}
