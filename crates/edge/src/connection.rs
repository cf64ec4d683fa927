//! Connections: how long they may be idle, and how they end.

use std::{convert::Infallible, pin::pin, sync::Arc};

use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    Body, ReceivedBody,
    delivery::{DeliveredBody, Held, StreamExecutor},
    limits::ConnectionLimits,
    request::Connection,
    socket::Socket,
};
use prism_call::Delivery;

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
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: RequestHandler,
{
    let activity = connection.activity().clone();
    let socket = Socket::new(stream, &limits, connection.unread.clone(), activity.clone());
    let requests = activity.clone();
    let draining = connection.tasks.draining().clone();
    let stalled = || activity.stalled(limits.write_timeout * STALL_FACTOR);
    let connection = Arc::new(connection);
    let cut = connection.clone();
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
            cut.count_cut();
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
