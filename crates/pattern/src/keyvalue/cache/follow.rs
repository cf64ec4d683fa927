//! Follows the changes of the storage, so that copies of what others have changed are not used any longer.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::copies::{CONCURRENCY, Copies};
use prism_call::{
    Error,
    proto::models::keyvalue::v1::{KeyValueWatch, WatchRequest, watch_response::Event},
};

/// The pause after an interruption.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of events that are handled together.
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
    let mut chunks = events.try_ready_chunks(CHUNK);
    loop {
        let (responses, error) = match chunks.try_next().await {
            Ok(Some(responses)) => (responses, None),
            Ok(None) => return Ok(()),
            Err(failed) => (failed.0, Some(failed.1)),
        };
        if let Some(last) = responses.last().map(|response| response.cursor.clone()) {
            let events = responses.into_iter().filter_map(|response| response.event);
            stream::iter(events).for_each_concurrent(CONCURRENCY, |event| apply(copies, event)).await;
            *cursor = last;
            *has_warned = false;
        }
        if let Some(error) = error {
            return Err(error);
        }
    }
}

/// Marks the key of a change, or stops using all copies if changes are missing.
async fn apply(copies: &Copies, event: Event) {
    match event {
        Event::Stored(entry) | Event::Entry(entry) => copies.mark_if_older(&entry.key, Some(entry.revision)).await,
        Event::Removed(removed) => copies.mark_if_older(&removed.key, None).await,
        Event::Gap(_) => copies.distrust(),
        Event::CaughtUp(_) => {}
    }
}
