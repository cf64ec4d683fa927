//! Removes payloads that have expired.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};

use super::{reference::expiry_of_key, store::PayloadStore};
use prism_call::{
    BackgroundTasks, Context, Error,
    proto::models::blob::v1::{BlobList, ListRequest},
};
use prism_slot::{id, time};

/// Blobs of one page, which is the most that the interface lists.
const PAGE: u32 = 1000;
/// Pages of one round; more blobs wait for the next round.
const MAX_PAGES: usize = 50;
/// Deletions at the same time.
const CONCURRENCY: usize = 8;

/// Removes payloads that have expired, until the shutdown.
pub fn spawn(tasks: &BackgroundTasks, namespace: Arc<str>, store: PayloadStore, list: Arc<dyn BlobList>, interval: Duration) {
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(interval.mul_f64(jitter())).await;
            let context = Context::internal(&*namespace);
            match sweep(&context, &store, &*list, u64::try_from(time::now()).unwrap_or_default()).await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(%namespace, removed, "removed payloads that have expired"),
                Err(error) => tracing::warn!(%namespace, %error, "payloads that have expired could not be removed; trying again"),
            }
        }
    });
}

/// Returns a factor from 0.5 to 1, so that gateways do not work at the same moment.
fn jitter() -> f64 {
    0.5 + f64::from(u8::try_from(id::random() % 256).unwrap_or_default()) / 510.0
}

/// Removes the payloads that expired before `now`. Returns their number.
pub async fn sweep(context: &Context, store: &PayloadStore, list: &dyn BlobList, now: u64) -> Result<usize, Error> {
    let (mut removed, mut cursor) = (0, String::new());
    for _ in 0..MAX_PAGES {
        let page = list.list(context, ListRequest { limit: PAGE, cursor, ..ListRequest::default() }).await?;
        let is_all_expired = page.blobs.iter().all(|blob| expiry_of_key(&blob.key).is_none_or(|expires| expires < now));
        let expired = page.blobs.into_iter().filter(|blob| expiry_of_key(&blob.key).is_some_and(|expires| expires < now));
        let deletions = expired.map(|blob| store.delete(context, blob.key));
        let mut results = stream::iter(deletions.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY);
        while let Some(result) = results.next().await {
            result?;
            removed += 1;
        }
        // Keys are in the order of their expiry.
        if !is_all_expired || page.cursor.is_empty() {
            break;
        }
        cursor = page.cursor;
    }
    Ok(removed)
}
