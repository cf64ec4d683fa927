//! A panic ends one request, with an answer, and the gateway goes on.

use super::*;
use crate::rest::stream::Stream;
use prism_call::proto::patterns::{keyvalue::v1::GetCapabilitiesResponse, slots::v1::Capabilities};

/// Fails like a defect of a pattern.
struct Panicking;

#[async_trait]
impl Handler for Panicking {
    async fn handle(&self, _: &Context, method: &Method, _: Input) -> Result<Reply, Error> {
        if method.server_streaming {
            let first = futures::stream::iter([Ok(Bytes::from(entry("a")?.encode_to_vec()))]);
            let messages = first.chain(futures::stream::once(async { panic!("in a stream") }));
            return Ok(Output::stream(messages).into());
        }
        panic!("in a handler")
    }
}

struct BrokenRendering;

impl prism_frontend::render::RenderMessage for BrokenRendering {
    fn json(&self, _: &StreamMessage, _: &mut Vec<u8>) -> Result<(), Error> {
        panic!("in a renderer")
    }

    fn event(&self) -> Option<&prism_frontend::render::EventFields> {
        None
    }
}

fn panics(door: &Door) -> bool {
    door.metrics.render().contains("prism_panics_total 1\n")
}

#[tokio::test]
async fn panic_of_a_handler_is_an_internal_error() {
    let door = Door::with(Arc::new(Panicking));
    let answer = door.ask("GET /demo/v1/values/a", &[("x-request-id", "r-1")], b"").await;
    assert_eq!((answer.status, answer.json()["reason"].clone(), answer.header("x-request-id")), (500, json!("PANIC"), "r-1"));
    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let path = format!("POST /{SERVICE}/Exists");
    let answer = door.ask(&path, &grpc, &[0; 5]).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "13"));
    let text = door.metrics.render();
    assert!(text.contains("prism_panics_total 2\n"), "{text}");
    for protocol in ["rest", "grpc"] {
        let line = text.lines().find(|line| line.starts_with("prism_calls_total") && line.contains(&format!("protocol=\"{protocol}\"")));
        assert!(line.is_some_and(|line| line.contains("code=\"INTERNAL\"") && line.ends_with(" 1")), "{line:?}");
    }
    assert!(text.contains("prism_calls_in_flight{namespace=\"demo\"} 0"), "{text}");
}

#[tokio::test]
async fn panic_of_a_stream_is_its_last_event() {
    let door = Door::with(Arc::new(Panicking));
    let answer = door.ask("GET /demo/v1/keys", &[("accept", "application/x-ndjson")], b"").await;
    let last: Value = serde_json::from_str(answer.text().lines().last().unwrap()).unwrap();
    assert_eq!((answer.status, last["error"]["reason"].clone()), (200, json!("PANIC")));
    assert!(panics(&door));
}

#[tokio::test]
async fn panic_of_a_renderer_ends_the_stream_with_an_error() {
    let door = Door::new();
    let messages = door.admit_stream(Box::pin(futures::stream::iter([Ok(Bytes::new().into()), Ok(Bytes::new().into())]))).await;
    let stream = Stream {
        rendering: Arc::new(BrokenRendering),
        format: Format::Lines,
        messages,
        trailers: Trailers::default(),
        resumed: false,
        heartbeat: Duration::from_secs(1),
    };
    let answer = read(stream.respond(&Preconditions::none(&http::Method::GET), &RequestId::new(), HeaderMap::new()).await).await;
    assert_eq!(serde_json::from_str::<Value>(answer.text().trim_end()).unwrap()["error"]["reason"], "PANIC");
    let text = door.metrics.render();
    assert!(text.contains("code=\"INTERNAL\""), "counted as what the client got: {text}");
}

#[tokio::test]
async fn panic_outside_of_a_handler_is_answered_too() {
    let door = Door::new();
    let capabilities = GetCapabilitiesResponse { capabilities: Some(Capabilities::default()) };
    let answer = door.will(Ok(Output::one(capabilities).into())).ask("GET /demo/openapi.json", &[("x-request-id", "r-2")], b"").await;
    assert_eq!((answer.status, answer.json()["reason"].clone(), answer.header("x-request-id")), (500, json!("PANIC"), "r-2"));
    assert!(panics(&door));
    assert_eq!(door.will(stored(3)).ask("PUT /demo/v1/values/a", &[], b"x").await.status, 200);
}

#[tokio::test]
async fn requests_without_a_namespace_are_counted() {
    let door = Door::new();
    assert_eq!(door.ask("GET /nobody/v1/keys", &[], b"").await.status, 404);
    assert_eq!(door.ask("OPTIONS /demo/v1/values/a", &[], b"").await.status, 204);
    let text = door.metrics.render();
    for (kind, code) in [("no_route", "NOT_FOUND"), ("options", "OK")] {
        assert!(text.contains(&format!("prism_listener_requests_total{{code=\"{code}\",kind=\"{kind}\",listener=\"\"}} 1")), "{text}");
    }
}
