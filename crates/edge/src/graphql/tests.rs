//! The transport: methods, media types, statuses, and the calls of fields.

use crate::tests::*;
use prism_call::proto::patterns::{
    keyvalue::v1::{GetCapabilitiesResponse, RetrieveBatchRequest},
    slots::v1::Capabilities,
};

const JSON: (&str, &str) = ("content-type", "application/json");
const MODERN: (&str, &str) = ("accept", "application/graphql-response+json");
const POST: &str = "POST /demo/graphql";

fn capabilities() -> Reply {
    let capabilities = Some(Capabilities { namespace: "demo".to_owned(), ..Capabilities::default() });
    Output::one(GetCapabilitiesResponse { capabilities }).into()
}

/// A listener whose namespace has been asked for its capabilities.
async fn door() -> Door {
    let door = Door::new();
    let answer = door.will(Ok(capabilities())).ask(POST, &[JSON], br#"{"query":"{ __typename }"}"#).await;
    assert_eq!(answer.text(), r#"{"data":{"__typename":"Query"}}"#);
    door.handler.seen.lock().unwrap().clear();
    door
}

fn body(query: &str) -> Vec<u8> {
    json!({"query": query}).to_string().into_bytes()
}

fn retrieved(revision: u64) -> Reply {
    Output::one(RetrieveResponse { revision, ..RetrieveResponse::default() }).into()
}

#[tokio::test]
async fn queries_are_answered_by_post_and_get() {
    let door = door().await;
    let answer = door.will(Ok(retrieved(7))).ask(POST, &[JSON], &body("{ retrieve(key: \"a\") { revision } }")).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"data":{"retrieve":{"revision":"7"}}}"#));
    assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    let get = "GET /demo/graphql?query=query(%24k:String!)%7Bretrieve(key:%24k)%7Brevision%7D%7D&variables=%7B%22k%22:%22a%22%7D";
    let answer = door.will(Ok(retrieved(7))).ask(get, &[MODERN], b"").await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"data":{"retrieve":{"revision":"7"}}}"#));
    assert_eq!((answer.header("content-type"), answer.header("vary")), ("application/graphql-response+json; charset=utf-8", "accept"));
    let tag = answer.header("etag").to_owned();
    let answer = door.will(Ok(retrieved(7))).ask(get, &[("if-none-match", &tag)], b"").await;
    assert_eq!((answer.status, answer.body.len(), answer.header("etag")), (304, 0, tag.as_str()));
    let answer = door.will(Ok(retrieved(8))).ask(get, &[("if-none-match", &tag)], b"").await;
    assert!(answer.status == 200 && answer.header("etag") != tag);
}

