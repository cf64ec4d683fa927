//! The TLS of a listener.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, CertificateRevocationListDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer as _, X509Certificate},
};

use super::client_trust::{ClientVerifier, ConnectionTrust};
use prism_call::{CertificateNames, CertificateTrust, TlsPeer};

/// The TLS files of a listener, all in PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// How clients' certificates are verified. `None`: clients are not asked for one.
    pub clients: Option<ClientFiles>,
}

/// How the certificates of clients are verified.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Certificates of the authorities that sign them.
    pub authorities: PathBuf,
    /// Revocation lists of all authorities in their chains. Empty: nothing is revoked.
    pub revocations: Vec<PathBuf>,
    /// Whether a client must have one.
    pub mode: ClientCertificates,
}

/// The TLS of a listener.
#[derive(Clone)]
pub struct ListenerTls {
    pub(super) acceptor: TlsAcceptor,
    /// `None`: clients are not asked for a certificate.
    pub(super) clients: Option<ClientVerifier>,
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
    /// The setting that is wrong: `certificate`, `key`, `client_ca` or `client_crls`.
    pub setting: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Loads the TLS files of a listener. The error has every problem.
pub fn load(files: &TlsFiles) -> Result<ListenerTls, Vec<TlsProblem>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = read_pem("certificate", &files.certificate, read_certificates);
    let key = read_pem("key", &files.key, PrivateKeyDer::from_pem_slice);
    let verifier = files.clients.as_ref().map(|clients| load_verifier(clients, &provider)).transpose();
    let (chain, key, verifier) = match (chain, key, verifier) {
        (Ok(chain), Ok(key), Ok(verifier)) => (chain, key, verifier),
        (chain, key, verifier) => {
            let of_clients = verifier.err().unwrap_or_default();
            return Err(chain.err().into_iter().chain(key.err()).chain(of_clients).collect());
        }
    };
    let clients = verifier.clone().unwrap_or_else(WebPkiClientVerifier::no_client_auth);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(clients).with_single_cert(chain, key))
        .map_err(|error| {
            let files = (files.certificate.display(), files.key.display());
            let message = format!("the file `{}` does not fit the key `{}`: {error}", files.0, files.1);
            vec![TlsProblem { setting: "certificate", message }]
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(ListenerTls { acceptor: TlsAcceptor::from(Arc::new(config)), clients: verifier.map(ClientVerifier::new) })
}

/// Loads what verifies the certificates of clients. The error has every problem.
fn load_verifier(files: &ClientFiles, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Vec<TlsProblem>> {
    let unfit = |setting, file: &Path, error: &dyn std::fmt::Display| TlsProblem {
        setting,
        message: format!("the file `{}` can't be used to verify clients: {error}", file.display()),
    };
    let mut problems = Vec::new();
    let mut roots = RootCertStore::empty();
    match read_pem("client_ca", &files.authorities, read_certificates) {
        Ok(authorities) => {
            let added = authorities.into_iter().filter_map(|authority| roots.add(authority).err());
            problems.extend(added.map(|error| unfit("client_ca", &files.authorities, &error)));
        }
        Err(problem) => problems.push(problem),
    }
    let roots = Arc::new(roots);
    let builder = || WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut lists = Vec::new();
    for file in &files.revocations {
        match read_pem("client_crls", file, read_revocations) {
            Ok(read) => {
                if let Err(error @ VerifierBuilderError::InvalidCrl(_)) = builder().with_crls(read.clone()).build() {
                    problems.push(unfit("client_crls", file, &error));
                }
                lists.extend(read);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    // Without a current list of its authority, nobody knows whether a certificate is revoked. So it is not accepted.
    let builder = if lists.is_empty() { builder() } else { builder().with_crls(lists).enforce_revocation_expiration() };
    let builder = if files.mode == ClientCertificates::Optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| vec![unfit("client_ca", &files.authorities, &error)])
}

fn read_certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
}

fn read_revocations(text: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, pem::Error> {
    let lists = CertificateRevocationListDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>()?;
    if lists.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(lists) }
}

/// Reads a PEM file for a setting.
fn read_pem<T>(setting: &'static str, file: &Path, parse: impl Fn(&[u8]) -> Result<T, pem::Error>) -> Result<T, TlsProblem> {
    let problem = |what: String| TlsProblem { setting, message: format!("the file `{}` {what}", file.display()) };
    let kind = match setting {
        "key" => "private key",
        "client_crls" => "revocation list",
        _ => "certificate",
    };
    let text = std::fs::read(file).map_err(|error| problem(format!("can't be read: {error}")))?;
    parse(&text).map_err(|error| problem(format!("has no {kind} in PEM format: {error}")))
}

/// Returns what the handshake of a connection established. `trust`: whether the certificate of its client is still trusted.
pub(super) fn peer(stream: &TlsStream<TcpStream>, trust: ConnectionTrust) -> TlsPeer {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    TlsPeer {
        server_name: session.server_name().map(Into::into),
        client_certificates: chain.iter().map(|certificate| Bytes::copy_from_slice(certificate)).collect(),
        client_names: chain.first().and_then(|certificate| names_of(certificate)).map(Arc::new),
        trust: (!chain.is_empty()).then(|| Arc::new(trust) as Arc<dyn CertificateTrust>),
    }
}

/// Returns the names in a certificate in DER, or `None` if it can't be read.
pub(super) fn names_of(certificate: &[u8]) -> Option<CertificateNames> {
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
