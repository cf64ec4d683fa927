//! Why a request has no result.

use std::{error::Error, fmt};

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting of the client is wrong. Nothing was sent.
    InvalidSettings,
    /// There is no connection to the server.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// The answer did not come in time.
    TimedOut,
    /// The connection broke before the answer was complete.
    ConnectionLost,
    /// The server redirects to another URL; the client does not follow.
    Redirected,
    /// The answer is not one of a schema registry.
    UnexpectedAnswer {
        /// The HTTP status.
        status: u16,
    },
    /// The registry refused the request.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The `error_code` of the answer; the HTTP status if a proxy refused the request.
        code: u32,
    },
}

/// Why a request has no result. The message says what is wrong and what to do.
#[derive(Clone, Debug)]
pub struct ClientError {
    kind: ErrorKind,
    message: String,
}

impl ClientError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn settings(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidSettings, message)
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether a registry says that the requested object does not exist.
    pub fn is_refused_as_missing(&self) -> bool {
        matches!(self.kind, ErrorKind::Refused { status: 404 | 405, .. })
    }

    /// Whether the requested object or path does not exist, even if the answer is not one of a registry.
    pub fn is_missing(&self) -> bool {
        self.is_refused_as_missing() || matches!(self.kind, ErrorKind::UnexpectedAnswer { status: 404 | 405 })
    }

    /// The `error_code` of a refusal.
    pub fn code(&self) -> Option<u32> {
        if let ErrorKind::Refused { code, .. } = self.kind { Some(code) } else { None }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ClientError {}
