//! TLS of connections to the server, with the rustls of the rest of Prism.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::client;

use prism_driver::{
    settings::SettingProblem,
    tls::{TlsFiles, client_config},
};

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

/// Reads the files. The error has every problem.
pub fn connector(files: &TlsFiles<'_>) -> Result<TlsConnector, Vec<SettingProblem>> {
    Ok(TlsConnector { config: Some(Arc::new(client_config(files)?)) })
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
