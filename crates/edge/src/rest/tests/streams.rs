//! Tests of server streams and client streams.

use super::*;
use crate::rest::stream::Stream;

#[tokio::test]
async fn server_streams_are_sent_as_lines_events_or_a_list() {
    let door = Door::new();
    let lines = door.will(scanned(vec![entry("a"), entry("b")])).ask("GET /demo/v1/keys?prefix=x&limit=2", &[], b"").await;
    assert_eq!((lines.status, lines.header("content-type")), (200, "application/x-ndjson"));
    let keys: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["key"].clone()).collect();
    assert_eq!(keys, ["a", "b"]);
    let request = ScanRequest { prefix: "x".to_owned(), limit: 2, ..ScanRequest::default() };
    assert_eq!(ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap(), request);

    let array = door.will(scanned(vec![entry("a"), entry("b")])).ask("GET /demo/v1/keys", &[("accept", "application/json")], b"").await;
    assert_eq!((array.json().as_array().unwrap().len(), array.header("content-type")), (2, "application/json"));
    let empty = door.will(scanned(vec![])).ask("GET /demo/v1/keys", &[("accept", "application/json")], b"").await;
    assert_eq!(empty.json(), json!([]));

    let events = door.will(scanned(vec![entry("a")])).ask("GET /demo/v1/keys", &[("accept", "text/event-stream")], b"").await;
    let data = r#"{"key":"a","value":"dg==","revision":"1","cursor":"c-a","flags":"0","createRevision":"1","version":"1"}"#;
    let (retry, rest) = events.text().split_once("\n\n").unwrap();
    assert!((1000..=3000).contains(&retry.strip_prefix("retry: ").unwrap().parse::<u32>().unwrap()), "{retry}");
    assert_eq!(rest, format!("id: c-a\ndata: {data}\n\n"));
    assert_eq!((events.header("x-accel-buffering"), events.header("cache-control")), ("no", "no-cache"));
}

#[tokio::test]
async fn event_streams_resume_after_the_last_event_id_and_end_with_204() {
    let door = Door::new();
    let headers = [("accept", "text/event-stream"), ("last-event-id", "c-a")];
    let answer = door.will(scanned(vec![entry("b")])).ask("GET /demo/v1/keys?cursor=old", &headers, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(ScanRequest::decode(door.seen().messages[0].as_ref()).unwrap().cursor, "c-a");
    let answer = door.will(scanned(vec![])).ask("GET /demo/v1/keys", &headers, b"").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn client_that_resumes_is_told_of_gaps_and_comes_back_after_outages() {
    let door = Door::new();
    let gap = || Error::new(Code::OutOfRange, "OFFSET_EXPIRED", "removed").with("first_offset", "7");
    let outage = || Error::backend_unavailable("gone", Duration::from_secs(1));
    let headers = [("accept", "text/event-stream"), ("last-event-id", "c-a")];
    for (error, event) in [(gap as fn() -> Error, "id:\nevent: gap\n"), (outage, "event: error\n")] {
        for early in [true, false] {
            door.will(if early { Err(error()) } else { scanned(vec![Err(error())]) });
            let answer = door.ask("GET /demo/v1/keys", &headers, b"").await;
            assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"), "{}", answer.text());
            assert!(answer.text().contains(&format!("\n\n{event}data: {{")), "{}", answer.text());
        }
        // Without a cursor of an event, the status tells it.
        let answer = door.will(Err(error())).ask("GET /demo/v1/keys", &headers[..1], b"").await;
        assert!(answer.status >= 400, "{}", answer.text());
    }
    let slow = door.will(scanned(vec![entry("a"), Err(gap())])).ask("GET /demo/v1/keys", &headers[..1], b"").await;
    assert!(slow.text().contains("id: c-a\n") && slow.text().contains("id:\nevent: gap\n"), "{}", slow.text());
    // What will not change ends the stream for good.
    let unknown = Error::new(Code::InvalidArgument, "INVALID_CURSOR", "not a cursor");
    assert_eq!(door.will(Err(unknown)).ask("GET /demo/v1/keys", &headers, b"").await.status, 400);
}

#[tokio::test]
async fn errors_in_mid_stream_are_visible_in_each_format() {
    let door = Door::new();
    let broken = || scanned(vec![entry("a"), Err(Error::backend_unavailable("gone", Duration::from_secs(1)))]);
    let lines = door.will(broken()).ask("GET /demo/v1/keys", &[], b"").await;
    let last: Value = serde_json::from_str(lines.text().lines().last().unwrap()).unwrap();
    assert_eq!(
        (lines.status, last["error"]["reason"].clone(), last["error"]["status"].clone()),
        (200, json!("BACKEND_UNAVAILABLE"), json!(503))
    );
    let array = door.will(broken()).ask("GET /demo/v1/keys", &[("accept", "application/json")], b"").await;
    assert_eq!(array.json()[1]["error"]["code"], "UNAVAILABLE");
    let events = door.will(broken()).ask("GET /demo/v1/keys", &[("accept", "text/event-stream")], b"").await;
    assert!(events.text().contains("\n\nevent: error\ndata: {\"type\":\"urn:prism:problem:backend-unavailable\""), "{}", events.text());
    // Before the first message is sent, the error can still set the status.
    let early = door.will(scanned(vec![Err(Error::deadline_exceeded())])).ask("GET /demo/v1/keys", &[], b"").await;
    assert_eq!((early.status, early.header("content-type")), (504, "application/problem+json"));
}

#[tokio::test]
async fn idle_event_streams_send_headers_early_and_heartbeats() {
    let found = routes();
    let route = found.find(&http::Method::GET, "/v1/keys").unwrap().value.clone();
    let late = futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Bytes::from(entry("a")?.encode_to_vec()).into())
    });
    let stream = Stream {
        rendering: route,
        format: Format::Events,
        messages: Door::new().admit_stream(Box::pin(late)).await,
        trailers: Trailers::default(),
        resumed: false,
        heartbeat: Duration::from_millis(50),
    };
    let conditions = Preconditions::none(&http::Method::GET);
    let began = std::time::Instant::now();
    let response = stream.respond(&conditions, &RequestId::new(), HeaderMap::new()).await;
    assert!(began.elapsed() < Duration::from_millis(250), "the headers waited for the message");
    let answer = read(response).await;
    assert!(answer.text().starts_with("retry: ") && answer.text().contains("\n\n:\n\n"), "{}", answer.text());
    assert!(answer.text().contains("\n\nid: c-a\ndata: {"), "{}", answer.text());
}

