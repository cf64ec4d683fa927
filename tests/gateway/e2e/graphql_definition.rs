//! A definition with a GraphQL schema of its own (`examples/tasks.yaml`).

use futures::StreamExt as _;
use http_body_util::BodyDataStream;
use serde_json::{Value, json};
use test_support::{gateway::Gateway, http};

const JSON: (&str, &str) = ("content-type", "application/json");

fn config() -> String {
    format!(
        "
backends:
  ram: {{type: memory}}
frontends:
  tasks: {{definition: {}/examples/frontends/tasks.yaml, settings: {{max_depth: 4}}}}
namespaces:
  - {{name: work, pattern: keyvalue, slots: {{storage: ram}}, frontends: [rest, graphql, tasks]}}
",
        env!("CARGO_MANIFEST_DIR")
    )
}

async fn ask(gateway: &Gateway, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables}).to_string();
    http::send(gateway.address, "POST", "/tasks/graphql", &[JSON], body).await.unwrap().json()
}

async fn save(gateway: &Gateway, id: &str, input: Value) -> Value {
    let query = "mutation Save($id: ID!, $input: TaskInput!) { saveTask(id: $id, input: $input) { id revision } }";
    ask(gateway, query, json!({"id": id, "input": input})).await
}

#[tokio::test]
async fn fields_are_read_and_written_as_the_definition_maps_them() {
    let gateway = Gateway::start(&config()).await;
    let saved = save(&gateway, "milk", json!({"title": "Buy milk", "labels": ["shop"]})).await;
    assert_eq!(saved, json!({"data": {"saveTask": {"id": "milk", "revision": 1}}}));
    save(&gateway, "tax", json!({"title": "Pay", "priority": "HIGH"})).await;
    // What is stored is what the mapping says, so other protocols see it.
    let stored = http::get(gateway.address, "/work/v1/values/task/milk").await.unwrap();
    assert_eq!(stored.json(), json!({"title": "Buy milk", "priority": "NORMAL", "labels": ["shop"]}));

    let query = "{ milk: task(id: \"milk\") { ...all } nothing: task(id: \"x\") { title } __typename } fragment all on Task { __typename name: title priority labels }";
    let found = ask(&gateway, query, json!({})).await;
    let milk = json!({"__typename": "Task", "name": "Buy milk", "priority": "NORMAL", "labels": ["shop"]});
    assert_eq!(found, json!({"data": {"milk": milk, "nothing": null, "__typename": "Query"}}));

    let page = "query($after: String) { tasks(first: 1, after: $after) { tasks { id priority } cursor } }";
    let first = ask(&gateway, page, json!({})).await;
    assert_eq!(first["data"]["tasks"]["tasks"], json!([{"id": "milk", "priority": "NORMAL"}]));
    let second = ask(&gateway, page, json!({"after": first["data"]["tasks"]["cursor"]})).await;
    assert_eq!(second["data"]["tasks"]["tasks"], json!([{"id": "tax", "priority": "HIGH"}]));
    let third = ask(&gateway, page, json!({"after": second["data"]["tasks"]["cursor"]})).await;
    assert_eq!(third, json!({"data": {"tasks": {"tasks": [], "cursor": null}}}));

    let removed = ask(&gateway, "mutation { first: removeTask(id: \"tax\") again: removeTask(id: \"tax\") }", json!({})).await;
    assert_eq!(removed, json!({"data": {"first": true, "again": false}}));
}

