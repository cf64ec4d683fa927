//! TLS of connections to the server, with the rustls of the rest of Prism.

use std::{
    fs,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject as _},
    },
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::client;

use prism_driver::settings::SettingProblem;

/// Encrypts connections, or refuses to if TLS is disabled. Cloning it is cheap.
#[derive(Clone)]
pub struct TlsConnector {
    config: Option<Arc<ClientConfig>>,
}

impl TlsConnector {
    /// For connections that are not encrypted.
    pub fn disabled() -> Self {
        Self { config: None }
    }
}

/// The files of the settings `tls`, all in PEM.
pub struct TlsFiles<'s> {
    /// The trust roots; `None` = those of the system.
    pub ca: Option<&'s Path>,
    /// The client certificate and its chain.
    pub certificate: Option<&'s Path>,
    /// The private key of the client certificate.
    pub key: Option<&'s Path>,
}

/// Reads the files. The error has every problem.
pub fn connector(files: &TlsFiles<'_>) -> Result<TlsConnector, Vec<SettingProblem>> {
    let mut problems = Vec::new();
    let mut report = |problem| problems.push(problem);
    let roots = trust_roots(files.ca).map_err(&mut report).ok();
    let chain = files.certificate.map(|file| read_pem("tls.certificate_file", file, read_certificates).map_err(&mut report).ok());
    let key = files.key.map(|file| read_pem("tls.key_file", file, PrivateKeyDer::from_pem_slice).map_err(&mut report).ok());
    match (&chain, &key) {
        (Some(_), None) => report(SettingProblem::other("tls.key_file", "is missing; tls.certificate_file needs it")),
        (None, Some(_)) => report(SettingProblem::other("tls.certificate_file", "is missing; tls.key_file needs it")),
        _ => {}
    }
    let Some(roots) = roots.filter(|_| problems.is_empty()) else { return Err(problems) };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots));
    let config = match (builder, chain.flatten(), key.flatten()) {
        (Ok(builder), Some(chain), Some(key)) => builder.with_client_auth_cert(chain, key),
        (Ok(builder), ..) => Ok(builder.with_no_client_auth()),
        (Err(error), ..) => Err(error),
    };
    match config {
        Ok(config) => Ok(TlsConnector { config: Some(Arc::new(config)) }),
        Err(error) => Err(vec![SettingProblem::other("tls.certificate_file", format!("does not fit tls.key_file: {error}"))]),
    }
}

fn trust_roots(file: Option<&Path>) -> Result<RootCertStore, SettingProblem> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = file {
        for certificate in read_pem("tls.ca_file", file, read_certificates)? {
            roots
                .add(certificate)
                .map_err(|error| SettingProblem::other("tls.ca_file", format!("can't be used as trust roots: {error}")))?;
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(SettingProblem::other("tls.ca_file", "is missing, and the system has no trust roots"));
        }
    }
    Ok(roots)
}

fn read_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

/// Reads a PEM file for a setting.
fn read_pem<T>(setting: &str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, SettingProblem> {
    let kind = if setting.ends_with("key_file") { "private key" } else { "certificate" };
    let text = fs::read(file).map_err(|error| SettingProblem::other(setting, format!("can't be read: {error}")))?;
    parse(&text).map_err(|error| SettingProblem::other(setting, format!("has no {kind} in PEM format: {error}")))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for TlsConnector {
    type Stream = EncryptedStream<S>;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, io::Error> {
        // The crate asks for a connector even if TLS is disabled, also for the folder of a Unix socket. It is not used then.
        let Some(config) = &self.config else { return Ok(Handshake { to: None }) };
        let server = ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(Handshake { to: Some((config.clone(), server)) })
    }
}

/// The TLS handshake with one server.
pub struct Handshake {
    to: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = EncryptedStream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<EncryptedStream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let (config, server) = self.to.ok_or_else(|| io::Error::other("TLS is disabled"))?;
            let connector = tokio_rustls::TlsConnector::from(config);
            Ok(EncryptedStream { stream: Box::new(connector.connect(server, stream).await?) })
        })
    }
}

/// An encrypted connection.
pub struct EncryptedStream<S> {
    stream: Box<client::TlsStream<S>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for EncryptedStream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for EncryptedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EncryptedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
