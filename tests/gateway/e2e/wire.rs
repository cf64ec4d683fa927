//! A minimal client of gRPC over HTTP/2 and gRPC-Web over HTTP/1.1, to send invalid requests and to see the raw responses.

use std::net::SocketAddr;

use ::http::{HeaderMap, HeaderName, Request};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prism::{
    call::{Code, Error},
    proto::google::rpc,
};
use prost::Message;
use test_support::{client::SERVICE, http};
use tokio::net::TcpStream;

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The trailers, which contain the status. For a response without a body, these are the headers.
    pub trailers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn code(&self) -> Code {
        let code = self.trailers.get("grpc-status").unwrap_or_else(|| panic!("no status: {self:?}"));
        Code::from_number(code.to_str().unwrap().parse().unwrap())
    }

    /// Returns the status message of an error without details: the call failed before it reached the pattern.
    pub fn refusal(&self) -> String {
        let message = self.trailers.get("grpc-message").unwrap_or_else(|| panic!("no message: {self:?}"));
        percent_encoding::percent_decode(message.as_bytes()).decode_utf8().unwrap().into_owned()
    }

    /// Returns the error with its details.
    pub fn error(&self) -> Error {
        let details = self.trailers.get("grpc-status-details-bin").unwrap_or_else(|| panic!("no details: {self:?}"));
        let error = Error::from_status(rpc::Status::decode(&STANDARD_NO_PAD.decode(details).unwrap()[..]).unwrap());
        assert_eq!(error.code(), self.code());
        error
    }

    /// Decodes the first message, which must not be compressed.
    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.code(), Code::Ok, "{self:?}");
        let (message, _) = split(&self.body);
        M::decode(message).unwrap()
    }
}

/// Returns the path of an RPC of KeyValue.
pub fn path(rpc: &str) -> String {
    format!("/{SERVICE}/{rpc}")
}

/// Encodes a message as a frame.
pub fn frame(message: &impl Message) -> Bytes {
    framed(0, &message.encode_to_vec())
}

/// Puts bytes into a frame with these flags.
pub fn framed(flags: u8, bytes: &[u8]) -> Bytes {
    let mut data = BytesMut::new();
    data.put_u8(flags);
    data.put_u32(u32::try_from(bytes.len()).unwrap());
    data.put_slice(bytes);
    data.freeze()
}

/// Splits a body into the bytes of its first frame and the rest.
fn split(body: &[u8]) -> (&[u8], &[u8]) {
    let mut size = &body[1..5];
    body[5..].split_at(size.get_u32() as usize)
}

/// Calls an RPC over HTTP/2.
pub async fn grpc(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    // The host of the URI is sent as `:authority`.
    let authority = headers.iter().find(|(name, _)| *name == "host").map_or_else(|| address.to_string(), |(_, host)| (*host).to_owned());
    let mut request =
        Request::post(format!("http://{authority}{path}")).header("content-type", "application/grpc").header("te", "trailers");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        request = request.header(*name, *value);
    }
    let (head, body) = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_else(|| head.headers.clone());
    connection.abort();
    Reply { status: head.status.as_u16(), headers: head.headers, trailers, body: body.to_bytes() }
}

/// Calls an RPC over HTTP/1.1.
pub async fn grpc_web(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: Bytes) -> Reply {
    let mut all = vec![("content-type", "application/grpc-web+proto")];
    all.extend_from_slice(headers);
    let answer = http::send(address, "POST", path, &all, body).await.unwrap();
    let mut rest = &answer.body[..];
    while rest.first().is_some_and(|flags| flags & 0x80 == 0) {
        rest = split(rest).1;
    }
    let text = if rest.is_empty() { "" } else { std::str::from_utf8(split(rest).0).unwrap() };
    let trailers = text.lines().map(|line| line.split_once(':').unwrap());
    let trailers = trailers.map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap())).collect();
    Reply { status: answer.status, headers: answer.headers, trailers, body: answer.body }
}
