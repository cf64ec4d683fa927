//! Limits for the connections of a listener.

use std::time::Duration;

use prism_call::UnsentLimits;

/// Limits for the connections of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Maximum open connections. Further ones are closed at once.
    pub max_connections: usize,
    /// Maximum open connections from one address. Further ones are closed at once.
    pub max_connections_per_peer: usize,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long the TLS handshake and the headers of a request may take.
    pub header_timeout: Duration,
    /// How long a client may take nothing of a reply.
    pub write_timeout: Duration,
    /// Limits for bytes of replies that clients have not taken.
    pub unsent: UnsentLimits,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_connections_per_peer: 10_000,
            idle_timeout: Duration::from_mins(5),
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            unsent: UnsentLimits::default(),
        }
    }
}
