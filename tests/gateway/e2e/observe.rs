//! What operators see of calls: request ids, the access log, metrics, readiness.

use std::time::{Duration, Instant};

use prism::proto::patterns::keyvalue::v1::*;
use serde_json::Value;
use test_support::{gateway::Gateway, http, poll::until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Request;

use super::{backend::Backend, wire};

const LOG: &str = "
log: {format: json, access: all}
backends:
  ram: {type: memory}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";

/// Returns the line of the access log with this request id.
async fn line(gateway: &Gateway, id: &str) -> Value {
    until("logged", || async {
        let log = gateway.log();
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        let found = lines.into_iter().find(|line| line["request_id"] == id);
        found.ok_or(log.clone())
    })
    .await
}

#[tokio::test]
async fn trace_spans_all_gateways_and_each_call_is_logged() {
    let behind = Gateway::start(LOG).await;
    let front = Gateway::start(&format!(
        "log: {{format: json, access: all}}\nnamespaces:\n  - {{name: front, pattern: keyvalue, remote: {{url: '{}', namespace: store}}}}\n",
        behind.url()
    ))
    .await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "call-1")];
    let absent = http::send(front.address, "GET", "/front/v1/values/absent", &headers, "").await.unwrap();
    assert_eq!((absent.status, &absent.headers["x-request-id"]), (404, &"call-1".parse().unwrap()));
    for (gateway, namespace, protocol) in [(&front, "front", "rest"), (&behind, "store", "grpc")] {
        let line = line(gateway, "call-1").await;
        for (name, value) in
            [("namespace", namespace), ("method", "Retrieve"), ("protocol", protocol), ("code", "NOT_FOUND"), ("trace_id", trace)]
        {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!((&line["reason"], &line["target"]), (&"KEY_NOT_FOUND".into(), &"prism::access".into()), "{line}");
        assert!(line["duration_us"].as_u64().is_some_and(|took| took > 0), "{line}");
    }

    // A gRPC call without ids gets new ones, and both logs have the same.
    let store = wire::frame(&StoreRequest { key: "a".to_owned(), ..StoreRequest::default() });
    let reply = wire::grpc(front.address, &wire::path("Store"), &[("x-request-id", "call-2")], store.clone()).await;
    assert_eq!(reply.headers["x-request-id"], "call-2");
    assert_eq!(line(&front, "call-2").await["code"], "OK");
    let reply = wire::grpc_web(front.address, &wire::path("Store"), &[("x-request-id", "not fit\tfor a log")], store).await;
    let made = reply.headers["x-request-id"].to_str().unwrap().to_owned();
    assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    let (here, there) = (line(&front, &made).await, line(&behind, &made).await);
    assert_eq!((&here["protocol"], &here["trace_id"]), (&"grpc_web".into(), &there["trace_id"]));
    assert_ne!(here["trace_id"], trace);
}

/// Returns the samples of a metric as labels and value.
fn samples<'a>(metrics: &'a str, name: &str) -> Vec<&'a str> {
    let mut found: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix(name)).filter(|line| line.starts_with('{')).collect();
    found.sort_unstable();
    found
}

