//! Listeners: they accept connections, detect HTTP/1.1 and HTTP/2 (by prior knowledge, or by ALPN with TLS), and shut down gracefully.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use hyper_util::{rt::TokioTimer, server::conn::auto};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    checks::MAX_HEADER_BYTES,
    client_trust::ConnectionTrust,
    connection::{self, RequestHandler},
    connection_permit::{ConnectionPermit, Connections},
    delivery::StreamExecutor,
    descriptors::Descriptors,
    limits::ConnectionLimits,
    proxies::{TrustedProxies, protocol},
    request::Connection,
    tasks::{ConnectionTasks, Drain},
    tls::{self, ListenerTls},
};
use prism_call::{Code, ConnectionMeters, Error, Peer};

/// Interval of keep-alive pings on an idle HTTP/2 connection.
const KEEPALIVE_INTERVAL: Duration = Duration::from_mins(1);
/// Timeout for the response to a keep-alive ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum concurrent calls on one HTTP/2 connection.
const MAX_CONCURRENT_STREAMS: u32 = 1000;
/// Pause after accepting a connection failed, usually because no file descriptor was free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Maximum connections of the admin listener. It needs few, and must be reachable when clients take all that they can get.
const MAX_ADMIN_CONNECTIONS: usize = 64;
/// How long a connection of the admin listener may be idle, send headers, or take nothing.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub tls: Option<ListenerTls>,
    /// Limits for connections.
    pub limits: ConnectionLimits,
    /// The proxies in front; `None`: no peer is trusted to name another one.
    pub proxies: Option<Arc<TrustedProxies>>,
}

impl ListenerSettings {
    /// The settings of the admin listener.
    pub fn admin() -> Self {
        let limits = ConnectionLimits {
            max_connections: MAX_ADMIN_CONNECTIONS,
            max_connections_per_peer: MAX_ADMIN_CONNECTIONS,
            idle_timeout: ADMIN_TIMEOUT,
            header_timeout: ADMIN_TIMEOUT,
            write_timeout: ADMIN_TIMEOUT,
            ..ConnectionLimits::default()
        };
        Self { limits, ..Self::default() }
    }
}

/// Binds the port of a listener for clients.
pub async fn bind(name: &str, address: SocketAddr) -> Result<Bound, Error> {
    bind_as(name, &format!("listener {name}"), &format!("listeners.{name}.address"), address).await
}

/// Binds the port of the admin listener.
pub async fn bind_admin(address: SocketAddr) -> Result<Bound, Error> {
    bind_as("admin", "admin listener", "admin.address", address).await
}

/// `shown` and `setting` are what errors call the listener and its address.
async fn bind_as(name: &str, shown: &str, setting: &str, address: SocketAddr) -> Result<Bound, Error> {
    let listener = TcpListener::bind(address).await.map_err(|error| cannot_bind(shown, setting, address, error))?;
    let address = listener.local_addr().map_err(|error| cannot_bind(shown, setting, address, error))?;
    Ok(Bound { listener, address, name: name.into() })
}

fn cannot_bind(shown: &str, setting: &str, address: SocketAddr, error: io::Error) -> Error {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{shown}: port {} is in use; stop the other program, or choose another port with {setting}", address.port())
        }
        io::ErrorKind::PermissionDenied => {
            format!("{shown}: this user may not listen on port {}; ports above 1023 are free to all", address.port())
        }
        _ => format!("{shown}: can't listen on {address}: {error}"),
    };
    Error::new(Code::FailedPrecondition, "LISTENER", message).with_source(error)
}

