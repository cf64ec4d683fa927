//! The errors that only this driver knows.

use std::time::Duration;

use crate::call::Error;

/// `UNAVAILABLE BACKEND_UNAVAILABLE`, after [`close`](crate::driver::Backend::close).
pub fn closed() -> Error {
    Error::backend_unavailable("the memory backend is closed, because Prism is stopping", Duration::from_secs(1))
}
