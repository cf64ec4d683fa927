//! Loads of missing keys: one at a time for each key.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::OwnedMutexGuard;

/// The keys that calls load at this moment. It has at most as many as there are calls.
#[derive(Debug, Default)]
pub struct Loads(Mutex<HashMap<Bytes, Arc<tokio::sync::Mutex<KeptNothing>>>>);

/// True if the last load of a key has kept no copy: the value is too large, or the load failed or was slow. Then waiting calls would only wait for
/// each other.
type KeptNothing = bool;

/// The right to load a key.
pub struct Load<'l> {
    loads: &'l Loads,
    key: Bytes,
    /// True if another call had it before, so that the cache may have the key now.
    pub waited: bool,
    guard: Option<OwnedMutexGuard<KeptNothing>>,
}

impl Loads {
    /// Waits until no other call loads the key.
    pub async fn begin(&self, key: &Bytes) -> Load<'_> {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default().clone();
        // Forgets the key if the call is cancelled while it waits.
        let mut load = Load { loads: self, key: key.clone(), waited: false, guard: None };
        load.guard = if let Ok(mut guard) = turn.clone().try_lock_owned() {
            *guard = false;
            Some(guard)
        } else {
            load.waited = true;
            Some(turn.lock_owned().await)
        };
        load
    }
}

impl Load<'_> {
    /// Tells whether the call that had it before has ended its load without a copy. False if that call was cancelled.
    pub fn others_kept_nothing(&self) -> bool {
        self.waited && self.guard.as_deref().copied().unwrap_or_default()
    }

    /// Tells the calls that wait whether there is a copy now.
    pub fn set_kept(&mut self, is_kept: bool) {
        if let Some(kept_nothing) = self.guard.as_deref_mut() {
            *kept_nothing = !is_kept;
        }
    }
}

impl Drop for Load<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut loads = self.loads.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Waiting calls have it too. It is only cloned under the lock.
        if loads.get(&self.key).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            loads.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_call_loads_and_the_others_wait() {
        let (loads, key) = (Loads::default(), Bytes::from_static(b"k"));
        let first = loads.begin(&key).await;
        assert!(!first.waited);
        let other = loads.begin(&Bytes::from_static(b"other")).await;
        assert!(!other.waited, "other keys don't wait");
        let (second, ()) = tokio::join!(loads.begin(&key), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert!(second.waited);
        {
            let waiting = loads.begin(&key);
            tokio::select! {
                biased;
                _ = waiting => panic!("two calls load one key"),
                () = std::future::ready(()) => {}
            }
        }
        drop((second, other));
        assert!(loads.0.lock().unwrap().is_empty(), "keys stay");
    }

    #[tokio::test]
    async fn waiting_calls_learn_that_there_is_no_copy() {
        let (loads, key) = (Loads::default(), Bytes::from_static(b"k"));
        for is_kept in [true, false] {
            let mut first = loads.begin(&key).await;
            assert!(!first.others_kept_nothing());
            first.set_kept(is_kept);
            let (second, ()) = tokio::join!(loads.begin(&key), async { drop(first) });
            assert_eq!(second.others_kept_nothing(), !is_kept);
        }
    }
}
