//! Objects over REST, gRPC and Connect: contents that are streamed, with metadata in headers.

use std::{fs, process::Command, str::FromStr as _};

use ::http::uri::PathAndQuery;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use prism::proto::patterns::object_store::v1::{GetObjectRequest, GetObjectResponse, PutObjectRequest, PutObjectResponse};
use prost::Message as _;
use serde_json::json;
use test_support::{
    gateway::Gateway,
    http::{self, Answer},
    poll,
};
use tokio::io::AsyncWriteExt as _;
use tonic::{Code, Request, Status, client::Grpc, transport::Endpoint};
use tonic_prost::ProstCodec;

const CONFIG: &str = "
backends:
  disk: {type: files, path: prism-data/blobs, sweep_interval: 100ms}
  ram: {type: memory}
namespaces:
  - {name: disk, pattern: object-store, slots: {storage: disk}}
  - {name: ram, pattern: object-store, slots: {storage: ram}}
  - {name: small, pattern: object-store, slots: {storage: disk}, settings: {max_object_size: 1000}}
";
const SERVICE: &str = "/prism.patterns.object_store.v1.ObjectStoreService";
/// The size of the large objects: more than the memory that the gateway may take for them.
const LARGE: usize = 64 << 20;
/// Most memory that a gateway may take for streams of large objects.
const STREAM_MEMORY: u64 = 32 << 20;

async fn ask(gateway: &Gateway, line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    http::send(gateway.address, method, path, headers, body).await.unwrap()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns bytes that differ from place to place.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect()
}

#[tokio::test]
async fn metadata_travels_in_headers() {
    let gateway = Gateway::start(CONFIG).await;
    for namespace in ["disk", "ram"] {
        let path = format!("/{namespace}/v1/objects/photos/cat.html");
        let headers = [("content-type", "text/html; charset=utf-8"), ("x-object-meta-origin", "my camera"), ("x-object-meta-empty", "")];
        let put = ask(&gateway, &format!("PUT {path}"), &headers, "<p>cat</p>").await;
        assert_eq!((put.status, put.json()["size"].clone()), (200, json!("10")), "{}", put.text());
        let tag = header(&put, "etag").to_owned();
        assert_eq!(tag, format!("\"{}\"", put.json()["etag"].as_str().unwrap()));
        for method in ["GET", "HEAD"] {
            let read = ask(&gateway, &format!("{method} {path}"), &[], "").await;
            assert_eq!((read.status, read.text()), (200, if method == "GET" { "<p>cat</p>" } else { "" }));
            for (name, value) in headers.iter().chain(&[("content-length", "10"), ("accept-ranges", "bytes"), ("etag", &tag)]) {
                assert_eq!(header(&read, name), *value, "{method} {name}");
            }
            assert!(header(&read, "last-modified").ends_with(" GMT"));
        }
        // Stored pages can't act with the rights of the gateway's origin.
        let read = ask(&gateway, &format!("GET {path}"), &[], "").await;
        assert!(header(&read, "content-security-policy").contains("sandbox"));
        assert_eq!(header(&read, "x-content-type-options"), "nosniff");
        let metadata = ask(&gateway, &format!("GET /{namespace}/v1/metadata/photos/cat.html"), &[], "").await;
        assert_eq!(
            (metadata.json()["attributes"].clone(), header(&metadata, "content-type")),
            (json!({"origin": "my camera", "empty": ""}), "application/json")
        );
        assert_eq!(metadata.json()["key"], "photos/cat.html");

        let plain = format!("/{namespace}/v1/objects/plain");
        ask(&gateway, &format!("PUT {plain}"), &[("content-type", "application/json")], "{\"any\": \"thing\"").await;
        let read = ask(&gateway, &format!("GET {plain}"), &[], "").await;
        assert_eq!((header(&read, "content-type"), read.text()), ("application/json", "{\"any\": \"thing\""), "stored as it is");
        ask(&gateway, &format!("PUT {plain}"), &[], "").await;
        let read = ask(&gateway, &format!("GET {plain}"), &[], "").await;
        assert_eq!((header(&read, "content-type"), header(&read, "content-length")), ("application/octet-stream", "0"));

        let listed = ask(&gateway, &format!("GET /{namespace}/v1/objects?delimiter=/"), &[], "").await.json();
        assert_eq!((listed["objects"][0]["key"].clone(), listed["prefixes"].clone()), (json!("plain"), json!(["photos/"])));
        assert_eq!(ask(&gateway, &format!("DELETE {plain}"), &[], "").await.json(), json!({"deleted": true}));
        let gone = ask(&gateway, &format!("GET {plain}"), &[], "").await;
        assert_eq!((gone.status, gone.json()["reason"].clone()), (404, json!("OBJECT_NOT_FOUND")));
        assert_eq!(ask(&gateway, &format!("HEAD {plain}"), &[], "").await.status, 404);
    }
}

