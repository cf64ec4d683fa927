//! Stores payloads for messages that are published.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;

use super::{PayloadReference, PayloadSettings, store::PayloadStore, sweeper};
use crate::{PatternEnvironment, required_interface};
use prism_call::{Code, Context, Error, Messages};
use prism_slot::Slot;

/// Stores large payloads beside their messages.
pub struct PayloadWriter {
    store: PayloadStore,
    settings: PayloadSettings,
    threshold: u64,
}

impl PayloadWriter {
    /// Creates the writer of a namespace, and begins to remove payloads that expire. `inline` is the most that a message takes.
    pub fn new(slot: &Slot, settings: PayloadSettings, inline: u64, environment: &PatternEnvironment) -> Result<Self, Error> {
        let store = PayloadStore::new(slot)?;
        let list = required_interface(slot, "blob_list", slot.interfaces.blob_list.clone())?;
        sweeper::spawn(&environment.tasks, environment.namespace.clone(), store.clone(), list, *settings.sweep_interval);
        Ok(Self { store, settings, threshold: inline.min(*settings.threshold) })
    }

    /// Returns the most bytes of a payload within its message.
    pub fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Returns the most bytes of a payload that is streamed.
    pub fn max_size(&self) -> u64 {
        *self.settings.max_size
    }

    /// Moves a payload out of its message if it is large. `delay` is the time until the message is delivered.
    pub async fn move_out(
        &self,
        context: &Context,
        topic: &str,
        payload: &mut Bytes,
        delay: Duration,
    ) -> Result<Option<PayloadReference>, Error> {
        let size = payload.len() as u64;
        if size <= self.threshold {
            return Ok(None);
        }
        let chunks = Box::pin(stream::iter([Ok(std::mem::take(payload))]));
        self.store(context, topic, Some(size), chunks, delay).await.map(Some)
    }

    /// Stores a payload that is streamed.
    pub async fn store(
        &self,
        context: &Context,
        topic: &str,
        size: Option<u64>,
        chunks: Messages<Bytes>,
        delay: Duration,
    ) -> Result<PayloadReference, Error> {
        let reference = PayloadReference::new(self.settings.retention.saturating_add(delay));
        self.store.put(context, topic, reference, size, chunks).await
    }

    /// Removes a payload whose message was not published.
    pub async fn remove(&self, context: &Context, topic: &str, reference: PayloadReference) {
        self.store.remove(context, topic, reference).await;
    }

    /// Removes a payload after an error of its message, unless the message may have been published.
    pub async fn remove_after(&self, context: &Context, topic: &str, reference: PayloadReference, error: &Error) {
        let is_refused = matches!(
            error.code(),
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange | Code::ResourceExhausted | Code::Unimplemented
        );
        if is_refused {
            self.remove(context, topic, reference).await;
        }
    }
}
