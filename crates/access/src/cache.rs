//! Verified credentials, so that a key is hashed and a signature is checked once, and not for each call.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::digest::{SHA256, digest};
use lru::LruCache;

use prism_call::Principal;

const SHARDS: usize = 16;
/// Verified credentials in memory, for each authenticator. The least recently used ones are verified again.
const MAX_ENTRIES: usize = 4096;

/// The digest of credentials. Only digests are kept.
type CredentialDigest = [u8; 32];

/// Verified credentials. Locks are short, and there is one for each shard.
pub struct VerifiedCache([Mutex<LruCache<CredentialDigest, Arc<Principal>>>; SHARDS]);

impl Default for VerifiedCache {
    fn default() -> Self {
        let capacity = NonZeroUsize::new(MAX_ENTRIES / SHARDS).unwrap_or(NonZeroUsize::MIN);
        Self(std::array::from_fn(|_| Mutex::new(LruCache::sparse(capacity))))
    }
}

impl VerifiedCache {
    /// Returns the caller of credentials that were verified and have not expired.
    pub fn get(&self, credentials: &[u8]) -> Option<Arc<Principal>> {
        let key = digest_of(credentials);
        let mut shard = self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner);
        let found = shard.get(&key)?.clone();
        if found.is_expired() {
            shard.pop(&key);
            return None;
        }
        Some(found)
    }

    /// Keeps the caller of credentials that were verified.
    pub fn put(&self, credentials: &[u8], principal: Arc<Principal>) {
        let key = digest_of(credentials);
        self.shard(&key).lock().unwrap_or_else(PoisonError::into_inner).put(key, principal);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        for shard in &self.0 {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn shard(&self, key: &CredentialDigest) -> &Mutex<LruCache<CredentialDigest, Arc<Principal>>> {
        &self.0[usize::from(key[0]) % SHARDS]
    }
}

fn digest_of(credentials: &[u8]) -> CredentialDigest {
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
        let kept: usize = cache.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= MAX_ENTRIES, "{kept}");
        cache.clear();
        assert!(cache.get(&(3 * MAX_ENTRIES - 1).to_be_bytes()).is_none());
    }
}
