//! Listeners: they accept connections, detect HTTP/1.1 and HTTP/2 (by prior knowledge, or by ALPN with TLS), and shut down gracefully.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    Edge,
    socket::{Socket, Unread},
};
use prism_call::{Code, Error};

/// Timeout for the TLS handshake, for the first bytes of a connection, and for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
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

/// Paths of certificate and key, as PEM files.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A listener that has bound its port and does not accept connections yet.
pub struct Bound {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// The bound address, with the real port.
    pub address: SocketAddr,
}

/// The two signals of a graceful shutdown.
#[derive(Clone, Default)]
pub struct Drain {
    /// Stops new connections and new calls.
    pub begin: CancellationToken,
    /// Closes the remaining connections.
    pub cut: CancellationToken,
}

/// Binds the port.
pub async fn bind(name: &str, address: SocketAddr, tls: Option<TlsAcceptor>) -> Result<Bound, Error> {
    let listener = TcpListener::bind(address).await.map_err(|error| cannot_bind(name, address, error))?;
    let address = listener.local_addr().map_err(|error| cannot_bind(name, address, error))?;
    Ok(Bound { listener, tls, address })
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

/// A problem with the TLS files of a listener.
#[derive(Debug)]
pub struct TlsProblem {
    /// The setting that is wrong: `certificate` or `key`.
    pub setting: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Loads the certificate and the key of a listener. The error has every problem.
pub fn load_tls(files: &TlsFiles) -> Result<TlsAcceptor, Vec<TlsProblem>> {
    let chain = read_pem("certificate", &files.certificate, |text| {
        let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
    });
    let key = read_pem("key", &files.key, PrivateKeyDer::from_pem_slice);
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err(chain.err().into_iter().chain(key.err()).collect()),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(rustls::ConfigBuilder::<rustls::ServerConfig, _>::with_no_client_auth)
        .and_then(|builder| builder.with_single_cert(chain, key))
        .map_err(|error| {
            let files = (files.certificate.display(), files.key.display());
            let message = format!("the file `{}` does not fit the key `{}`: {error}", files.0, files.1);
            vec![TlsProblem { setting: "certificate", message }]
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Reads a PEM file for a setting.
fn read_pem<T>(setting: &'static str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, TlsProblem> {
    let problem = |what: String| TlsProblem { setting, message: format!("the file `{}` {what}", file.display()) };
    let kind = if setting == "key" { "private key" } else { "certificate" };
    let text = std::fs::read(file).map_err(|error| problem(format!("can't be read: {error}")))?;
    parse(&text).map_err(|error| problem(format!("has no {kind} in PEM format: {error}")))
}

impl Bound {
    /// Tells whether clients must use TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Accepts connections until the drain begins. Then waits until all connections have ended or are cut.
    pub async fn serve(self, edge: Arc<Edge>, drain: Drain) {
        let graceful = GracefulShutdown::new();
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Without `pipeline_flush`: with it, hyper buffers a whole stream in memory if its client reads slowly.
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
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
        let builder = Arc::new(builder);
        loop {
            let stream = tokio::select! {
                () = drain.begin.cancelled() => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            // Sends small responses at once. If the socket was closed in the meantime, the next read reports it.
            let _ = stream.set_nodelay(true);
            let (edge, builder, watcher, tls) = (edge.clone(), builder.clone(), graceful.watcher(), self.tls.clone());
            let Drain { begin, cut } = drain.clone();
            tokio::spawn(async move {
                let work = async {
                    match tls {
                        None => connection(stream, &builder, watcher, edge).await,
                        Some(tls) => {
                            if let Some(stream) = handshake(&tls, stream, &begin).await {
                                connection(stream, &builder, watcher, edge).await;
                            }
                        }
                    }
                };
                tokio::select! {
                    () = work => {}
                    () = cut.cancelled() => {}
                }
            });
        }
        drop(self.listener);
        tokio::select! {
            () = graceful.shutdown() => {}
            () = drain.cut.cancelled() => {}
        }
    }
}

async fn handshake(tls: &TlsAcceptor, stream: TcpStream, drain: &CancellationToken) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let accepted = tokio::select! {
        // No call has started yet.
        () = drain.cancelled() => return None,
        accepted = tokio::time::timeout(HEADER_TIMEOUT, tls.accept(stream)) => accepted,
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

async fn connection<S>(stream: S, builder: &auto::Builder<TokioExecutor>, watcher: hyper_util::server::graceful::Watcher, edge: Arc<Edge>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let unread = Unread::default();
    let socket = Socket::new(stream, HEADER_TIMEOUT, unread.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (edge, unread) = (edge.clone(), unread.clone());
        async move { Ok::<_, std::convert::Infallible>(edge.serve(request, &unread).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
