//! An HTTP/2 server that responds to each path in its own way, right or wrong.

use std::{convert::Infallible, io, sync::Arc};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::{StreamExt as _, channel::mpsc};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, BodyStream, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prism::proto::google::rpc;
use prost::Message as _;
use tokio::{net::TcpListener, sync::Notify};

type Body = BoxBody<Bytes, io::Error>;
type Item = Result<Frame<Bytes>, io::Error>;

/// The server's address, and what it observes.
pub struct Server {
    pub url: String,
    /// Notified when a call to `Hang` is dropped.
    pub dropped: Arc<Notify>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let dropped = Arc::new(Notify::new());
        let signal = dropped.clone();
        let task = tokio::spawn(async move {
            // Connections end with the listener, as if the server was killed.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let signal = signal.clone();
                let service = service_fn(move |request| answer(request, signal.clone()));
                connections.spawn(async move {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, dropped, task }
    }

    /// Ends the server as a crash would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

struct Tell(Arc<Notify>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn frame(message: &[u8]) -> Item {
    let mut data = BytesMut::new();
    data.put_u8(0);
    data.put_u32(u32::try_from(message.len()).unwrap());
    data.extend_from_slice(message);
    Ok(Frame::data(data.freeze()))
}

fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|&(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
}

fn trailers(pairs: &[(&'static str, &str)]) -> Item {
    Ok(Frame::trailers(map(pairs)))
}

fn respond(headers: &[(&'static str, &str)], body: impl futures::Stream<Item = Item> + Send + Sync + 'static) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(body)));
    *response.headers_mut() = map(headers);
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn list(items: Vec<Item>) -> impl futures::Stream<Item = Item> + Send + Sync + 'static {
    futures::stream::iter(items)
}

/// `ABORTED REVISION_MISMATCH`, with a detail of a type that Prism does not know.
pub fn status() -> rpc::Status {
    use prost::Name as _;
    let info = rpc::ErrorInfo {
        reason: "REVISION_MISMATCH".to_owned(),
        domain: "prism".to_owned(),
        metadata: [("current_revision".to_owned(), "7".to_owned())].into(),
    };
    let info = prost_types::Any { type_url: format!("type.googleapis.com/{}", rpc::ErrorInfo::full_name()), value: info.encode_to_vec() };
    let other = prost_types::Any { type_url: "type.example/Other".to_owned(), value: vec![1, 2, 3] };
    rpc::Status { code: 10, message: "grüße".to_owned(), details: vec![info, other] }
}

async fn answer(request: Request<Incoming>, dropped: Arc<Notify>) -> Result<Response<Body>, Infallible> {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

    let (head, body) = request.into_parts();
    let ok = || trailers(&[("grpc-status", "0"), ("x-tail", "t")]);
    Ok(match head.uri.path().rsplit('/').next().unwrap() {
        "Echo" => {
            let (send, receive) = mpsc::unbounded();
            tokio::spawn(async move {
                let mut body = BodyStream::new(body);
                while let Some(Ok(frame)) = body.next().await {
                    if let Ok(data) = frame.into_data() {
                        send.unbounded_send(Ok(Frame::data(data))).unwrap();
                    }
                }
                let _ = send.unbounded_send(trailers(&[("grpc-status", "0"), ("x-tail", "t"), ("x-tail-bin", "AAE")]));
            });
            respond(&[("x-head", "h"), ("x-request-id", "other"), ("date", "now")], receive)
        }
        "Headers" => {
            let mut lines: Vec<_> = head.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
            lines.sort();
            respond(&[], list(vec![frame(lines.join("\n").as_bytes()), ok()]))
        }
        "Fail" => {
            let details = STANDARD_NO_PAD.encode(status().encode_to_vec());
            let status =
                [("grpc-status", "10"), ("grpc-message", "gr%C3%BC%C3%9Fe"), ("grpc-status-details-bin", &details), ("x-tail", "t")];
            respond(&status, list(vec![]))
        }
        "FailLate" => {
            let end = trailers(&[("grpc-status", "9"), ("grpc-message", "late"), ("grpc-status-details-bin", "!"), ("x-tail", "t")]);
            respond(&[("x-head", "h")], list(vec![frame(b"one"), end]))
        }
        "NoStatus" => respond(&[], list(vec![frame(b"one")])),
        "NoMessage" => respond(&[], list(vec![ok()])),
        "TwoMessages" => respond(&[], list(vec![frame(b"one"), frame(b"two"), ok()])),
        "BreakOff" => respond(&[], list(vec![frame(b"one"), Err(io::Error::other("crash"))])),
        "Large" => respond(&[], list(vec![Ok(Frame::data(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff])))])),
        "Html" => {
            let mut response = respond(&[], list(vec![Ok(Frame::data(Bytes::from_static(b"<p>")))]));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
        "Hang" => {
            let tell = Tell(dropped);
            let body = futures::stream::once(async { frame(b"one") }).chain(futures::stream::pending());
            respond(&[], body.map(move |item| (&tell, item).1))
        }
        "Check" => {
            // grpc.health.v1.HealthCheckResponse { status: SERVING }
            respond(&[], list(vec![frame(&[8, 1]), ok()]))
        }
        other => respond(&[("grpc-status", "12"), ("grpc-message", other)], list(vec![])),
    })
}
