//! `keyvalue_batch`. Here a batch is atomic, which the contract doesn't ask for.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Store, Write};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueBatch for Store {
    async fn batch_set(&self, _: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        check::batch(&self.limits, "items", request.items.len())?;
        let mut expirations = Vec::with_capacity(request.items.len());
        for (index, item) in request.items.iter().enumerate() {
            check::key_at(&self.limits, format_args!("items[{index}].key"), &item.key)?;
            check::value(&self.limits, format_args!("items[{index}].value"), &item.value)?;
            expirations.push(time::expiry_at(format_args!("items[{index}].ttl"), item.ttl.as_ref())?);
        }
        check::distinct(request.items.iter().map(|item| &item.key[..]), |index| format!("items[{index}].key"))?;
        let items = request.items.iter().zip(expirations);
        let writes: Vec<_> = items.map(|(item, expires)| Write::set(&item.key, &item.value, item.flags, expires)).collect();

        let now = time::now();
        let mut map = self.write(now)?;
        map.make_room(&self.shared, &writes, now)?;
        let mut results = Vec::with_capacity(writes.len());
        for (item, write) in request.items.into_iter().zip(writes) {
            let revision = map.next_revision();
            map.apply(write, revision, now);
            results.push(BatchSetResult { key: item.key, revision });
        }
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, _: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check::batch(&self.limits, "keys", request.keys.len())?;
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(&self.limits, format_args!("keys[{index}]"), key)?;
        }
        let map = self.read()?;
        let now = time::now();
        let result = |key: Bytes| BatchGetResult { entry: map.live(&key, now).map(|stored| stored.entry(key.clone())), key };
        Ok(BatchGetResponse { results: request.keys.into_iter().map(result).collect() })
    }

    async fn batch_delete(&self, _: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check::batch(&self.limits, "keys", request.keys.len())?;
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(&self.limits, format_args!("keys[{index}]"), key)?;
        }
        check::distinct(request.keys.iter().map(|key| &key[..]), |index| format!("keys[{index}]"))?;
        let writes: Vec<_> = request.keys.iter().cloned().map(Write::delete).collect();

        let now = time::now();
        let mut map = self.write(now)?;
        map.make_room(&self.shared, &writes, now)?;
        let mut results = Vec::with_capacity(writes.len());
        for (key, write) in request.keys.into_iter().zip(writes) {
            results.push(BatchDeleteResult { key, deleted: map.apply(write, 0, now).is_some_and(|stored| stored.is_live(now)) });
        }
        Ok(BatchDeleteResponse { results })
    }
}
