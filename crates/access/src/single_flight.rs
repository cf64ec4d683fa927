//! Work that all who need its result at the same time share.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{FutureExt as _, future::Shared};

use super::cache::CredentialDigest;

/// Work in progress. `None`: it panicked.
pub type Flight<T> = Shared<Pin<Box<dyn Future<Output = Option<T>> + Send>>>;

/// The work in progress, by what it is about.
pub struct SingleFlight<T>(Arc<Mutex<HashMap<CredentialDigest, Flight<T>>>>);

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the work about something, or begins it. It runs in a task, so that a caller who leaves does not interrupt what others wait for.
    pub fn join<W>(&self, key: CredentialDigest, work: impl FnOnce() -> W) -> Flight<T>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            return flight.clone();
        }
        let (all, work) = (self.0.clone(), work());
        let task = tokio::spawn(async move {
            // Also if the work panics.
            let _landing = Landing(all, key);
            work.await
        });
        let result = async move { task.await.ok() };
        let flight = (Box::pin(result) as Pin<Box<dyn Future<Output = Option<T>> + Send>>).shared();
        flights.insert(key, flight.clone());
        flight
    }

    /// Tells whether no work is in progress.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Removes work from the list when it ends.
struct Landing<T>(Arc<Mutex<HashMap<CredentialDigest, Flight<T>>>>, CredentialDigest);

impl<T> Drop for Landing<T> {
    fn drop(&mut self) {
        let landed = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
        drop(landed);
    }
}
