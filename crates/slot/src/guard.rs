//! The layer around every slot: it enforces the deadline, adds slot, backend and operation to errors, and logs failures of the backend.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::StreamExt as _;

use crate::{
    intercept::{Interceptor, Operation},
    layer::{LayerKind, SlotFacts},
};
use prism_call::{Code, Context, DOMAIN, Error, Messages};

/// How long a failure of the backend is not logged again.
const LOG_PAUSE: Duration = Duration::from_mins(5);
/// When a client may retry after a failure that an operator has to repair.
const REPAIR_RETRY: Duration = Duration::from_secs(5);

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
    /// When each kind of failure was last logged, by its reason. Drivers have few reasons.
    logged: Mutex<HashMap<String, Instant>>,
}

impl Guard {
    fn new(facts: &SlotFacts<'_>) -> Self {
        Self { slot: facts.slot.to_owned(), backend: facts.backend.to_owned(), logged: Mutex::default() }
    }

    /// Adds the names to an error.
    fn describe(&self, error: Error, operation: Operation) -> Error {
        let Operation { interface, rpc } = operation;
        // What is wrong with the login or the configuration of the gateway is no mistake of the client.
        let error = if error.code() == Code::FailedPrecondition && is_of_backend(&error) {
            error.with_code(Code::Unavailable).with_retry_after(REPAIR_RETRY)
        } else {
            error
        };
        let error = error.with("backend", &self.backend).with("slot", &self.slot).with("operation", format!("{interface}.{rpc}"));
        if matches!(error.code(), Code::Unavailable | Code::DataLoss | Code::ResourceExhausted | Code::Internal) && self.is_first(&error) {
            tracing::warn!(
                target: "prism::backend",
                ?error,
                "an operation of a backend failed; further failures of this kind are not logged for five minutes"
            );
        }
        error
    }

    /// Whether a failure of this kind was not logged for a while.
    fn is_first(&self, error: &Error) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let known = logged.get(error.reason()).is_some_and(|last| now.duration_since(*last) < LOG_PAUSE);
        if !known {
            logged.insert(error.reason().to_owned(), now);
        }
        !known
    }
}

/// Whether an error describes the state of a backend.
fn is_of_backend(error: &Error) -> bool {
    error.domain() == DOMAIN && error.reason().starts_with("BACKEND_")
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
