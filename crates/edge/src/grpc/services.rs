//! Services of the gateway itself, on every listener: `grpc.health.v1.Health` and `grpc.reflection.v1.ServerReflection`.
//!
//! They are tonic's. They belong to no namespace: they expose no data of one, and must respond even if a namespace refuses calls.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body as HttpBody, Frame};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Status, body::Body as TonicBody};
use tonic_health::server::HealthReporter;
use tower::{Service as _, util::BoxCloneSyncService};

use super::{reply, web::Wire};
use crate::{
    body::Body,
    request::{ClientRequest, Response, Serving},
};
use prism_call::{Code, Error, ListenerTarget, interface_of, proto};

type Inner = BoxCloneSyncService<Request<TonicBody>, http::Response<TonicBody>, Infallible>;

/// Reflection holds a second copy of all contracts, so it is created at the first request for it.
type Reflection = LazyLock<Result<Inner, Arc<Error>>, Box<dyn FnOnce() -> Result<Inner, Arc<Error>> + Send>>;

/// The health of a listener. It outlives generations, so that clients that watch it are not interrupted.
#[derive(Clone)]
pub struct Health {
    service: Inner,
    reporter: HealthReporter,
}

impl Health {
    /// Creates a health service without statuses.
    pub fn new() -> Self {
        let (reporter, health) = tonic_health::server::health_reporter();
        Self { service: Inner::new(health), reporter }
    }

    /// Returns the reporter, which sets the statuses. An empty service name means the gateway.
    pub fn reporter(&self) -> &HealthReporter {
        &self.reporter
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// Health and reflection.
pub struct Services {
    health: Inner,
    reflection: Reflection,
    ending: CancellationToken,
}

/// One of these services.
pub struct Service {
    target: ListenerTarget,
    inner: Result<Inner, Arc<Error>>,
    ending: CancellationToken,
}

impl Services {
    /// Creates the services. `names` are the full names of the services of the listener, which reflection lists. When `ending` is
    /// cancelled, idle streams end.
    pub fn new(health: &Health, names: Vec<String>, ending: CancellationToken) -> Self {
        let reflection = LazyLock::new(Box::new(move || reflection(&names)) as Box<_>);
        Self { health: health.service.clone(), reflection, ending }
    }

    /// Returns the service of a path.
    pub(crate) fn find(&self, path: &str) -> Option<Service> {
        let service = path.strip_prefix("/grpc.")?;
        let (target, inner) = if service.starts_with("health.v1.Health/") {
            (ListenerTarget::Health, Ok(self.health.clone()))
        } else if service.starts_with("reflection.v1.ServerReflection/") {
            (ListenerTarget::Reflection, self.reflection.clone())
        } else {
            return None;
        };
        Some(Service { target, inner, ending: self.ending.clone() })
    }
}

fn reflection(names: &[String]) -> Result<Inner, Arc<Error>> {
    let has_interfaces = names.iter().any(|name| interface_of(name).is_some());
    let contracts = if has_interfaces { proto::ALL_DESCRIPTORS } else { proto::DESCRIPTORS };
    let mut builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(contracts)
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
    pub(super) async fn serve(self, serving: Serving<'_>, request: ClientRequest, wire: Wire) -> Response {
        let Self { target, inner, ending } = self;
        let ClientRequest { parts, body } = request;
        let request = serving.answer_as(target, &parts);
        let refused = if wire == Wire::Grpc {
            inner.map_err(|error| Error::internal(error.message().to_owned()))
        } else {
            Err(Error::new(Code::Unimplemented, "GRPC_ONLY", "health and reflection are offered over gRPC, not gRPC-Web"))
        };
        let mut inner = match refused {
            Ok(inner) => inner,
            Err(error) => {
                let response = reply::failed(wire, request.request_id(), &error);
                return request.finish(Some(&error), response);
            }
        };
        let body = TonicBody::new(request.open(body));
        match inner.call(http::Request::from_parts(parts, body)).await {
            Ok(response) => {
                let until_end = |body| Body::stream(BodyUntilShutdown { body, signal: Box::pin(ending.cancelled_owned()), ended: false });
                request.finish(None, response.map(until_end))
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
