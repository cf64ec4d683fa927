//! Documents that gateways share and change by compare-and-set: the state of consumer groups, queues and durable subscriptions.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use async_nats::HeaderMap;
use prost::Message;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    client::{Client, Deadline},
    error,
    names::Names,
    table::{Conflicts, Table},
};
use prism_call::Error;

/// Writers of this gateway to documents that share a lock take turns, so that they don't compete with each other.
const LOCKS: usize = 64;

/// The documents of one keyspace.
pub struct Documents {
    table: Table,
    wake_root: String,
    locks: [Mutex<()>; LOCKS],
    hasher: RandomState,
}

/// What a change leaves.
pub enum Changed<R> {
    /// The document must be stored.
    Yes(R),
    /// The document is as before.
    No(R),
}

impl Documents {
    pub fn new(client: Arc<Client>, names: &Names) -> Self {
        let (root, wake_root) = (names.subject("state", ""), names.subject("wake", "state."));
        // Whoever waits for a change subscribes to the copy, which comes after the document was stored.
        let more = json!({"republish": {"src": format!("{root}>"), "dest": format!("{wake_root}>"), "headers_only": true}});
        Self {
            table: Table::new(client, names, "state", &more),
            wake_root,
            locks: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        }
    }

    /// The subject of changes of a document.
    pub fn wake_subject(&self, tokens: &str) -> String {
        format!("{}{tokens}", self.wake_root)
    }

    /// Waits until no other call of this gateway changes the document.
    pub async fn lock(&self, deadline: &Deadline, tokens: &str) -> Result<MutexGuard<'_, ()>, Error> {
        let index = usize::try_from(self.hasher.hash_one(tokens) % LOCKS as u64).unwrap_or(0);
        let waiting = tokio::time::timeout(deadline.remaining(), self.locks[index].lock());
        waiting.await.map_err(|_| self.table.client().timed_out(deadline))
    }

    /// Reads a document and its sequence.
    pub async fn load<T: Message + Default>(&self, deadline: &Deadline, tokens: &str) -> Result<Option<(T, u64)>, Error> {
        let Some(stored) = self.table.get(deadline, tokens).await? else { return Ok(None) };
        let document = T::decode(stored.payload).map_err(|cause| error::foreign_message().with_source(cause))?;
        Ok(Some((document, stored.sequence)))
    }

    /// Replaces the document with this sequence; 0 = there must be none. Returns the new sequence, or `None` if another write came first.
    pub async fn save(&self, deadline: &Deadline, tokens: &str, sequence: u64, document: &impl Message) -> Result<Option<u64>, Error> {
        self.table.put(deadline, tokens, sequence, HeaderMap::new(), document.encode_to_vec().into()).await
    }

    /// Changes a document that exists. Returns `None` if it does not.
    pub async fn update<T, R>(
        &self,
        deadline: &Deadline,
        tokens: &str,
        mut change: impl FnMut(&mut T) -> Changed<R>,
    ) -> Result<Option<R>, Error>
    where
        T: Message + Default,
    {
        let _guard = self.lock(deadline, tokens).await?;
        let mut conflicts = Conflicts::default();
        loop {
            let Some((mut document, sequence)) = self.load::<T>(deadline, tokens).await? else { return Ok(None) };
            match change(&mut document) {
                Changed::No(result) => return Ok(Some(result)),
                Changed::Yes(result) => {
                    if self.save(deadline, tokens, sequence, &document).await?.is_some() {
                        return Ok(Some(result));
                    }
                }
            }
            conflicts.pause(deadline).await?;
        }
    }

    /// Changes a document, which has its default content if it does not exist.
    pub async fn upsert<T, R>(&self, deadline: &Deadline, tokens: &str, mut change: impl FnMut(&mut T) -> R) -> Result<R, Error>
    where
        T: Message + Default,
    {
        let _guard = self.lock(deadline, tokens).await?;
        let mut conflicts = Conflicts::default();
        loop {
            let (mut document, sequence) = self.load::<T>(deadline, tokens).await?.unwrap_or_default();
            let result = change(&mut document);
            if self.save(deadline, tokens, sequence, &document).await?.is_some() {
                return Ok(result);
            }
            conflicts.pause(deadline).await?;
        }
    }

    /// Removes a document and wakes who waits for its changes. Returns whether it existed.
    pub async fn remove(&self, deadline: &Deadline, tokens: &str) -> Result<bool, Error> {
        let mut conflicts = Conflicts::default();
        loop {
            let Some(stored) = self.table.get(deadline, tokens).await? else { return Ok(false) };
            if self.table.remove(deadline, stored.sequence).await? {
                self.table.client().publish(deadline, self.wake_subject(tokens), HeaderMap::new(), bytes::Bytes::new()).await?;
                return Ok(true);
            }
            conflicts.pause(deadline).await?;
        }
    }

    /// Lists the tokens of all documents that match a filter.
    pub async fn list(&self, deadline: &Deadline, filter: &str, most: usize) -> Result<Vec<String>, Error> {
        Ok(self.table.list(deadline, filter, most).await?.into_iter().collect())
    }
}
