//! The GraphQL endpoint of a listener: its fields are of namespaces that authenticate callers in different ways.

use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

use super::caller::create_key;

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
    let ask = async |key: Option<&str>, query: &str| -> Value {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("x-api-key", key)));
        let body = json!({"query": query}).to_string();
        http::send(gateway.address, "POST", "/graphql", &headers, body).await.unwrap().json()
    };
    let absent = json!({"exists": {"exists": false}});
    assert_eq!(ask(Some(&ada), query).await, json!({"data": {"mine": absent, "shared": absent}}));
    let partly = ask(Some(&eve), query).await;
    assert_eq!(partly["data"], json!({"mine": {"exists": null}, "shared": absent}));
    assert_eq!(partly["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{partly}");
    assert_eq!(ask(None, query).await["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    // The schema names all namespaces, so it is for callers whom all of them authenticate.
    for (key, may_read) in [(&ada, true), (&eve, false)] {
        for introspection in ["{ __schema { queryType { name } } }", "{ __type(name: \"Query\") { fields { name } } }"] {
            assert_eq!(ask(Some(key), introspection).await["errors"].is_null(), may_read, "{introspection}");
        }
        let headers = [("x-api-key", key.as_str())];
        let text = http::send(gateway.address, "GET", "/graphql/schema.graphql", &headers, "").await.unwrap();
        assert_eq!(text.status == 200, may_read, "{}", text.text());
    }
}