#[tokio::test]
async fn ranges_and_preconditions_are_those_of_http() {
    let gateway = Gateway::start(CONFIG).await;
    for namespace in ["disk", "ram"] {
        let path = format!("/{namespace}/v1/objects/key");
        let (get, put, delete) = (format!("GET {path}"), format!("PUT {path}"), format!("DELETE {path}"));
        let first = header(&ask(&gateway, &put, &[("if-none-match", "*")], "0123456789").await, "etag").to_owned();
        for (range, text, sent) in [
            ("bytes=0-3", "0123", "bytes 0-3/10"),
            ("bytes=7-", "789", "bytes 7-9/10"),
            ("bytes=-2", "89", "bytes 8-9/10"),
            ("bytes=5-99", "56789", "bytes 5-9/10"),
        ] {
            let part = ask(&gateway, &get, &[("range", range)], "").await;
            assert_eq!((part.status, part.text(), header(&part, "content-range")), (206, text, sent));
            assert_eq!((header(&part, "content-length"), header(&part, "etag")), (text.len().to_string().as_str(), first.as_str()));
        }
        for ignored in ["bytes=0-1,3-4", "lines=1-2", "bytes=5-1", "nonsense"] {
            let whole = ask(&gateway, &get, &[("range", ignored)], "").await;
            assert_eq!((whole.status, whole.text()), (200, "0123456789"), "{ignored}");
        }
        let beyond = ask(&gateway, &get, &[("range", "bytes=10-")], "").await;
        assert_eq!((beyond.status, header(&beyond, "content-range")), (416, "bytes */10"));

        let modified = header(&ask(&gateway, &get, &[], "").await, "last-modified").to_owned();
        for (name, value, status) in [
            ("if-none-match", first.as_str(), 304),
            ("if-none-match", "\"other\"", 200),
            ("if-match", first.as_str(), 200),
            ("if-match", "\"other\"", 412),
            ("if-match", "*", 200),
            ("if-modified-since", modified.as_str(), 304),
            ("if-modified-since", "Mon, 01 Jan 2001 00:00:00 GMT", 200),
            ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT", 412),
        ] {
            for method in ["GET", "HEAD"] {
                let read = ask(&gateway, &format!("{method} {path}"), &[(name, value)], "").await;
                assert_eq!(read.status, status, "{method} {name}: {value}");
            }
        }
        let resumed = ask(&gateway, &get, &[("range", "bytes=8-"), ("if-range", &first)], "").await;
        assert_eq!((resumed.status, resumed.text()), (206, "89"));
        let second = header(&ask(&gateway, &put, &[("if-match", &first)], "new").await, "etag").to_owned();
        let restarted = ask(&gateway, &get, &[("range", "bytes=8-"), ("if-range", &first)], "").await;
        assert_eq!((restarted.status, restarted.text()), (200, "new"));

        for headers in [[("if-match", first.as_str())], [("if-none-match", "*")], [("if-match", "W/\"x\"")]] {
            let refused = ask(&gateway, &put, &headers, "no").await;
            assert_eq!((refused.status, refused.json()["reason"].clone()), (412, json!("ETAG_MISMATCH")), "{headers:?}");
        }
        assert_eq!(ask(&gateway, &put, &[("if-none-match", &first)], "no").await.status, 400);
        assert_eq!(ask(&gateway, &delete, &[("if-match", &first)], "").await.status, 412);
        assert_eq!(ask(&gateway, &put, &[("if-match", &format!("{first}, {second}"))], "third").await.status, 200);
        assert_eq!(ask(&gateway, &delete, &[("if-match", "*")], "").await.json(), json!({"deleted": true}));
        assert_eq!(ask(&gateway, &put, &[("if-match", "*")], "no").await.status, 412);
        assert_eq!(ask(&gateway, &get, &[], "").await.status, 404);
    }
}

