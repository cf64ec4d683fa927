//! `keyvalue_batch`: single operations, several at the same time.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{KeyValue, Write, basic::ttl_unavailable};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::keyvalue::{check_batch_delete, check_batch_get, check_batch_set};

/// Operations of one batch that run at the same time.
const PARALLEL: usize = 8;

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, _: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        if check_batch_set(&self.limits, &request.items)?.iter().any(Option::is_some) {
            return Err(ttl_unavailable());
        }
        let writes = stream::iter(request.items).map(async |item| {
            let write = Write { key: &item.key, value: &item.value, flags: item.flags };
            let (Ok(revision) | Err(revision)) = self.write(write, None).await?;
            Ok::<_, Error>(BatchSetResult { key: item.key, revision })
        });
        Ok(BatchSetResponse { results: writes.buffered(PARALLEL).try_collect().await? })
    }

    async fn batch_get(&self, _: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(&self.limits, &request.keys)?;
        let reads = stream::iter(request.keys).map(async |key: Bytes| {
            let entry = self.read(&key, true).await?.map(|(stored, value)| stored.into_entry(key.clone(), value));
            Ok::<_, Error>(BatchGetResult { key, entry })
        });
        Ok(BatchGetResponse { results: reads.buffered(PARALLEL).try_collect().await? })
    }

    async fn batch_delete(&self, _: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(&self.limits, &request.keys)?;
        let removals = stream::iter(request.keys).map(async |key: Bytes| {
            let (deleted, _) = self.remove(&key, None).await?;
            Ok::<_, Error>(BatchDeleteResult { key, deleted })
        });
        Ok(BatchDeleteResponse { results: removals.buffered(PARALLEL).try_collect().await? })
    }
}