#[tokio::test]
async fn calls_are_counted_by_namespace_method_protocol_and_code() {
    let gateway = Gateway::start(LOG).await;
    let address = gateway.address;
    for _ in 0..2 {
        assert_eq!(http::send(address, "PUT", "/store/v1/values/a", &[], "1").await.unwrap().status, 200);
    }
    assert_eq!(http::get(address, "/store/v1/values/b").await.unwrap().status, 404);
    let store = |key: &str| wire::frame(&StoreRequest { key: key.to_owned(), ..StoreRequest::default() });
    wire::grpc(address, &wire::path("Store"), &[], store("b")).await;
    wire::grpc(address, &wire::path("Store"), &[], store("")).await;
    wire::grpc_web(address, &wire::path("Store"), &[], store("c")).await;
    // A refused call counts too.
    wire::grpc(address, &wire::path("Store"), &[("grpc-timeout", "soon")], store("d")).await;
    wire::grpc(address, &wire::path("Scan"), &[], wire::frame(&ScanRequest::default())).await;

    let wanted = [
        r#"{code="INVALID_ARGUMENT",method="Store",namespace="store",protocol="grpc"} 2"#,
        r#"{code="NOT_FOUND",method="Retrieve",namespace="store",protocol="rest"} 1"#,
        r#"{code="OK",method="Scan",namespace="store",protocol="grpc"} 1"#,
        r#"{code="OK",method="Store",namespace="store",protocol="grpc"} 1"#,
        r#"{code="OK",method="Store",namespace="store",protocol="grpc_web"} 1"#,
        r#"{code="OK",method="Store",namespace="store",protocol="rest"} 2"#,
    ];
    let metrics = until("counted", || async {
        let metrics = gateway.metrics().await;
        if samples(&metrics, "prism_calls_total") == wanted { Ok(metrics) } else { Err(metrics) }
    })
    .await;
    assert_eq!(samples(&metrics, "prism_calls_in_flight"), [r#"{namespace="store"} 0"#]);
    let messages = samples(&metrics, "prism_stream_messages_total");
    assert!(messages.contains(&r#"{direction="sent",method="Scan",namespace="store"} 3"#), "{messages:?}");
    let took = samples(&metrics, "prism_call_duration_seconds_count");
    assert!(took.contains(&r#"{method="Store",namespace="store",protocol="rest"} 2"#), "{took:?}");
    assert!(metrics.contains(concat!("prism_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
}

#[tokio::test]
async fn clients_that_leave_are_counted_as_cancelled() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&format!("namespaces:\n{}", backend.namespace("far", ""))).await;
    let address = gateway.address;
    let in_flight = |expected: &'static str| {
        let gateway = &gateway;
        until("in flight", move || async move {
            let metrics = gateway.metrics().await;
            if samples(&metrics, "prism_calls_in_flight") == [format!("{{namespace=\"far\"}} {expected}")] { Ok(()) } else { Err(metrics) }
        })
    };
    let client = gateway.client("far");
    let mut scan = client.stream::<ScanResponse>("Scan", ScanRequest::default()).await.unwrap();
    scan.message().await.unwrap();
    let unary = tokio::spawn(async move { client.call::<RetrieveResponse>("Retrieve", RetrieveRequest::default()).await });
    let rest = tokio::spawn(async move { http::get(address, "/far/v1/values/a").await });
    let lines = tokio::spawn(async move { http::get(address, "/far/v1/keys").await });
    in_flight("4").await;
    until("sent", || async {
        let metrics = gateway.metrics().await;
        let messages = samples(&metrics, "prism_stream_messages_total");
        if messages.contains(&r#"{direction="sent",method="Scan",namespace="far"} 2"#) { Ok(()) } else { Err(metrics) }
    })
    .await;
    drop(scan);
    for task in [unary.abort_handle(), rest.abort_handle(), lines.abort_handle()] {
        task.abort();
    }
    in_flight("0").await;
    let wanted = [
        r#"{code="CANCELLED",method="Retrieve",namespace="far",protocol="grpc"} 1"#,
        r#"{code="CANCELLED",method="Retrieve",namespace="far",protocol="rest"} 1"#,
        r#"{code="CANCELLED",method="Scan",namespace="far",protocol="grpc"} 1"#,
        r#"{code="CANCELLED",method="Scan",namespace="far",protocol="rest"} 1"#,
    ];
    until("counted", || async {
        let metrics = gateway.metrics().await;
        if samples(&metrics, "prism_calls_total") == wanted { Ok(()) } else { Err(metrics) }
    })
    .await;
}

#[tokio::test]
async fn readiness_includes_remotes() {
    let mut behind = Gateway::start(LOG).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let front = Gateway::start(&format!(
        "namespaces:\n  - {{name: far, pattern: keyvalue, remote: {{url: '{}', namespace: store}}}}\n",
        behind.url()
    ))
    .await;
    behind.kill();
    let reason = until("unready", || async {
        match http::get(front.admin, "/readyz").await {
            Ok(answer) if answer.status == 503 => Ok(answer.text().to_owned()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(reason.starts_with("namespace far (remote): ") && reason.contains(&behind.url()), "{reason}");
    assert_eq!(http::get(front.admin, "/healthz").await.unwrap().status, 200, "a restart would not help");
    let _behind = behind.restart().await;
    front.ready().await;

    // A remote that accepts connections but never responds does not delay the readiness check.
    let url = format!("http://{}", silent.local_addr().unwrap());
    let front = Gateway::launch(&format!("namespaces:\n  - {{name: far, pattern: keyvalue, remote: {{url: '{url}'}}}}\n"));
    let began = Instant::now();
    let answer = http::get(front.admin, "/readyz").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text().starts_with("namespace far (remote): "), "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn client_metadata_is_not_logged() {
    let gateway = Gateway::start(LOG).await;
    let mut request = Request::new(CountRequest::default());
    request.metadata_mut().insert("authorization", "Bearer secret-token".parse().unwrap());
    let client = gateway.client("store");
    let mut grpc = tonic::client::Grpc::new(client.channel.clone());
    grpc.ready().await.unwrap();
    request.metadata_mut().insert("x-request-id", "call-3".parse().unwrap());
    let codec = tonic_prost::ProstCodec::<CountRequest, CountResponse>::default();
    grpc.unary(request, wire::path("Count").parse().unwrap(), codec).await.unwrap();
    line(&gateway, "call-3").await;
    assert!(!gateway.log().contains("secret-token"));
}

#[tokio::test]
async fn requests_without_a_namespace_are_logged() {
    let gateway = Gateway::start(LOG).await;
    // A control character of the terminal (CSI) in UTF-8, and a quote, which a path may have as they are.
    for (id, method, path, kind, code, logged) in [
        ("lost-1", "GET", "/nowhere/\u{9b}31m\"x?secret=1", "no_route", "NOT_FOUND", r#""/nowhere/\u{9b}31m\"x""#),
        ("lost-2", "GET", "/nowhere/%1b%0a", "no_route", "NOT_FOUND", "\"/nowhere/%1b%0a\""),
        ("lost-3", "POST", "/store/v1/keys/a", "no_route", "UNIMPLEMENTED", "\"/store/v1/keys/a\""),
        ("lost-4", "OPTIONS", "/store/v1/keys/a", "options", "OK", "\"/store/v1/keys/a\""),
    ] {
        let mut stream = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let line = line(&gateway, id).await;
        for (name, value) in [("listener", "main"), ("kind", kind), ("method", method), ("code", code), ("path", logged)] {
            assert_eq!(line[name], value, "{line}");
        }
        assert_eq!(line["target"], "prism::access");
    }
    assert!(!gateway.log().contains("secret=1"), "queries are not logged");
    let metrics = gateway.metrics().await;
    let counted = samples(&metrics, "prism_listener_requests_total");
    assert!(counted.contains(&r#"{code="NOT_FOUND",kind="no_route",listener="main"} 2"#), "{counted:?}");
}
