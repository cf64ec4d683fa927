//! Blob: one ordered map for each keyspace. The content is held in the chunks in which it arrived.

mod basic;
mod conditional;
mod list;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use crate::state::{OVERHEAD, SharedState};
use prism_call::{
    Error,
    proto::{
        Interfaces,
        models::blob::v1::{BlobMetadata, NewBlob},
    },
};
use prism_driver::{
    Limits,
    blob::{Condition, Content},
    id,
    lock::lock,
    time::{self, Millis},
};

/// The blob interfaces over one keyspace.
pub struct Blobs {
    shared: Arc<SharedState>,
    limits: Limits,
    stored: Mutex<BTreeMap<String, Arc<StoredBlob>>>,
}

/// Adds the blob interfaces to those of a keyspace.
pub fn add(blobs: &Arc<Blobs>, interfaces: &mut Interfaces) {
    interfaces.blob_basic = Some(blobs.clone());
    interfaces.blob_list = Some(blobs.clone());
    interfaces.blob_conditional = Some(blobs.clone());
}

/// A blob. Readers share it, so its bytes count until the last one has finished.
struct StoredBlob {
    blob: NewBlob,
    etag: String,
    updated: Millis,
    content: Chunks,
}

/// The content of a blob, whose bytes are reserved while it exists.
struct Chunks {
    shared: Arc<SharedState>,
    reserved: u64,
    pieces: Vec<Bytes>,
    size: u64,
}

/// The result of a write.
enum PutResult {
    Stored {
        etag: String,
        size: u64,
    },
    /// The condition does not hold. Holds the current ETag.
    Refused(Option<String>),
}

impl Blobs {
    pub fn new(shared: Arc<SharedState>, limits: Limits) -> Self {
        Self { shared, limits, stored: Mutex::default() }
    }

    /// Returns the blob of a key.
    fn find(&self, key: &str) -> Result<Option<Arc<StoredBlob>>, Error> {
        self.shared.check_open()?;
        Ok(lock(&self.stored).get(key).cloned())
    }

    /// Reads the content and stores the blob, if the condition holds.
    async fn store(&self, blob: NewBlob, condition: Option<Condition>, mut content: Content) -> Result<PutResult, Error> {
        let current = self.find(&blob.key)?.map(|stored| stored.etag.clone());
        if condition.as_ref().is_some_and(|condition| !condition.holds(current.as_deref())) {
            return Ok(PutResult::Refused(current));
        }
        let attributes: usize = blob.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        let mut chunks = Chunks { shared: self.shared.clone(), reserved: 0, pieces: Vec::new(), size: 0 };
        chunks.reserve((blob.key.len() + blob.content_type.len() + attributes) as u64 + OVERHEAD)?;
        while let Some(chunk) = content.next().await? {
            chunks.push(&chunk)?;
        }
        let (etag, size) = (id::random_text(), chunks.size);
        let key = blob.key.clone();
        let stored = Arc::new(StoredBlob { blob, etag: etag.clone(), updated: time::now(), content: chunks });
        self.shared.check_open()?;
        let mut map = lock(&self.stored);
        let current = map.get(&key).map(|stored| stored.etag.clone());
        if condition.is_some_and(|condition| !condition.holds(current.as_deref())) {
            return Ok(PutResult::Refused(current));
        }
        let replaced = map.insert(key, stored);
        drop(map);
        // Freed after the lock: freeing a large content takes time.
        drop(replaced);
        Ok(PutResult::Stored { etag, size })
    }

    /// Deletes a blob, if the condition holds. Returns whether it did, and the ETag that the blob had.
    fn remove(&self, key: &str, condition: Option<&Condition>) -> Result<(bool, Option<String>), Error> {
        self.shared.check_open()?;
        let mut map = lock(&self.stored);
        let current = map.get(key).map(|stored| stored.etag.clone());
        if current.is_none() || condition.is_some_and(|condition| !condition.holds(current.as_deref())) {
            return Ok((false, current));
        }
        let removed = map.remove(key);
        drop(map);
        drop(removed);
        Ok((true, current))
    }
}

impl StoredBlob {
    fn metadata(&self) -> BlobMetadata {
        BlobMetadata {
            key: self.blob.key.clone(),
            size: self.content.size,
            etag: self.etag.clone(),
            content_type: self.blob.content_type.clone(),
            attributes: self.blob.attributes.clone(),
            update_time: Some(time::timestamp(self.updated)),
        }
    }
}

impl Chunks {
    fn reserve(&mut self, bytes: u64) -> Result<(), Error> {
        self.shared.reserve(bytes)?;
        self.reserved += bytes;
        Ok(())
    }

    /// Appends a copy, because a chunk may be a part of a larger buffer.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.reserve(chunk.len() as u64 + OVERHEAD)?;
        self.pieces.push(Bytes::copy_from_slice(chunk));
        self.size += chunk.len() as u64;
        Ok(())
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.shared.release(self.reserved);
    }
}
