//! Removal of ranges: scans keys page by page, and removes each page with a batch.

use std::{future::ready, pin::pin};

use futures::{TryStreamExt as _, stream::TryChunksError};

use super::{KeyValue, batch, scan};
use prism_call::{
    Context, Error,
    proto::{
        models::keyvalue::v1::{CountRequest, ScanKeysRequest},
        patterns::keyvalue::v1::{RemoveRangeRequest, RemoveRangeResponse},
    },
};

/// Greatest number of keys in a page: enough to hide a round trip, and a bound on what one call holds in memory. A driver's limit
/// may be lower.
const PAGE: u32 = 256;

pub(super) async fn remove(pattern: &KeyValue, context: &Context, request: RemoveRangeRequest) -> Result<RemoveRangeResponse, Error> {
    let interface = pattern.require(pattern.scan.as_ref(), "RemoveRange", "keyvalue_scan")?;
    let RemoveRangeRequest { prefix, start_key, end_key, all } = request;
    let everything = prefix.is_empty() && start_key.is_empty() && end_key.is_empty();
    if everything && !all {
        return Err(Error::invalid("all", "must be true to remove every key; else give a prefix, start_key or end_key"));
    }
    if all && !everything {
        return Err(Error::invalid("all", "must be false with a prefix, start_key or end_key"));
    }
    let CountRequest { prefix, start_key, end_key } = scan::check_range(pattern, prefix, start_key, end_key)?;
    let range = ScanKeysRequest { prefix, start_key, end_key, ..ScanKeysRequest::default() };
    let keys = interface.scan_keys(context, range).await?;
    // No call of this pattern can name a key that is not UTF-8, so such keys stay.
    let texts = keys.try_filter_map(|found| ready(Ok(std::str::from_utf8(&found.key).is_ok().then_some(found.key))));
    let mut pages = pin!(texts.try_chunks(PAGE.min(pattern.limits.max_batch_items).max(1) as usize));
    let mut removed = 0;
    while let Some(page) = pages.try_next().await.map_err(|TryChunksError(_, error)| error)? {
        let done = batch::delete(pattern, context, page).await?;
        removed += done.iter().filter(|one| one.removed).count() as u64;
    }
    Ok(RemoveRangeResponse { removed })
}
