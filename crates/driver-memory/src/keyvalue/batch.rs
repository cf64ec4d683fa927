//! `keyvalue_batch`. A batch is atomic here, which the contract does not require.

use async_trait::async_trait;
use bytes::Bytes;

use super::{KeyValue, Write};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::{
    keyvalue::{check_batch_delete, check_batch_get, check_batch_set},
    time,
};

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, _: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let expirations = check_batch_set(&self.limits, &request.items)?;
        let items = request.items.iter().zip(expirations);
        let writes: Vec<_> = items.map(|(item, expires)| Write::set(&item.key, &item.value, item.flags, expires)).collect();

        let now = time::now();
        let mut map = self.write(now)?;
        map.reserve(&self.shared, &writes, now)?;
        let mut results = Vec::with_capacity(writes.len());
        for (item, write) in request.items.into_iter().zip(writes) {
            let revision = map.next_revision();
            map.apply(write, revision, now);
            results.push(BatchSetResult { key: item.key, revision });
        }
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, _: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(&self.limits, &request.keys)?;
        let map = self.read()?;
        let now = time::now();
        let result = |key: Bytes| BatchGetResult { entry: map.live(&key, now).map(|stored| stored.to_entry(key.clone())), key };
        Ok(BatchGetResponse { results: request.keys.into_iter().map(result).collect() })
    }

    async fn batch_delete(&self, _: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(&self.limits, &request.keys)?;
        let writes: Vec<_> = request.keys.iter().cloned().map(Write::delete).collect();

        let now = time::now();
        let mut map = self.write(now)?;
        map.reserve(&self.shared, &writes, now)?;
        let mut results = Vec::with_capacity(writes.len());
        for (key, write) in request.keys.into_iter().zip(writes) {
            results.push(BatchDeleteResult { key, deleted: map.apply(write, 0, now).is_some_and(|stored| stored.is_live(now)) });
        }
        Ok(BatchDeleteResponse { results })
    }
}
