//! Permits: they bound the calls and streams of a namespace.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Code, Error, Namespace};

/// The permit of a call or of a stream.
pub(super) struct Permit {
    pub(super) is_stream: bool,
    _permit: OwnedSemaphorePermit,
}

impl Namespace {
    /// Acquires a permit for a call or a stream.
    pub(super) fn acquire(&self, is_stream: bool) -> Result<Permit, Error> {
        let permits = if is_stream { &self.stream_permits } else { &self.permits };
        let permit = permits.clone().try_acquire_owned().map_err(|_| self.refuse_permit(is_stream))?;
        Ok(Permit { is_stream, _permit: permit })
    }

    fn refuse_permit(&self, is_stream: bool) -> Error {
        let (reason, limit, what, setting) = if is_stream {
            ("TOO_MANY_STREAMS", self.limits.max_streams, "streams are open", "max_streams")
        } else {
            ("TOO_MANY_CALLS", self.limits.max_concurrent_calls, "calls are in flight", "max_concurrent_calls")
        };
        let message = format!("{limit} {what} in the namespace {}, its limit (limits.{setting}); try again", self.name);
        Error::new(Code::ResourceExhausted, reason, message).with_retry_after(Duration::from_millis(100))
    }
}
