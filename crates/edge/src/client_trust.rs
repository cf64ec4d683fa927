//! Whether the certificate of a client is still trusted while its connection is open.
//!
//! A reload may bring other authorities or revocation lists, and both expire. So the chain of an open connection is verified once more when a request
//! asks after a reload, or a minute after the last time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use rustls::{
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerifier,
};

use prism_call::CertificateTrust;

/// How long a result counts while the configuration stays the same.
const MAX_AGE: Duration = Duration::from_mins(1);

/// Verifies the certificates of clients, as one state of the configuration says.
#[derive(Clone)]
pub struct ClientVerifier {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Differs for each state.
    version: u64,
}

impl ClientVerifier {
    /// Wraps a verifier of a new state.
    pub fn new(verifier: Arc<dyn ClientCertVerifier>) -> Self {
        static VERSIONS: AtomicU64 = AtomicU64::new(1);
        Self { verifier, version: VERSIONS.fetch_add(1, Ordering::Relaxed) }
    }

    fn accepts(&self, chain: &[Bytes], now: UnixTime) -> bool {
        let mut certificates = chain.iter().map(|certificate| CertificateDer::from(&certificate[..]));
        let Some(own) = certificates.next() else { return false };
        self.verifier.verify_client_cert(&own, &certificates.collect::<Vec<_>>(), now).is_ok()
    }
}

/// Returns the verifier of a listener now. `None`: it no longer asks for certificates.
pub type CurrentVerifier = Box<dyn Fn() -> Option<ClientVerifier> + Send + Sync>;

/// The trust in the client certificate of one connection.
pub struct ConnectionTrust {
    current: CurrentVerifier,
    /// The version of the last verifier, times two, and one more if it accepted the certificate.
    last: AtomicU64,
    /// When it verified the certificate, in seconds since 1970.
    verified_at: AtomicU64,
}

impl ConnectionTrust {
    /// Begins with a certificate that is verified at the first request.
    pub fn new(current: CurrentVerifier) -> Self {
        Self { current, last: AtomicU64::new(0), verified_at: AtomicU64::new(0) }
    }
}

impl CertificateTrust for ConnectionTrust {
    fn is_trusted(&self, chain: &[Bytes]) -> bool {
        let Some(verifier) = (self.current)() else { return false };
        let now = UnixTime::now();
        let age = now.as_secs().abs_diff(self.verified_at.load(Ordering::Relaxed));
        let last = self.last.load(Ordering::Relaxed);
        if last / 2 == verifier.version && age < MAX_AGE.as_secs() {
            return last % 2 == 1;
        }
        let accepts = verifier.accepts(chain, now);
        self.verified_at.store(now.as_secs(), Ordering::Relaxed);
        self.last.store(verifier.version * 2 + u64::from(accepts), Ordering::Relaxed);
        accepts
    }
}

impl fmt::Debug for ConnectionTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionTrust")
    }
}
