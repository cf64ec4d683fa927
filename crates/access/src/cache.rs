//! Verified credentials and decisions, so that a key is hashed, a signature is checked and a service is asked once, and not for each call.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;

use prism_call::Principal;

const SHARDS: usize = 16;
/// Entries of one cache in memory. The least recently used ones are forgotten.
const MAX_ENTRIES: usize = 4096;

/// The SHA-256 digest of credentials, or of a question.
pub type CredentialDigest = [u8; 32];

/// Values by a digest. Locks are short, and there is one for each shard.
pub struct DigestCache<V>([Mutex<LruCache<CredentialDigest, V>>; SHARDS]);

impl<V> Default for DigestCache<V> {
    fn default() -> Self {
        let capacity = NonZeroUsize::new(MAX_ENTRIES / SHARDS).unwrap_or(NonZeroUsize::MIN);
        Self(std::array::from_fn(|_| Mutex::new(LruCache::sparse(capacity))))
    }
}

impl<V: Clone> DigestCache<V> {
    /// Returns a value.
    pub fn get(&self, key: &CredentialDigest) -> Option<V> {
        self.shard(key).get(key).cloned()
    }

    /// Keeps a value.
    pub fn put(&self, key: CredentialDigest, value: V) {
        self.shard(&key).put(key, value);
    }

    /// Forgets a value.
    pub fn remove(&self, key: &CredentialDigest) {
        self.shard(key).pop(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn shard(&self, key: &CredentialDigest) -> MutexGuard<'_, LruCache<CredentialDigest, V>> {
        self.0[usize::from(key[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verified credentials, as digests: nobody can read them from memory.
#[derive(Default)]
pub struct VerifiedCache(DigestCache<Arc<Principal>>);

impl VerifiedCache {
    /// Returns the caller of credentials that were verified and have not expired.
    pub fn get(&self, credentials: &[u8]) -> Option<Arc<Principal>> {
        let key = digest_of(credentials);
        let found = self.0.get(&key)?;
        if found.is_expired() {
            self.0.remove(&key);
            return None;
        }
        Some(found)
    }

    /// Keeps the caller of credentials that were verified.
    pub fn put(&self, credentials: &[u8], principal: Arc<Principal>) {
        self.0.put(digest_of(credentials), principal);
    }

    /// Forgets the caller of credentials.
    pub fn remove(&self, credentials: &[u8]) {
        self.0.remove(&digest_of(credentials));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.clear();
    }
}

/// Returns the digest of credentials.
pub fn digest_of(credentials: &[u8]) -> CredentialDigest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, credentials).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use prism_call::AuthenticationMethod;

    #[test]
    fn expired_callers_are_forgotten_and_the_number_is_bounded() {
        let cache = VerifiedCache::default();
        let mut principal = Principal::new("ada", AuthenticationMethod::ApiKey);
        cache.put(b"a", Arc::new(principal.clone()));
        assert_eq!(cache.get(b"a").map(|found| found.subject.to_string()).as_deref(), Some("ada"));
        assert!(cache.get(b"b").is_none());
        principal.expires = Some(Instant::now());
        cache.put(b"a", Arc::new(principal.clone()));
        assert!(cache.get(b"a").is_none());
        principal.expires = None;
        for number in 0..3 * MAX_ENTRIES {
            cache.put(&number.to_be_bytes(), Arc::new(principal.clone()));
        }
        let kept: usize = cache.0.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= MAX_ENTRIES, "{kept}");
        cache.clear();
        assert!(cache.get(&(3 * MAX_ENTRIES - 1).to_be_bytes()).is_none());
    }
}
