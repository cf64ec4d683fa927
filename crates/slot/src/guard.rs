//! The layer around every slot: it enforces the deadline, and adds slot, backend and operation to errors.

use std::sync::Arc;

use futures::StreamExt as _;

use crate::{
    intercept::{Interceptor, Operation},
    layer::{LayerKind, SlotFacts},
};
use prism_call::{Context, Error, Messages};

/// The entry in the table of layers.
pub const KIND: LayerKind = LayerKind {
    name: Guard::NAME,
    description: "enforces deadlines, and adds slot, backend and operation to errors",
    build: |slot| Arc::new(Guard::new(slot)),
};

/// Enforces the deadline of each operation, and adds the names of one slot to its errors.
pub struct Guard {
    slot: String,
    backend: String,
}

impl Guard {
    fn new(facts: &SlotFacts<'_>) -> Self {
        Self { slot: facts.slot.to_owned(), backend: facts.backend.to_owned() }
    }

    /// Adds the names to an error.
    fn describe(&self, error: Error, operation: Operation) -> Error {
        let Operation { interface, rpc } = operation;
        error.with("backend", &self.backend).with("slot", &self.slot).with("operation", format!("{interface}.{rpc}"))
    }
}

impl Interceptor for Guard {
    const NAME: &'static str = "guard";

    async fn one<T: Send>(
        &self,
        context: &Context,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let work = std::pin::pin!(work);
        let result = match context.deadline {
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), work).await {
                Ok(result) => result,
                Err(_) => Err(Error::deadline_exceeded()),
            },
            None => work.await,
        };
        result.map_err(|error| self.describe(error, operation))
    }

    async fn stream<T: Send + 'static>(
        self: &Arc<Self>,
        context: &Context,
        operation: Operation,
        work: impl Future<Output = Result<Messages<T>, Error>> + Send,
    ) -> Result<Messages<T>, Error> {
        let messages = self.one(context, operation, work).await?;
        let guard = self.clone();
        Ok(Box::pin(messages.map(move |item| item.map_err(|error| guard.describe(error, operation)))))
    }
}
