//! Connections: pages of streams.

use futures::StreamExt as _;
use prost::Message as _;

use super::*;
use prism_call::{
    Code,
    proto::{
        models::stream::v1::{ReadResponse, Record},
        patterns::keyvalue::v1::{ScanRequest, ScanResponse},
    },
};

fn scanned(key: &str) -> Bytes {
    let reply =
        ScanResponse { key: key.to_owned(), value: Bytes::from_static(b"x"), cursor: format!("c-{key}"), ..ScanResponse::default() };
    reply.encode_to_vec().into()
}

const QUERY: &str = "query Q($first: Int!, $after: String) {
    page: scanConnection(prefix: \"p\", keysOnly: true, first: $first, after: $after) {
        __typename nodes { key } ...Rest
    }
}
fragment Rest on ScanConnection {
    edges { cursor node { key value } __typename } pageInfo { hasNextPage hasPreviousPage startCursor endCursor __typename }
}";

#[tokio::test]
async fn pages_have_nodes_edges_and_their_place() {
    let caller = Scripted::answering(["a", "b", "c"].map(|key| Ok(scanned(key))));
    let answer = run(QUERY, json!({"first": 2, "after": "c-0"}), &caller).await.unwrap();
    let edge = |key: &str| json!({"cursor": format!("c-{key}"), "node": {"key": key, "value": "eA=="}, "__typename": "ScanEdge"});
    let info = |next: bool, start: Value, end: Value| json!({"hasNextPage": next, "hasPreviousPage": false, "startCursor": start, "endCursor": end, "__typename": "PageInfo"});
    assert_eq!(
        answer,
        json!({"data": {"page": {
            "__typename": "ScanConnection", "nodes": [{"key": "a"}, {"key": "b"}], "edges": [edge("a"), edge("b")],
            "pageInfo": info(true, "c-a".into(), "c-b".into())
        }}})
    );
    let sent = ScanRequest::decode(caller.message(0)).unwrap();
    let wanted = ScanRequest { prefix: "p".to_owned(), limit: 3, cursor: "c-0".to_owned(), keys_only: true, ..ScanRequest::default() };
    assert_eq!((sent, caller.calls()), (wanted, vec![("Scan".to_owned(), "page".to_owned())]));

    let answer = run(QUERY, json!({"first": 2, "after": ""}), &Scripted::answering(["a"].map(|key| Ok(scanned(key))))).await.unwrap();
    assert_eq!(answer["data"]["page"]["pageInfo"], info(false, "c-a".into(), "c-a".into()));
    let answer = run(QUERY, json!({"first": 0}), &Scripted::answering(["a"].map(|key| Ok(scanned(key))))).await.unwrap();
    assert_eq!(answer["data"]["page"]["pageInfo"], info(true, Value::Null, Value::Null));
    let answer = run(QUERY, json!({"first": 9}), &Scripted::default()).await.unwrap();
    assert_eq!((&answer["data"]["page"]["edges"], &answer["data"]["page"]["nodes"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_page_that_fails_is_null() {
    let broken = Err(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "no"));
    let answer = run(QUERY, json!({"first": 2}), &Scripted::answering([Ok(scanned("a")), broken])).await.unwrap();
    assert_eq!((&answer["data"]["page"], &answer["errors"][0]["path"]), (&Value::Null, &json!(["page"])));
    assert_eq!(answer["errors"][0]["extensions"]["reason"], "BACKEND_UNAVAILABLE");
    for first in [-1, i32::MAX] {
        let answer = run(QUERY, json!({"first": first}), &Scripted::default()).await;
        let reason = match &answer {
            Ok(answer) => answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned(),
            Err(error) => error.first().reason().to_owned(),
        };
        assert!(["INVALID_ARGUMENT", "GRAPHQL_LIMIT"].contains(&reason.as_str()), "{first}: {answer:?}");
    }
    let small = GraphqlLimits { max_response_bytes: 64, ..limits() };
    let many = Scripted::answering(["a", "b", "c", "d", "e", "f"].map(|key| Ok(scanned(key))));
    let query = "{ scanConnection(first: 100) { pageInfo { endCursor } } }";
    let answer = run_with(&key_value(), &small, query, &json!({}), &many).await.unwrap();
    assert_eq!(answer["errors"][0]["extensions"]["reason"], "RESPONSE_TOO_LARGE");
    let (reason, message) = refused("{ scanConnection(first: 1000) { nodes { key value revision } } }", json!({})).await;
    assert_eq!((reason.as_str(), message.contains("max_complexity")), ("GRAPHQL_LIMIT", true), "{message}");
    for wrong in ["{ scanConnection { nodes { key } } }", "{ scanConnection(first: 1, limit: 2) { nodes { key } } }"] {
        assert_eq!(refused(wrong, json!({})).await.0, "GRAPHQL_VALIDATION", "{wrong}");
    }
}

#[tokio::test]
async fn streams_of_all_interfaces_have_pages_that_end() {
    let names: Vec<&str> = proto::INTERFACE_SERVICES.to_vec();
    let methods = Method::of_services(proto::all_descriptors(), &names).unwrap();
    let schema = GraphqlSchema::new(Model::new(&methods, &Availability::default())).unwrap();
    let record = |cursor: &str| {
        let record = Record { cursor: cursor.to_owned(), payload: Bytes::from_static(b"x"), ..Record::default() };
        Ok(Bytes::from(ReadResponse { record: Some(record) }.encode_to_vec()))
    };
    let query =
        "{ streamBasicReadConnection(stream: \"s\", first: 1) { edges { cursor node { record { payload } } } pageInfo { hasNextPage } } }";
    let answer = run_with(&schema, &limits(), query, &json!({}), &Scripted::answering([record("r1"), record("r2")])).await.unwrap();
    let page = &answer["data"]["streamBasicReadConnection"];
    assert_eq!((&page["edges"][0]["cursor"], &page["pageInfo"]["hasNextPage"]), (&json!("r1"), &json!(true)), "{answer}");
    let waiting = "{ streamBasicReadConnection(stream: \"s\", first: 1, follow: true) { nodes { record { offset } } } }";
    let refused = schema.prepare(&request(waiting, &json!({})), &limits()).await.err().unwrap().first();
    assert_eq!(refused.reason(), "GRAPHQL_VALIDATION");

    // A subscription finds cursors at the same places.
    let query = "subscription { streamBasicRead(stream: \"s\") { record { offset } } }";
    let operation = schema.prepare(&request(query, &json!({})), &limits()).await.unwrap();
    let stream = schema.subscribe(operation, limits(), &Scripted::answering([record("r1")])).await.unwrap();
    let first: Value = serde_json::from_slice(&stream.map(|one| one.body).collect::<Vec<_>>().await[0]).unwrap();
    assert_eq!(first["extensions"]["cursor"], "r1");
}
