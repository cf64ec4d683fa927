//! The blobs of payloads.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::reference::PayloadReference;
use crate::{blobs, required_interface};
use prism_call::{
    Context, Error, Messages,
    proto::models::blob::v1::{BlobBasic, ByteRange, DeleteRequest, FoundBlob, GetRequest, NewBlob, PutRequest, put_request::Part},
};
use prism_slot::Slot;

/// Longest removal of a payload that no message needs. A call that has done its work does not wait longer.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The blobs in the slot `payloads`.
#[derive(Clone)]
pub struct PayloadStore {
    basic: Arc<dyn BlobBasic>,
}

impl PayloadStore {
    pub fn new(slot: &Slot) -> Result<Self, Error> {
        Ok(Self { basic: required_interface(slot, "blob_basic", slot.interfaces.blob_basic.clone())? })
    }

    /// Stores a payload. Returns the reference with its size.
    pub async fn put(
        &self,
        context: &Context,
        topic: &str,
        reference: PayloadReference,
        size: Option<u64>,
        chunks: Messages<Bytes>,
    ) -> Result<PayloadReference, Error> {
        let blob = NewBlob { key: reference.key(topic), size, ..NewBlob::default() };
        let parts = stream::iter([Ok(Part::Blob(blob))]).chain(chunks.map(|chunk| Ok(Part::Chunk(chunk?))));
        let messages = parts.map(|part: Result<_, Error>| Ok(PutRequest { part: Some(part?) }));
        let stored = self.basic.put(context, Box::pin(messages)).await?;
        Ok(reference.with_size(stored.size))
    }

    /// Opens a payload, or a part of it. `None`: it has expired.
    pub async fn open(
        &self,
        context: &Context,
        topic: &str,
        reference: PayloadReference,
        range: Option<ByteRange>,
    ) -> Result<Option<(FoundBlob, Messages<Bytes>)>, Error> {
        blobs::open(&*self.basic, context, GetRequest { key: reference.key(topic), range, etag: String::new() }).await
    }

    /// Removes a payload that no message needs any longer. Without success it expires.
    pub async fn remove(&self, context: &Context, topic: &str, reference: PayloadReference) {
        match tokio::time::timeout(REMOVE_TIMEOUT, self.delete(context, reference.key(topic))).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a payload stays until it expires"),
            Err(_) => tracing::debug!("a payload may stay until it expires, because its removal takes too long"),
        }
    }

    /// Deletes the blob under a key.
    pub async fn delete(&self, context: &Context, key: String) -> Result<(), Error> {
        self.basic.delete(context, DeleteRequest { key }).await.map(drop)
    }
}
