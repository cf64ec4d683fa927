//! The cache of parsed schemas.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use super::{reference::SchemaMaterial, state::StoredSchema};
use prism_schema::Schema;

/// The maximum memory of all parsed schemas of a namespace, in bytes (estimated).
const MAX_BYTES: u64 = 64 << 20;

/// Parsed schemas by context and id.
pub(super) struct ParsedSchemas(Mutex<Entries>);

struct Entries {
    schemas: LruCache<(Arc<str>, u32), Entry>,
    bytes: u64,
}

struct Entry {
    /// The stored schema that it was parsed from: after a permanent deletion, an id may refer to another schema.
    of: Arc<StoredSchema>,
    parsed: Arc<Schema>,
}

impl ParsedSchemas {
    /// Creates a cache for so many schemas.
    pub fn new(schemas: NonZeroUsize) -> Self {
        Self(Mutex::new(Entries { schemas: LruCache::new(schemas), bytes: 0 }))
    }

    /// Returns a schema, if it is kept.
    pub fn get(&self, material: &SchemaMaterial) -> Option<Arc<Schema>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry { of, parsed } = entries.schemas.get(&(material.context.clone(), material.schema.id))?;
        Arc::ptr_eq(of, &material.schema).then(|| parsed.clone())
    }

    /// Keeps a schema, and drops those that were not used for the longest time if there is too much.
    pub fn put(&self, material: &SchemaMaterial, parsed: Arc<Schema>) {
        // To free a large schema takes long. As this list is older than the lock, that happens after the lock is released.
        let mut freed = Vec::new();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Entries { schemas, bytes } = &mut *entries;
        *bytes += parsed.bytes();
        let key = (material.context.clone(), material.schema.id);
        let entry = Entry { of: material.schema.clone(), parsed };
        if let Some((_, dropped)) = schemas.push(key, entry) {
            *bytes = bytes.saturating_sub(dropped.parsed.bytes());
            freed.push(dropped);
        }
        while *bytes > MAX_BYTES
            && let Some((_, dropped)) = schemas.pop_lru()
        {
            *bytes = bytes.saturating_sub(dropped.parsed.bytes());
            freed.push(dropped);
        }
    }
}
