//! A GraphQL frontend that accepts only the documents of a folder.

use std::fs;

use serde_json::{Value, json};
use test_support::{
    gateway::{Gateway, Setup},
    http,
    poll::until,
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

#[tokio::test]
async fn documents_in_a_namespace_are_added_and_removed_while_the_gateway_runs() {
    let gateway = Gateway::start(
        "
backends:
  ram: {type: memory}
frontends:
  public-graphql: {type: graphql, settings: {trusted_documents_namespace: documents}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}, frontends: [rest, public-graphql]}
  - {name: documents, pattern: keyvalue, slots: {storage: ram}, frontends: [rest]}
",
    )
    .await;
    let reason = |answer: &Value| answer["errors"][0]["extensions"]["reason"].as_str().unwrap_or_default().to_owned();
    let write = async |method: &str, path: &str, text: &str| {
        let answer = http::send(gateway.address, method, path, &[], text.to_owned()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    assert_eq!(reason(&ask(&gateway, json!({"documentId": "count-1"})).await), "DOCUMENT_NOT_TRUSTED");
    let text = "{ count { count } }";
    assert_eq!(reason(&ask(&gateway, json!({"query": text})).await), "DOCUMENT_NOT_TRUSTED");

    write("PUT", "/documents/v1/values/count-1", text).await;
    // By its hash, and so as text.
    let hash = "7f8a9f7c1f03bc362ae50de1d96d5c4c9c572f7121d3f0ddbec9e4d1b7ca0c71";
    write("PUT", &format!("/documents/v1/values/sha256:{hash}"), text).await;
    let counted = json!({"data": {"count": {"count": "0"}}});
    for request in [json!({"documentId": "count-1"}), json!({"query": text}), json!({"documentId": format!("sha256:{hash}")})] {
        until("trusted", || async {
            let answer = ask(&gateway, request.clone()).await;
            if answer == counted { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    }
    // The text must be that of the id.
    let other = ask(&gateway, json!({"documentId": "count-1", "query": "{ exists(key: \"a\") { exists } }"})).await;
    assert_eq!(reason(&other), "DOCUMENT_NOT_TRUSTED");
    // A text under the hash of another one is no document.
    let wrong = "0".repeat(64);
    write("PUT", &format!("/documents/v1/values/sha256:{wrong}"), text).await;
    assert_eq!(reason(&ask(&gateway, json!({"documentId": format!("sha256:{wrong}")})).await), "DOCUMENT_NOT_TRUSTED");

    write("DELETE", "/documents/v1/keys/count-1", "").await;
    until("removed", || async {
        let answer = ask(&gateway, json!({"documentId": "count-1"})).await;
        if reason(&answer) == "DOCUMENT_NOT_TRUSTED" { Ok(()) } else { Err(answer.to_string()) }
    })
    .await;
}

#[test]
fn the_namespace_with_the_documents_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, problem) in [
        ("trusted_documents_namespace: stor", "unknown namespace `stor`; did you mean `store`?"),
        ("trusted_documents_namespace: events", "must name a namespace with the pattern keyvalue; `events` has event-sourcing"),
    ] {
        let config = format!(
            "
backends:
  ram: {{type: memory}}
frontends:
  public-graphql: {{type: graphql, settings: {{{settings}}}}}
namespaces:
  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}, frontends: [rest, public-graphql]}}
  - {{name: events, pattern: event-sourcing, slots: {{storage: ram}}, frontends: [rest]}}
"
        );
        let refused = Setup { config: &config, ..Setup::default() }.refused(folder.path());
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(problem), "{text}");
    }
}
