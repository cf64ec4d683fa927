//! Connections: how many there may be, how long they may be idle, and how they end.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Body, BoxError, Edge, ReceivedBody,
    activity::{ActiveRequest, Activity},
    request::Connection,
    socket::Socket,
};
use prism_call::ConnectionMeters;

/// Limits for the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum open connections. Further ones are closed at once.
    pub max_connections: usize,
    /// Maximum open connections from one address. Further ones are closed at once.
    pub max_connections_per_peer: usize,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long the TLS handshake and the headers of a request may take.
    pub header_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_peer: 10_000,
            idle_timeout: Duration::from_mins(5),
            header_timeout: Duration::from_secs(30),
        }
    }
}

/// Counts the connections of a listener.
pub struct Connections {
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicUsize,
    meters: ConnectionMeters,
}

/// A place among the connections of a listener.
pub struct ConnectionPermit {
    owner: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub fn new(meters: ConnectionMeters) -> Arc<Self> {
        Arc::new(Self { by_peer: Mutex::default(), open: AtomicUsize::new(0), meters })
    }

    /// Admits a connection, or returns `None` if there are too many.
    pub fn admit(self: &Arc<Self>, address: IpAddr, limits: &ConnectionLimits) -> Option<ConnectionPermit> {
        if self.open.load(Ordering::Relaxed) >= limits.max_connections {
            self.meters.count_refused("max_connections");
            return None;
        }
        let mut by_peer = self.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_peer.entry(address).or_default();
        if *count >= limits.max_connections_per_peer {
            drop(by_peer);
            self.meters.count_refused("max_connections_per_peer");
            return None;
        }
        *count += 1;
        drop(by_peer);
        self.open.fetch_add(1, Ordering::Relaxed);
        self.meters.opened();
        Some(ConnectionPermit { owner: self.clone(), address })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut by_peer = self.owner.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_peer.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_peer.remove(&self.address);
            }
        }
        drop(by_peer);
        self.owner.open.fetch_sub(1, Ordering::Relaxed);
        self.owner.meters.closed();
    }
}

/// The body of a response, which keeps its connection active.
struct ActiveBody {
    body: Body,
    _request: ActiveRequest,
}

impl HttpBody for ActiveBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Serves the requests of a connection until it ends. If it is idle for too long, or when the drain begins, it accepts no further requests.
pub async fn serve<S>(stream: S, builder: &auto::Builder<TokioExecutor>, limits: ConnectionLimits, edge: Arc<Edge>, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let activity = Activity::new();
    let socket = Socket::new(stream, limits.header_timeout, connection.unread.clone(), activity.clone());
    let requests = activity.clone();
    let draining = connection.tasks.draining().clone();
    let connection = Arc::new(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (edge, connection, active) = (edge.clone(), connection.clone(), requests.begin());
        async move {
            let response: Response<Body> = edge.serve(request.map(ReceivedBody::Connection), &connection).await;
            Ok::<_, Infallible>(response.map(|body| ActiveBody { body, _request: active }))
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    // Polled only when it has something to do. A plain future would be polled with every request, and all connections share the signal
    // of the drain and its lock.
    let mut ending = FuturesUnordered::from_iter([async {
        tokio::select! {
            () = draining.cancelled() => {}
            () = activity.idle_for(limits.idle_timeout) => {}
        }
    }]);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = ending.next() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