#[tokio::test]
async fn sizes_are_limited() {
    let gateway = Gateway::start(CONFIG).await;
    let put = "PUT /small/v1/objects/key";
    assert_eq!(ask(&gateway, put, &[], vec![b'x'; 1000]).await.status, 200);
    let refused = ask(&gateway, put, &[], vec![b'x'; 1001]).await;
    assert_eq!(
        (refused.status, refused.json()["reason"].clone(), refused.json()["metadata"]["limit"].clone()),
        (413, json!("OBJECT_TOO_LARGE"), json!("1000"))
    );
    // Without a length, it is only known after the limit.
    let mut curl = Command::new("curl");
    let file = gateway.folder().join("large");
    fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    let output = curl
        .args(["-sS", "-H", "transfer-encoding: chunked", "-T", file.to_str().unwrap(), "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("{}/small/v1/objects/key", gateway.url()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "413");
    assert_eq!(ask(&gateway, "HEAD /small/v1/objects/key", &[], "").await.headers["content-length"], "1000");
}

/// Stores and reads a large object with curl, without a length.
fn rest_copy(gateway: &Gateway, name: &str, content: &[u8]) {
    let (file, copy) = (gateway.folder().join("large"), gateway.folder().join("copy"));
    fs::write(&file, content).unwrap();
    let url = format!("{}/disk/v1/objects/{name}", gateway.url());
    for arguments in [["-T", file.to_str().unwrap(), "-H", "expect:"], ["-o", copy.to_str().unwrap(), "-H", "accept: */*"]] {
        let output = Command::new("curl").args(["-sS", "--fail"]).args(arguments).arg(&url).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(fs::read(copy).unwrap() == content, "another content came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_mebibytes_over_each_protocol_take_little_memory() {
    let gateway = Gateway::start(CONFIG).await;
    let content = content(LARGE);
    // A small object first, so that what every call needs is there.
    rest_copy(&gateway, "small", &content[..100_000]);
    let before = gateway.peak_memory();
    rest_copy(&gateway, "rest", &content);

    let channel = Endpoint::from_shared(gateway.url()).unwrap().connect_lazy();
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let parts: Vec<Bytes> = content.chunks(64 << 10).map(Bytes::copy_from_slice).collect();
    let messages = |key: &str| {
        let first = PutObjectRequest { key: key.to_owned(), size: Some(LARGE as u64), ..PutObjectRequest::default() };
        let chunks = parts.clone().into_iter().map(|chunk| PutObjectRequest { chunk, ..PutObjectRequest::default() });
        std::iter::once(first).chain(chunks).collect::<Vec<_>>()
    };
    let path = |rpc: &str| PathAndQuery::from_str(&format!("{SERVICE}/{rpc}")).unwrap();
    let mut request = Request::new(stream::iter(messages("grpc")));
    request.metadata_mut().insert("x-prism-namespace", "disk".parse().unwrap());
    let put = grpc.client_streaming(request, path("PutObject"), ProstCodec::<_, PutObjectResponse>::default()).await.unwrap().into_inner();
    assert_eq!(put.size, LARGE as u64);
    grpc.ready().await.unwrap();
    let mut request = Request::new(GetObjectRequest { key: "grpc".to_owned(), ..GetObjectRequest::default() });
    request.metadata_mut().insert("x-prism-namespace", "disk".parse().unwrap());
    let mut read =
        grpc.server_streaming(request, path("GetObject"), ProstCodec::<_, GetObjectResponse>::default()).await.unwrap().into_inner();
    let mut back = Vec::with_capacity(LARGE);
    while let Some(message) = read.next().await {
        back.extend_from_slice(&message.unwrap().chunk);
    }
    assert!(back == content, "another content came back over gRPC");

    let frame = |message: &[u8]| [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat();
    let body: Vec<u8> = messages("connect").iter().flat_map(|message| frame(&message.encode_to_vec())).collect();
    let headers = [("content-type", "application/connect+proto")];
    let put = ask(&gateway, &format!("POST /disk{SERVICE}/PutObject"), &headers, body).await;
    assert_eq!(put.status, 200, "{:?}", put.body);
    let request = GetObjectRequest { key: "connect".to_owned(), ..GetObjectRequest::default() };
    let read = ask(&gateway, &format!("POST /disk{SERVICE}/GetObject"), &headers, frame(&request.encode_to_vec())).await;
    let (mut rest, mut back) = (&read.body[..], Vec::with_capacity(LARGE));
    while let [0, a, b, c, d, behind @ ..] = rest {
        let (message, behind) = behind.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        back.extend_from_slice(&GetObjectResponse::decode(message).unwrap().chunk);
        rest = behind;
    }
    assert!(back == content, "another content came back over Connect");
    let taken = gateway.peak_memory() - before;
    assert!(taken < STREAM_MEMORY, "{} KiB more memory", taken >> 10);
}

#[tokio::test]
async fn an_interrupted_write_stores_nothing() {
    let gateway = Gateway::start(CONFIG).await;
    ask(&gateway, "PUT /disk/v1/objects/key", &[], "old").await;
    let uploads = gateway.folder().join("prism-data/blobs/uploads");
    for framing in ["content-length: 1000000", "transfer-encoding: chunked"] {
        let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
        let head = format!("PUT /disk/v1/objects/key HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n5\r\nhello\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        poll::until_true("the upload begins", || fs::read_dir(&uploads).unwrap().next().is_some()).await;
        drop(socket);
        poll::until_true("the upload is removed", || fs::read_dir(&uploads).unwrap().next().is_none()).await;
        assert_eq!(ask(&gateway, "GET /disk/v1/objects/key", &[], "").await.text(), "old");
    }
}

#[tokio::test]
async fn a_killed_gateway_leaves_the_old_object_and_its_remains_are_removed() {
    let mut gateway = Gateway::start(CONFIG).await;
    ask(&gateway, "PUT /disk/v1/objects/key", &[], "old").await;
    let uploads = gateway.folder().join("prism-data/blobs/uploads");
    let mut socket = tokio::net::TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(b"PUT /disk/v1/objects/key HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000000\r\n\r\n").await.unwrap();
    socket.write_all(&vec![b'x'; 2 << 20]).await.unwrap();
    poll::until_true("a part is written", || {
        fs::read_dir(&uploads).unwrap().any(|entry| entry.unwrap().metadata().is_ok_and(|metadata| metadata.len() > 0))
    })
    .await;
    gateway.kill();
    assert!(fs::read_dir(&uploads).unwrap().next().is_some(), "the remains of the write");
    let gateway = gateway.restart().await;
    assert_eq!(ask(&gateway, "GET /disk/v1/objects/key", &[], "").await.text(), "old");
    let uploads = gateway.folder().join("prism-data/blobs/uploads");
    poll::until_true("the remains are removed", || fs::read_dir(&uploads).unwrap().next().is_none()).await;
}

#[tokio::test]
async fn errors_over_grpc_name_the_field() {
    let gateway = Gateway::start(CONFIG).await;
    let mut grpc = Grpc::new(Endpoint::from_shared(gateway.url()).unwrap().connect_lazy());
    let chunk = |key: &str| PutObjectRequest { key: key.to_owned(), chunk: Bytes::from_static(b"x"), ..PutObjectRequest::default() };
    for (messages, code) in
        [(vec![], Code::InvalidArgument), (vec![chunk("")], Code::InvalidArgument), (vec![chunk("a"), chunk("a")], Code::InvalidArgument)]
    {
        grpc.ready().await.unwrap();
        let mut request = Request::new(stream::iter(messages));
        request.metadata_mut().insert("x-prism-namespace", "disk".parse().unwrap());
        let path = PathAndQuery::from_str(&format!("{SERVICE}/PutObject")).unwrap();
        let answer: Result<_, Status> =
            grpc.client_streaming(request, path, ProstCodec::<PutObjectRequest, PutObjectResponse>::default()).await;
        let status = answer.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains("key"), "{status:?}");
    }
    assert_eq!(ask(&gateway, "GET /disk/v1/objects", &[], "").await.json()["objects"], json!([]));
}
