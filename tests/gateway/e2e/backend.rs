//! A remote gateway that responds only when the test allows it. It stands for a slow backend.
//!
//! `Scan` sends one entry and then waits; `Retrieve` waits at once. Both end when the test releases them.
//! All other RPCs return an empty message at once.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prism::proto::patterns::keyvalue::v1::{RetrieveResponse, ScanResponse};
use prost::Message;
use tokio::{net::TcpListener, sync::watch};

type Body = BoxBody<Bytes, Infallible>;

/// The remote.
#[derive(Clone)]
pub struct Backend {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    released: watch::Sender<bool>,
    waiting: AtomicUsize,
    requests: Mutex<Vec<(String, HeaderMap)>>,
}

/// A waiting call. It is dropped when the caller cancels the call.
struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Backend {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared { released: watch::Sender::new(false), waiting: AtomicUsize::new(0), requests: Mutex::default() });
        let backend = Self { address: listener.local_addr().unwrap(), shared };
        let server = backend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request)) }
                });
                tokio::spawn(async move {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    // If this fails, the gateway has ended.
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        backend
    }

    /// Returns a line for `namespaces:` that is served by this backend, with more settings at its end.
    pub fn namespace(&self, name: &str, more: &str) -> String {
        format!("  - {{name: {name}, pattern: keyvalue, remote: {{url: 'http://{}', namespace: there}}{more}}}\n", self.address)
    }

    /// Returns the number of waiting calls.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.load(Ordering::SeqCst)
    }

    /// Lets all waiting calls finish.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Returns the headers of the last call of this RPC.
    pub fn last(&self, rpc: &str) -> HeaderMap {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().rev().find(|(name, _)| name == rpc).map(|(_, headers)| headers.clone()).unwrap()
    }

    fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let rpc = request.uri().path().rsplit('/').next().unwrap().to_owned();
        self.shared.requests.lock().unwrap().push((rpc.clone(), request.headers().clone()));
        let mut frames = Vec::new();
        match rpc.as_str() {
            // A remote without a health service counts as healthy.
            "Check" => return respond(futures::stream::iter([trailers("12")])),
            "Scan" => frames.push(frame(&ScanResponse { key: "first".to_owned(), ..ScanResponse::default() })),
            "Retrieve" => {}
            _ => return respond(futures::stream::iter([frame(&ScanResponse::default()), trailers("0")])),
        }
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Waiting(self.shared.clone());
        let mut released = self.shared.released.subscribe();
        let rest = async move {
            // If this fails, the sender is gone; it lives as long as this server.
            let _ = released.wait_for(|released| *released).await;
            drop(waiting);
            let late = (rpc == "Retrieve").then(|| frame(&RetrieveResponse { value: "late".into(), ..RetrieveResponse::default() }));
            futures::stream::iter(late.into_iter().chain([trailers("0")]))
        };
        respond(futures::stream::iter(frames).chain(futures::stream::once(rest).flatten()))
    }
}

fn respond(frames: impl futures::Stream<Item = Frame<Bytes>> + Send + Sync + 'static) -> Response<Body> {
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(frames.map(Ok))));
    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    response
}

fn frame(message: &impl Message) -> Frame<Bytes> {
    let mut data = BytesMut::new();
    data.put_u8(0);
    data.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut data).unwrap();
    Frame::data(data.freeze())
}

fn trailers(status: &'static str) -> Frame<Bytes> {
    Frame::trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static(status))]))
}
