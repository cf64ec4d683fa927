//! Follows the changes of the storage, so that copies of what others have changed are not used any longer.

use std::{sync::Arc, time::Duration};

use futures::TryStreamExt as _;

use super::copies::Copies;
use prism_call::{
    Error,
    proto::models::keyvalue::v1::{KeyValueWatch, WatchRequest, watch_response::Event},
};

/// The pause after an interruption.
const PAUSE: Duration = Duration::from_millis(500);

/// Follows until it is dropped.
pub async fn run(storage: Arc<dyn KeyValueWatch>, copies: Arc<Copies>) {
    let mut cursor = String::new();
    loop {
        let error = match follow(&*storage, &copies, &mut cursor).await {
            Ok(()) => Error::internal("the watch has ended"),
            Err(error) => error,
        };
        if error.reason() == "INVALID_CURSOR" {
            cursor.clear();
            copies.distrust();
        }
        tracing::warn!(namespace = %copies.context.namespace, %error, "the cache can't follow the changes of the storage at the moment; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn follow(storage: &dyn KeyValueWatch, copies: &Copies, cursor: &mut String) -> Result<(), Error> {
    let request = WatchRequest { changes_only: true, cursor: cursor.clone(), ..WatchRequest::default() };
    let mut events = storage.watch(&copies.context, request).await?;
    if cursor.is_empty() {
        // Copies of an earlier run, or of other gateways, may be older than the first change that comes.
        copies.distrust();
    }
    while let Some(response) = events.try_next().await? {
        match response.event {
            Some(Event::Stored(entry) | Event::Entry(entry)) => copies.mark_if_older(&entry.key, Some(entry.revision)).await,
            Some(Event::Removed(removed)) => copies.mark_if_older(&removed.key, None).await,
            Some(Event::Gap(_)) => copies.distrust(),
            Some(Event::CaughtUp(_)) | None => {}
        }
        *cursor = response.cursor;
    }
    Ok(())
}
