//! A minimal HTTP/1.1 client, which sends a path exactly as the case has it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request as HttpRequest};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::case::Request;

/// Longer than any case waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether the body ended too early.
    pub broken: bool,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| format!("the body is no JSON: {error}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends one request.
pub async fn ask(address: SocketAddr, request: &Request) -> Result<Answer, String> {
    tokio::time::timeout(PATIENCE, exchange(address, request)).await.map_err(|_| format!("no answer in {PATIENCE:?}"))?
}

async fn exchange(address: SocketAddr, request: &Request) -> Result<Answer, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let mut builder = HttpRequest::builder().method(request.method).uri(&request.path).header("host", address.to_string());
    for (name, value) in &request.headers {
        builder = builder.header(*name, *value);
    }
    let built = builder.body(Full::new(request.body.clone())).map_err(|error| error.to_string())?;
    let response = sender.send_request(built).await.map_err(|error| format!("no answer: {error}"))?;
    let (head, mut body) = response.into_parts();
    let (mut read, mut broken) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref())),
            Err(_) => {
                broken = true;
                break;
            }
        }
    }
    connection.abort();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: read.into(), broken })
}
