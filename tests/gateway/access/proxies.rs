//! What proxies in front of a listener say about their clients, and who is believed.

use test_support::gateway::Gateway;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::caller::{Action, PROTOCOLS, call};

/// A gateway whose policy allows one address. `proxies` are its trusted proxies.
async fn start(proxies: &str) -> Gateway {
    Gateway::start(&format!(
        "
authenticators: {{mesh: {{type: mtls}}}}
listeners: {{main: {{trusted_proxies: {proxies}, authentication: [mesh, anonymous]}}}}
backends: {{ram: {{type: memory}}}}
namespaces: [{{name: store, pattern: keyvalue, slots: {{storage: ram}}}}]
policy:
  rules:
    - {{name: address, when: peer.address == '203.0.113.9'}}
    - {{name: certificate, when: principal.subject == 'spiffe://example.org/billing' && principal.method == 'mtls' && peer.tls}}
log: {{access: all}}
"
    ))
    .await
}

#[tokio::test]
async fn the_address_of_a_client_counts_if_a_trusted_proxy_names_it() {
    let trusting = start("{addresses: [127.0.0.0/8], forwarded_for: true}").await;
    let distrusting = start("{addresses: [10.0.0.0/8, '::1'], forwarded_for: true}").await;
    let other = start("{addresses: [127.0.0.1], forwarded_client_cert: true}").await;
    for protocol in PROTOCOLS {
        let send = async |gateway: &Gateway, value: &str| {
            call(gateway.address, protocol, "store", Action::Store("a"), &[("x-forwarded-for", value)]).await.code
        };
        assert_eq!(send(&trusting, "203.0.113.9").await, "OK", "{protocol}");
        assert_eq!(send(&trusting, "127.0.0.1, 203.0.113.9").await, "OK", "{protocol}");
        // The proxy appended the second one.
        assert_eq!(send(&trusting, "203.0.113.9, 203.0.113.10").await, "PERMISSION_DENIED", "{protocol}");
        assert_eq!(send(&distrusting, "203.0.113.9").await, "PERMISSION_DENIED", "{protocol}");
        assert_eq!(send(&other, "203.0.113.9").await, "PERMISSION_DENIED", "{protocol}");
    }
}

#[tokio::test]
async fn the_certificate_of_a_client_counts_if_a_trusted_proxy_presents_it() {
    let trusting = start("{addresses: [127.0.0.1], forwarded_client_cert: true}").await;
    let distrusting = start("{addresses: [10.0.0.1], forwarded_client_cert: true}").await;
    for protocol in PROTOCOLS {
        let send = async |gateway: &Gateway, value: &str| {
            call(gateway.address, protocol, "store", Action::Store("a"), &[("x-forwarded-client-cert", value)]).await.code
        };
        let right = "By=spiffe://example.org/proxy;Hash=00;URI=spiffe://example.org/billing";
        assert_eq!(send(&trusting, right).await, "OK", "{protocol}");
        assert_eq!(send(&trusting, &format!("{right},URI=spiffe://example.org/other")).await, "PERMISSION_DENIED", "{protocol}");
        assert_eq!(send(&trusting, "Hash=00").await, "PERMISSION_DENIED", "{protocol}");
        assert_eq!(send(&distrusting, right).await, "PERMISSION_DENIED", "{protocol}");
    }
}

/// Sends bytes and a request on a new connection, and returns the first line of the response, if there is one.
async fn answer(gateway: &Gateway, header: &[u8]) -> String {
    answer_with(gateway, header, "").await
}

/// As [`answer`], with more header fields in the request.
async fn answer_with(gateway: &Gateway, header: &[u8], fields: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let request = format!("PUT /store/v1/values/a HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: 1\r\nconnection: close\r\n\r\nx");
    stream.write_all(&[header, request.as_bytes()].concat()).await.unwrap();
    let mut text = Vec::new();
    // A connection that is closed with unread bytes may be reset.
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn connections_of_proxies_begin_with_the_address_of_the_client() {
    let trusting = start("{addresses: [127.0.0.1], proxy_protocol: true}").await;
    let distrusting = start("{addresses: [10.0.0.1], proxy_protocol: true}").await;
    let line = b"PROXY TCP4 203.0.113.9 10.0.0.1 5000 8980\r\n";
    let binary = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[203, 0, 113, 9, 10, 0, 0, 1, 19, 136, 35, 20]].concat();
    for header in [&line[..], &binary] {
        assert_eq!(answer(&trusting, header).await, "HTTP/1.1 200 OK");
        let refused = answer(&distrusting, header).await;
        assert!(refused.is_empty() || refused.contains(" 400 "), "{refused}");
    }
    let other = b"PROXY TCP4 203.0.113.10 10.0.0.1 5000 8980\r\n";
    assert_eq!(answer(&trusting, other).await, "HTTP/1.1 403 Forbidden");
    // The proxy itself, as its health checks do.
    assert_eq!(answer(&trusting, b"PROXY UNKNOWN\r\n").await, "HTTP/1.1 403 Forbidden");
    for malformed in [&b""[..], b"PROXY TCP4 203.0.113.9\r\n", b"PROXY TCP4 x 10.0.0.1 5000 8980\r\n"] {
        assert_eq!(answer(&trusting, malformed).await, "");
    }
    assert_eq!(answer(&distrusting, b"").await, "HTTP/1.1 403 Forbidden");
}

#[tokio::test]
async fn headers_count_only_if_the_proxy_protocol_names_a_proxy() {
    let both = start("{addresses: [127.0.0.1], proxy_protocol: true, forwarded_for: true}").await;
    let fields = "x-forwarded-for: 203.0.113.9\r\n";
    assert_eq!(answer_with(&both, b"PROXY TCP4 127.0.0.1 10.0.0.1 5000 8980\r\n", fields).await, "HTTP/1.1 200 OK");
    assert_eq!(answer_with(&both, b"PROXY TCP4 203.0.113.10 10.0.0.1 5000 8980\r\n", fields).await, "HTTP/1.1 403 Forbidden");
    // The client may have written the header itself.
    assert_eq!(answer_with(&both, b"PROXY UNKNOWN\r\n", fields).await, "HTTP/1.1 403 Forbidden");
}
