//! Connections: how many there may be, how long they may be idle, and how they end.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::IpAddr,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Body, ReceivedBody,
    activity::Activity,
    delivery::{DeliveredBody, Held, StreamExecutor},
    descriptors::Descriptors,
    limits::ConnectionLimits,
    request::Connection,
    socket::Socket,
};
use prism_call::{Backlog, ConnectionMeters, Delivery, UnsentLimits};

/// Counts the connections of a listener.
pub struct Connections {
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    open: AtomicUsize,
    meters: ConnectionMeters,
    /// The file descriptors that connections may have; `None`: as many as there are.
    descriptors: Option<Arc<Descriptors>>,
}

/// A place among the connections of a listener.
pub struct ConnectionPermit {
    owner: Arc<Connections>,
    address: IpAddr,
}

impl Connections {
    pub fn new(meters: ConnectionMeters, descriptors: Option<Arc<Descriptors>>) -> Arc<Self> {
        Arc::new(Self { by_peer: Mutex::default(), open: AtomicUsize::new(0), meters, descriptors })
    }

    /// Returns the backlog of a new connection.
    pub fn backlog(&self, limits: UnsentLimits) -> Arc<Backlog> {
        Backlog::new(self.meters.backlog().clone(), limits)
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
        if self.descriptors.as_ref().is_some_and(|descriptors| !descriptors.take()) {
            // Connections of this address may be none.
            if *count == 0 {
                by_peer.remove(&address);
            }
            drop(by_peer);
            self.meters.count_refused("file_descriptors");
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
        if let Some(descriptors) = &self.owner.descriptors {
            descriptors.give_back();
        }
        self.owner.open.fetch_sub(1, Ordering::Relaxed);
        self.owner.meters.closed();
    }
}

/// How much longer the client of a connection may take nothing than the client of a stream, which is ended first.
const STALL_FACTOR: u32 = 2;

/// Answers the requests of a listener.
pub trait RequestHandler: Send + Sync + 'static {
    /// Returns the response, and what is held until it is delivered.
    fn serve(&self, request: Request<ReceivedBody>, connection: &Connection) -> impl Future<Output = (Response<Body>, Delivery)> + Send;
}

/// Serves the requests of a connection until it ends. If it is idle for too long, or when the drain begins, it accepts no further requests. If
/// its client takes nothing for too long, it ends at once.
pub async fn serve<S, H>(
    stream: S,
    builder: &auto::Builder<StreamExecutor>,
    limits: ConnectionLimits,
    handler: Arc<H>,
    connection: Connection,
    permit: ConnectionPermit,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: RequestHandler,
{
    let activity = Activity::new();
    let socket = Socket::new(stream, &limits, connection.unread.clone(), activity.clone());
    let requests = activity.clone();
    let draining = connection.tasks.draining().clone();
    let stalled = || activity.stalled(limits.write_timeout * STALL_FACTOR);
    let connection = Arc::new(connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (handler, connection, activity) = (handler.clone(), connection.clone(), requests.clone());
        let active = activity.begin();
        async move {
            let (response, delivery) = handler.serve(request.map(ReceivedBody::Connection), &connection).await;
            let held = Held::new(active, delivery);
            Ok::<_, Infallible>(response.map(|body| DeliveredBody::new(body, activity, held, limits.write_timeout)))
        }
    });
    let mut connection = pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    // Polled only when it has something to do. A plain future would be polled with every request, and all connections share the signal
    // of the drain and its lock.
    let mut ending = FuturesUnordered::from_iter([async {
        tokio::select! {
            () = draining.cancelled() => Ending::Graceful,
            () = activity.idle_for(limits.idle_timeout) => Ending::Graceful,
            () = stalled() => Ending::Cut,
        }
    }]);
    let result = tokio::select! {
        result = connection.as_mut() => Some(result),
        ending = ending.next() => match ending {
            Some(Ending::Cut) => None,
            Some(Ending::Graceful) | None => {
                connection.as_mut().graceful_shutdown();
                // An HTTP/2 client may send requests until it confirms the end, and not take their replies.
                tokio::select! {
                    result = connection.as_mut() => Some(result),
                    () = stalled() => None,
                }
            }
        },
    };
    match result {
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::debug!(%error, "a connection ended with an error"),
        None => {
            permit.owner.meters.count_cut();
            tracing::debug!("a connection was closed, because its client took nothing of a reply");
        }
    }
}

/// How a connection ends.
enum Ending {
    /// When its requests have ended.
    Graceful,
    /// At once.
    Cut,
}
