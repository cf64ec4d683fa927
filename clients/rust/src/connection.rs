//! Connections to a gateway.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{Code, Error, RetryPolicy, options::pair};

/// How long an attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection without traffic is checked, so that a stream notices a gateway that is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long a unary call may take, if nothing else is set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a gateway, which all its clients share. It connects with the first call, and again after a failure.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(crate) channel: Channel,
    pub(crate) settings: Arc<Settings>,
}

/// What the calls of a connection have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) metadata: HeaderMap,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) idempotency_keys: bool,
}

/// Sets up a connection.
#[derive(Clone, Debug)]
pub struct ConnectionBuilder {
    url: String,
    ca_certificate: Option<Vec<u8>>,
    settings: Settings,
}

impl Connection {
    /// Begins a connection to the gateway at a URL, `http://HOST:PORT` or `https://HOST:PORT`.
    pub fn to(url: &str) -> ConnectionBuilder {
        let settings =
            Settings { metadata: HeaderMap::new(), timeout: DEFAULT_TIMEOUT, retry: RetryPolicy::default(), idempotency_keys: false };
        ConnectionBuilder { url: url.to_owned(), ca_certificate: None, settings }
    }
}

impl ConnectionBuilder {
    /// Sends a bearer token with each call: an API key or a JWT.
    pub fn token(mut self, token: &str) -> Result<Self, Error> {
        let (name, mut value) = pair("authorization", &format!("Bearer {token}"))?;
        value.set_sensitive(true);
        self.settings.metadata.insert(name, value);
        Ok(self)
    }

    /// Sends metadata with each call.
    pub fn metadata(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = pair(name, value)?;
        self.settings.metadata.append(name, value);
        Ok(self)
    }

    /// Sets the time that a unary call may take, with all attempts. Default: 30 seconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Sets how often calls are repeated.
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sends a new idempotency key with each unary call that writes, and repeats such calls too. The namespaces must store keys; with a
    /// namespace that does not, a repeated call may be executed twice.
    #[must_use]
    pub fn idempotency_keys(mut self) -> Self {
        self.settings.idempotency_keys = true;
        self
    }

    /// Trusts this certificate (PEM) instead of those of the system.
    #[must_use]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// Creates the connection. Must be called in a Tokio runtime. A gateway that is down is no error here.
    pub fn connect(self) -> Result<Connection, Error> {
        let invalid = |error: tonic::transport::Error| {
            Error::new(Code::InvalidArgument, "INVALID_URL", format!("{} is no URL of a gateway: {error}", self.url))
        };
        let endpoint = Endpoint::from_shared(self.url.clone()).map_err(invalid)?;
        let mut endpoint =
            endpoint.connect_timeout(CONNECT_TIMEOUT).http2_keep_alive_interval(KEEP_ALIVE).keep_alive_while_idle(false).tcp_nodelay(true);
        if endpoint.uri().scheme_str() == Some("https") {
            let tls = match &self.ca_certificate {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(invalid)?;
        }
        Ok(Connection { channel: endpoint.connect_lazy(), settings: Arc::new(self.settings) })
    }
}

/// Returns a new idempotency key.
pub(crate) fn new_idempotency_key() -> Option<HeaderValue> {
    let random: u128 = rand::random();
    HeaderValue::try_from(format!("\"{random:032x}\"")).ok()
}