#[tokio::test]
async fn statuses_follow_the_media_type() {
    let door = door().await;
    for (query, headers, status) in [
        ("{ nothing }", vec![JSON], 200),
        ("{ nothing }", vec![JSON, MODERN], 400),
        ("{", vec![JSON, MODERN], 400),
        ("query($id: ID!) { __typename }", vec![JSON, MODERN], 400),
        ("subscription { scan { key } }", vec![JSON, MODERN], 406),
    ] {
        let answer = door.ask(POST, &headers, &body(query)).await;
        assert_eq!((answer.status, answer.json().get("data")), (status, None), "{query}");
    }
    for (request, headers, content, status) in [
        (POST, vec![JSON], "{", 400),
        (POST, vec![JSON], "", 400),
        (POST, vec![], r#"{"query":"{ __typename }"}"#, 415),
        (POST, vec![("content-type", "text/plain")], r#"{"query":"{ __typename }"}"#, 415),
        (POST, vec![("content-type", "application/json; charset=latin1")], r#"{"query":"{ __typename }"}"#, 415),
        (POST, vec![JSON, ("accept", "text/html")], r#"{"query":"{ __typename }"}"#, 406),
        ("PATCH /demo/graphql", vec![JSON], "{}", 405),
        ("GET /demo/graphql?query=mutation%7Bremove(key:%22a%22)%7Bremoved%7D%7D", vec![], "", 405),
        ("GET /demo/graphql/nothing", vec![], "", 404),
        ("POST /demo/graphql/schema.graphql", vec![JSON], "", 405),
        (POST, vec![JSON, ("x-request-timeout", "soon")], r#"{"query":"{ __typename }"}"#, 400),
    ] {
        let answer = door.ask(request, &headers, content.as_bytes()).await;
        assert!(
            answer.status == status && answer.json()["errors"][0]["message"].is_string(),
            "{request} {content}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(status != 405 || answer.headers.contains_key("allow"), "{request}");
    }
    let large = body(&format!("{{ __typename }} # {}", "x".repeat(LIMIT)));
    assert_eq!(door.ask(POST, &[JSON], &large).await.status, 413);
    let options = door.ask("OPTIONS /demo/graphql", &[], b"").await;
    assert_eq!((options.status, options.header("allow")), (204, "GET, HEAD, POST, PUT, DELETE"));
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn each_field_is_a_call_with_its_metadata() {
    let door = door().await;
    let query = "mutation { a: remove(key: \"a\") { removed } b: remove(key: \"b\") { removed } }";
    let headers = [JSON, ("idempotency-key", "\"k\""), ("x-own", "1"), ("authorization", "Bearer t"), ("x-request-timeout", "9")];
    door.will(Err(Error::new(Code::Aborted, "REVISION_MISMATCH", "changed")));
    let answer = door.ask(POST, &headers, &body(query)).await;
    assert_eq!((answer.status, &answer.json()["errors"][0]["extensions"]["reason"]), (200, &json!("REVISION_MISMATCH")));
    let [second, first] = [door.seen(), door.seen()];
    let header = |value: &str| http::HeaderValue::try_from(value).unwrap();
    assert_eq!((first.method.as_str(), &first.metadata["idempotency-key"]), ("Remove", &header("\"k:a\"")));
    assert_eq!((&second.metadata["idempotency-key"], &second.metadata["x-own"]), (&header("\"k:b\""), &header("1")));
    assert!(!first.metadata.contains_key("authorization") && first.remaining.unwrap() <= Duration::from_secs(9));
    let text = door.metrics.render();
    for line in [
        r#"prism_calls_total{code="ABORTED",method="Remove",namespace="demo",protocol="graphql"} 1"#,
        r#"prism_calls_total{code="OK",method="Remove",namespace="demo",protocol="graphql"} 1"#,
        r#"prism_calls_total{code="OK",method="graphql",namespace="demo",protocol="graphql"} 2"#,
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn the_schema_can_be_downloaded() {
    let door = door().await;
    let answer = door.ask("GET /demo/graphql/schema.graphql", &[], b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/graphql; charset=utf-8"));
    assert!(answer.text().contains("type Query {"));
    let again = door.ask("GET /demo/graphql/schema.graphql", &[("if-none-match", answer.header("etag"))], b"").await;
    assert_eq!(again.status, 304);
}

#[tokio::test]
async fn bodies_are_decompressed_and_responses_are_compressed() {
    let door = door().await;
    let keys: Vec<String> = (0..90).map(|number| format!("\"key{number}\"")).collect();
    let query = format!("{{ retrieveBatch(keys: [{}]) {{ results {{ key }} }} }}", keys.join(","));
    let packed = zstd::bulk::compress(&body(&query), 1).unwrap();
    let answer = door.ask(POST, &[JSON, ("content-encoding", "zstd")], &packed).await;
    assert_eq!(answer.status, 200);
    assert_eq!(RetrieveBatchRequest::decode(door.seen().messages[0].as_ref()).unwrap().keys.len(), 90);
    let schema = "GET /demo/graphql/schema.graphql";
    assert_eq!(door.ask(schema, &[("accept-encoding", "gzip")], b"").await.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn subscriptions_and_other_operations_are_answered_with_events() {
    let door = door().await;
    let events = ("accept", "text/event-stream");
    let entry = |key: &str| Ok(ScanResponse { key: key.to_owned(), cursor: format!("after {key}"), ..ScanResponse::default() });
    let broken = Err(Error::new(Code::Unavailable, "BACKEND_UNAVAILABLE", "gone"));
    let stream = Output::messages(Box::pin(futures::stream::iter([entry("a"), entry("b"), broken])));
    let answer = door.will(Ok(stream.into())).ask(POST, &[JSON, events], &body("subscription { scan { key } }")).await;
    assert_eq!((answer.status, answer.header("content-type"), answer.header("x-accel-buffering")), (200, "text/event-stream", "no"));
    let lines: Vec<&str> = answer.text().split("\n\n").collect();
    assert_eq!(lines[0], "event: next\ndata: {\"data\":{\"scan\":{\"key\":\"a\"}},\"extensions\":{\"cursor\":\"after a\"}}");
    assert!(lines[2].contains("BACKEND_UNAVAILABLE") && lines[3] == "event: complete\ndata:", "{lines:?}");
    let answer = door.will(Ok(retrieved(7))).ask(POST, &[JSON, events], &body("{ retrieve(key: \"a\") { revision } }")).await;
    assert_eq!(answer.text(), "event: next\ndata: {\"data\":{\"retrieve\":{\"revision\":\"7\"}}}\n\nevent: complete\ndata:\n\n");
    let answer = door.ask(POST, &[JSON, events], &body("{ nothing }")).await;
    assert!(answer.text().starts_with("event: next\ndata: {\"errors\":["), "{}", answer.text());
    // A stream that ends with the gateway has no `complete`, so that its client asks again.
    let ending = Output::messages(Box::pin(futures::stream::iter([entry("a"), Err(Error::shutting_down())])));
    let answer = door.will(Ok(ending.into())).ask(POST, &[JSON, events], &body("subscription { scan { key } }")).await;
    assert!(answer.text().contains("next") && !answer.text().contains("complete"), "{}", answer.text());
}

#[tokio::test]
async fn browsers_get_a_page() {
    let door = door().await;
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = door.ask("GET /demo/graphql", &[html], b"").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'") && page.text().contains("graphql/graphiql/start.js"));
    let script = door.ask("GET /demo/graphql/graphiql/graphiql.js", &[("accept-encoding", "gzip")], b"").await;
    assert_eq!((script.status, script.header("content-encoding")), (200, "gzip"));
    assert_eq!(door.ask("GET /demo/graphql/graphiql/nothing.js", &[html], b"").await.status, 404);
    let query = door.will(Ok(retrieved(7))).ask("GET /demo/graphql?query=%7Bretrieve(key:%22a%22)%7Brevision%7D%7D", &[html], b"").await;
    assert_eq!(query.text(), r#"{"data":{"retrieve":{"revision":"7"}}}"#);
}

#[tokio::test]
async fn subscriptions_are_answered_with_parts() {
    let door = door().await;
    let parts = ("accept", "multipart/mixed;boundary=graphql;subscriptionSpec=1.0,application/json");
    let entry = |key: &str| Ok(ScanResponse { key: key.to_owned(), ..ScanResponse::default() });
    let stream = Output::messages(Box::pin(futures::stream::iter([entry("a"), entry("b")])));
    let answer = door.will(Ok(stream.into())).ask(POST, &[JSON, parts], &body("subscription { scan { key } }")).await;
    assert_eq!(answer.header("content-type"), "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");
    let part = |key: &str| {
        format!("\r\ncontent-type: application/json\r\n\r\n{{\"payload\":{{\"data\":{{\"scan\":{{\"key\":\"{key}\"}}}}}}}}\r\n--graphql")
    };
    assert_eq!(answer.text(), format!("\r\n--graphql{}{}--\r\n", part("a"), part("b")));
    // Everything else is JSON, unless the client accepts nothing but parts.
    let answer = door.will(Ok(retrieved(7))).ask(POST, &[JSON, parts], &body("{ retrieve(key: \"a\") { revision } }")).await;
    assert_eq!(answer.text(), r#"{"data":{"retrieve":{"revision":"7"}}}"#);
    let only = ("accept", "multipart/mixed;subscriptionSpec=1.0");
    let answer = door.ask(POST, &[JSON, only], &body("{ nothing }")).await;
    assert!(answer.text().contains("{\"payload\":{\"errors\":[") && answer.text().ends_with("--graphql--\r\n"), "{}", answer.text());
    let ending = Output::messages(Box::pin(futures::stream::iter([entry("a"), Err(Error::shutting_down())])));
    let answer = door.will(Ok(ending.into())).ask(POST, &[JSON, parts], &body("subscription { scan { key } }")).await;
    assert!(answer.text().ends_with("\r\n--graphql"), "{}", answer.text());
}

const TOKEN: &str = "x-graphql-event-stream-token";
const EVENTS: (&str, &str) = ("accept", "text/event-stream");

/// Opens the stream of a token.
async fn open(door: &Door, token: &str) -> Body {
    let request = Request::builder().uri("/demo/graphql").header("host", "localhost").header(TOKEN, token).header(EVENTS.0, EVENTS.1);
    let request = request.body(ReceivedBody::new(Full::new(Bytes::new()))).unwrap();
    let response = door.edge.serve(request, &Connection::internal()).await.0;
    assert_eq!(response.status(), 200);
    response.into_body()
}

/// Reads the events of a stream up to this one.
async fn read_until(body: &mut Body, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let frame = body.frame().await.unwrap_or_else(|| panic!("the stream ended after {text}")).unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    text
}

#[tokio::test]
async fn operations_share_a_stream() {
    let door = door().await;
    let reserved = door.ask("PUT /demo/graphql", &[], b"").await;
    assert_eq!((reserved.status, reserved.header("cache-control")), (201, "no-store"));
    let token = (TOKEN, reserved.text());
    let mut stream = open(&door, token.1).await;
    let operation = |query: &str, id: &str| json!({"query": query, "extensions": {"operationId": id}}).to_string().into_bytes();
    let read = operation("{ retrieve(key: \"a\") { revision } }", "one");
    let accepted = door.will(Ok(retrieved(7))).ask(POST, &[JSON, token], &read).await;
    assert_eq!((accepted.status, accepted.body.len()), (202, 0));
    let events = read_until(&mut stream, "complete\ndata: {\"id\":\"one\"}\n\n").await;
    assert!(
        events.contains("event: next\ndata: {\"id\":\"one\",\"payload\":{\"data\":{\"retrieve\":{\"revision\":\"7\"}}}}\n\n"),
        "{events}"
    );
    // A subscription that does not end by itself, until its client cancels it.
    let pending = || Output::messages(Box::pin(futures::stream::pending::<Result<ScanResponse, Error>>()));
    let subscription = operation("subscription { scan { key } }", "two");
    assert_eq!(door.will(Ok(pending().into())).ask(POST, &[JSON, token], &subscription).await.status, 202);
    assert_eq!(door.ask(POST, &[JSON, token], &subscription).await.status, 409);
    assert_eq!(door.ask("DELETE /demo/graphql?operationId=two", &[token], b"").await.status, 200);
    assert_eq!(door.will(Ok(pending().into())).ask(POST, &[JSON, token], &subscription).await.status, 202);

    for (request, headers, content, status) in [
        ("GET /demo/graphql", vec![token, EVENTS], vec![], 409),
        ("GET /demo/graphql?token=unknown", vec![EVENTS], vec![], 404),
        (POST, vec![JSON, (TOKEN, "unknown")], read.clone(), 404),
        (POST, vec![JSON, token], body("{ __typename }"), 400),
        (POST, vec![JSON, token], operation("{ __typename }", &"x".repeat(257)), 400),
        (POST, vec![JSON, token], operation("{ nothing }", "three"), 400),
        ("DELETE /demo/graphql", vec![token], vec![], 400),
        ("DELETE /demo/graphql?operationId=two", vec![], vec![], 405),
        ("PATCH /demo/graphql", vec![token], vec![], 405),
    ] {
        let answer = door.ask(request, &headers, &content).await;
        assert!(answer.status == status && answer.json()["errors"].is_array(), "{request}: {} {}", answer.status, answer.text());
    }
    // The end of the stream ends its operations.
    drop(stream);
    assert_eq!(door.ask(POST, &[JSON, token], &read).await.status, 404);

    // A stream may be used before it is opened. If it is not, it expires.
    let reserved = door.ask("PUT /demo/graphql", &[], b"").await;
    let token = (TOKEN, reserved.text());
    assert_eq!(door.ask(POST, &[JSON, token], &operation("{ __typename }", "x")).await.status, 202);
    while door.ask("DELETE /demo/graphql?operationId=y", &[token], b"").await.status == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(door.ask("GET /demo/graphql", &[token, EVENTS], b"").await.status, 404);
    let mut statuses = Vec::new();
    for _ in 0..70 {
        statuses.push(door.ask("PUT /demo/graphql", &[], b"").await.status);
    }
    assert_eq!((statuses[0], statuses[69]), (201, 429), "reservations of an address are limited");
}
