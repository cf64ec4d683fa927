//! Options of calls.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{Code, Error};

/// Options of the calls of a client.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    pub(crate) timeout: Option<Duration>,
    pub(crate) metadata: HeaderMap,
    pub(crate) idempotency_key: Option<HeaderValue>,
}

impl CallOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time that a call may take, with all attempts. For a stream: how long it may last.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Adds metadata.
    pub fn metadata(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let (name, value) = pair(name, value)?;
        self.metadata.append(name, value);
        Ok(self)
    }

    /// Sets the idempotency key of a call that writes. A call with the same key and the same request is executed once, so it is repeated if
    /// its connection fails. Use the options for one call only.
    pub fn idempotency_key(mut self, key: &str) -> Result<Self, Error> {
        self.idempotency_key = Some(pair("idempotency-key", key)?.1);
        Ok(self)
    }
}

/// Returns metadata.
pub fn pair(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Error> {
    let invalid = |what: &str| Error::new(Code::InvalidArgument, "INVALID_METADATA", format!("{what} can't be metadata"));
    Ok((
        HeaderName::try_from(name).map_err(|_| invalid(&format!("the name {name:?}")))?,
        HeaderValue::try_from(value).map_err(|_| invalid(&format!("the value of {name}")))?,
    ))
}
