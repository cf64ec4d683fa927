//! The handler for a namespace in another process, against a server that responds correctly, wrongly, late or not at all.

mod server;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, channel::mpsc};
use http::{HeaderMap, HeaderValue};
use prism::{
    call::{Code, Context, Error, Handler, Input, Method, Output, Reply},
    remote::RemoteHandler,
};
use server::Server;

/// An RPC of the server, of any kind. The handler uses only its path and its kind.
fn rpc(name: &str, client_streaming: bool, server_streaming: bool) -> Method {
    let any = Method::of_service(prism::proto::descriptors(), "prism.patterns.keyvalue.v1.KeyValueService").unwrap().remove(0);
    Method {
        path: format!("/test.Service/{name}"),
        service: "test.Service".to_owned(),
        name: name.to_owned(),
        interface: None,
        label: name.to_owned(),
        index: 0,
        client_streaming,
        server_streaming,
        read_only: false,
        descriptor: any.descriptor.clone(),
    }
}

fn unary(name: &str) -> Method {
    rpc(name, false, false)
}

fn streaming(name: &str) -> Method {
    rpc(name, false, true)
}

fn single_message() -> Input {
    Input::One(Bytes::from_static(b"hello"))
}

async fn call(handler: &Arc<RemoteHandler>, method: &Method, input: Input) -> Result<Reply, Error> {
    handler.handle(&Context::internal("here"), method, input).await
}

fn bytes(reply: Reply) -> Bytes {
    match reply.output {
        Output::One(message) => message.to_bytes(),
        Output::Stream(_) => panic!("a stream"),
    }
}

async fn all(reply: Reply) -> Vec<Result<Bytes, Error>> {
    match reply.output {
        Output::One(_) => panic!("one message"),
        Output::Stream(messages) => messages.map(|message| message.map(Bytes::from)).collect().await,
    }
}

fn names(headers: &http::HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

async fn start() -> (Server, Arc<RemoteHandler>) {
    let server = Server::start().await;
    let handler = RemoteHandler::connect(&server.url, "there", true, None).unwrap();
    (server, handler)
}

#[tokio::test]
async fn all_four_kinds_with_metadata_on_both_ends() {
    let (_server, handler) = start().await;
    let stream =
        || Input::Stream(Box::pin(futures::stream::iter([Ok(Bytes::from_static(b"a")), Ok(Bytes::new()), Ok(vec![7; 200_000].into())])));
    let one_of_stream = || Input::Stream(Box::pin(futures::stream::iter([Ok(Bytes::from_static(b"hello"))])));
    for (client, server) in [(false, false), (true, false), (false, true), (true, true)] {
        let method = rpc("Echo", client, server);
        let input = if client { one_of_stream() } else { single_message() };
        let reply = call(&handler, &method, input).await.unwrap();
        assert_eq!(names(&reply.headers), ["x-head"]);
        let trailers = reply.trailers.clone();
        let messages = if server { all(reply).await.into_iter().map(Result::unwrap).collect() } else { vec![bytes(reply)] };
        assert_eq!(messages, ["hello"]);
        assert_eq!(names(trailers.get().unwrap()), ["x-tail", "x-tail-bin"]);
    }
    let messages = all(call(&handler, &rpc("Echo", true, true), stream()).await.unwrap()).await;
    let lengths: Vec<_> = messages.into_iter().map(|message| message.unwrap().len()).collect();
    assert_eq!(lengths, [1, 0, 200_000]);
}

#[tokio::test]
async fn messages_of_a_bidirectional_stream_are_not_buffered() {
    let (_server, handler) = start().await;
    let (send, receive) = mpsc::unbounded();
    let reply = call(&handler, &rpc("Echo", true, true), Input::Stream(Box::pin(receive))).await.unwrap();
    let Output::Stream(mut messages) = reply.output else { panic!() };
    for word in ["one", "two"] {
        send.unbounded_send(Ok(Bytes::from_static(word.as_bytes()))).unwrap();
        assert_eq!(*messages.next().await.unwrap().unwrap(), word);
    }
    // If the caller's stream fails, the remote must not take the failure for the end of the stream.
    send.unbounded_send(Err(Error::new(Code::Cancelled, "REQUEST_BROKEN_OFF", "gone"))).unwrap();
    assert_eq!(messages.next().await.unwrap().unwrap_err().reason(), "REQUEST_BROKEN_OFF");
    assert!(messages.next().await.is_none());

    let broken = Input::Stream(Box::pin(futures::stream::iter([Err(Error::new(Code::Cancelled, "REQUEST_BROKEN_OFF", "gone"))])));
    let error = call(&handler, &rpc("Echo", true, false), broken).await.err().unwrap();
    assert_eq!(error.reason(), "REQUEST_BROKEN_OFF");
}

#[tokio::test]
async fn request_carries_namespace_trace_and_timeout() {
    let (_server, handler) = start().await;
    let mut context = Context::internal("here").with_timeout(Duration::from_secs(60));
    context.metadata.insert("x-custom", HeaderValue::from_static("c"));
    context.metadata.insert("content-type", HeaderValue::from_static("application/json"));
    let text = bytes(handler.handle(&context, &unary("Headers"), single_message()).await.unwrap());
    let text = std::str::from_utf8(&text).unwrap();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(value("x-prism-namespace"), Some("there"));
    assert_eq!(value("x-custom"), Some("c"));
    assert_eq!(value("content-type"), Some("application/grpc"));
    assert_eq!(value("te"), Some("trailers"));
    assert_eq!(value("x-request-id"), Some(context.request_id.to_string().as_str()));
    let mut trace = HeaderMap::new();
    context.trace.inject(&mut trace);
    assert_eq!(value("traceparent"), trace["traceparent"].to_str().ok());
    let timeout: u64 = value("grpc-timeout").unwrap().strip_suffix('u').unwrap().parse().unwrap();
    assert!((50_000_000..=60_000_000).contains(&timeout), "{timeout}");
    assert!(value("user-agent").unwrap().starts_with("prism/"));
}

/// Namespaces that refer to each other would make endless calls of one.
#[tokio::test]
async fn a_call_that_goes_round_in_a_circle_ends() {
    let (_server, handler) = start().await;
    let mut context = Context::internal("here");
    context.metadata.insert("x-prism-hops", HeaderValue::from_static("7"));
    let text = bytes(handler.handle(&context, &unary("Headers"), single_message()).await.unwrap());
    assert!(std::str::from_utf8(&text).unwrap().lines().any(|line| line == "x-prism-hops=8"));
    context.metadata.insert("x-prism-hops", HeaderValue::from_static("8"));
    let error = handler.handle(&context, &unary("Headers"), single_message()).await.err().unwrap();
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "REMOTE_LOOP"), "{error:?}");
}

