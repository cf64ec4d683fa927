//! Tests of `If-Match` and `If-None-Match`: which call the handler receives, and which response the client gets.

use super::*;
use prism_call::proto::patterns::keyvalue::v1::{
    CompareAndRemoveRequest, CompareAndRemoveResponse, CompareAndStoreRequest, CompareAndStoreResponse,
};

#[expect(clippy::unnecessary_wraps, reason = "what a handler answers")]
fn swapped(revision: u64) -> Result<Reply, Error> {
    Ok(Output::one(CompareAndStoreResponse { revision }).into())
}

fn mismatch(current: &str) -> Error {
    Error::new(Code::Aborted, "REVISION_MISMATCH", "another").with("current_revision", current)
}

/// Sends a conditional write and returns the request that the handler receives.
async fn store(headers: &[(&str, &str)]) -> CompareAndStoreRequest {
    let door = Door::new();
    let answer = door.will(swapped(12)).ask("PUT /demo/v1/values/a/b?ttl=2s", headers, b"\x00v").await;
    assert_eq!((answer.status, answer.header("etag"), answer.json()), (200, "\"12\"", json!({"revision": "12"})), "{headers:?}");
    let seen = door.seen();
    assert_eq!(seen.method, "CompareAndStore", "{headers:?}");
    let request = CompareAndStoreRequest::decode(seen.messages[0].as_ref()).unwrap();
    assert_eq!((request.key.as_str(), request.value.as_ref()), ("a/b", b"\x00v".as_slice()));
    assert_eq!(request.ttl, Some(prost_types::Duration { seconds: 2, nanos: 0 }));
    request
}

#[tokio::test]
async fn conditional_writes_call_the_conditional_rpc_once() {
    let one = store(&[("if-match", "\"7\"")]).await;
    assert_eq!((one.expected_revision, one.must_exist, one.expected_revisions), (7, false, vec![]));
    let absent = store(&[("if-none-match", "*")]).await;
    assert_eq!((absent.expected_revision, absent.must_exist, absent.expected_revisions), (0, false, vec![]));
    let any = store(&[("if-match", "*")]).await;
    assert_eq!((any.expected_revision, any.must_exist, any.expected_revisions), (0, true, vec![]));
    for headers in [&[("if-match", "\"9\", \"7\",W/\"8\", \"x\"")][..], &[("if-match", "\"7\""), ("if-match", "\"9\", \"7\"")][..]] {
        let list = store(headers).await;
        assert_eq!((list.expected_revision, list.must_exist, list.expected_revisions), (0, false, vec![7, 9]));
    }

    let door = Door::new();
    let json = br#"{"value":"AQ==","ttl":"3s"}"#;
    let answer = door.will(swapped(3)).ask("PUT /demo/v1/keys/k", &[("if-match", "\"2\"")], json).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""));
    let request = CompareAndStoreRequest::decode(door.seen().messages[0].as_ref()).unwrap();
    assert_eq!((request.value.as_ref(), request.expected_revision), ([1].as_slice(), 2));

    for (path, tags, revision, exists) in [("keys", "\"7\"", 7, false), ("values", "*", 0, true)] {
        let gone = Ok(Output::one(CompareAndRemoveResponse { removed: true }).into());
        let answer = door.will(gone).ask(&format!("DELETE /demo/v1/{path}/k"), &[("if-match", tags)], b"").await;
        assert_eq!((answer.status, answer.json()), (200, json!({"removed": true})));
        let seen = door.seen();
        let request = CompareAndRemoveRequest::decode(seen.messages[0].as_ref()).unwrap();
        assert_eq!((seen.method.as_str(), request.expected_revision, request.must_exist), ("CompareAndRemove", revision, exists));
    }
}

