//! The schema of a gateway, with a field for each namespace.

use futures::StreamExt as _;

use super::*;
use crate::GatewayNamespace;
use prism_call::{
    Code,
    proto::patterns::{
        keyvalue::v1::{RetrieveBatchResponse, RetrieveResponse, ScanResponse, StoreResponse, retrieve_batch_response::Result as Entry},
        slots::v1::{Operation, Support},
    },
};

fn namespace(name: &str, service: &str, capabilities: Capabilities) -> GatewayNamespace {
    let methods = Method::of_service(proto::descriptors(), service).unwrap();
    GatewayNamespace { name: name.into(), methods: methods.into(), capabilities }
}

/// Two namespaces with the same RPCs, one with fewer, and one of another pattern.
fn schema() -> Arc<GraphqlSchema> {
    let unavailable = Operation { rpc: "Scan".to_owned(), support: Support::Unavailable.into(), ..Operation::default() };
    let all = Capabilities::default;
    GraphqlSchema::of_gateway(
        &[
            namespace("users", KEY_VALUE, all()),
            namespace("order-items", KEY_VALUE, all()),
            namespace("cache", KEY_VALUE, Capabilities { operations: vec![unavailable], ..all() }),
            namespace("jobs", "prism.patterns.work_queue.v1.WorkQueueService", all()),
        ],
        false,
    )
    .unwrap()
}

