//! `keyvalue_batch`: single operations, a few at a time over the same connection. A batch is not atomic.

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::KeyValue;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::keyvalue::{check_batch_delete, check_batch_get, check_batch_set};

/// Operations of one batch at the same time.
const CONCURRENT: usize = 32;

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let expirations = check_batch_set(&self.limits, &request.items)?;
        let writes = request.items.into_iter().zip(expirations).map(|(item, expires)| async move {
            let revision = self.write(context, &item.key, &item.value, expires, item.flags).await?;
            Ok::<_, Error>(BatchSetResult { key: item.key, revision })
        });
        Ok(BatchSetResponse { results: stream::iter(writes).buffered(CONCURRENT).try_collect().await? })
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(&self.limits, &request.keys)?;
        let reads = request.keys.into_iter().map(|key| async move {
            let row = self.read(&self.deadline(context), &key).await?;
            Ok::<_, Error>(BatchGetResult { entry: row.map(|row| row.into_entry(key.clone())), key })
        });
        Ok(BatchGetResponse { results: stream::iter(reads).buffered(CONCURRENT).try_collect().await? })
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(&self.limits, &request.keys)?;
        let deletions = request.keys.into_iter().map(|key| async move {
            let deleted = self.remove(context, &key).await?.is_some();
            Ok::<_, Error>(BatchDeleteResult { key, deleted })
        });
        Ok(BatchDeleteResponse { results: stream::iter(deletions).buffered(CONCURRENT).try_collect().await? })
    }
}