#[tokio::test]
async fn a_result_that_does_not_fit_is_null_up_to_the_next_type_that_may_be() {
    let gateway = Gateway::start(&config()).await;
    for (id, text) in [("a", r#"{"title": "A", "priority": "URGENT", "labels": []}"#), ("b", "no JSON")] {
        let stored = http::send(gateway.address, "PUT", &format!("/work/v1/values/task/{id}"), &[], text.to_owned()).await.unwrap();
        assert_eq!(stored.status, 200);
    }
    let found = ask(&gateway, "{ task(id: \"a\") { title priority } }", json!({})).await;
    assert_eq!((&found["data"], &found["errors"][0]["path"]), (&json!({"task": null}), &json!(["task", "priority"])), "{found}");
    assert_eq!(found["errors"][0]["extensions"]["reason"], "RESULT_MISMATCH");
    let found = ask(&gateway, "{ task(id: \"a\") { title } }", json!({})).await;
    assert_eq!(found, json!({"data": {"task": {"title": "A"}}}), "what is not selected does not matter");
    let found = ask(&gateway, "{ task(id: \"b\") { title } }", json!({})).await;
    assert_eq!((&found["data"], &found["errors"][0]["path"]), (&json!({"task": null}), &json!(["task"])), "{found}");
    // No type around this one may be null.
    let found = ask(&gateway, "{ tasks { tasks { priority } } }", json!({})).await;
    assert_eq!(found["data"], Value::Null, "{found}");
}

#[tokio::test]
async fn subscriptions_have_the_messages_that_the_definition_chooses() {
    let gateway = Gateway::start(&config()).await;
    save(&gateway, "old", json!({"title": "Before"})).await;
    let body = json!({"query": "subscription { taskSaved { id title } }"}).to_string();
    let headers = [JSON, ("accept", "text/event-stream")];
    let response = http::open_request(gateway.address, "POST", "/tasks/graphql", &headers, body).await;
    assert_eq!(response.status(), 200);
    let mut body = BodyDataStream::new(response.into_body());
    let mut text = String::new();
    // The watch may begin after the first write, so another one follows until an event arrives.
    for number in 0.. {
        save(&gateway, "new", json!({"title": format!("Number {number}")})).await;
        let next = tokio::time::timeout(std::time::Duration::from_millis(500), body.next()).await;
        if let Ok(chunk) = next {
            text.push_str(std::str::from_utf8(&chunk.expect("an event").unwrap()).unwrap());
            break;
        }
    }
    assert!(text.starts_with("event: next\ndata: {\"data\":{\"taskSaved\":{\"id\":\"new\",\"title\":\"Number "), "{text}");
    assert!(text.contains("\"extensions\":{\"cursor\":"), "{text}");
}

#[tokio::test]
async fn the_schema_the_limits_and_the_page_are_those_of_graphql() {
    let gateway = Gateway::start(&config()).await;
    let schema = http::get(gateway.address, "/tasks/graphql/schema.graphql").await.unwrap();
    assert!(schema.text().contains("saveTask(id: ID!, input: TaskInput!): SavedTask!"), "{}", schema.text());
    let page = http::send(gateway.address, "GET", "/tasks/graphql", &[("accept", "text/html")], "").await.unwrap();
    assert!(page.text().contains("GraphiQL"));
    let asked = ask(&gateway, "{ __type(name: \"Priority\") { enumValues { name } } }", json!({})).await;
    assert_eq!(asked["data"]["__type"]["enumValues"], json!([{"name": "LOW"}, {"name": "NORMAL"}, {"name": "HIGH"}]));
    let reason = |answer: Value| answer["errors"][0]["extensions"]["reason"].as_str().unwrap_or_default().to_owned();
    let deep = ask(&gateway, "{ __schema { types { fields { type { ofType { name } } } } } }", json!({})).await;
    assert_eq!(reason(deep), "GRAPHQL_LIMIT");
    assert_eq!(reason(ask(&gateway, "{ task(id: \"a\") { nothing } }", json!({})).await), "GRAPHQL_VALIDATION");
    assert_eq!(reason(save(&gateway, "a", json!({"title": 1})).await), "GRAPHQL_VARIABLES");
    let link = "/tasks/graphql?query=mutation%7BremoveTask(id:%22a%22)%7D";
    assert_eq!(http::get(gateway.address, link).await.unwrap().status, 405, "a link must not write");
    // The API of the namespace itself is served beside it.
    let own = http::send(gateway.address, "POST", "/work/graphql", &[JSON], r#"{"query":"{ count { count } }"}"#).await.unwrap();
    assert_eq!(own.json(), json!({"data": {"count": {"count": "0"}}}));
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("protocol=\"graphql\""), "{metrics}");
}