async fn answer(query: &str, caller: &Scripted) -> Value {
    run_with(&schema(), &limits(), query, &json!({}), caller).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

async fn refusal(query: &str) -> String {
    let error = run_with(&schema(), &limits(), query, &json!({}), &Scripted::default()).await.unwrap_err().first();
    format!("{} {}", error.reason(), error.message())
}

fn retrieved(revision: u64) -> RetrieveResponse {
    RetrieveResponse { revision, ..RetrieveResponse::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "it is the result of a call")]
fn encoded(message: &impl prost::Message) -> Result<Bytes, Error> {
    Ok(message.encode_to_vec().into())
}

#[test]
fn each_namespace_is_a_field_and_equal_rpcs_share_types() {
    let sdl = schema().sdl();
    async_graphql::parser::parse_schema(&sdl).unwrap_or_else(|error| panic!("{error}: {sdl}"));
    let within = |object: &str| {
        let start = sdl.find(&format!("\n{object} {{")).unwrap_or_else(|| panic!("{object} is missing in {sdl}"));
        sdl[start..][..sdl[start..].find("\n}").unwrap()].to_owned()
    };
    let query = within("type Query");
    for field in ["cache: KeyValueQuery!", "jobs: WorkQueueQuery!", "orderItems: KeyValue2Query!", "users: KeyValue2Query!"] {
        assert!(query.contains(&format!("\n  {field}")), "{field} is missing in {query}");
    }
    assert!(query.contains("The namespace `order-items`."), "{query}");
    assert!(within("type Subscription").contains("users: KeyValue2Subscription!"));
    assert!(within("type KeyValue2Query").contains("scanConnection(") && !within("type KeyValueQuery").contains("scanConnection("));
    assert_eq!(sdl.matches("\ntype RetrieveResponse {").count(), 1);
}

#[tokio::test]
async fn fields_of_namespaces_are_calls_in_their_namespaces() {
    let query = "{ users { one: retrieve(key: \"a\") { revision } __typename } other: orderItems { retrieve(key: \"b\") { revision } } __typename cache { ...on KeyValueQuery { exists(key: \"c\") @skip(if: true) { exists } } } users { exists(key: \"d\") { exists } } }";
    let gone = Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone");
    let caller = Scripted::answering([encoded(&retrieved(1)), Ok(Bytes::new()), Err(gone)]);
    let answer = answer(query, &caller).await;
    let users = json!({"one": {"revision": "1"}, "__typename": "KeyValue2Query", "exists": {"exists": false}});
    assert_eq!(answer["data"], json!({"users": users, "other": {"retrieve": null}, "__typename": "Query", "cache": {}}));
    assert_eq!(answer["errors"][0]["path"], json!(["other", "retrieve"]));
    let calls = caller.calls();
    assert_eq!(
        calls.iter().map(|(_, place)| place.as_str()).collect::<Vec<_>>(),
        ["users: users.one", "users: users.exists", "order-items: other.retrieve"]
    );
}

#[tokio::test]
async fn batches_have_the_items_of_one_namespace() {
    let entry = |key: &str, revision| Entry { key: key.to_owned(), entry: Some(retrieved(revision)) };
    let batch = |results| encoded(&RetrieveBatchResponse { results });
    let query = "{ users { a: retrieve(key: \"a\") { revision } } again: users { b: retrieve(key: \"b\") { revision } } orderItems { a: retrieve(key: \"a\") { revision } b: retrieve(key: \"b\") { revision } } }";
    let caller = Scripted::answering([batch(vec![entry("a", 1), entry("b", 2)]), batch(vec![entry("a", 3), entry("b", 4)])]);
    let answer = answer(query, &caller).await;
    assert_eq!(
        answer["data"],
        json!({"users": {"a": {"revision": "1"}}, "again": {"b": {"revision": "2"}}, "orderItems": {"a": {"revision": "3"}, "b": {"revision": "4"}}})
    );
    let batch = |place: &str| ("RetrieveBatch".to_owned(), place.to_owned());
    assert_eq!(caller.calls(), [batch("users: users.a"), batch("order-items: orderItems.a")]);
}

#[tokio::test]
async fn mutations_of_namespaces_run_one_after_the_other() {
    let stored = |revision| encoded(&StoreResponse { revision });
    let query = "mutation { users { a: store(key: \"a\", value: \"\") { revision } b: store(key: \"b\", value: \"\") { revision } } orderItems { a: store(key: \"a\", value: \"\") { revision } } }";
    let caller = Scripted::answering([stored(1), stored(2), stored(3)]);
    let answer = answer(query, &caller).await;
    assert_eq!(answer["data"]["users"]["b"], json!({"revision": "2"}));
    assert_eq!(answer["data"]["orderItems"]["a"], json!({"revision": "3"}));
    let places: Vec<String> = caller.calls().into_iter().map(|(_, place)| place).collect();
    assert_eq!(places, ["users: users.a", "users: users.b", "order-items: orderItems.a"]);
}

#[tokio::test]
async fn subscriptions_and_pages_are_of_one_namespace() {
    let schema = schema();
    let entry = |key: &str| encoded(&ScanResponse { key: key.to_owned(), cursor: format!("after {key}"), ..ScanResponse::default() });
    // Apollo Client adds `__typename` to every object.
    let subscription = "subscription { users { scan(prefix: \"x\") { key } __typename } }";
    let operation = schema.prepare(&request(subscription, &json!({})), &limits()).await.unwrap();
    let caller = Scripted::answering([entry("x1"), Err(Error::new(Code::Unavailable, "GONE", "gone"))]);
    let responses: Vec<Executed> = schema.subscribe(operation, limits(), &caller).await.unwrap().collect().await;
    let texts: Vec<Value> = responses.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    assert_eq!(
        texts[0],
        json!({"data": {"users": {"scan": {"key": "x1"}, "__typename": "KeyValue2Subscription"}}, "extensions": {"cursor": "after x1"}})
    );
    assert_eq!(
        (&texts[1]["data"], &texts[1]["errors"][0]["path"]),
        (&json!({"users": {"scan": null, "__typename": "KeyValue2Subscription"}}), &json!(["users", "scan"]))
    );
    assert_eq!(caller.calls(), [("Scan".to_owned(), "users: users.scan".to_owned())]);

    for wrong in [
        "subscription { users { scan { key } watch { __typename } } }",
        "subscription { users { scan { key } } orderItems { __typename } }",
        "subscription { users { __typename } }",
        "subscription { users { scan @skip(if: true) { key } } }",
    ] {
        let refused = match schema.prepare(&request(wrong, &json!({})), &limits()).await {
            Ok(operation) => schema.subscribe(operation, limits(), &Scripted::default()).await.err().unwrap(),
            Err(error) => error,
        };
        assert_eq!(refused.first().reason(), "GRAPHQL_VALIDATION", "{wrong}");
    }

    let caller = Scripted::answering([entry("a"), entry("b")]);
    let page = answer("{ users { scanConnection(first: 1) { nodes { key } pageInfo { hasNextPage } } } }", &caller).await;
    let connection = json!({"nodes": [{"key": "a"}], "pageInfo": {"hasNextPage": true}});
    assert_eq!(page, json!({"data": {"users": {"scanConnection": connection}}}));
}

#[tokio::test]
async fn the_schema_is_read_at_the_root_only() {
    let query = "{ __schema { queryType { name } } __type(name: \"KeyValue2Query\") { name } users { retrieve(key: \"a\") { revision } } }";
    let caller = Scripted::answering([encoded(&retrieved(1))]);
    let answer = answer(query, &caller).await;
    let schema = json!({"queryType": {"name": "Query"}});
    assert_eq!(answer["data"], json!({"__schema": schema, "__type": {"name": "KeyValue2Query"}, "users": {"retrieve": {"revision": "1"}}}));
    for wrong in
        ["{ users { __schema { queryType { name } } } }", "{ retrieve(key: \"a\") { revision } }", "{ users }", "{ jobs { scan } }"]
    {
        assert!(refusal(wrong).await.starts_with("GRAPHQL_VALIDATION"), "{wrong}");
    }
}

#[test]
fn a_gateway_without_namespaces_has_a_schema() {
    let sdl = GraphqlSchema::of_gateway(&[], false).unwrap().sdl();
    assert!(sdl.contains("_nothing: Boolean"), "{sdl}");
}
