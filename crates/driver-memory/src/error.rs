//! The errors that only this driver knows.

use std::time::Duration;

use prism_call::{Code, Error};

/// `UNAVAILABLE BACKEND_UNAVAILABLE`, after [`close`](prism_driver::Backend::close).
pub fn closed() -> Error {
    Error::backend_unavailable("the memory backend is closed, because Prism is stopping", Duration::from_secs(1))
}

/// `RESOURCE_EXHAUSTED TOO_MANY_SUBSCRIPTIONS`
pub fn too_many_subscriptions(limit: usize) -> Error {
    Error::new(
        Code::ResourceExhausted,
        "TOO_MANY_SUBSCRIPTIONS",
        format!("{limit} subscriptions are open, which is the limit (max_subscriptions); end some or try again later"),
    )
    .with("limit", limit.to_string())
}
