//! Requests over HTTP/1.1 that are not what they seem.

use test_support::{gateway::Gateway, http};

use super::{
    raw::{exchange, statuses},
    target::{STORE, is_well},
};

/// Requests whose end two servers could see in different places (RFC 9112, section 11.2), with the statuses that refuse them.
const SMUGGLING: &[(&str, &str)] = &[
    ("two lengths", "content-length: 4\r\ncontent-length: 0"),
    ("a list of lengths", "content-length: 4, 0"),
    ("a signed length", "content-length: +4"),
    ("a hexadecimal length", "content-length: 0x4"),
    ("a length that is too large", "content-length: 99999999999999999999"),
    ("an unknown transfer coding", "transfer-encoding: xchunked"),
    ("chunked is not the last coding", "transfer-encoding: chunked, identity"),
    ("a space before the colon", "transfer-encoding : chunked"),
    ("a folded line", "transfer-encoding:\r\n chunked"),
    ("a tab before the name", "\ttransfer-encoding: chunked"),
    ("a null byte", "transfer-encoding: chunked\0"),
    ("a vertical tab", "transfer-encoding:\x0bchunked"),
];

#[tokio::test]
async fn no_request_hides_another_one() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    let hidden = "PUT /store/v1/values/hidden HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\nx";
    for (what, headers) in SMUGGLING {
        for body in [format!("0\r\n\r\n{hidden}"), format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()), hidden.to_owned()] {
            let request = format!("PUT /store/v1/values/seen HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}");
            let statuses = statuses(&exchange(gateway.address, request).await);
            assert!(statuses.len() <= 1, "{what}: the rest was taken for a request: {statuses:?}");
            assert!(statuses.iter().all(|status| (400..=501).contains(status)), "{what}: {statuses:?}");
            assert_eq!(http::get(gateway.address, "/store/v1/values/hidden").await.unwrap().status, 404, "{what}");
        }
    }
    // Both headers: the length does not count, and the connection ends after the request.
    let both = format!(
        "PUT /store/v1/values/seen HTTP/1.1\r\nhost: localhost\r\ncontent-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    assert!(statuses(&exchange(gateway.address, both).await).len() <= 1);
    assert_eq!(http::get(gateway.address, "/store/v1/values/hidden").await.unwrap().status, 404);
    is_well(&gateway, before).await;
}

#[tokio::test]
async fn broken_requests_are_refused() {
    let gateway = Gateway::start(STORE).await;
    let before = gateway.private_memory();
    for bytes in [
        &b"GET /store/v1/keys HTTP/9.9\r\nhost: localhost\r\n\r\n"[..],
        b"GET /store/v1/keys\r\n\r\n",
        b"GET  /store/v1/keys HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"G\xc3\x84T /store/v1/keys HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /store/v1/keys HTTP/1.1\r\nhost: localhost\r\n: empty\r\n\r\n",
        b"GET /store/v1/keys HTTP/1.1\r\nhost: localhost\r\nname\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let statuses = statuses(&exchange(gateway.address, bytes).await);
        assert!(statuses.iter().all(|status| (400..=505).contains(status)), "{:?}: {statuses:?}", String::from_utf8_lossy(bytes));
    }
    is_well(&gateway, before).await;
}

#[tokio::test]
async fn a_request_names_exactly_one_host() {
    let gateway = Gateway::start(STORE).await;
    for (headers, status) in [
        ("", 400),
        ("host: localhost\r\nhost: localhost\r\n", 400),
        ("host: localhost\r\nhost: other.example\r\n", 400),
        ("host:\r\n", 400),
        ("host: a b\r\n", 400),
        ("host: user@localhost\r\n", 400),
        ("host: localhost\r\n", 200),
    ] {
        let answer = exchange(gateway.address, format!("GET /store/v1/count HTTP/1.1\r\n{headers}\r\n")).await;
        assert_eq!(statuses(&answer), [status], "{headers:?}: {answer}");
    }
    assert_eq!(statuses(&exchange(gateway.address, "GET /store/v1/count HTTP/1.0\r\n\r\n").await), [] as [u16; 0]);
    assert_eq!(statuses(&exchange(gateway.admin, "GET /healthz HTTP/1.1\r\n\r\n").await), [400]);
}