#[tokio::test]
async fn trailers_of_a_stream_are_sent_as_http_trailers() {
    let door = Door::new();
    let trailers = Trailers::known(HeaderMap::from_iter([(http::HeaderName::from_static("x-total"), "1".parse().unwrap())]));
    let Ok(Reply { output, .. }) = scanned(vec![entry("a")]) else { unreachable!() };
    let answer = door.will(Ok(Reply { headers: HeaderMap::new(), output, trailers })).ask("GET /demo/v1/keys", &[], b"").await;
    assert_eq!(answer.trailers.unwrap().get("x-total").unwrap(), "1");
}

#[tokio::test]
async fn client_streams_are_read_from_a_list_or_lines() {
    let door = Door::new();
    for (content_type, body) in [
        ("application/json", "[{\"value\":\"AQ==\"}, {\"key\":\"other\",\"value\":\"Ag==\"}]"),
        ("application/x-ndjson", "{\"value\":\"AQ==\"}\n{\"key\":\"other\",\"value\":\"Ag==\"}\n"),
    ] {
        let answer = door.will(stored(1)).ask("POST /demo/v1/many/k", &[("content-type", content_type)], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let messages: Vec<_> = door.seen().messages.iter().map(|message| StoreRequest::decode(message.as_ref()).unwrap()).collect();
        assert_eq!(
            messages.iter().map(|message| (message.key.as_str(), message.value.as_ref())).collect::<Vec<_>>(),
            [("k", [1].as_slice()), ("k", [2].as_slice())]
        );
    }
    for body in ["[{}", "[{\"nope\":1}]", "{}x{"] {
        assert_eq!(door.ask("POST /demo/v1/many/k", &[], body.as_bytes()).await.status, 400, "{body}");
    }
    let large = format!("[{{\"value\":\"{}\"}}]", "A".repeat(LIMIT));
    assert_eq!(door.ask("POST /demo/v1/many/k", &[], large.as_bytes()).await.status, 413);
}
