//! A service over HTTP/1.1 that a gateway asks, with one answer for each request.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// Returns the status and the JSON for a request with this body.
type Answer = dyn Fn(&http::request::Parts, &str) -> (u16, Value) + Send + Sync;

/// Starts a service on a free port. It ends with the runtime of the test.
pub async fn start(answer: impl Fn(&http::request::Parts, &str) -> (u16, Value) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer: Arc<Answer> = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            let service = service_fn(move |request| serve(request, answer.clone()));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

async fn serve(request: Request<Incoming>, answer: Arc<Answer>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (status, value) = answer(&parts, std::str::from_utf8(&body).unwrap());
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status.try_into().unwrap();
    Ok(response)
}