#[tokio::test]
async fn heads_are_bounded_as_the_readme_says() {
    let gateway = Gateway::start(STORE).await;
    for (kibibytes, status) in [(60, 200), (65, 431), (100, 431), (300, 431), (500, 431)] {
        let head = format!("GET /store/v1/count HTTP/1.1\r\nhost: localhost\r\nx-large: {}\r\n\r\n", "a".repeat(kibibytes << 10));
        assert_eq!(statuses(&exchange(gateway.address, head).await), [status], "{kibibytes} KiB");
    }
    let many = "x-many: a\r\n".repeat(6000);
    let answer = exchange(gateway.address, format!("GET /store/v1/count HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).await;
    assert_eq!(statuses(&answer), [431]);
    let target = format!("GET /store/v1/values/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(70_000));
    let statuses = statuses(&exchange(gateway.address, target).await);
    assert!(statuses == [431] || statuses == [414], "{statuses:?}");
}

#[tokio::test]
async fn bodies_that_are_wrong_are_the_clients_fault() {
    let gateway = Gateway::start(&format!("log: {{level: debug}}{STORE}")).await;
    let put = |headers: &str, body: &str| format!("PUT /store/v1/values/a HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n{body}");
    for coding in ["gzip, chunked", "gzip", "chunked\r\ntransfer-encoding: chunked", "identity, chunked"] {
        let answer = exchange(gateway.address, put(&format!("transfer-encoding: {coding}"), "1\r\na\r\n0\r\n\r\n")).await;
        assert!(matches!(statuses(&answer)[..], [400 | 501]), "{coding}: {answer}");
    }
    for chunks in
        ["zz\r\na\r\n0\r\n\r\n", "1\r\nab\r\n0\r\n\r\n", "-1\r\na\r\n0\r\n\r\n", "ffffffffffffffffff\r\na\r\n", "1 \0\r\na\r\n0\r\n\r\n"]
    {
        let answer = exchange(gateway.address, put("transfer-encoding: chunked", chunks)).await;
        assert_eq!(statuses(&answer), [400], "{chunks:?}: {answer}");
    }
    let slow = put("content-length: 10\r\nx-request-timeout: 100ms", "half ");
    assert_eq!(statuses(&exchange(gateway.address, slow).await), [408]);
    for size in [(4 << 20) + 1, 5 << 20] {
        let answer = http::send(gateway.address, "PUT", "/store/v1/values/a", &[], vec![b'x'; size]).await.unwrap();
        assert_eq!(answer.status, 413, "{}", answer.text());
    }
    let size = (4 << 20) - 100;
    let large = http::send(gateway.address, "PUT", "/store/v1/values/a", &[], vec![b'x'; size]).await.unwrap();
    assert_eq!(large.status, 200, "{}", large.text());
    assert_eq!(http::get(gateway.address, "/store/v1/values/a").await.unwrap().body.len(), size);

    // Frames of gRPC that their client made wrong are answered with the code that the protocol prescribes, and are no fault of the gateway.
    for frame in [&b"\x09\0\0\0\x01a"[..], b"\0\0\0\0\x09a", b"\x01\0\0\0\x01a", b"\0\0"] {
        let headers = [("content-type", "application/grpc-web")];
        let path = "/prism.patterns.keyvalue.v1.KeyValueService/Retrieve";
        let answer = http::send(gateway.address, "POST", path, &headers, frame).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.body).contains("grpc-status: 13"), "{frame:?}: {answer:?}");
    }
    let log = gateway.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn clients_can_not_write_lines_into_the_log() {
    for format in ["text", "json"] {
        let gateway = Gateway::start(&format!("log: {{access: all, format: {format}}}{STORE}")).await;
        let before = gateway.log().lines().count();
        let requests = [
            ("/store/v1/keys?%0aFORGED=1", "x-request-id", "a"),
            ("/store/v1/values/%0A%1b[2JFORGED", "x-request-id", "FORGED%0a"),
            ("/store/v1/values/a%E2%80%AEFORGED%C2%85FORGED", "traceparent", "FORGED"),
            ("/%0aFORGED/%1b[31m", "user-agent", "FORGED"),
            ("/store/v1/exists/a%0D%0AFORGED?x=%0aFORGED", "x-prism-namespace", "FORGED"),
        ];
        for (path, name, value) in requests {
            http::send(gateway.address, "GET", path, &[(name, value)], "").await.unwrap();
        }
        let headers = [("content-type", "application/json")];
        let body = "{\"key\":\"\\u000aFORGED\\u001b[2J\",\"\\nFORGED\":1}";
        http::send(gateway.address, "POST", "/prism.patterns.keyvalue.v1.KeyValueService/Store", &headers, body).await.unwrap();
        let log = gateway.log();
        assert_eq!(log.lines().count(), before + requests.len() + 1, "{format}: {log}");
        assert!(log.lines().all(|line| !line.starts_with("FORGED")), "{format}: {log}");
        let unsafe_letter = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
        assert!(!log.contains(unsafe_letter), "{format}: {log:?}");
    }
}