#[tokio::test]
async fn extra_fields_of_the_conditional_rpc_are_refused_in_requests() {
    let door = Door::new();
    for (request, body) in
        [("PUT /demo/v1/keys/a?mustExist=true", b"{}".as_slice()), ("PUT /demo/v1/keys/a", br#"{"expectedRevision":"9"}"#.as_slice())]
    {
        let answer = door.ask(request, &[("if-match", "\"7\"")], body).await;
        assert_eq!(answer.status, 400, "{request} {}", answer.text());
    }
    assert!(door.nothing_seen());
}

#[tokio::test]
async fn failed_preconditions_return_412_with_the_current_revision() {
    let door = Door::new();
    for request in ["PUT /demo/v1/values/a", "PUT /demo/v1/keys/a", "DELETE /demo/v1/keys/a"] {
        let answer = door.will(Err(mismatch("9"))).ask(request, &[("if-match", "\"7\"")], b"").await;
        assert_eq!((answer.status, answer.header("content-type")), (412, "application/problem+json"), "{request}");
        assert_eq!(
            answer.json(),
            json!({
                "type": "urn:prism:problem:revision-mismatch", "title": "Revision mismatch", "status": 412, "detail": "another",
                "code": "ABORTED", "reason": "REVISION_MISMATCH", "metadata": {"current_revision": "9"},
            })
        );
        door.seen();
    }
    // If the request message itself contains the revision, the same error is a conflict.
    let asked = door.will(Err(mismatch("9"))).ask("POST /demo/v1/compare-and-store/a", &[], b"{}").await;
    assert_eq!(asked.status, 409);
    door.seen();
    // No revision matches such a tag, so the handler is not called. In particular, the tag "0" does not mean that the key is
    // absent.
    for tags in ["W/\"7\"", "\"x\"", "\"0\"", "\"07\"", "\"\"", "\"18446744073709551616\""] {
        let answer = door.ask("PUT /demo/v1/values/a", &[("if-match", tags)], b"").await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (412, json!("REVISION_MISMATCH")), "{tags}");
    }
    let other = door.will(Err(Error::capability_unavailable("CompareAndStore", "keyvalue_cas", "ram")));
    let answer = other.ask("PUT /demo/v1/values/a", &[("if-none-match", "*")], b"").await;
    assert_eq!((answer.status, answer.json()["reason"].clone()), (501, json!("CAPABILITY_UNAVAILABLE")));
}

#[tokio::test]
async fn invalid_and_unsupported_preconditions_are_refused() {
    let door = Door::new();
    for (request, name, value, reason) in [
        ("PUT /demo/v1/values/a", "If-Match", "7", "INVALID_PRECONDITION"),
        ("PUT /demo/v1/values/a", "If-Match", "", "INVALID_PRECONDITION"),
        ("PUT /demo/v1/values/a", "If-None-Match", "*, \"1\"", "INVALID_PRECONDITION"),
        ("GET /demo/v1/values/a", "If-None-Match", "9", "INVALID_PRECONDITION"),
        ("GET /demo/v1/values/a", "If-Match", "\"9", "INVALID_PRECONDITION"),
        ("PUT /demo/v1/values/a", "If-None-Match", "\"7\"", "PRECONDITION_UNSUPPORTED"),
        ("DELETE /demo/v1/values/a", "If-None-Match", "*", "PRECONDITION_UNSUPPORTED"),
        ("PUT /demo/v1/expirations/a", "If-Match", "\"7\"", "PRECONDITION_UNSUPPORTED"),
        ("POST /demo/v1/batch:store", "If-None-Match", "*", "PRECONDITION_UNSUPPORTED"),
        ("GET /demo/v1/count", "If-Match", "\"7\"", "PRECONDITION_UNSUPPORTED"),
        ("GET /demo/v1/keys", "If-Match", "*", "PRECONDITION_UNSUPPORTED"),
    ] {
        let answer = door.ask(request, &[(name, value)], b"{}").await;
        assert_eq!((answer.status, answer.json()["reason"].clone()), (400, json!(reason)), "{request} {name}: {value}");
        let named = &answer.json()["errors"][0];
        assert_eq!((&named["parameter"], &named["in"]), (&json!(name), &json!("header")), "{request} {name}: {value}");
    }
    let both = [("if-match", "\"7\""), ("if-none-match", "*")];
    assert_eq!(door.ask("PUT /demo/v1/values/a", &both, b"").await.status, 400);
    assert!(door.nothing_seen());
    assert_eq!(door.ask("GET /demo/v1/count", &[("if-none-match", "\"7\"")], b"").await.status, 200);
}

#[tokio::test]
async fn reads_evaluate_preconditions_against_the_reply() {
    let door = Door::new();
    for method in ["GET", "HEAD"] {
        for (name, tags, status) in [
            ("if-match", "\"9\"", 200),
            ("if-match", "*", 200),
            ("if-match", "\"1\", \"9\"", 200),
            ("if-match", "\"8\"", 412),
            ("if-match", "W/\"9\"", 412),
            ("if-none-match", "W/\"9\"", 304),
            ("if-none-match", "\"8\"", 200),
        ] {
            let answer = door.will(retrieved(b"12345", 9)).ask(&format!("{method} /demo/v1/values/a"), &[(name, tags)], b"").await;
            assert_eq!(answer.status, status, "{method} {name}: {tags}");
            if status == 412 && method == "GET" {
                assert_eq!(answer.json()["metadata"], json!({"current_revision": "9"}));
            }
        }
    }
    // `If-Match` is evaluated first.
    let both = [("if-match", "\"8\""), ("if-none-match", "\"9\"")];
    assert_eq!(door.will(retrieved(b"", 9)).ask("GET /demo/v1/keys/a", &both, b"").await.status, 412);
    let missing = Error::new(Code::NotFound, "KEY_NOT_FOUND", "no");
    assert_eq!(door.will(Err(missing)).ask("GET /demo/v1/keys/a", &[("if-match", "*")], b"").await.status, 404);
}

#[tokio::test]
async fn writes_return_the_etag_of_the_new_revision() {
    let door = Door::new();
    assert_eq!(door.will(stored(7)).ask("PUT /demo/v1/values/a", &[], b"").await.header("etag"), "\"7\"");
    // The response to this POST does not represent the resource at its path, so it has no tag.
    let posted = door.will(swapped(7)).ask("POST /demo/v1/compare-and-store/a", &[], b"{}").await;
    assert_eq!((posted.status, posted.header("etag")), (200, ""));
}
