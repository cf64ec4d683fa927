//! A minimal HTTP/1.1 client: one request for each connection, and the whole response in memory.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub async fn get(address: SocketAddr, path: &str) -> Result<Answer, Failure> {
    send(address, "GET", path, &[], "").await
}

/// Sends a request from a test that is not async.
pub fn send_blocking(address: SocketAddr, method: &str, path: &str, body: impl Into<Bytes>) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(address, method, path, &[], body))
}

/// Sends a request. Its `host` is the address, unless `headers` contains one.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Answer, Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", address.to_string());
    }
    let response = sender.send_request(request.body(Full::new(body.into()))?).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// Sends a GET request, and returns its response before the body is read.
pub async fn open(address: SocketAddr, path: &str) -> http::Response<hyper::body::Incoming> {
    open_with(address, path, &[]).await
}

/// Sends a GET request with headers, and returns its response before the body is read.
pub async fn open_with(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> http::Response<hyper::body::Incoming> {
    open_request(address, "GET", path, headers, String::new()).await
}

/// Sends a request, and returns its response before the body is read.
pub async fn open_request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> http::Response<hyper::body::Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap()
}
