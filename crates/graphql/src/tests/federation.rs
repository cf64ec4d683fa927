//! Subgraphs: their directives, and the entities that routers ask for.

use prost::Message as _;

use super::*;
use crate::GatewayNamespace;
use prism_call::{
    Code,
    proto::patterns::keyvalue::v1::{
        RetrieveBatchRequest, RetrieveBatchResponse, RetrieveRequest, RetrieveResponse, retrieve_batch_response::Result as Entry,
    },
};

fn subgraph(namespaces: &[(&str, &str)]) -> Arc<GraphqlSchema> {
    let of = |(name, service): &(&str, &str)| GatewayNamespace {
        name: (*name).into(),
        methods: Method::of_service(proto::descriptors(), service).unwrap().into(),
        capabilities: Capabilities::default(),
    };
    GraphqlSchema::of_gateway(&namespaces.iter().map(of).collect::<Vec<_>>(), true).unwrap()
}

async fn answer(query: &str, variables: Value, caller: &Scripted) -> Value {
    let schema = subgraph(&[("users", KEY_VALUE), ("order-items", KEY_VALUE)]);
    run_with(&schema, &limits(), query, &variables, caller).await.unwrap_or_else(|error| panic!("{query}: {error:?}"))
}

fn retrieved(revision: u64) -> RetrieveResponse {
    RetrieveResponse { revision, ..RetrieveResponse::default() }
}

#[expect(clippy::unnecessary_wraps, reason = "it is the result of a call")]
fn encoded(message: &impl prost::Message) -> Result<Bytes, Error> {
    Ok(message.encode_to_vec().into())
}

const ENTITIES: &str = "query($r: [_Any!]!) { _entities(representations: $r) { __typename ... on UsersEntry { key revision } ... on OrderItemsEntry { id: key version: revision } } }";

fn representation(name: &str, key: &str) -> Value {
    json!({"__typename": name, "key": key})
}

#[tokio::test]
async fn the_schema_of_a_subgraph_has_its_directives() {
    let schema = subgraph(&[("users", KEY_VALUE)]);
    let sdl = schema.sdl();
    for part in [
        "type UsersEntry @key(fields: \"key\") {",
        "type RetrieveResponse @shareable {",
        "type KeyValueQuery @shareable {",
        "\n  users: KeyValueQuery!",
        "url: \"https://specs.apollo.dev/federation/v2.",
    ] {
        assert!(sdl.contains(part), "{part} is missing in {sdl}");
    }
    assert!(!sdl.contains("_entities") && !sdl.contains("type Query @shareable"), "{sdl}");
    let caller = Scripted::default();
    let answer = run_with(&schema, &limits(), "{ _service { sdl __typename } }", &json!({}), &caller).await.unwrap();
    assert_eq!(answer, json!({"data": {"_service": {"sdl": sdl, "__typename": "_Service"}}}));
    let plain = subgraph(&[("jobs", "prism.patterns.work_queue.v1.WorkQueueService")]).sdl();
    assert!(plain.contains("jobs: WorkQueueQuery!") && !plain.contains("@key("), "a namespace without such reads has no entities: {plain}");
}

#[tokio::test]
async fn entities_are_read_by_their_keys() {
    let caller = Scripted::answering([encoded(&retrieved(7))]);
    let one = answer(ENTITIES, json!({"r": [representation("UsersEntry", "a\"b")]}), &caller).await;
    assert_eq!(one, json!({"data": {"_entities": [{"__typename": "UsersEntry", "key": "a\"b", "revision": "7"}]}}));
    assert_eq!(caller.calls(), [("Retrieve".to_owned(), "users: _entities".to_owned())]);
    assert_eq!(RetrieveRequest::decode(caller.message(0)).unwrap().key, "a\"b");

    let gone = Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone");
    let missing = Error::new(Code::NotFound, "KEY_NOT_FOUND", "missing");
    let entry = |key: &str, revision: Option<u64>| Entry { key: key.to_owned(), entry: revision.map(retrieved) };
    let batch = encoded(&RetrieveBatchResponse { results: vec![entry("a", Some(1)), entry("b", None), entry("c", Some(3))] });
    let caller = Scripted::answering([batch, Err(missing), Err(gone)]);
    let representations = json!([
        representation("UsersEntry", "a"),
        representation("UsersEntry", "b"),
        representation("OrderItemsEntry", "x"),
        representation("UsersEntry", "c"),
        representation("Nothing", "a"),
        {"__typename": "UsersEntry"},
    ]);
    let several = answer(ENTITIES, json!({"r": representations}), &caller).await;
    let found = |key: &str, revision: &str| json!({"__typename": "UsersEntry", "key": key, "revision": revision});
    assert_eq!(several["data"]["_entities"], json!([found("a", "1"), null, null, found("c", "3"), null, null]));
    let paths: Vec<&Value> = several["errors"].as_array().unwrap().iter().map(|error| &error["path"][1]).collect();
    assert_eq!(paths, [&json!(2), &json!(4), &json!(5)], "an entity that is not there is no error: {several}");
    let calls: Vec<String> = caller.calls().into_iter().map(|(rpc, place)| format!("{rpc} {place}")).collect();
    assert_eq!(calls, ["RetrieveBatch users: _entities", "Retrieve users: _entities", "Retrieve order-items: _entities"]);
    assert_eq!(RetrieveBatchRequest::decode(caller.message(0)).unwrap().keys, ["a", "b", "c"]);
}

#[tokio::test]
async fn entities_are_limited() {
    let many = |count: usize| json!({"r": (0..count).map(|at| representation("UsersEntry", &at.to_string())).collect::<Vec<_>>()});
    let schema = subgraph(&[("users", KEY_VALUE)]);
    let query = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }";
    for (count, limits) in [(1001, limits()), (100, GraphqlLimits { max_complexity: 50, ..limits() })] {
        let refused = run_with(&schema, &limits, query, &many(count), &Scripted::default()).await.unwrap_err();
        assert_eq!(refused.first().reason(), "GRAPHQL_LIMIT");
    }
    // Their number counts, also if they are variables in a list.
    let query = format!("query($one: _Any!) {{ _entities(representations: [{}]) {{ __typename }} }}", "$one ".repeat(100));
    let (one, limits) = (json!({"one": representation("UsersEntry", "a")}), GraphqlLimits { max_complexity: 50, ..limits() });
    let refused = run_with(&schema, &limits, &query, &one, &Scripted::default()).await.unwrap_err();
    assert_eq!(refused.first().reason(), "GRAPHQL_LIMIT");
}

#[tokio::test]
async fn the_service_of_a_subgraph_is_its_schema() {
    let schema = subgraph(&[("users", KEY_VALUE)]);
    let query = request("{ _service { sdl } }", &json!({}));
    assert!(schema.prepare(&query, &limits()).await.unwrap().reads_schema());
    let hidden = GraphqlLimits { introspection: false, ..limits() };
    assert_eq!(schema.prepare(&query, &hidden).await.err().unwrap().first().reason(), "INTROSPECTION_DISABLED");
    let often = request("{ _service { a: sdl b: sdl c: sdl d: sdl e: sdl } }", &json!({}));
    assert_eq!(schema.prepare(&often, &limits()).await.err().unwrap().first().reason(), "GRAPHQL_LIMIT");
}
