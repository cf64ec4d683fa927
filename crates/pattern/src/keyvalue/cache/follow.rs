//! Follows the changes of the storage, so that copies of what others have changed are not used any longer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::copies::{CONCURRENCY, Copies};
use crate::outbox::is_reserved;
use prism_call::{
    Error,
    proto::models::keyvalue::v1::{KeyValueWatch, WatchRequest, watch_response::Event},
};

/// The pause after an interruption.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of changes that are handled together.
const CHUNK: usize = 256;

/// Follows until it is dropped.
pub async fn run(storage: Arc<dyn KeyValueWatch>, copies: Arc<Copies>) {
    let mut cursor = String::new();
    // One line for each interruption, not for each attempt.
    let mut has_warned = false;
    loop {
        let error = match follow(&*storage, &copies, &mut cursor, &mut has_warned).await {
            Ok(()) => Error::internal("the watch has ended"),
            Err(error) => error,
        };
        if error.reason() == "INVALID_CURSOR" {
            cursor.clear();
            copies.distrust();
        }
        if !std::mem::replace(&mut has_warned, true) {
            tracing::warn!(namespace = %copies.context.namespace, %error, "the cache can't follow the changes of the storage at the moment; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows until the watch ends. Clears `has_warned` when an event has come.
async fn follow(storage: &dyn KeyValueWatch, copies: &Copies, cursor: &mut String, has_warned: &mut bool) -> Result<(), Error> {
    let request = WatchRequest { changes_only: true, cursor: cursor.clone(), ..WatchRequest::default() };
    let events = storage.watch(&copies.context, request).await?;
    if cursor.is_empty() {
        // Copies of an earlier run, or of other gateways, may be older than the first change that comes.
        copies.distrust();
    }
    // Each change costs one or two calls of the cache. Those that are there already are handled together, so that the gateway keeps up.
    let changes = events.map_ok(|response| (response.cursor, response.event.and_then(Change::of)));
    let mut chunks = changes.try_ready_chunks(CHUNK);
    loop {
        let (chunk, error) = match chunks.try_next().await {
            Ok(Some(chunk)) => (chunk, None),
            Ok(None) => return Ok(()),
            Err(failed) => (failed.0, Some(failed.1)),
        };
        if let Some(last) = chunk.last().map(|(cursor, _)| cursor.clone()) {
            let changes = chunk.into_iter().filter_map(|(_, change)| change);
            stream::iter(changes).for_each_concurrent(CONCURRENCY, |change| change.apply(copies)).await;
            *cursor = last;
            *has_warned = false;
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
}

/// What an event means for the copies.
enum Change {
    /// The key has changed. A copy of this revision or a later one is up to date.
    Key { key: Bytes, revision: Option<u64> },
    /// Changes are missing.
    Gap,
}

impl Change {
    /// Keeps only what is needed of an event, because the values of many events would take much memory.
    fn of(event: Event) -> Option<Self> {
        // Nobody reads the messages of an outbox through the cache.
        let change = |key: &[u8], revision| (!is_reserved(key)).then(|| Self::Key { key: Bytes::copy_from_slice(key), revision });
        match event {
            Event::Stored(entry) | Event::Entry(entry) => change(&entry.key, Some(entry.revision)),
            Event::Removed(removed) => change(&removed.key, None),
            Event::Gap(_) => Some(Self::Gap),
            Event::CaughtUp(_) => None,
        }
    }

    async fn apply(self, copies: &Copies) {
        match self {
            Self::Key { key, revision } => copies.mark_if_older(&key, revision).await,
            Self::Gap => copies.distrust(),
        }
    }
}
