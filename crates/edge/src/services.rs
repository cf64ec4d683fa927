//! Services of the gateway itself, on every listener: `grpc.health.v1.Health` and `grpc.reflection.v1.ServerReflection`.
//!
//! They are tonic's, and do not use the pipeline: they expose no data of a namespace, and must respond even if a namespace refuses
//! calls.

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

/// Reflection holds a second copy of all contracts, so it is created at the first request for it.
type Reflection = LazyLock<Result<Inner, Arc<Error>>, Box<dyn FnOnce() -> Result<Inner, Arc<Error>> + Send>>;

/// Health and reflection.
pub struct Services {
    health: Inner,
    reflection: Reflection,
    ending: CancellationToken,
}

/// One of these services.
pub(super) struct Service(Result<Inner, Arc<Error>>, CancellationToken);

impl Services {
    /// Creates the services. `names` are the full names of the services of the listener, which reflection lists. The reporter sets the
    /// health status; an empty service name means the gateway. When `ending` is cancelled, idle streams end.
    pub fn new(names: Vec<String>, ending: CancellationToken) -> (Self, HealthReporter) {
        let (reporter, health) = tonic_health::server::health_reporter();
        let reflection = LazyLock::new(Box::new(move || reflection(&names)) as Box<_>);
        (Self { health: Inner::new(health), reflection, ending }, reporter)
    }

    /// Returns the service of a path.
    pub(super) fn find(&self, path: &str) -> Option<Service> {
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
            Ok(response) => {
                response.map(|body| Body::stream(BodyUntilShutdown { body, signal: Box::pin(ending.cancelled_owned()), ended: false }))
            }
            Err(never) => match never {},
        }
    }
}

/// A response body that ends when the gateway shuts down. Without it, a client that watches health would block the drain until its timeout.
struct BodyUntilShutdown {
    body: TonicBody,
    signal: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl HttpBody for BodyUntilShutdown {
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
