//! The wrapper around every driver: it enforces the deadline, and adds slot, backend and operation to errors.

use std::sync::Arc;

use futures::StreamExt as _;

use prism_call::{Context, Error, Messages, proto::Interfaces};

/// An interface of a driver behind its [`Guard`].
pub struct Guarded<T: ?Sized> {
    inner: Arc<T>,
    guard: Arc<Guard>,
}

/// The names that are added to errors of one slot.
pub struct Guard {
    slot: String,
    backend: String,
}

impl Guard {
    /// Creates the guard of a slot that a backend fills.
    pub fn new(slot: &str, backend: &str) -> Self {
        Self { slot: slot.to_owned(), backend: backend.to_owned() }
    }

    async fn one<T>(
        &self,
        context: &Context,
        interface: &'static str,
        rpc: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let work = std::pin::pin!(work);
        let result = match context.deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), work).await {
                Ok(result) => result,
                Err(_) => Err(Error::deadline_exceeded()),
            },
            None => work.await,
        };
        result.map_err(|error| self.describe(error, interface, rpc))
    }

    async fn stream<T: Send + 'static>(
        self: &Arc<Self>,
        context: &Context,
        interface: &'static str,
        rpc: &'static str,
        work: impl Future<Output = Result<Messages<T>, Error>>,
    ) -> Result<Messages<T>, Error> {
        let messages = self.one(context, interface, rpc, work).await?;
        let guard = self.clone();
        Ok(Box::pin(messages.map(move |item| item.map_err(|error| guard.describe(error, interface, rpc)))))
    }

    /// Adds the names to an error.
    fn describe(&self, error: Error, interface: &str, rpc: &str) -> Error {
        error.with("backend", &self.backend).with("slot", &self.slot).with("operation", format!("{interface}.{rpc}"))
    }
}

include!(concat!(env!("OUT_DIR"), "/guards.rs"));
