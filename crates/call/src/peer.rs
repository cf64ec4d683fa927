//! The remote end of a connection, and what a request presents to prove its identity.

use std::{fmt, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{Backlog, Code, Error};

/// The header of an API key.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The remote end of a connection.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Its address; `None` for calls of Prism itself.
    pub address: Option<SocketAddr>,
    /// Name of the listener that accepted the connection.
    pub listener: Arc<str>,
    /// The TLS of the connection; `None` if it is plain.
    pub tls: Option<TlsPeer>,
    /// Replies that it has not taken yet; `None`: they are not counted.
    pub backlog: Option<Arc<Backlog>>,
}

/// What a TLS handshake established.
#[derive(Clone, Debug, Default)]
pub struct TlsPeer {
    /// The server name that the client asked for (SNI, RFC 6066, section 3).
    pub server_name: Option<Arc<str>>,
    /// The client's certificate chain in DER, its own certificate first. It was verified against the listener's `client_ca`.
    /// Empty if the client sent none.
    pub client_certificates: Arc<[Bytes]>,
    /// The names in the client's own certificate; `None` if the client sent none, or one that can't be read.
    pub client_names: Option<Arc<CertificateNames>>,
    /// Whether the certificate is still trusted. `None`: nothing can change that.
    pub trust: Option<Arc<dyn CertificateTrust>>,
}

/// Tells whether the certificate of a client is still trusted, while its connection is open: authorities and revocation lists may change.
pub trait CertificateTrust: fmt::Debug + Send + Sync {
    /// Tells whether a certificate is trusted now. It is called for each request, with the chain of the connection.
    fn is_trusted(&self, chain: &[Bytes]) -> bool;
}

impl TlsPeer {
    /// Tells whether the client presented a certificate that is still trusted.
    pub fn is_trusted(&self) -> bool {
        self.trust.as_ref().is_none_or(|trust| trust.is_trusted(&self.client_certificates))
    }
}

/// The names in a certificate (RFC 5280, sections 4.1.2.6 and 4.2.1.6), in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// URIs, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// Host names.
    pub dns: Vec<String>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// The common name of the subject; empty if there is none.
    pub common_name: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

impl Peer {
    /// Returns the peer of calls that Prism makes itself.
    pub fn internal() -> Arc<Self> {
        static INTERNAL: std::sync::LazyLock<Arc<Peer>> = std::sync::LazyLock::new(Arc::default);
        INTERNAL.clone()
    }
}

/// Where a request comes from, as its browser says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// From no browser, from a page of the gateway itself, or from a page that may call.
    #[default]
    Trusted,
    /// From a web page that may not call. It can't read responses, but its browser sends some requests without asking.
    Foreign,
}

impl Origin {
    /// Refuses a write from a foreign page.
    pub(super) fn check(self, writes: bool) -> Result<(), Error> {
        if self == Self::Trusted || !writes {
            return Ok(());
        }
        let message =
            "web pages of this origin may not change data here; an operator can allow them with listeners.<name>.cors.allowed_origins";
        Err(Error::new(Code::PermissionDenied, "ORIGIN_NOT_ALLOWED", message))
    }
}

/// What a request presents to prove the caller's identity. They are kept apart from the metadata, so that nothing forwards or logs them by
/// accident.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The header `authorization`.
    pub authorization: Option<HeaderValue>,
    /// The header `x-api-key`.
    pub api_key: Option<HeaderValue>,
}

impl Credentials {
    /// Reads the credentials of a request.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self { authorization: headers.get(AUTHORIZATION).map(sensitive), api_key: headers.get(API_KEY).map(sensitive) }
    }

    /// Removes the credentials from metadata.
    pub(super) fn remove_from(&self, metadata: &mut HeaderMap) {
        if self.authorization.is_some() {
            metadata.remove(AUTHORIZATION);
        }
        if self.api_key.is_some() {
            metadata.remove(API_KEY);
        }
    }

    /// Writes the credentials as headers.
    pub fn inject(&self, headers: &mut HeaderMap) {
        for (name, value) in [(AUTHORIZATION, &self.authorization), (API_KEY, &self.api_key)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Sensitive values are not printed, and never enter the compression table of HTTP/2.
fn sensitive(value: &HeaderValue) -> HeaderValue {
    let mut value = value.clone();
    value.set_sensitive(true);
    value
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<HeaderValue>| if value.is_some() { "(hidden)" } else { "none" };
        write!(f, "Credentials {{ authorization: {}, api_key: {} }}", shown(&self.authorization), shown(&self.api_key))
    }
}
