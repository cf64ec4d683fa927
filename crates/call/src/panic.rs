//! Panics of calls: each is reported as `INTERNAL`, and the gateway keeps running.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use futures::FutureExt as _;

use super::{Code, Error, RequestId};

thread_local! {
    /// The call that ended with a panic last, on this thread. Unwinding stays on one thread.
    static LAST: RefCell<Option<RequestId>> = const { RefCell::new(None) };
}

/// Stores the id of a call that ends because its thread is panicking.
pub(super) fn remember(request_id: &RequestId) {
    LAST.with_borrow_mut(|last| *last = Some(request_id.clone()));
}

/// Awaits a future. If it panics, returns the id of the call that the panic ended, if it ended one.
pub async fn catch<T>(future: impl Future<Output = T>) -> Result<T, Option<RequestId>> {
    LAST.with_borrow_mut(|last| *last = None);
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| LAST.take())
}

/// Runs code that may panic.
pub fn catch_sync<T>(run: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| error(&*payload))
}

/// Returns the error of a call that panicked.
pub(super) fn error(payload: &(dyn Any + Send)) -> Error {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    ended_by_panic().with_source(text.unwrap_or("a panic without a message").to_owned())
}

/// `INTERNAL PANIC`
pub fn ended_by_panic() -> Error {
    Error::new(Code::Internal, "PANIC", "a defect of Prism ended this call; the log of the gateway has the details under this request id")
}
