//! Objects in S3: TLS, the standard chain of credentials, memory, and a gateway that is killed.

use std::{fs, process::Command};

use serde_json::json;
use test_support::{
    gateway::{Gateway, Setup},
    http::{self, Answer},
    poll,
    servers::{Certificate, S3},
};
use tokio::io::AsyncWriteExt as _;

/// The size of the large object: more than the memory that the gateway may take for it.
const LARGE: usize = 96 << 20;
/// Most memory that a gateway may take for the streams of one large object: two parts of 5 MiB, and buffers.
const STREAM_MEMORY: u64 = 48 << 20;

fn config(server: &S3, more: &str) -> String {
    format!(
        "
backends:
  bucket: {{type: s3, url: '{}/below/here', endpoint: '{}', part_size: 5MiB, max_attempts: 1{more}}}
namespaces:
  - {{name: photos, pattern: object-store, slots: {{storage: bucket}}}}
",
        server.url(),
        server.endpoint()
    )
}

fn start(server: &S3, more: &str) -> Gateway {
    let (key, secret) = server.credentials();
    // The standard chain of credentials reads these variables first.
    let env = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
    Setup { config: &config(server, more), env: &env, ..Setup::default() }.launch()
}

async fn ask(gateway: &Gateway, line: &str, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    http::send(gateway.address, method, path, headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_over_tls_with_credentials_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = Certificate::make(folder.path()).unwrap();
    let trusted = format!(", tls: {{ca_file: '{}'}}", certificate.certificate.display());
    let server = S3::start_with_tls(certificate).unwrap();
    let gateway = start(&server, &trusted);
    gateway.ready().await;
    let path = "/photos/v1/objects/2026/ä photo.txt";
    let path = path.replace('ä', "%C3%A4").replace(' ', "%20");
    let stored = ask(&gateway, &format!("PUT {path}"), &[("content-type", "text/plain"), ("x-object-meta-a", "b")], "0123456789").await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let part = ask(&gateway, &format!("GET {path}"), &[("range", "bytes=2-4")], "").await;
    assert_eq!((part.status, part.text(), part.headers["content-range"].to_str().unwrap()), (206, "234", "bytes 2-4/10"));
    assert_eq!(part.headers["x-object-meta-a"], "b");
    let etag = stored.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(ask(&gateway, &format!("PUT {path}"), &[("if-none-match", "*")], "no").await.status, 412);
    assert_eq!(ask(&gateway, &format!("PUT {path}"), &[("if-match", &etag)], "new").await.status, 200);
    assert_eq!(ask(&gateway, &format!("DELETE {path}"), &[("if-match", &etag)], "").await.status, 412);
    assert_eq!(ask(&gateway, &format!("GET {path}"), &[("if-match", "\"other\"")], "").await.status, 412);
    let listed = ask(&gateway, "GET /photos/v1/objects?delimiter=/", &[], "").await.json();
    assert_eq!((listed["objects"].clone(), listed["prefixes"].clone()), (json!([]), json!(["2026/"])));

    // A server whose certificate is not trusted gets nothing.
    let suspicious = start(&server, "");
    let refused = ask(&suspicious, "GET /photos/v1/objects/x", &[], "").await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (503, json!("BACKEND_UNAVAILABLE")), "{}", refused.text());

    // The file of a profile is the next source; it has no keys here.
    let env = [("AWS_SHARED_CREDENTIALS_FILE", "/nothing"), ("AWS_CONFIG_FILE", "/nothing"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let nobody = Setup { config: &config(&server, &trusted), env: &env, ..Setup::default() }.launch();
    let refused = ask(&nobody, "GET /photos/v1/objects/x", &[], "").await;
    assert_eq!((refused.status, refused.json()["reason"].clone()), (503, json!("BACKEND_AUTHENTICATION")), "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_takes_little_memory() {
    let server = S3::start().unwrap();
    let gateway = start(&server, "");
    gateway.ready().await;
    let (file, copy) = (gateway.folder().join("large"), gateway.folder().join("copy"));
    let content: Vec<u8> = (0..LARGE).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let store = |name: &str, length: usize| {
        fs::write(&file, &content[..length]).unwrap();
        let url = format!("{}/photos/v1/objects/{name}", gateway.url());
        for arguments in [["-T", file.to_str().unwrap(), "-H", "expect:"], ["-o", copy.to_str().unwrap(), "-H", "accept: */*"]] {
            let output = Command::new("curl").args(["-sS", "--fail"]).args(arguments).arg(&url).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        assert!(fs::read(&copy).unwrap() == content[..length], "another content came back");
    };
    // Small ones first, so that what every call needs is there.
    store("small", 100_000);
    let before = gateway.peak_memory();
    store("large", LARGE);
    let taken = gateway.peak_memory() - before;
    assert!(taken < STREAM_MEMORY, "{} KiB more memory", taken >> 10);
    for length in [(5 << 20) - 1, 5 << 20, (5 << 20) + 1, 10 << 20] {
        store("edge", length);
    }
}

#[tokio::test]
async fn a_killed_gateway_leaves_the_old_object() {
    let server = S3::start().unwrap();
    let mut gateway = start(&server, "");
    gateway.ready().await;
    ask(&gateway, "PUT /photos/v1/objects/key", &[], "old").await;
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(b"PUT /photos/v1/objects/key HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n").await.unwrap();
    socket.write_all(&vec![b'x'; 12 << 20]).await.unwrap();
    poll::until_true("a part is stored", || server.uploads() == 1).await;
    gateway.kill();
    let gateway = start(&server, "");
    gateway.ready().await;
    assert_eq!(ask(&gateway, "GET /photos/v1/objects/key", &[], "").await.text(), "old");
}

/// Scans are there only if the setting accepts their cost, and capabilities tell it.
#[tokio::test(flavor = "multi_thread")]
async fn scans_need_a_setting_that_accepts_their_cost() {
    let server = S3::start().unwrap();
    let (key, secret) = server.credentials();
    let bucket = format!(
        "type: s3, url: '{}/values', endpoint: '{}', access_key_id: {key}, secret_access_key: {secret}",
        server.url(),
        server.endpoint()
    );
    let gateway = Gateway::start(&format!(
        "backends:\n  plain: {{{bucket}}}\n  scanned: {{{bucket}, emulate_scan: true}}\n\
         namespaces:\n  - {{name: shop, pattern: keyvalue, slots: {{storage: plain}}}}\n  \
         - {{name: store, pattern: keyvalue, slots: {{storage: scanned}}}}\n"
    ))
    .await;
    let scan = async |namespace: &str| {
        let capabilities = ask(&gateway, &format!("GET /{namespace}/v1/capabilities"), &[], "").await.json();
        let operations = capabilities["capabilities"]["operations"].as_array().unwrap().clone();
        let scan = operations.into_iter().find(|operation| operation["rpc"] == "Scan").unwrap();
        (scan["support"].as_str().unwrap().to_owned(), scan["note"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(scan("shop").await.0, "SUPPORT_UNAVAILABLE");
    let refused = ask(&gateway, "GET /shop/v1/keys", &[], "").await;
    assert!(refused.status == 501 && refused.text().contains("CAPABILITY_UNAVAILABLE"), "{} {}", refused.status, refused.text());
    let (support, note) = scan("store").await;
    assert_eq!(support, "SUPPORT_EMULATED");
    assert!(note.contains("one for each entry"), "{note}");
    for name in ["b", "a", "c"] {
        assert_eq!(ask(&gateway, &format!("PUT /store/v1/values/{name}"), &[], "x").await.status, 200);
    }
    let listed = ask(&gateway, "GET /store/v1/keys", &[("accept", "application/json")], "").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    let positions: Vec<_> = ["a", "b", "c"].iter().map(|name| listed.text().find(&format!("\"{name}\"")).unwrap()).collect();
    assert!(positions.is_sorted(), "{}", listed.text());
}
