//! Reads payloads for messages that are delivered.

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;

use super::{PayloadReference, store::PayloadStore};
use crate::blobs::range;
use prism_call::{Context, Error, Messages};
use prism_slot::Slot;

/// Reads payloads that are beside their messages.
pub struct PayloadReader {
    store: PayloadStore,
    /// Most bytes of a payload that is put into its message.
    inline: u64,
}

/// The result of a read for a message.
pub enum ReadPayload {
    /// The whole payload.
    Whole(Bytes),
    /// It is too large for its message.
    TooLarge,
    /// It has expired.
    Missing,
}

/// A payload that is streamed, or a part of it.
pub struct StoredPart {
    /// Number of bytes of the whole payload.
    pub size: u64,
    /// Number of bytes that follow.
    pub length: u64,
    /// The text form of the part; empty: it is the whole payload.
    pub content_range: String,
    pub chunks: Messages<Bytes>,
}

impl PayloadReader {
    pub fn new(slot: &Slot, inline: u64) -> Result<Self, Error> {
        Ok(Self { store: PayloadStore::new(slot)?, inline })
    }

    /// Whether a payload of this size is put into its message.
    pub fn is_inline(&self, size: u64) -> bool {
        size <= self.inline
    }

    /// Reads a payload to put it into its message.
    pub async fn read(&self, context: &Context, topic: &str, reference: PayloadReference) -> Result<ReadPayload, Error> {
        if !self.is_inline(reference.size) {
            return Ok(ReadPayload::TooLarge);
        }
        let Some((found, mut chunks)) = self.store.open(context, topic, reference, None).await? else { return Ok(ReadPayload::Missing) };
        if found.length != reference.size {
            return Err(Error::internal("a payload in the slot `payloads` has another size than its message says"));
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = chunks.next().await.transpose()? {
            if whole.is_empty() && chunk.len() as u64 == found.length {
                return Ok(ReadPayload::Whole(chunk));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(ReadPayload::Whole(whole.freeze()))
    }

    /// Opens a payload. `range` is that of HTTP; empty: the whole payload. `None`: it has expired.
    pub async fn open(
        &self,
        context: &Context,
        topic: &str,
        reference: PayloadReference,
        range: &str,
    ) -> Result<Option<StoredPart>, Error> {
        let wanted = range::parse(range);
        let is_part = wanted.is_some();
        let Some((found, chunks)) = self.store.open(context, topic, reference, wanted).await? else { return Ok(None) };
        let size = found.metadata.map(|metadata| metadata.size).unwrap_or_default();
        let content_range = if is_part { range::content_range(found.offset, found.length, size) } else { String::new() };
        Ok(Some(StoredPart { size, length: found.length, content_range, chunks }))
    }

    /// Removes a payload whose message was acknowledged, and is delivered to nobody else.
    pub async fn remove(&self, context: &Context, topic: &str, reference: PayloadReference) {
        self.store.remove(context, topic, reference).await;
    }
}
