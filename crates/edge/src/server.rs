//! Listeners: they accept connections, detect HTTP/1.1 and HTTP/2 (by prior knowledge, or by ALPN with TLS), and shut down gracefully.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Edge,
    connection::{self, ConnectionLimits, Connections},
    request::Connection,
    socket::Unread,
    tasks::{ConnectionTasks, Drain},
    tls,
};
use prism_call::{Code, ConnectionMeters, Error, Peer};

/// Interval of keep-alive pings on an idle HTTP/2 connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_mins(1);
/// Timeout for the response to a keep-alive ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum concurrent calls on one HTTP/2 connection.
const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// Maximum bytes of the headers of a request.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Pause after accepting a connection failed, usually because no file descriptor was free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that has bound its port and does not accept connections yet.
pub struct Bound {
    listener: TcpListener,
    /// The bound address, with the real port.
    pub address: SocketAddr,
    name: Arc<str>,
}

/// What may change while a listener is open. New connections use the new values.
#[derive(Clone, Default)]
pub struct ListenerSettings {
    /// The TLS of connections; `None`: they are plain.
    pub tls: Option<TlsAcceptor>,
    /// Limits for connections.
    pub limits: ConnectionLimits,
}

/// Binds the port.
pub async fn bind(name: &str, address: SocketAddr) -> Result<Bound, Error> {
    let listener = TcpListener::bind(address).await.map_err(|error| cannot_bind(name, address, error))?;
    let address = listener.local_addr().map_err(|error| cannot_bind(name, address, error))?;
    Ok(Bound { listener, address, name: name.into() })
}

fn cannot_bind(name: &str, address: SocketAddr, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "listener {name}: port {} is in use; stop the other program, or choose another port with listeners.{name}.address",
                address.port()
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("listener {name}: this user may not listen on port {}; ports above 1023 are free to all", address.port())
        }
        _ => format!("listener {name}: can't listen on {address}: {error}"),
    };
    Error::new(Code::FailedPrecondition, "LISTENER", message).with_source(error)
}

impl Bound {
    /// Returns the name of the listener.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Accepts connections until the drain begins. Then waits until all connections, and all tasks that they started, have ended or are cut.
    pub async fn serve(self, edge: Arc<Edge>, settings: Arc<ArcSwap<ListenerSettings>>, meters: ConnectionMeters, drain: Drain) {
        let builder = Arc::new(http_builder());
        let connections = Connections::new(meters);
        let tasks = ConnectionTasks::new(drain.clone());
        loop {
            let (stream, address) = tokio::select! {
                () = drain.begin.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let ListenerSettings { tls, limits } = (**settings.load()).clone();
            let Some(permit) = connections.admit(address.ip(), &limits) else { continue };
            // Sends small responses at once. If the socket was closed in the meantime, the next read reports it.
            let _ = stream.set_nodelay(true);
            let (edge, builder) = (edge.clone(), builder.clone());
            let begin = drain.begin.clone();
            let mut peer = Peer { address: Some(address), listener: self.name.clone(), tls: None };
            let own_tasks = tasks.clone();
            tasks.spawn(async move {
                let _permit = permit;
                let connection = |peer| Connection { peer: Arc::new(peer), unread: Unread::default(), tasks: own_tasks };
                match tls {
                    None => connection::serve(stream, &builder, limits, edge, connection(peer)).await,
                    Some(tls) => {
                        if let Some(stream) = handshake(&tls, stream, limits.header_timeout, &begin).await {
                            peer.tls = Some(tls::peer(&stream));
                            connection::serve(stream, &builder, limits, edge, connection(peer)).await;
                        }
                    }
                }
            });
        }
        drop(self.listener);
        tasks.wait().await;
    }
}

/// Returns the HTTP settings of all connections.
fn http_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Without `pipeline_flush`: with it, hyper buffers a whole stream in memory if its client reads slowly. The timeout for headers is the
    // socket's: hyper's would also close idle connections.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        // The fixed windows below keep one slow stream from blocking the other streams of its connection.
        .adaptive_window(false)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    builder
}

async fn handshake(
    tls: &TlsAcceptor,
    stream: TcpStream,
    timeout: Duration,
    drain: &CancellationToken,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let accepted = tokio::select! {
        // No call has started yet.
        () = drain.cancelled() => return None,
        accepted = tokio::time::timeout(timeout, tls.accept(stream)) => accepted,
    };
    match accepted {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => None,
    }
}
