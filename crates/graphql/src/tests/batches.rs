//! Fields that are read with one call.

use prost::Message as _;

use super::*;
use prism_call::{
    Code,
    proto::patterns::{
        keyvalue::v1::{
            RetrieveBatchRequest, RetrieveBatchResponse, RetrieveRequest, RetrieveResponse, retrieve_batch_response::Result as Entry,
        },
        slots::v1::{Operation, Support},
    },
};

const QUERY: &str = "{ a: retrieve(key: \"a\") { revision } n: exists(key: \"n\") { exists } b: retrieve(key: \"b\") { revision } c: retrieve(key: \"a\") { r: revision } }";

fn entry(key: &str, revision: Option<u64>) -> Entry {
    Entry { key: key.to_owned(), entry: revision.map(|revision| RetrieveResponse { revision, ..RetrieveResponse::default() }) }
}

fn batch(results: Vec<Entry>) -> Bytes {
    RetrieveBatchResponse { results }.encode_to_vec().into()
}

fn names(caller: &Scripted) -> Vec<String> {
    caller.calls().into_iter().map(|(rpc, _)| rpc).collect()
}

#[tokio::test]
async fn fields_that_read_items_are_one_call() {
    let caller = Scripted::answering([Ok(batch(vec![entry("a", Some(1)), entry("b", Some(2)), entry("a", Some(1))])), Ok(Bytes::new())]);
    let answer = run(QUERY, json!({}), &caller).await.unwrap();
    assert_eq!(answer, json!({"data": {"a": {"revision": "1"}, "n": {"exists": false}, "b": {"revision": "2"}, "c": {"r": "1"}}}));
    assert_eq!(names(&caller), ["RetrieveBatch", "Exists"]);
    assert_eq!(RetrieveBatchRequest::decode(caller.message(0)).unwrap().keys, ["a", "b", "a"]);

    let many: String = (0..150).map(|at| format!("k{at}: retrieve(key: \"{at}\") {{ revision }} ")).collect::<Vec<_>>().concat();
    let results = |range: std::ops::Range<u64>| batch(range.map(|at| entry(&at.to_string(), Some(at + 1))).collect());
    let caller = Scripted::answering([results(0..100), results(100..150)].map(Ok));
    let answer = run(&format!("{{ {many} }}"), json!({}), &caller).await.unwrap();
    assert_eq!((names(&caller).len(), &answer["data"]["k149"]["revision"], answer.get("errors")), (2, &json!("150"), None));
}

#[tokio::test]
async fn items_without_a_result_have_the_error_of_their_own_rpc() {
    let missing = || Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "no"));
    let query = "{ a: retrieve(key: \"a\") { revision } b: retrieve(key: \"b\") { revision } }";
    let caller = Scripted::answering([Ok(batch(vec![entry("a", Some(1)), entry("b", None)])), missing()]);
    let answer = run(query, json!({}), &caller).await.unwrap();
    assert_eq!((&answer["data"], &answer["errors"][0]["path"]), (&json!({"a": {"revision": "1"}, "b": null}), &json!(["b"])));
    assert_eq!(names(&caller), ["RetrieveBatch", "Retrieve"]);
    assert_eq!(RetrieveRequest::decode(caller.message(1)).unwrap().key, "b");

    // A batch that is refused, or that says something else than it was asked for.
    let one = || Ok(RetrieveResponse { revision: 7, ..RetrieveResponse::default() }.encode_to_vec().into());
    let denied = Err(Error::new(Code::PermissionDenied, "POLICY_DENIED", "no"));
    for refused in [denied, Ok(batch(vec![])), Ok(Bytes::from_static(b"\xff"))] {
        let caller = Scripted::answering([refused, one(), one()]);
        let answer = run(query, json!({}), &caller).await.unwrap();
        assert_eq!(answer, json!({"data": {"a": {"revision": "7"}, "b": {"revision": "7"}}}));
        assert_eq!(names(&caller), ["RetrieveBatch", "Retrieve", "Retrieve"]);
    }
    let caller = Scripted::answering([Err(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "down"))]);
    let answer = run(query, json!({}), &caller).await.unwrap();
    assert_eq!((answer["errors"].as_array().map(Vec::len), names(&caller).len()), (Some(2), 1), "a backend that is down is asked once");
}

#[tokio::test]
async fn batches_are_used_only_where_they_are_native() {
    let methods = Method::of_service(proto::descriptors(), KEY_VALUE).unwrap();
    let query = "{ a: retrieve(key: \"a\") { revision } b: retrieve(key: \"b\") { revision } }";
    for support in [Support::Emulated, Support::Unavailable] {
        let operation = Operation { rpc: "RetrieveBatch".to_owned(), support: support.into(), ..Operation::default() };
        let capabilities = Capabilities { operations: vec![operation], ..Capabilities::default() };
        let schema = GraphqlSchema::of_namespace(&methods, &capabilities).unwrap();
        let caller = Scripted::default();
        run_with(&schema, &limits(), query, &json!({}), &caller).await.unwrap();
        assert_eq!(names(&caller), ["Retrieve", "Retrieve"]);
    }
    let caller = Scripted::default();
    run("{ retrieve(key: \"a\") { revision } }", json!({}), &caller).await.unwrap();
    assert_eq!(names(&caller), ["Retrieve"]);
}
