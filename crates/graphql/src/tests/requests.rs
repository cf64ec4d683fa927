//! Requests: what is called, what is answered, and what is refused.

use futures::StreamExt as _;
use prost::Message as _;

use super::*;
use prism_call::{
    Code,
    proto::patterns::keyvalue::v1::{RetrieveRequest, RetrieveResponse, ScanResponse, StoreRequest, StoreResponse, TransactRequest},
};

fn retrieved(value: &str, revision: u64) -> Bytes {
    let reply = RetrieveResponse { value: value.to_owned().into(), revision, ..RetrieveResponse::default() };
    reply.encode_to_vec().into()
}

/// The answer of a batch that says nothing about its items, so that they are asked for alone.
const NO_BATCH: Result<Bytes, Error> = Ok(Bytes::new());

fn not_found() -> Result<Bytes, Error> {
    Err(Error::new(Code::NotFound, "KEY_NOT_FOUND", "the key is not there").with("key", "b"))
}

#[tokio::test]
async fn fields_that_fail_are_null_and_the_others_are_answered_in_order() {
    let caller = Scripted::answering([NO_BATCH, Ok(retrieved("x", 7)), not_found(), Ok(retrieved("y", 8))]);
    let query = "{ a: retrieve(key: \"a\") { value r: revision __typename } b: retrieve(key: \"b\") { value } c: retrieve(key: \"c\") { revision expireTime } }";
    let operation = key_value().prepare(&request(query, &json!({})), &limits()).await.unwrap();
    let Executed { body, failed, .. } = key_value().execute(&operation, &limits(), &caller).await;
    let wanted = concat!(
        r#"{"data":{"a":{"value":"eA==","r":"7","__typename":"RetrieveResponse"},"b":null,"c":{"revision":"8","expireTime":null}},"#,
        r#""errors":[{"message":"the key is not there","locations":[{"line":1,"column":58}],"path":["b"],"#,
        r#""extensions":{"code":"NOT_FOUND","reason":"KEY_NOT_FOUND","metadata":{"key":"b"}}}]}"#
    );
    assert_eq!((String::from_utf8(body).unwrap().as_str(), failed), (wanted, 1));
    assert_eq!(caller.calls().len(), 4);
}

#[tokio::test]
async fn a_field_that_is_selected_twice_is_called_once() {
    let caller = Scripted::answering([Ok(StoreResponse { revision: 9 }.encode_to_vec().into())]);
    let query = "mutation { store(key: \"a\") { ...F } ... on Mutation { store(key: \"a\") { x: revision } } } fragment F on StoreResponse { revision }";
    let answer = run(query, json!({}), &caller).await.unwrap();
    assert_eq!(answer, json!({"data": {"store": {"revision": "9", "x": "9"}}}));
    assert_eq!(caller.calls(), [("Store".to_owned(), "store".to_owned())]);
    let (reason, message) =
        refused("{ a: retrieve(key: \"a\") { value } ... on Query { a: retrieve(key: \"b\") { value } } }", json!({})).await;
    assert_eq!((reason.as_str(), message.contains("named a differ")), ("GRAPHQL_VALIDATION", true), "{message}");
}

#[tokio::test]
async fn mutations_run_in_the_order_of_the_document() {
    let caller = Scripted::default();
    let query = "mutation { b: remove(key: \"1\") { removed } a: store(key: \"2\") { revision } c: remove(key: \"3\") { removed } }";
    run(query, json!({}), &caller).await.unwrap();
    let order: Vec<String> = caller.calls().into_iter().map(|(_, field)| field).collect();
    assert_eq!(order, ["b", "a", "c"]);
}

