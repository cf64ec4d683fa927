//! Compressed responses and request bodies over real connections.

use std::io::Read as _;

use http_body_util::BodyExt as _;
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
};

const CONFIG: &str = "
backends: {ram: {type: memory}}
namespaces:
  - {name: store, pattern: keyvalue, slots: {storage: ram}}
";

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Answer {
    http::send(gateway.address, "GET", path, headers, "").await.unwrap()
}

fn unzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn documents_are_compressed_and_cached() {
    let gateway = Gateway::start(CONFIG).await;
    let accepted = ("accept-encoding", "gzip");
    for path in ["/store/openapi.json", "/store/openapi.yaml", "/store/docs/swagger-ui.css"] {
        let plain = get(&gateway, path, &[]).await;
        let compressed = get(&gateway, path, &[accepted]).await;
        assert_eq!((plain.headers.get("content-encoding"), &compressed.headers["content-encoding"]), (None, &"gzip".parse().unwrap()));
        assert!(compressed.body.len() < plain.body.len() / 3, "{path}");
        assert_eq!(unzip(&compressed.body), plain.text());
        for answer in [&plain, &compressed] {
            let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
            assert_eq!(vary, ["accept-encoding"], "{path}");
        }
        let tag = compressed.headers["etag"].to_str().unwrap();
        assert_ne!(tag, plain.headers["etag"]);
        let known = get(&gateway, path, &[accepted, ("if-none-match", tag)]).await;
        assert_eq!((known.status, &known.headers["etag"]), (304, &compressed.headers["etag"]), "{path}");
    }
    let head = http::send(gateway.address, "HEAD", "/store/openapi.json", &[accepted], "").await.unwrap();
    assert_eq!((&head.headers["content-encoding"], head.headers.get("content-length")), (&"gzip".parse().unwrap(), None));
}

#[tokio::test]
async fn a_stream_is_compressed_while_it_is_sent() {
    let gateway = Gateway::start(CONFIG).await;
    for number in 0..100 {
        let path = format!("/store/v1/values/key-{number:03}");
        assert_eq!(http::send(gateway.address, "PUT", &path, &[], "x".repeat(64 << 10)).await.unwrap().status, 200);
    }
    let mut response = http::open_with(gateway.address, "/store/v1/keys", &[("accept-encoding", "gzip")]).await;
    assert_eq!((&response.headers()["content-encoding"], response.headers().get("content-length")), (&"gzip".parse().unwrap(), None));
    let first = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let rest = response.into_body().collect().await.unwrap().to_bytes();
    assert!(!first.is_empty() && first.len() + rest.len() < 1 << 20, "{} bytes", first.len() + rest.len());
    let text = unzip(&[first, rest].concat());
    assert_eq!((text.lines().count(), text.len() > 100 * (64 << 10)), (100, true));
}

#[tokio::test]
async fn tags_of_compressed_responses_are_those_of_the_value() {
    let gateway = Gateway::start(CONFIG).await;
    let path = "/store/v1/keys/k";
    let value = format!("{{\"value\":\"{}\"}}", "AAAA".repeat(1000));
    let json = ("content-type", "application/json");
    assert_eq!(http::send(gateway.address, "PUT", path, &[json], value.clone()).await.unwrap().status, 200);
    let read = get(&gateway, path, &[("accept-encoding", "br")]).await;
    let tag = read.headers["etag"].to_str().unwrap();
    assert!(read.headers["content-encoding"] == "br" && tag.ends_with("--br\""), "{:?}", read.headers);
    let written = http::send(gateway.address, "PUT", path, &[json, ("if-match", tag)], value.clone()).await.unwrap();
    assert_eq!(written.status, 200);
    let stale = http::send(gateway.address, "PUT", path, &[json, ("if-match", tag)], value).await.unwrap();
    assert_eq!(stale.status, 412);
}
