//! The GraphQL endpoint of a listener: its fields are of namespaces that authenticate callers in different ways.

use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::caller::create_key;

async fn ask(gateway: &Gateway, key: Option<&str>, query: &str) -> Value {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(key.map(|key| ("x-api-key", key)));
    let body = json!({"query": query}).to_string();
    http::send(gateway.address, "POST", "/graphql", &headers, body).await.unwrap().json()
}

/// Checks whether the caller with this key can read the schema with these queries, and as text.
async fn check_schema(gateway: &Gateway, (key, may_read): (&str, bool), queries: &[&str]) {
    for query in queries {
        assert_eq!(ask(gateway, Some(key), query).await["errors"].is_null(), may_read, "{query}");
    }
    let text = http::send(gateway.address, "GET", "/graphql/schema.graphql", &[("x-api-key", key)], "").await.unwrap();
    assert_eq!(text.status == 200, may_read, "{}", text.text());
}

const INTROSPECTION: [&str; 2] = ["{ __schema { queryType { name } } }", "{ __type(name: \"Query\") { fields { name } } }"];

#[tokio::test]
async fn each_field_needs_the_access_of_its_namespace() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own.yaml"), folder.path().join("other.yaml"));
    let (ada, eve) = (create_key(&own, &["--subject", "ada"]), create_key(&other, &["--subject", "eve"]));
    let gateway = Gateway::start(&format!(
        "
authenticators:
  own: {{type: api-key, file: '{}'}}
  other: {{type: api-key, file: '{}'}}
listeners:
  main: {{authentication: [own], graphql: graphql}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: mine, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: shared, pattern: keyvalue, slots: {{storage: ram}}, authentication: [own, other]}}
",
        own.display(),
        other.display()
    ))
    .await;
    let query = "{ mine { exists(key: \"a\") { exists } } shared { exists(key: \"a\") { exists } } }";
    let absent = json!({"exists": {"exists": false}});
    assert_eq!(ask(&gateway, Some(&ada), query).await, json!({"data": {"mine": absent, "shared": absent}}));
    let partly = ask(&gateway, Some(&eve), query).await;
    assert_eq!(partly["data"], json!({"mine": {"exists": null}, "shared": absent}));
    assert_eq!(partly["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{partly}");
    assert_eq!(ask(&gateway, None, query).await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    // The schema names all namespaces, so it is for callers whom all of them authenticate.
    check_schema(&gateway, (ada.as_str(), true), &INTROSPECTION).await;
    check_schema(&gateway, (eve.as_str(), false), &INTROSPECTION).await;
}

#[tokio::test]
async fn the_schema_is_for_callers_who_may_read_the_capabilities_of_all_namespaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let (ada, eve) = (create_key(&file, &["--subject", "ada"]), create_key(&file, &["--subject", "eve"]));
    let gateway = Gateway::start(&format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys], graphql: subgraph}}}}
backends: {{ram: {{type: memory}}}}
frontends: {{subgraph: {{type: graphql, settings: {{federation: true}}}}}}
namespaces:
  - {{name: mine, pattern: keyvalue, slots: {{storage: ram}}, frontends: [subgraph]}}
  - {{name: shared, pattern: keyvalue, slots: {{storage: ram}}, frontends: [subgraph]}}
policy:
  rules:
    - {{name: mine, namespaces: [mine], when: principal.subject == 'ada'}}
    - {{name: shared, namespaces: [shared]}}
",
        file.display()
    ))
    .await;
    let queries = [&INTROSPECTION[..], &["{ _service { sdl } }"]].concat();
    check_schema(&gateway, (ada.as_str(), true), &queries).await;
    check_schema(&gateway, (eve.as_str(), false), &queries).await;
}

#[tokio::test]
async fn fields_that_a_caller_may_not_call_are_absent_from_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.yaml");
    let (ada, eve) = (create_key(&file, &["--subject", "ada"]), create_key(&file, &["--subject", "eve"]));
    let gateway = Gateway::start(&format!(
        "
authenticators: {{keys: {{type: api-key, file: '{}'}}}}
listeners: {{main: {{authentication: [keys], graphql: graphql}}}}
backends: {{ram: {{type: memory}}}}
namespaces:
  - {{name: mine, pattern: keyvalue, slots: {{storage: ram}}}}
  - {{name: shared, pattern: keyvalue, slots: {{storage: ram}}}}
policy:
  rules:
    - {{name: ada, when: principal.subject == 'ada'}}
    - {{name: mine, namespaces: [mine], methods: [GetCapabilities, Retrieve]}}
    - {{name: shared, namespaces: [shared], access: read}}
",
        file.display()
    ))
    .await;
    let query =
        "{ mine: __type(name: \"KeyValueQuery\") { fields { name } } shared: __type(name: \"KeyValue2Query\") { fields { name } } }";
    for _ in 0..2 {
        let all = ask(&gateway, Some(&ada), query).await;
        assert_eq!(all["data"]["shared"], Value::Null, "both namespaces share their types: {all}");
        assert!(all["data"]["mine"].to_string().contains("\"exists\""), "{all}");
        let some = ask(&gateway, Some(&eve), query).await;
        assert_eq!(some["data"]["mine"]["fields"], json!([{"name": "getCapabilities"}, {"name": "retrieve"}]), "{some}");
        assert!(some["data"]["shared"].to_string().contains("\"exists\""), "{some}");
        let mutation = ask(&gateway, Some(&eve), "{ __schema { mutationType { name } } }").await;
        assert_eq!(mutation["data"]["__schema"]["mutationType"], Value::Null, "{mutation}");
    }
}