#[tokio::test]
async fn arguments_become_the_request() {
    let caller = Scripted::default();
    let query = "mutation Q($v: Bytes, $f: UInt64 = \"5\", $none: Duration, $then: [TransactOperationInput!]!) {
        store(key: \"k\", value: $v, flags: $f, ttl: $none) { revision }
        transact(conditions: {key: \"k\", test: {compare: {fact: FACT_VERSION, operator: OPERATOR_LESS, number: 3}}}, thenOperations: $then) { succeeded }
    }";
    let then = json!([{"store": {"key": "a", "value": "_w", "ttl": "1.5s"}}, {"remove": {"key": "b"}}]);
    run(query, json!({"v": "aGk=", "then": then, "unknown": 1}), &caller).await.unwrap();
    let store = StoreRequest::decode(caller.message(0)).unwrap();
    assert_eq!((store.key.as_str(), &*store.value, store.flags, store.ttl), ("k", &b"hi"[..], 5, None));
    let transact = TransactRequest::decode(caller.message(1)).unwrap();
    let shown = format!("{transact:?}");
    for part in [
        "fact: Version",
        "operator: Less",
        "number: 3",
        "Store(StoreRequest { key: \"a\", value: b\"\\xff\"",
        "nanos: 500000000",
        "Remove(",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let large = format!("{{ scanned: retrieve(key: {}) {{ value }} }}", json!("k".repeat(1000)));
    run(&large, json!({}), &caller).await.unwrap();
    assert_eq!(RetrieveRequest::decode(caller.message(2)).unwrap().key.len(), 1000);
    // A variable without a value leaves out the member, and nothing else.
    let partly = "mutation Q($v: Bytes) { transact(thenOperations: [{store: {key: \"a\", value: $v}}]) { succeeded } }";
    run(partly, json!({}), &caller).await.unwrap();
    assert_eq!(TransactRequest::decode(caller.message(3)).unwrap().then_operations.len(), 1);
}

#[tokio::test]
async fn skipped_fields_are_not_called() {
    let caller = Scripted::default();
    let query = "query Q($yes: Boolean!) { a: retrieve(key: \"a\") @skip(if: $yes) { value } ... @include(if: $yes) { b: exists(key: \"b\") { exists } } c: exists(key: \"c\") @include(if: false) { exists } }";
    let answer = run(query, json!({"yes": true}), &caller).await.unwrap();
    assert_eq!(answer, json!({"data": {"b": {"exists": false}}}));
    assert_eq!(caller.calls(), [("Exists".to_owned(), "b".to_owned())]);
}

#[tokio::test]
async fn wrong_requests_are_refused_before_anything_is_called() {
    for (query, variables, reason, part) in [
        ("{", json!({}), "GRAPHQL_SYNTAX", "expected"),
        ("{ nothing }", json!({}), "GRAPHQL_VALIDATION", "nothing"),
        ("{ retrieve { value } }", json!({}), "GRAPHQL_VALIDATION", "key"),
        ("{ retrieve(key: \"a\") { value { x } } }", json!({}), "GRAPHQL_VALIDATION", "value"),
        ("mutation { store(key: \"a\", value: \"?\") { revision } }", json!({}), "GRAPHQL_VALIDATION", "Bytes"),
        ("mutation { store(key: \"a\", flags: -1) { revision } }", json!({}), "GRAPHQL_VALIDATION", "UInt64"),
        ("mutation { transact(thenOperations: [{}]) { succeeded } }", json!({}), "GRAPHQL_VALIDATION", "exactly one"),
        ("query($k: String!) { retrieve(key: $k) { value } }", json!({}), "GRAPHQL_VARIABLES", "has no value"),
        ("query($k: String!) { retrieve(key: $k) { value } }", json!({"k": null}), "GRAPHQL_VARIABLES", "must not be null"),
        ("query($k: String!) { retrieve(key: $k) { value } }", json!({"k": 1}), "GRAPHQL_VARIABLES", "is no String"),
        ("query($k: Int) { retrieve(key: $k) { value } }", json!({}), "GRAPHQL_VALIDATION", "Int"),
        (
            "mutation($t: [TransactOperationInput!]!) { transact(thenOperations: $t) { succeeded } }",
            json!({"t": [{"remove": {"key": "a"}}, {"store": {"key": "a", "flags": "x"}}]}),
            "GRAPHQL_VARIABLES",
            "[1].store.flags",
        ),
        (
            "mutation($t: [TransactOperationInput!]!) { transact(thenOperations: $t) { succeeded } }",
            json!({"t": [{"remove": {"key": "a"}, "retrieve": {"key": "a"}}]}),
            "GRAPHQL_VARIABLES",
            "exactly one",
        ),
        ("query($k: [Unknown] = [1]) { __typename }", json!({}), "GRAPHQL_VALIDATION", "Unknown"),
        ("query A { __typename } query B { __typename }", json!({}), "GRAPHQL_OPERATION", "several"),
        ("{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }", json!({}), "GRAPHQL_VALIDATION", "contains itself"),
    ] {
        let (found, message) = refused(query, variables).await;
        assert!(found == reason && message.contains(part), "{query}: {found} {message}");
    }
}

#[tokio::test]
async fn documents_are_limited() {
    let schema = key_value();
    let caller = Scripted::default();
    let small = GraphqlLimits { max_depth: 3, max_complexity: 6, max_aliases: 2, max_directives: 1, max_tokens: 60, ..limits() };
    let fragment = |number: u32| format!("fragment F{number} on Query {{ ...F{0} ...F{0} }} ", number + 1);
    let fragments = (0..40).map(fragment).collect::<Vec<_>>().concat();
    for (query, setting) in [
        ("{ retrieveBatch(keys: \"a\") { results { entry { value } } } }".to_owned(), "max_depth"),
        ("{ retrieve(key: \"a\") { value revision flags version createRevision expireTime } }".to_owned(), "max_complexity"),
        ("{ a: __typename b: __typename c: __typename }".to_owned(), "max_aliases"),
        ("{ __typename @skip(if: false) @include(if: true) }".to_owned(), "max_directives"),
        ("{ a b c }".repeat(30), "max_tokens"),
        ("subscription { scan(limit: \"1e1\") { key } }".to_owned(), "max_complexity"),
    ] {
        let error = run_with(&schema, &small, &query, &json!({}), &caller).await.unwrap_err().first();
        assert!(error.reason() == "GRAPHQL_LIMIT" && error.message().contains(setting), "{query}: {error:?}");
    }
    let bomb = format!("{{ ...F0 }} {fragments} fragment F40 on Query {{ __typename }}");
    let error = run_with(&schema, &limits(), &bomb, &json!({}), &caller).await.unwrap_err().first();
    assert!(error.message().contains("max_complexity"), "{error:?}");
    let chain = (0..400).map(|number| format!("fragment F{number} on Query {{ ...F{} }} ", number + 1)).collect::<Vec<_>>().concat();
    let chain = format!("{{ ...F0 }} {chain} fragment F400 on Query {{ __typename }}");
    let error = run_with(&schema, &limits(), &chain, &json!({}), &caller).await.unwrap_err().first();
    assert!(error.reason() == "GRAPHQL_LIMIT" && error.message().contains("in each other"), "{error:?}");
    let deep = format!("{{ __schema {{ types {}{} }} }}", "{ fields { type ".repeat(4), "}".repeat(8).replacen('}', "{ name }}", 1));
    let wide = (0..150)
        .map(|at| format!("a{at}: __schema {{ types {{ fields {{ args {{ type {{ name }} }} }} }} }} "))
        .collect::<Vec<_>>()
        .concat();
    let wider = (0..40).map(|at| format!("a{at}: fields {{ args {{ type {{ fields {{ name }} }} }} }} ")).collect::<Vec<_>>().concat();
    for much in [deep, format!("{{ {wide} }}"), format!("{{ __schema {{ types {{ {wider} }} }} }}")] {
        let error = run_with(&schema, &limits(), &much, &json!({}), &caller).await.unwrap_err().first();
        assert!(error.message().contains("too much of the schema"), "{much}: {error:?}");
    }
    let closed = GraphqlLimits { introspection: false, ..limits() };
    let error = run_with(&schema, &closed, "{ __schema { types { name } } }", &json!({}), &caller).await.unwrap_err().first();
    assert_eq!(error.reason(), "INTROSPECTION_DISABLED");
    // A document that is known is still held against the limits of this request.
    assert!(run_with(&schema, &limits(), "{ a: __typename b: __typename c: __typename }", &json!({}), &caller).await.is_ok());
    assert!(run_with(&schema, &small, "{ a: __typename b: __typename c: __typename }", &json!({}), &caller).await.is_err());
    assert!(caller.calls().is_empty());
}

#[tokio::test]
async fn responses_are_limited() {
    let value = "x".repeat(3000);
    let caller = Scripted::answering([NO_BATCH, Ok(retrieved(&value, 1)), Ok(retrieved("y", 2))]);
    let small = GraphqlLimits { max_response_bytes: 10_000, ..limits() };
    let query = "{ a: retrieve(key: \"a\") { v1: value v2: value v3: value } b: retrieve(key: \"b\") { revision } }";
    let answer = run_with(&key_value(), &small, query, &json!({}), &caller).await.unwrap();
    assert_eq!(
        (&answer["data"], &answer["errors"][0]["extensions"]["reason"]),
        (&json!({"a": null, "b": {"revision": "2"}}), &json!("RESPONSE_TOO_LARGE"))
    );
}

#[tokio::test]
async fn the_schema_is_answered_beside_other_fields() {
    let caller = Scripted::answering([Ok(retrieved("x", 7))]);
    let query = "query Q($name: String = \"StoreResponse\") { t: __type(name: $name) { kind fields { name type { kind ofType { name } } } } retrieve(key: \"a\") { revision } __typename }";
    let answer = run(query, json!({}), &caller).await.unwrap();
    let wanted = json!({"data": {
        "t": {"kind": "OBJECT", "fields": [{"name": "revision", "type": {"kind": "NON_NULL", "ofType": {"name": "UInt64"}}}]},
        "retrieve": {"revision": "7"}, "__typename": "Query"}});
    assert_eq!(answer, wanted);
    assert_eq!(caller.calls().len(), 1);
}

#[tokio::test]
async fn replies_that_are_no_messages_are_errors() {
    let caller = Scripted::answering([Ok(Bytes::from_static(b"\x0a\xff"))]);
    let answer = run("{ retrieve(key: \"a\") { value } }", json!({}), &caller).await.unwrap();
    assert_eq!((&answer["data"]["retrieve"], &answer["errors"][0]["extensions"]["code"]), (&Value::Null, &json!("INTERNAL")));
}

#[tokio::test]
async fn subscriptions_have_a_response_for_each_message() {
    let entry = |key: &str| Ok(Bytes::from(ScanResponse { key: key.to_owned(), ..ScanResponse::default() }.encode_to_vec()));
    let caller = Scripted::answering([entry("a"), entry("b"), not_found()]);
    let query = request("subscription { s: scan(prefix: \"x\") { key } }", &json!({}));
    let operation = key_value().prepare(&query, &limits()).await.unwrap();
    let responses = key_value().subscribe(operation, limits(), &caller).await.unwrap();
    let bodies: Vec<Value> = responses.map(|executed| serde_json::from_slice(&executed.body).unwrap()).collect().await;
    assert_eq!(bodies[..2], [json!({"data": {"s": {"key": "a"}}}), json!({"data": {"s": {"key": "b"}}})]);
    assert_eq!((&bodies[2]["data"]["s"], &bodies[2]["errors"][0]["extensions"]["code"]), (&Value::Null, &json!("NOT_FOUND")));
    for query in ["subscription { __typename }", "subscription { a: scan { key } b: scan { key } }"] {
        let prepared = key_value().prepare(&request(query, &json!({})), &limits()).await;
        let failed = match prepared {
            Ok(operation) => key_value().subscribe(operation, limits(), &caller).await.err().unwrap(),
            Err(error) => error,
        };
        assert_eq!(failed.first().reason(), "GRAPHQL_VALIDATION", "{query}");
    }
}

#[tokio::test]
async fn documents_may_be_known_by_their_hash() {
    const QUERY: &str = "query Known($key: String!) { known: retrieve(key: $key) { revision } }";
    let hash = |query: &str| {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, query.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat()
    };
    // As long as somebody has it, the documents stay.
    let schema = key_value();
    let ask = async |query: Option<&str>, hash: String| {
        let body = json!({"query": query, "variables": {"key": "k"}, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}});
        let request = GraphqlRequest::from_value(body).unwrap();
        let operation = schema.prepare(&request, &limits()).await?;
        let caller = Scripted::answering([Ok(retrieved("x", 7))]);
        let Executed { body, .. } = schema.execute(&operation, &limits(), &caller).await;
        Ok::<_, RequestError>(serde_json::from_slice::<Value>(&body).unwrap())
    };
    let unknown = ask(None, hash(QUERY)).await.unwrap_err().first();
    assert_eq!((unknown.reason(), unknown.message()), ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound"));
    assert_eq!(ask(Some(QUERY), hash("{ other }")).await.unwrap_err().first().reason(), "MALFORMED_REQUEST");
    assert!(ask(None, hash(QUERY)).await.is_err(), "a wrong hash is not kept");
    let before = request(QUERY, &json!({"key": "k"}));
    assert!(key_value().prepare(&before, &limits()).await.is_ok(), "the document is known, but nobody has sent its hash");
    assert!(ask(None, hash(QUERY)).await.is_err());
    let wanted = json!({"data": {"known": {"revision": "7"}}});
    assert_eq!(ask(Some(QUERY), hash(QUERY)).await.unwrap(), wanted);
    assert_eq!(ask(None, hash(QUERY)).await.unwrap(), wanted);
}
