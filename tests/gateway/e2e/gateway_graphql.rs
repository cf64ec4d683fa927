//! The GraphQL endpoint of a listener, with a field for each namespace.

use serde_json::{Value, json};
use test_support::{
    gateway::{Gateway, Setup},
    http,
};

const JSON: (&str, &str) = ("content-type", "application/json");

const CONFIG: &str = "
listeners:
  main: {graphql: graphql}
backends:
  ram: {type: memory}
namespaces:
  - {name: users, pattern: keyvalue, slots: {storage: ram}}
  - {name: order-items, pattern: keyvalue, slots: {storage: ram}, frontends: [graphql]}
  - {name: events, pattern: interfaces, slots: {backend: ram}}
  - {name: hidden, pattern: keyvalue, slots: {storage: ram}, frontends: [rest]}
  - {name: strict, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: graphql, settings: {introspection: false}}]}
";

async fn ask(gateway: &Gateway, headers: &[(&str, &str)], query: &str) -> Value {
    let headers = [&[JSON], headers].concat();
    let body = json!({"query": query}).to_string();
    http::send(gateway.address, "POST", "/graphql", &headers, body).await.unwrap().json()
}

#[tokio::test]
async fn one_request_reads_and_writes_several_namespaces() {
    let gateway = Gateway::start(CONFIG).await;
    let written = ask(
        &gateway,
        &[("idempotency-key", "\"k\"")],
        "mutation { users { store(key: \"a\", value: \"MQ==\") { revision } } orderItems { store(key: \"a\", value: \"Mg==\") { revision } } }",
    )
    .await;
    let revision = json!({"store": {"revision": "1"}});
    assert_eq!(written, json!({"data": {"users": revision, "orderItems": revision}}));
    let read = ask(
        &gateway,
        &[],
        "{ users { a: retrieve(key: \"a\") { value } b: retrieve(key: \"b\") { value } } orderItems { retrieve(key: \"a\") { value } } events { getCapabilities { capabilities { namespace } } } }",
    )
    .await;
    let capabilities = json!({"getCapabilities": {"capabilities": {"namespace": "events"}}});
    assert_eq!(
        read["data"],
        json!({"users": {"a": {"value": "MQ=="}, "b": null}, "orderItems": {"retrieve": {"value": "Mg=="}}, "events": capabilities})
    );
    assert_eq!(read["errors"][0]["path"], json!(["users", "b"]), "{read}");
    // The namespace does not bind the frontend, or not as it is.
    for hidden in ["{ hidden { retrieve(key: \"a\") { value } } }", "{ strict { retrieve(key: \"a\") { value } } }"] {
        assert_eq!(ask(&gateway, &[], hidden).await["errors"][0]["extensions"]["reason"], "GRAPHQL_VALIDATION", "{hidden}");
    }
    let metrics = gateway.metrics().await;
    for line in [
        r#"prism_calls_total{code="OK",method="graphql",namespace="*",protocol="graphql"}"#,
        r#"prism_calls_total{code="OK",method="Store",namespace="users",protocol="graphql"} 1"#,
        r#"prism_calls_total{code="OK",method="RetrieveBatch",namespace="users",protocol="graphql"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn the_schema_the_page_and_streams_are_served_as_for_a_namespace() {
    let gateway = Gateway::start(CONFIG).await;
    let schema = http::get(gateway.address, "/graphql/schema.graphql").await.unwrap();
    for part in ["\n  orderItems: KeyValueQuery!", "\n  users: KeyValueQuery!", "\n  events: InterfacesSubscription!"] {
        assert!(schema.text().contains(part), "{part} is missing in {}", schema.text());
    }
    let html = [("accept", "text/html")];
    let page = http::send(gateway.address, "GET", "/graphql", &html, "").await.unwrap();
    assert!(page.status == 200 && page.text().contains("graphql/graphiql/start.js"), "{}", page.text());
    let names = ask(&gateway, &[], "{ __schema { queryType { fields { name } } } }").await;
    let fields = json!([{"name": "events"}, {"name": "orderItems"}, {"name": "users"}]);
    assert_eq!(names["data"]["__schema"]["queryType"]["fields"], fields);

    ask(&gateway, &[], "mutation { users { store(key: \"a\", value: \"\") { revision } } }").await;
    let events = [JSON, ("accept", "text/event-stream")];
    let body = json!({"query": "subscription { users { scan { key } } }"}).to_string();
    let streamed = http::send(gateway.address, "POST", "/graphql", &events, body).await.unwrap();
    assert!(streamed.text().starts_with("event: next\ndata: {\"data\":{\"users\":{\"scan\":{\"key\":\"a\"}}}"), "{}", streamed.text());
    assert!(streamed.text().ends_with("event: complete\ndata:\n\n"), "{}", streamed.text());
    // The endpoints of the namespaces are still there.
    let single = http::get(gateway.address, "/order-items/graphql?query=%7B__typename%7D").await.unwrap();
    assert_eq!(single.text(), r#"{"data":{"__typename":"Query"}}"#);
}

#[test]
fn problems_of_the_setting_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let problems = |listener: &str, namespace: &str| {
        let config = format!(
            "listeners: {{main: {{graphql: {listener}}}}}\nbackends: {{ram: {{type: memory}}}}\nnamespaces:\n  - {{name: store, pattern: keyvalue, slots: {{storage: ram}}{namespace}}}\n"
        );
        let refused = Setup { config: &config, ..Setup::default() }.refused(folder.path());
        String::from_utf8_lossy(&refused.stderr).into_owned()
    };
    assert!(problems("rest", "").contains("unknown GraphQL frontend `rest`"), "{}", problems("rest", ""));
    let twice = problems("graphql", ", frontends: [{frontend: graphql, base_path: /}]");
    assert!(twice.contains("the namespace `store` is served at `/graphql` too"), "{twice}");
    let below = problems("graphql", ", frontends: [{frontend: rest, base_path: /graphql}]");
    assert!(below.contains("the namespace `store` is served at `/graphql` too"), "{below}");
}
