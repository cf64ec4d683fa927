//! Bodies that grow, or that are deeper than any message.

use std::io::Write as _;

use test_support::{gateway::Gateway, http};

use super::target::{STORE, is_well};

/// Bytes of a bomb after it is decompressed.
const BOMB: usize = 512 << 20;
const RPC: &str = "/prism.patterns.keyvalue.v1.KeyValueService";

fn bomb(coding: &str) -> Vec<u8> {
    let piece = vec![0; 1 << 20];
    let write = |out: &mut dyn std::io::Write| (0..BOMB / piece.len()).for_each(|_| out.write_all(&piece).unwrap());
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            write(&mut encoder);
            encoder.finish().unwrap()
        }
        _ => {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            write(&mut encoder);
            encoder.flush().unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn framed(flags: u8, bytes: &[u8]) -> Vec<u8> {
    let size = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[flags][..], &size[..], bytes].concat()
}

#[tokio::test]
async fn compressed_bodies_are_refused_before_they_take_memory() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    for coding in ["gzip", "zstd"] {
        let bomb = bomb(coding);
        let answer = http::send(gateway.address, "PUT", "/store/v1/values/a", &[("content-encoding", coding)], bomb.clone()).await.unwrap();
        assert_eq!(answer.status, 413, "{coding}: {}", answer.text());
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        let answer = http::send(gateway.address, "POST", &format!("{RPC}/Store"), &headers, bomb.clone()).await.unwrap();
        assert_eq!(answer.status, 429, "{coding}: {}", answer.text());
        let headers = [("content-type", "application/grpc-web"), ("grpc-encoding", coding)];
        let answer = http::send(gateway.address, "POST", &format!("{RPC}/Store"), &headers, framed(1, &bomb)).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.body).contains("grpc-status: 8"), "{coding}: {answer:?}");
        is_well(&gateway, before).await;
    }
}

#[tokio::test]
async fn deep_messages_are_refused() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    for body in ["[".repeat(1 << 20), "{\"a\":".repeat(1 << 19), format!("{{\"items\":{}", "[".repeat(1 << 20)), "[[".repeat(4) + "\"\\"] {
        for path in ["/store/v1/batch:store", &format!("{RPC}/Transact")] {
            let answer = http::send(gateway.address, "POST", path, &[("content-type", "application/json")], body.clone()).await.unwrap();
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        }
    }
    // Messages and groups within each other, with lengths that fit and lengths that don't.
    let mut nested = Vec::new();
    while nested.len() < 1 << 12 {
        let mut outer = vec![0x0a];
        let mut size = nested.len();
        while size >= 128 {
            outer.push(u8::try_from(size % 128).unwrap() | 128);
            size /= 128;
        }
        outer.push(u8::try_from(size).unwrap());
        outer.extend(&nested);
        nested = outer;
    }
    let deep = [nested, [0x0b].repeat(1 << 20), [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f].repeat(1000), [0x0a, 0x02].repeat(1 << 19)];
    for body in deep {
        for content_type in ["application/grpc-web", "application/proto"] {
            let body = if content_type == "application/proto" { body.clone() } else { framed(0, &body) };
            let headers = [("content-type", content_type)];
            let answer = http::send(gateway.address, "POST", &format!("{RPC}/Transact"), &headers, body).await.unwrap();
            assert!(answer.status == 200 || answer.status == 400, "{answer:?}");
        }
    }
    is_well(&gateway, before).await;
}
