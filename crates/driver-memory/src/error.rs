//! Errors that only this driver has.

use std::time::Duration;

use prism_call::Error;

/// `UNAVAILABLE BACKEND_UNAVAILABLE`: [`close`](prism_driver::Backend::close) was called.
pub fn backend_closed() -> Error {
    Error::backend_unavailable("the memory backend is closed because the gateway is stopping", Duration::from_secs(1))
}
