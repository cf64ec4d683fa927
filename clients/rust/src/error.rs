//! Errors of calls.

use std::{collections::BTreeMap, fmt, time::Duration};

use prost::Message as _;
pub use tonic::Code;
use tonic::Status;

use crate::contracts::google::rpc;

/// Why a call failed.
#[derive(Clone, Debug)]
pub struct Error {
    code: Code,
    reason: String,
    message: String,
    metadata: BTreeMap<String, String>,
    retry_after: Option<Duration>,
}

impl Error {
    /// Creates an error that the client itself reports.
    pub(crate) fn new(code: Code, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), metadata: BTreeMap::new(), retry_after: None }
    }

    /// Reads the error of a status, with its details.
    pub(crate) fn from_status(status: &Status) -> Self {
        // A status of the server has no source. tonic makes one of a connection that breaks.
        if let Some(cause) = std::error::Error::source(status)
            && matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled | Code::Unavailable)
        {
            return Self::connection_lost(cause);
        }
        let mut error = Self::new(status.code(), "", status.message());
        let details = rpc::Status::decode(status.details()).map(|status| status.details).unwrap_or_default();
        for detail in details {
            match detail.type_url.rsplit('/').next().unwrap_or_default() {
                "google.rpc.ErrorInfo" => {
                    if let Ok(info) = rpc::ErrorInfo::decode(&*detail.value) {
                        error.reason = info.reason;
                        error.metadata = info.metadata;
                    }
                }
                "google.rpc.RetryInfo" => {
                    let delay = rpc::RetryInfo::decode(&*detail.value).ok().and_then(|info| info.retry_delay);
                    error.retry_after = delay.and_then(|delay| delay.try_into().ok());
                }
                _ => {}
            }
        }
        error
    }

    /// Returns `DEADLINE_EXCEEDED`.
    pub(crate) fn deadline_exceeded() -> Self {
        Self::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "the call took longer than its deadline allows")
    }

    /// Returns `UNAVAILABLE CONNECTION_LOST`, or `DEADLINE_EXCEEDED` if tonic has stopped the call at its deadline.
    pub(crate) fn connection_lost(cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut root = cause;
        while let Some(inner) = root.source() {
            root = inner;
        }
        if root.is::<tonic::TimeoutExpired>() {
            return Self::deadline_exceeded();
        }
        Self::new(Code::Unavailable, "CONNECTION_LOST", format!("the connection to the gateway is lost, or can't be made: {root}"))
    }

    /// Returns the canonical code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Returns the stable reason, such as `KEY_NOT_FOUND`. It is empty if the server is no Prism.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns facts about the error, such as the `limit` that a value exceeds.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Returns when the server asks to try again.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same call may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        let asks = matches!(self.code, Code::ResourceExhausted | Code::Aborted) && self.retry_after.is_some();
        self.code == Code::Unavailable || asks
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason.is_empty() {
            return write!(f, "{:?}: {}", self.code, self.message);
        }
        write!(f, "{:?} {}: {}", self.code, self.reason, self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_tonic_stops_has_exceeded_its_deadline() {
        let status = Status::from_error(Box::new(tonic::TimeoutExpired(())));
        let error = Error::from_status(&status);
        assert_eq!((error.code(), error.reason()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert!(!error.is_transient());
    }
}
