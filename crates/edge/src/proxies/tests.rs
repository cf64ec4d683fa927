use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use tokio::io::AsyncReadExt as _;

use super::*;
use prism_call::{CertificateNames, CertificateTrust};

fn proxies() -> TrustedProxies {
    let networks = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"].map(|network| network.parse().unwrap()).to_vec();
    TrustedProxies { networks, proxy_protocol: true, forwarded_for: true, client_certificates: true }
}

fn peer(address: &str) -> Peer {
    Peer { address: Some(address.parse().unwrap()), listener: "main".into(), ..Peer::default() }
}

fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
}

#[test]
fn only_trusted_proxies_name_the_client() {
    let client = |from: &str, values: &[&str]| {
        let mut headers = headers(&FORWARDED_FOR, values);
        let forwarded = proxies().forwarded_peer(&peer(from), &mut headers);
        assert!(headers.is_empty(), "nothing behind the listener sees the header");
        forwarded.map(|peer| peer.address.unwrap().to_string())
    };
    let some = |address: &str| Some(address.to_owned());
    let proxy = "10.1.2.3:4000";
    assert_eq!(client(proxy, &["203.0.113.9"]), some("203.0.113.9:0"));
    assert_eq!(client(proxy, &["203.0.113.9:55"]), some("203.0.113.9:55"));
    assert_eq!(client(proxy, &["2001:db9::1"]), some("[2001:db9::1]:0"));
    assert_eq!(client(proxy, &["[2001:db9::1]:55"]), some("[2001:db9::1]:55"));
    assert_eq!(client(proxy, &["[2001:db9::1]"]), some("[2001:db9::1]:0"));
    assert_eq!(client("[::ffff:10.1.2.3]:1", &["203.0.113.9"]), some("203.0.113.9:0"));
    // What a client wrote itself comes before what the first proxy wrote.
    assert_eq!(client(proxy, &["127.0.0.1, 203.0.113.9"]), some("203.0.113.9:0"));
    assert_eq!(client(proxy, &["127.0.0.1", "203.0.113.9"]), some("203.0.113.9:0"));
    // A chain of proxies.
    assert_eq!(client(proxy, &["127.0.0.1, 203.0.113.9, 10.9.9.9", "192.0.2.7"]), some("203.0.113.9:0"));
    assert_eq!(client(proxy, &["10.0.0.1, 10.0.0.2"]), some("10.0.0.1:0"));
    // Nobody knows who came before these.
    for unreadable in ["unknown", "203.0.113.9.1", "", "203.0.113.9;x", "203.0.113.9, ", "_hidden", "1.2.3.4:99999", "é"] {
        assert_eq!(client(proxy, &["203.0.113.1", unreadable]), some(proxy), "{unreadable}");
    }
    assert_eq!(client(proxy, &[]), some(proxy));
    for stranger in ["203.0.113.1:1", "192.0.2.8:1", "127.0.0.1:1", "[2001:db9::1]:1"] {
        assert_eq!(client(stranger, &["203.0.113.9"]), None, "{stranger}");
    }
    let long = vec!["10.0.0.1"; 100].join(",");
    assert_eq!(client(proxy, &["203.0.113.1", &long]), some("10.0.0.1:0"));
}

#[test]
fn headers_that_no_proxy_writes_are_left_alone() {
    let unused = TrustedProxies { forwarded_for: false, client_certificates: false, ..proxies() };
    let mut all = headers(&FORWARDED_FOR, &["203.0.113.9"]);
    let forwarded = unused.forwarded_peer(&peer("10.1.2.3:4"), &mut all).unwrap();
    assert_eq!((forwarded.address, all.len()), (Some("10.1.2.3:4".parse().unwrap()), 1));
}

#[test]
fn headers_on_a_connection_without_a_known_client_are_removed_and_not_believed() {
    let mut all = headers(&FORWARDED_FOR, &["203.0.113.9"]);
    assert!(proxies().distrusted().forwarded_peer(&peer("10.1.2.3:4"), &mut all).is_none());
    assert!(all.is_empty());
}

