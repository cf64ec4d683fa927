//! Services about the gateway itself, on every listener: `grpc.health.v1.Health` and `grpc.reflection.v1.ServerReflection`.
//!
//! They come from tonic, and stand beside the pipeline: they tell nothing of any namespace's data, and must answer also where
//! a namespace refuses calls.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body as TonicBody};
use tonic_health::server::HealthReporter;
use tower::{Service as _, util::BoxCloneSyncService};

use super::{
    body::{Body, BoxError},
    grpc::{self, Wire},
};
use prism_call::{Code, Error, proto};

type Inner = BoxCloneSyncService<Request<TonicBody>, Response<TonicBody>, Infallible>;

/// Reflection has a second copy of all contracts, so there is none until somebody asks.
type Reflection = LazyLock<Result<Inner, Arc<Error>>, Box<dyn FnOnce() -> Result<Inner, Arc<Error>> + Send>>;

/// Health and reflection.
pub struct Services {
    health: Inner,
    reflection: Reflection,
    ending: CancellationToken,
}

/// One of them.
pub(super) struct Service(Result<Inner, Arc<Error>>, CancellationToken);

impl Services {
    /// `names`: the full names of the services that the listener serves, which reflection lists. The reporter sets what health
    /// answers; an empty service name stands for the gateway. When `ending` is cancelled, streams that have nothing to say end.
    pub fn new(names: Vec<String>, ending: CancellationToken) -> (Self, HealthReporter) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let reflection = LazyLock::new(Box::new(move || reflection(&names)) as Box<_>);
        (Self { health: Inner::new(health), reflection, ending }, reporter)
    }

    pub(super) fn of(&self, path: &str) -> Option<Service> {
        let service = path.strip_prefix("/grpc.")?;
        let inner = if service.starts_with("health.v1.Health/") {
            Ok(self.health.clone())
        } else if service.starts_with("reflection.v1.ServerReflection/") {
            self.reflection.clone()
        } else {
            return None;
        };
        Some(Service(inner, self.ending.clone()))
    }
}

fn reflection(names: &[String]) -> Result<Inner, Arc<Error>> {
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health")
        .with_service_name("grpc.reflection.v1.ServerReflection");
    for name in names {
        builder = builder.with_service_name(name);
    }
    let service =
        builder.build_v1().map_err(|error| Error::internal("the compiled contracts can't be offered for reflection").with_source(error))?;
    Ok(Inner::new(service))
}

impl Service {
    pub(super) async fn serve<B>(self, request: Request<B>, wire: Wire) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        if wire != Wire::Grpc {
            let error = Error::new(Code::Unimplemented, "GRPC_ONLY", "health and reflection are offered over gRPC, not gRPC-Web");
            return *grpc::refuse(wire, &error);
        }
        let Self(inner, ending) = self;
        let mut inner = match inner {
            Ok(inner) => inner,
            Err(error) => return *grpc::refuse(wire, &error),
        };
        match inner.call(request.map(TonicBody::new)).await {
            Ok(response) => response.map(|body| Body::stream(Ending { body, signal: Box::pin(ending.cancelled_owned()), ended: false })),
            Err(never) => match never {},
        }
    }
}

/// The body of an answer that ends when the gateway does: a client that watches health would hold up the drain to its timeout.
struct Ending {
    body: TonicBody,
    signal: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if frame.is_pending() && this.signal.as_mut().poll(context).is_ready() {
            this.ended = true;
            let mut trailers = HeaderMap::new();
            let status = Status::unavailable(Error::shutting_down().message()).add_header(&mut trailers);
            return Poll::Ready(Some(status.map(|()| Frame::trailers(trailers))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }
}