#[tokio::test]
async fn errors_come_as_they_were() {
    let (_server, handler) = start().await;
    let error = call(&handler, &unary("Fail"), single_message()).await.err().unwrap();
    assert_eq!((error.code(), error.message(), error.reason()), (Code::Aborted, "grüße", "REVISION_MISMATCH"));
    assert_eq!(error.get("current_revision"), Some("7"));
    assert_eq!(error.to_status(), server::status());
    assert_eq!(names(error.headers_and_trailers().1), ["x-tail"]);

    let error = call(&handler, &unary("FailLate"), single_message()).await.err().unwrap();
    assert_eq!((error.code(), error.message(), error.reason()), (Code::FailedPrecondition, "late", ""));
    let (headers, trailers) = error.headers_and_trailers();
    assert_eq!((names(headers), names(trailers)), (vec!["x-head"], vec!["x-tail"]));

    let mut messages = all(call(&handler, &streaming("FailLate"), single_message()).await.unwrap()).await;
    let error = messages.pop().unwrap().unwrap_err();
    assert_eq!((error.code(), names(error.headers_and_trailers().1)), (Code::FailedPrecondition, vec!["x-tail"]));
    assert_eq!(messages.len(), 1);
}

#[tokio::test]
async fn malformed_answers_are_distinguished_from_errors() {
    let (_server, handler) = start().await;
    for (name, expected) in [
        ("NoStatus", "INTERNAL REMOTE_BROKEN"),
        ("NoMessage", "INTERNAL REMOTE_BROKEN"),
        ("TwoMessages", "INTERNAL REMOTE_BROKEN"),
        ("Html", "INTERNAL REMOTE_BROKEN"),
        ("Large", "RESOURCE_EXHAUSTED REPLY_TOO_LARGE"),
        ("BreakOff", "UNAVAILABLE REMOTE_UNAVAILABLE"),
    ] {
        let error = call(&handler, &unary(name), single_message()).await.err().unwrap();
        assert_eq!(format!("{} {}", error.code().name(), error.reason()), expected, "{name}: {error:?}");
    }
    let messages = all(call(&handler, &streaming("NoStatus"), single_message()).await.unwrap()).await;
    assert_eq!(messages.last().unwrap().as_ref().unwrap_err().reason(), "REMOTE_BROKEN");
}

#[tokio::test]
async fn dropping_the_reply_cancels_the_work() {
    let (server, handler) = start().await;
    let reply = call(&handler, &streaming("Hang"), single_message()).await.unwrap();
    let Output::Stream(mut messages) = reply.output else { panic!() };
    assert_eq!(*messages.next().await.unwrap().unwrap(), "one");
    drop(messages);
    tokio::time::timeout(Duration::from_secs(10), server.dropped.notified()).await.unwrap();

    let context = Context::internal("here").with_timeout(Duration::from_millis(50));
    let method = unary("Hang");
    let waiting = tokio::time::timeout(Duration::from_millis(50), handler.handle(&context, &method, single_message())).await;
    assert!(waiting.is_err());
    tokio::time::timeout(Duration::from_secs(10), server.dropped.notified()).await.unwrap();
}

#[tokio::test]
async fn a_remote_that_is_down_is_unavailable_and_comes_back() {
    let (server, handler) = start().await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    handler.health().await.unwrap();
    server.kill().await;

    let began = Instant::now();
    for error in [call(&handler, &unary("Echo"), single_message()).await.err().unwrap(), handler.health().await.unwrap_err()] {
        assert_eq!((error.code(), error.reason()), (Code::Unavailable, "REMOTE_UNAVAILABLE"), "{error:?}");
        assert!(error.retry_after().is_some() && error.get("remote").unwrap().ends_with(&address));
    }
    assert!(began.elapsed() < Duration::from_secs(2));

    let _server = Server::at(&address).await;
    handler.health().await.unwrap();
    assert_eq!(bytes(call(&handler, &unary("Echo"), single_message()).await.unwrap()), "hello");
}