#[derive(Debug)]
struct Revoked;

impl CertificateTrust for Revoked {
    fn is_trusted(&self, _: &[Bytes]) -> bool {
        false
    }
}

/// A certificate, as Envoy encodes it.
fn encoded_certificate() -> String {
    let output = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=cert"])
        .args(["-addext", "subjectAltName=URI:spiffe://example.org/cert", "-keyout", "/dev/null"])
        .output()
        .unwrap();
    let pem = String::from_utf8(output.stdout).unwrap();
    percent_encoding::utf8_percent_encode(&pem, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn only_trusted_proxies_present_certificates_of_clients() {
    let names = |from: &Peer, values: &[&str]| -> Option<Option<Arc<CertificateNames>>> {
        let mut headers = headers(&FORWARDED_CLIENT_CERT, values);
        let forwarded = proxies().forwarded_peer(from, &mut headers);
        assert!(headers.is_empty());
        forwarded.map(|peer| peer.tls.and_then(|tls| tls.client_names))
    };
    let proxy = peer("10.1.2.3:4");
    let full = "By=spiffe://example.org/proxy;Hash=ab;Subject=\"CN=billing,O=Example\";URI=spiffe://example.org/billing;DNS=a.example;DNS=b.example";
    let found = names(&proxy, &[full]).unwrap().unwrap();
    assert_eq!(
        (found.uris.as_slice(), found.dns.len(), &*found.common_name),
        (&["spiffe://example.org/billing".to_owned()][..], 2, "billing")
    );
    // The last element is about the client of the last proxy.
    let several = "URI=spiffe://example.org/evil,Hash=cd;URI=spiffe://example.org/near";
    assert_eq!(names(&proxy, &[several]).unwrap().unwrap().uris, ["spiffe://example.org/near"]);
    assert_eq!(names(&proxy, &["URI=spiffe://a/evil", "URI=spiffe://a/near"]).unwrap().unwrap().uris, ["spiffe://a/near"]);
    // Separators in quotes separate nothing.
    let quoted = "Subject=\"CN=a\\\",URI=spiffe://example.org/admin\";DNS=b.example";
    let found = names(&proxy, &[quoted]).unwrap().unwrap();
    assert_eq!((found.uris.len(), found.dns.as_slice(), &*found.common_name), (0, &["b.example".to_owned()][..], ""));
    // Escapes in a subject stay: the organization of this one has a comma in its name.
    for subject in ["O=a\\,CN=admin", "O=a\\\"\\,CN=admin", "O=a\\\\,CN=admin", "O=a\\2CCN=admin,CN=b"] {
        let found = names(&proxy, &[&format!("Subject=\"{subject}\";DNS=b.example")]).unwrap().unwrap();
        assert_eq!((found.dns.as_slice(), &*found.common_name), (&["b.example".to_owned()][..], ""), "{subject}");
    }
    let certificate = encoded_certificate();
    let found = names(&proxy, &[&format!("URI=spiffe://example.org/other;Cert=\"{certificate}\"")]).unwrap().unwrap();
    assert_eq!((found.uris.as_slice(), &*found.common_name), (&["spiffe://example.org/cert".to_owned()][..], "cert"));
    assert!(found.not_after < i64::MAX);
    for bad in ["", "URI", "URI=a;x", "URI=\"spiffe://a", "Hash=ab", "Cert=\"x\";URI=spiffe://a/b", ",", "URI=spiffe://a/b,"] {
        assert_eq!(names(&proxy, &[bad]).unwrap(), None, "{bad}");
    }
    assert_eq!(names(&peer("203.0.113.1:1"), &[full]), None);
    // The certificate of the proxy itself is not that of a client.
    let own = TlsPeer { client_names: Some(Arc::default()), client_certificates: vec![Bytes::from("x")].into(), ..TlsPeer::default() };
    let with_own = Peer { tls: Some(own), ..proxy };
    let forwarded = proxies().forwarded_peer(&with_own, &mut HeaderMap::new()).unwrap().tls.unwrap();
    assert!(forwarded.client_names.is_none() && forwarded.client_certificates.is_empty());
    // It must still be trusted.
    let revoked = TlsPeer { trust: Some(Arc::new(Revoked)), ..TlsPeer::default() };
    assert_eq!(names(&Peer { tls: Some(revoked), ..with_own }, &[full]), None);
}

/// Reads a header from bytes, and returns the address and what is left.
async fn read(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), String> {
    let mut stream = bytes;
    let read = protocol::read(&mut stream, Duration::from_secs(5)).await.map_err(|error| error.to_string())?;
    let mut left = Vec::new();
    stream.read_to_end(&mut left).await.unwrap();
    Ok((read.map(|address| address.to_string()), left))
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let size = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &size, rest].concat()
}

#[tokio::test]
async fn headers_of_both_versions_are_read_and_nothing_after_them() {
    let some = |address: &str, left: &[u8]| Ok((Some(address.to_owned()), left.to_vec()));
    let line = b"PROXY TCP4 203.0.113.9 10.0.0.1 55 443\r\nGET / HTTP/1.1\r\n";
    assert_eq!(read(line).await, some("203.0.113.9:55", b"GET / HTTP/1.1\r\n"));
    assert_eq!(read(b"PROXY TCP6 2001:db8::1 2001:db8::2 55 443\r\n\x16").await, some("[2001:db8::1]:55", b"\x16"));
    assert_eq!(read(b"PROXY UNKNOWN\r\nx").await, Ok((None, b"x".to_vec())));
    assert_eq!(read(b"PROXY UNKNOWN ffff:: a b c\r\nx").await, Ok((None, b"x".to_vec())));
    let four = [203, 0, 113, 9, 10, 0, 0, 1, 0, 55, 1, 187];
    assert_eq!(read(&[binary(0x21, 0x11, &four), b"GET".to_vec()].concat()).await, some("203.0.113.9:55", b"GET"));
    // Extensions are skipped.
    let extended = [&four[..], &[0x04, 0, 2, 1, 1]].concat();
    assert_eq!(read(&[binary(0x21, 0x11, &extended), b"GET".to_vec()].concat()).await, some("203.0.113.9:55", b"GET"));
    let mut six = [0; 36];
    (six[15], six[33]) = (1, 55);
    assert_eq!(read(&binary(0x21, 0x21, &six)).await, some("[::1]:55", b""));
    assert_eq!(read(&binary(0x20, 0x11, &four)).await, Ok((None, Vec::new())));
    assert_eq!(read(&binary(0x21, 0x00, &[1; 7])).await, Ok((None, Vec::new())));
}

#[tokio::test]
async fn malformed_headers_are_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    let lines: [&[u8]; 13] = [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 55\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 55 443 x\r\n",
        b"PROXY TCP4  203.0.113.9 10.0.0.1 55 443\r\n",
        b"PROXY TCP4 2001:db8::1 10.0.0.1 55 443\r\n",
        b"PROXY TCP6 203.0.113.9 10.0.0.1 55 443\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 +55 443\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 99999 443\r\n",
        b"PROXY UDP4 203.0.113.9 10.0.0.1 55 443\r\n",
        b"proxy TCP4 203.0.113.9 10.0.0.1 55 443\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 55 443",
        long.as_bytes(),
        b"",
    ];
    for line in lines {
        assert!(read(line).await.is_err(), "{}", String::from_utf8_lossy(line));
    }
    let four = [1; 12];
    let bad = [
        binary(0x11, 0x11, &four),
        binary(0x22, 0x11, &four),
        binary(0x21, 0x12, &four),
        binary(0x21, 0x31, &[0; 216]),
        binary(0x21, 0x11, &four[..11]),
        binary(0x21, 0x21, &[0; 35]),
        binary(0x21, 0x11, &[0; 5000]),
        binary(0x21, 0x11, &four)[..20].to_vec(),
    ];
    for header in bad {
        assert!(read(&header).await.is_err(), "{header:?}");
    }
    let (mut silent, _client) = tokio::io::duplex(16);
    assert!(protocol::read(&mut silent, Duration::from_millis(20)).await.is_err());
}
