//! A GraphQL frontend that accepts only the documents of a folder.

use std::fs;

use serde_json::{Value, json};
use test_support::{
    gateway::{Gateway, Setup},
    http,
};

const JSON: (&str, &str) = ("content-type", "application/json");

fn config(documents: &str) -> String {
    format!(
        "
backends:
  ram: {{type: memory}}
frontends:
  public-graphql: {{type: graphql, settings: {{trusted_documents: '{documents}'}}}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}, frontends: [rest, public-graphql]}}
"
    )
}

async fn ask(gateway: &Gateway, body: Value) -> Value {
    http::send(gateway.address, "POST", "/store/graphql", &[JSON], body.to_string()).await.unwrap().json()
}

#[tokio::test]
async fn other_documents_are_refused_over_every_transport() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("read.graphql"), "query Read($key: String!) { retrieve(key: $key) { value } }\n").unwrap();
    fs::write(
        folder.path().join("list.json"),
        json!({"write-1": "mutation { store(key: \"a\", value: \"MQ==\") { revision } }"}).to_string(),
    )
    .unwrap();
    let gateway = Gateway::start(&config(&folder.path().display().to_string())).await;

    let written = ask(&gateway, json!({"documentId": "write-1"})).await;
    assert_eq!(written, json!({"data": {"store": {"revision": "1"}}}));
    let read = "query Read($key: String!) { retrieve(key: $key) { value } }";
    let found = ask(&gateway, json!({"query": read, "variables": {"key": "a"}})).await;
    assert_eq!(found, json!({"data": {"retrieve": {"value": "MQ=="}}}));
    let link = "/store/graphql?documentId=write-1";
    let answer = http::get(gateway.address, link).await.unwrap();
    assert_eq!(answer.status, 405, "a link must not write: {}", answer.text());

    for body in [
        json!({"query": "{ exists(key: \"a\") { exists } }"}),
        json!({"query": "{ __schema { queryType { name } } }"}),
        json!({"query": read.replace("value", "revision"), "variables": {"key": "a"}}),
        json!({"documentId": "write-2"}),
    ] {
        let refused = ask(&gateway, body.clone()).await;
        assert_eq!(refused["errors"][0]["extensions"]["reason"], "DOCUMENT_NOT_TRUSTED", "{body}: {refused}");
    }
    let stream = http::send(
        gateway.address,
        "POST",
        "/store/graphql",
        &[JSON, ("accept", "text/event-stream")],
        json!({"query": "subscription { watch { cursor } }"}).to_string(),
    );
    let refused = stream.await.unwrap();
    assert!(refused.text().contains("DOCUMENT_NOT_TRUSTED"), "{}", refused.text());
}

#[test]
fn a_broken_document_is_a_problem_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("documents")).unwrap();
    fs::write(folder.path().join("documents/a.graphql"), "query {").unwrap();
    let config = config("documents");
    let refused = Setup { config: &config, ..Setup::default() }.refused(folder.path());
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        text.contains("prism.yaml:5:") && text.contains("`trusted_documents` can't be used: documents/a.graphql: is not valid: "),
        "{text}"
    );
}
