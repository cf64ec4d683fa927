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
