//! Which namespace a call reaches. Each namespace returns its name from `GetCapabilities`.

use std::net::SocketAddr;

use prism::{call::Code, proto::patterns::keyvalue::v1::*};
use test_support::{gateway::Gateway, http};

use super::wire;

const SEVERAL: &str = "
listeners:
  main: {}
  internal: {address: '127.0.0.1:0'}
backends:
  ram: {type: memory}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: ram}}
  - {name: other, pattern: keyvalue, slots: {storage: ram}}
  - name: hosted
    pattern: keyvalue
    slots: {storage: ram}
    frontends:
      - {frontend: rest, host: api.example.com, base_path: /}
      - {frontend: grpc, host: api.example.com}
  - name: inside
    pattern: keyvalue
    slots: {storage: ram}
    frontends: [{frontend: grpc, listener: internal}, {frontend: grpc-web, listener: internal}, {frontend: rest, listener: internal, base_path: /in/side}]
  - {name: hidden, pattern: keyvalue, slots: {storage: ram}, frontends: [{frontend: grpc, enabled: false}]}
";

async fn call(address: SocketAddr, base: &str, headers: &[(&str, &str)]) -> wire::Reply {
    let path = format!("{base}{}", wire::path("GetCapabilities"));
    wire::grpc(address, &path, headers, wire::frame(&GetCapabilitiesRequest {})).await
}

async fn web(address: SocketAddr, base: &str, headers: &[(&str, &str)]) -> wire::Reply {
    let path = format!("{base}{}", wire::path("GetCapabilities"));
    wire::grpc_web(address, &path, headers, wire::frame(&GetCapabilitiesRequest {})).await
}

fn name(reply: &wire::Reply) -> String {
    reply.message::<GetCapabilitiesResponse>().capabilities.unwrap().namespace
}

async fn rest(address: SocketAddr, base: &str, headers: &[(&str, &str)]) -> Result<String, http::Answer> {
    let answer = http::send(address, "GET", &format!("{base}/v1/capabilities"), headers, "").await.unwrap();
    if answer.status == 200 { Ok(answer.json()["capabilities"]["namespace"].as_str().unwrap().to_owned()) } else { Err(answer) }
}

#[tokio::test]
async fn namespace_is_selected_by_header_path_host_or_default() {
    let gateway = Gateway::start(SEVERAL).await;
    let (main, internal) = (gateway.address, gateway.listeners["internal"]);
    let (to, host) = (|name| ("x-prism-namespace", name), ("host", "API.example.com:8980"));

    for (base, headers, expected) in [
        ("", vec![], "default"),
        ("", vec![to("other")], "other"),
        ("/other", vec![], "other"),
        // The header takes precedence over the path.
        ("/other", vec![to("default")], "default"),
    ] {
        assert_eq!(name(&call(main, base, &headers).await), expected, "{base} {headers:?}");
        assert_eq!(name(&web(main, base, &headers).await), expected, "{base} {headers:?}");
    }
    assert_eq!(name(&call(main, "", &[host]).await), "hosted");
    assert_eq!(name(&call(main, "", &[host, to("other")]).await), "other");
    assert_eq!(name(&call(internal, "/inside", &[]).await), "inside");
    assert_eq!(name(&web(internal, "", &[to("inside")]).await), "inside");

    assert_eq!(rest(main, "/default", &[]).await.unwrap(), "default");
    assert_eq!(rest(main, "/other", &[]).await.unwrap(), "other");
    assert_eq!(rest(main, "", &[host]).await.unwrap(), "hosted");
    assert_eq!(rest(internal, "/in/side", &[]).await.unwrap(), "inside");
    assert_eq!(rest(internal, "/default", &[]).await.unwrap(), "default");
}

#[tokio::test]
async fn unknown_namespace_is_refused_without_a_list() {
    let gateway = Gateway::start(SEVERAL).await;
    let main = gateway.address;
    for absent in ["nobody", "inside", "hidden", "hosted"] {
        for reply in [
            call(main, "", &[("x-prism-namespace", absent)]).await,
            call(main, &format!("/{absent}"), &[]).await,
            web(main, "", &[("x-prism-namespace", absent)]).await,
        ] {
            let error = reply.error();
            assert_eq!((error.code(), error.reason()), (Code::NotFound, "NAMESPACE_NOT_FOUND"), "{absent}");
            assert!(error.message().contains(absent) && !error.message().contains("other"), "{error:?}");
        }
        let problem = rest(main, &format!("/{absent}"), &[]).await.unwrap_err();
        assert_eq!((problem.status, &problem.json()["reason"]), (404, &"ROUTE_NOT_FOUND".into()));
        assert!(!problem.text().contains("/other"), "{}", problem.text());
    }
    let error = wire::grpc(main, "/no.Such/Thing", &[], wire::frame(&GetCapabilitiesRequest {})).await;
    assert_eq!((error.code(), error.refusal().as_str()), (Code::Unimplemented, "no service no.Such is served on this listener"));
    let error = wire::grpc(main, &wire::path("Nothing"), &[], wire::frame(&GetCapabilitiesRequest {})).await;
    assert_eq!((error.code(), error.status), (Code::Unimplemented, 200));
}

#[tokio::test]
async fn ambiguous_namespace_error_names_the_metadata() {
    let gateway = Gateway::start(
        "
backends:
  ram: {type: memory}
namespaces:
  - {name: one, pattern: keyvalue, slots: {storage: ram}}
  - {name: two, pattern: keyvalue, slots: {storage: ram}}
",
    )
    .await;
    for reply in [call(gateway.address, "", &[]).await, web(gateway.address, "", &[]).await] {
        let error = reply.error();
        assert_eq!((error.code(), error.reason()), (Code::InvalidArgument, "NAMESPACE_REQUIRED"));
        assert!(error.message().contains("x-prism-namespace") && !error.message().contains("one, two"), "{error:?}");
    }
    assert_eq!(name(&call(gateway.address, "/two", &[]).await), "two");
}
