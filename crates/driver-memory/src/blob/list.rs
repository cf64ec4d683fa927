//! `blob_list`

use std::{ops::Bound, sync::Arc};

use async_trait::async_trait;

use super::{Blobs, StoredBlob};
use prism_call::{
    Context, Error,
    proto::models::blob::v1::{BlobList, ListRequest, ListResponse, ListedBlob},
};
use prism_driver::{
    blob::{ListScope, Page},
    lock::lock,
    time,
};

/// Keys that are read while the map is locked once.
const KEYS_PER_LOCK: usize = 4096;

#[async_trait]
impl BlobList for Blobs {
    async fn list(&self, _: &Context, request: ListRequest) -> Result<ListResponse, Error> {
        let scope = ListScope::new(&self.limits, request)?;
        let prefix = scope.prefix.clone();
        let mut next = Bound::Included(scope.after.clone().unwrap_or_default().max(prefix.clone()));
        let mut page = Page::new(scope);
        while !page.is_full() {
            self.shared.check_open()?;
            let Some(last) = self.add_to_page(next, &prefix, &mut page) else { break };
            next = Bound::Excluded(last);
            tokio::task::yield_now().await;
        }
        page.finish(|key, stored| {
            Ok(Some(ListedBlob {
                key,
                size: stored.content.size,
                etag: stored.etag.clone(),
                update_time: Some(time::timestamp(stored.updated)),
            }))
        })
    }
}

impl Blobs {
    /// Adds the next keys with the prefix. Returns the last one, or `None` if there are no more.
    fn add_to_page(&self, from: Bound<String>, prefix: &str, page: &mut Page<Arc<StoredBlob>>) -> Option<String> {
        let map = lock(&self.stored);
        let mut last = None;
        for (key, stored) in map.range((from, Bound::Unbounded)).take(KEYS_PER_LOCK) {
            if !key.starts_with(prefix) || page.is_full() {
                return None;
            }
            page.add(key, || stored.clone());
            last = Some(key);
        }
        last.cloned()
    }
}
