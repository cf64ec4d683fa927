//! Documents that differ between callers, because each shows only what its caller may call.

use std::{
    hash::Hash,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;

use prism_call::Error;

/// Variants that are kept. The least recently used ones are built again.
const MAX_VARIANTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(7);

/// The variants of a document. A key has everything that its variant depends on, so callers with equal keys, and no others, share one.
pub struct Variants<K, T>(Mutex<LruCache<K, Arc<T>>>);

impl<K: Hash + Eq, T> Default for Variants<K, T> {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MAX_VARIANTS)))
    }
}

impl<K: Hash + Eq, T> Variants<K, T> {
    /// Returns the variant for a key, if it is kept.
    pub fn find(&self, key: &K) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Returns the variant for a key. `build` may take milliseconds.
    pub fn get(&self, key: K, build: impl FnOnce(&K) -> Result<Arc<T>, Error>) -> Result<Arc<T>, Error> {
        if let Some(known) = self.find(&key) {
            return Ok(known);
        }
        let built = build(&key)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, built.clone());
        Ok(built)
    }
}
