//! A request as the listener receives it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::{
    Body, BoxError, Served,
    activity::{ActiveRequest, Activity},
    connection_permit::ConnectionPermit,
    proxies::TrustedProxies,
    remainder::TrackedBody,
    socket::Unread,
    tasks::ConnectionTasks,
};
use prism_call::{Code, Error, Finished, ListenerRequest, ListenerTarget, Origin, Peer, Pipeline, SealedBody};

/// The response of a protocol.
pub type Response = Finished<http::Response<Body>>;

/// The body of a request.
pub type RequestBody = TrackedBody<ReceivedBody>;

/// A request that belongs to no namespace yet.
pub struct ClientRequest {
    /// Method, URI and headers.
    pub parts: Parts,
    /// The body, which only an admitted request can open.
    pub body: SealedBody<RequestBody>,
}

/// What the requests of a connection share.
pub struct Connection {
    /// The remote end.
    pub peer: Arc<Peer>,
    /// Whether the client may still be sending the body of the last request.
    pub unread: Unread,
    /// Runs what continues after a response, such as a connection that was upgraded to another protocol. The drain waits for it.
    pub tasks: ConnectionTasks,
    /// The requests in progress.
    activity: Activity,
    /// The place of the connection among those of its listener; `None` for requests that code makes.
    permit: Option<Arc<ConnectionPermit>>,
    /// The proxies that may name another peer.
    proxies: Option<Arc<TrustedProxies>>,
}

/// Keeps an upgraded connection counted and not idle, until it is dropped.
pub struct UpgradedConnection {
    _request: ActiveRequest,
    _permit: Option<Arc<ConnectionPermit>>,
}

impl Connection {
    /// Creates a connection of a listener.
    pub fn new(peer: Peer, tasks: ConnectionTasks, permit: ConnectionPermit) -> Self {
        let permit = Some(Arc::new(permit));
        Self { peer: Arc::new(peer), unread: Unread::default(), tasks, activity: Activity::new(), permit, proxies: None }
    }

    /// Returns the connection of requests that code makes.
    pub fn internal() -> Self {
        let (unread, tasks) = (Unread::default(), ConnectionTasks::default());
        Self { peer: Peer::internal(), unread, tasks, activity: Activity::new(), permit: None, proxies: None }
    }

    /// Lets proxies name another peer for each request.
    #[must_use]
    pub fn behind(self, proxies: Option<Arc<TrustedProxies>>) -> Self {
        Self { proxies, ..self }
    }

    /// Returns the connection as a request sees it whose peer is named by a trusted proxy. Takes the headers that name one.
    pub fn forwarded(&self, headers: &mut HeaderMap) -> Option<Self> {
        let peer = self.proxies.as_ref()?.forwarded_peer(&self.peer, headers)?;
        Some(Self {
            peer: Arc::new(peer),
            unread: self.unread.clone(),
            tasks: self.tasks.clone(),
            activity: self.activity.clone(),
            permit: self.permit.clone(),
            proxies: None,
        })
    }

    /// Returns the requests in progress.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Counts a connection that was closed because its client took nothing.
    pub fn count_cut(&self) {
        if let Some(permit) = &self.permit {
            permit.count_cut();
        }
    }

    /// Keeps the connection counted and not idle while it is used for another protocol.
    pub fn upgraded(&self) -> UpgradedConnection {
        UpgradedConnection { _request: self.activity.begin(), _permit: self.permit.clone() }
    }
}

/// What a protocol needs to serve a request.
#[derive(Clone, Copy)]
pub struct Serving<'e> {
    /// The pipeline of all calls.
    pub pipeline: &'e Arc<Pipeline>,
    /// What the listener serves now.
    pub served: &'e Served,
    /// What the listener serves at any time, for connections that outlive the request.
    pub current: &'e Arc<ArcSwap<Served>>,
    /// The connection of the request.
    pub connection: &'e Connection,
    /// Where the request comes from.
    pub origin: Origin,
}

impl<'e> Serving<'e> {
    /// Observes a request that the listener answers itself.
    pub fn answer_as(&self, target: ListenerTarget, parts: &Parts) -> ListenerRequest<'e> {
        self.pipeline.admit_listener_request(&self.connection.peer, target, (&parts.method, parts.uri.path()), &parts.headers)
    }

    /// Refuses a request that belongs to no namespace.
    pub fn refuse(&self, parts: &Parts, error: &Error, response: http::Response<Body>) -> Response {
        self.answer_as(ListenerTarget::NoRoute, parts).finish(Some(error), response)
    }

    /// Refuses the media type of a request to the path of an RPC. `supported` are the media types that the path takes.
    pub fn refuse_media_type(&self, parts: &Parts, supported: &str) -> Response {
        let message = format!("this RPC can't be called with this content type; use one of {supported}");
        let error = Error::wire(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message);
        let mut response = http::Response::new(Body::Empty);
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        if let Ok(supported) = HeaderValue::try_from(supported) {
            response.headers_mut().insert(header::ACCEPT, supported);
        }
        self.refuse(parts, &error, response)
    }

    /// Refuses the HTTP method of a request to the path of an RPC.
    pub fn refuse_method(&self, parts: &Parts, allowed: &'static str) -> Response {
        let message = format!("this RPC is called with {allowed}");
        let error = Error::wire(Code::Unimplemented, "METHOD_NOT_ALLOWED", message);
        let mut response = http::Response::new(Body::Empty);
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        self.refuse(parts, &error, response)
    }
}

/// A body from a connection, or from code.
pub enum ReceivedBody {
    /// From a connection.
    Connection(hyper::body::Incoming),
    /// From code.
    Boxed(Pin<Box<dyn HttpBody<Data = Bytes, Error = BoxError> + Send>>),
}

impl ReceivedBody {
    /// Wraps any body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::Boxed(Box::pin(body.map_err(Into::into)))
    }
}

impl HttpBody for ReceivedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Connection(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Boxed(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Connection(body) => body.is_end_stream(),
            Self::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Connection(body) => body.size_hint(),
            Self::Boxed(body) => body.size_hint(),
        }
    }
}