impl Bound {
    /// Returns the name of the listener.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Accepts connections until the drain begins. Then waits until all connections, and all tasks that they started, have ended or are cut.
    /// `descriptors` bounds the connections of all listeners together; `None` for a listener that must always be reachable.
    pub async fn serve(
        self,
        handler: Arc<impl RequestHandler>,
        settings: Arc<ArcSwap<ListenerSettings>>,
        meters: ConnectionMeters,
        descriptors: Option<Arc<Descriptors>>,
        drain: Drain,
    ) {
        let builder = Arc::new(http_builder());
        let connections = Connections::new(meters, descriptors);
        let tasks = ConnectionTasks::new(drain.clone());
        let mut is_failing = false;
        loop {
            let (stream, address) = tokio::select! {
                () = drain.begin.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(accepted) => {
                        is_failing = false;
                        accepted
                    }
                    Err(error) => {
                        // Usually it fails again and again.
                        if !is_failing {
                            tracing::warn!(%error, listener = &*self.name, "connections can't be accepted; this is logged once until one is");
                        }
                        is_failing = true;
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let current = settings.load_full();
            let is_proxy = current.proxies.as_ref().is_some_and(|proxies| proxies.trusts(address.ip()));
            let mut limits = current.limits;
            if is_proxy {
                // Its connections are those of many clients.
                limits.max_connections_per_peer = limits.max_connections;
            }
            let Some(permit) = connections.admit(address.ip(), &limits) else { continue };
            // Sends small responses at once. If the socket was closed in the meantime, the next read reports it.
            let _ = stream.set_nodelay(true);
            let backlog = Some(connections.backlog(limits.unsent));
            let peer = Peer { address: Some(address), listener: self.name.clone(), tls: None, backlog };
            let accepted = Accepted { stream, peer, permit, is_proxy, settings: settings.clone(), current };
            let (handler, builder) = (handler.clone(), builder.clone());
            let begin = drain.begin.clone();
            let own_tasks = tasks.clone();
            tasks.spawn(async move { accepted.serve(&builder, handler, own_tasks, &begin).await });
        }
        drop(self.listener);
        tasks.wait().await;
    }
}

/// A connection that was accepted.
struct Accepted {
    stream: TcpStream,
    peer: Peer,
    permit: ConnectionPermit,
    /// Whether a trusted proxy opened it.
    is_proxy: bool,
    /// The settings of the listener, now and later.
    settings: Arc<ArcSwap<ListenerSettings>>,
    /// The settings when it was accepted.
    current: Arc<ListenerSettings>,
}

impl Accepted {
    async fn serve(
        mut self,
        builder: &auto::Builder<StreamExecutor>,
        handler: Arc<impl RequestHandler>,
        tasks: ConnectionTasks,
        drain: &CancellationToken,
    ) {
        let ListenerSettings { tls, limits, proxies } = &*self.current;
        let mut proxies = proxies.clone();
        if self.is_proxy && proxies.as_ref().is_some_and(|proxies| proxies.proxy_protocol) {
            let read = tokio::select! {
                // No call has started yet.
                () = drain.cancelled() => return,
                read = protocol::read(&mut self.stream, limits.header_timeout) => read,
            };
            match read {
                // The client may have written the headers itself.
                Ok(None) => proxies = proxies.map(|proxies| Arc::new(proxies.distrusted())),
                Ok(Some(client)) => {
                    if !self.permit.move_to(client.ip(), limits) {
                        return;
                    }
                    self.peer.address = Some(client);
                }
                Err(error) => {
                    tracing::debug!(%error, proxy = ?self.peer.address, "a connection of a proxy was closed");
                    return;
                }
            }
        }
        let connection = |peer| Connection::new(peer, tasks, self.permit).behind(proxies);
        match tls {
            None => connection::serve(self.stream, builder, *limits, handler, connection(self.peer)).await,
            Some(tls) => {
                if let Some(stream) = handshake(&tls.acceptor, self.stream, limits.header_timeout, drain).await {
                    let settings = self.settings;
                    let trust = ConnectionTrust::new(Box::new(move || settings.load().tls.as_ref()?.clients.clone()));
                    let peer = Peer { tls: Some(tls::peer(&stream, trust)), ..self.peer };
                    connection::serve(stream, builder, *limits, handler, connection(peer)).await;
                }
            }
        }
    }
}

/// Returns the HTTP settings of all connections.
fn http_builder() -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(StreamExecutor);
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
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol()
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::{Request, Response};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;
    use crate::{Body, ReceivedBody};
    use prism_call::{Delivery, Metrics};

    /// Types of HTTP/2 frames (RFC 9113, section 6).
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    /// `END_STREAM` and `END_HEADERS`.
    const WHOLE_REQUEST: u8 = 5;
    const SHORT: Duration = Duration::from_millis(100);

    struct Greeter;

    impl RequestHandler for Greeter {
        async fn serve(&self, _: Request<ReceivedBody>, _: &Connection) -> (Response<Body>, Delivery) {
            (Response::new(Body::full("hello")), Delivery::default())
        }
    }

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
    }

    #[tokio::test]
    async fn a_client_that_ignores_the_end_of_its_idle_connection_is_cut_off() {
        let limits = ConnectionLimits { idle_timeout: SHORT, write_timeout: SHORT, ..ConnectionLimits::default() };
        let connections = Connections::new(Metrics::new().unwrap().connections("main"), None);
        let permit = connections.admit(Ipv4Addr::LOCALHOST.into(), &limits).unwrap();
        let (mut client, server) = duplex(64 << 10);
        let serving = tokio::spawn(async move {
            let connection = Connection::new(Peer::default(), ConnectionTasks::default(), permit);
            connection::serve(server, &http_builder(), limits, Arc::new(Greeter), connection).await;
        });
        // Streams have a window of nothing.
        let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &*frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
        client.write_all(&opening).await.unwrap();
        let mut head = [0; 9];
        while head[3] != GOAWAY {
            client.read_exact(&mut head).await.unwrap();
            let size = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            client.read_exact(&mut vec![0; size as usize]).await.unwrap();
        }
        // Requests are served until the client confirms the end. It asks for `/`, and takes nothing of the reply.
        client.write_all(&frame(HEADERS, WHOLE_REQUEST, 1, &[0x82, 0x86, 0x84])).await.unwrap();
        tokio::time::timeout(Duration::from_secs(20), serving).await.expect("the connection ends").unwrap();
    }
}
