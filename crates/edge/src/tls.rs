//! The TLS of a listener.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::WebPkiClientVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use prism_call::{CertificateNames, TlsPeer};

/// The TLS files of a listener, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Certificates of the authorities that sign clients' certificates, and whether a client must have one. `None`: clients are not asked.
    pub clients: Option<(PathBuf, ClientCertificates)>,
}

/// Whether clients must present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// A client may present one.
    Optional,
    /// The handshake fails without one.
    Required,
}

/// A problem with the TLS files of a listener.
#[derive(Debug)]
pub struct TlsProblem {
    /// The setting that is wrong: `certificate`, `key` or `client_ca`.
    pub setting: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Loads the TLS files of a listener. The error has every problem.
pub fn load(files: &TlsFiles) -> Result<TlsAcceptor, Vec<TlsProblem>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = read_pem("certificate", &files.certificate, read_certificates);
    let key = read_pem("key", &files.key, PrivateKeyDer::from_pem_slice);
    let verifier = match &files.clients {
        None => Ok(WebPkiClientVerifier::no_client_auth()),
        Some((file, mode)) => read_pem("client_ca", file, read_certificates).and_then(|authorities| {
            let unfit = |error: &dyn std::fmt::Display| TlsProblem {
                setting: "client_ca",
                message: format!("the file `{}` can't be used to verify clients: {error}", file.display()),
            };
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority).map_err(|error| unfit(&error))?;
            }
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let builder = if *mode == ClientCertificates::Optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|error| unfit(&error))
        }),
    };
    let (chain, key, verifier) = match (chain, key, verifier) {
        (Ok(chain), Ok(key), Ok(verifier)) => (chain, key, verifier),
        (chain, key, verifier) => return Err(chain.err().into_iter().chain(key.err()).chain(verifier.err()).collect()),
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|error| {
            let files = (files.certificate.display(), files.key.display());
            let message = format!("the file `{}` does not fit the key `{}`: {error}", files.0, files.1);
            vec![TlsProblem { setting: "certificate", message }]
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

/// Reads a PEM file for a setting.
fn read_pem<T>(setting: &'static str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, TlsProblem> {
    let problem = |what: String| TlsProblem { setting, message: format!("the file `{}` {what}", file.display()) };
    let kind = if setting == "key" { "private key" } else { "certificate" };
    let text = std::fs::read(file).map_err(|error| problem(format!("can't be read: {error}")))?;
    parse(&text).map_err(|error| problem(format!("has no {kind} in PEM format: {error}")))
}

/// Returns what the handshake of a connection established.
pub(super) fn peer(stream: &TlsStream<TcpStream>) -> TlsPeer {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    TlsPeer {
        server_name: session.server_name().map(Into::into),
        client_certificates: chain.iter().map(|certificate| Bytes::copy_from_slice(certificate)).collect(),
        client_names: chain.first().and_then(|certificate| names_of(certificate)).map(Arc::new),
    }
}

/// Returns the names in a certificate in DER, or `None` if it can't be read.
fn names_of(certificate: &[u8]) -> Option<CertificateNames> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let common_name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    let not_after = certificate.validity().not_after.timestamp();
    let mut names = CertificateNames { common_name: common_name.to_owned(), not_after, ..CertificateNames::default() };
    let alternative = certificate.subject_alternative_name().ok()?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
            GeneralName::DNSName(host) => names.dns.push((*host).to_owned()),
            GeneralName::RFC822Name(address) => names.emails.push((*address).to_owned()),
            _ => {}
        }
    }
    Some(names)
}
