//! `keyvalue_batch`: one script writes or deletes all items of a batch, so a batch happens as a whole or not at all.

use async_trait::async_trait;
use bytes::Bytes;

use super::{DELETE, SET, Store, entry, ttl_at};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::check;

#[async_trait]
impl KeyValueBatch for Store {
    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        check::batch(&self.limits, "items", request.items.len())?;
        check::distinct(request.items.iter().map(|item| &item.key[..]), |index| format!("items[{index}].key"))?;
        let mut call = self.script(&SET);
        for (index, item) in request.items.iter().enumerate() {
            check::key_at(&self.limits, format_args!("items[{index}].key"), &item.key)?;
            check::value(&self.limits, format_args!("items[{index}].value"), &item.value)?;
            let ttl = ttl_at(format_args!("items[{index}].ttl"), item.ttl.as_ref())?;
            call.push(&item.key[..]);
            call.push(&item.value[..]);
            call.push(ttl);
            call.push(&item.flags.to_be_bytes()[..]);
        }
        let revision = reply::number(&reply::some_bytes(self.call(context, &call).await?)?)?;
        let results = request.items.into_iter().map(|item| BatchSetResult { key: item.key, revision }).collect();
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check::batch(&self.limits, "keys", request.keys.len())?;
        let mut command = redis::cmd("MGET");
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(&self.limits, format_args!("keys[{index}]"), key)?;
            command.arg(self.keys.value(key));
        }
        let stored: Vec<Option<Bytes>> = self.client.run(context, &command).await?;
        let results = request
            .keys
            .into_iter()
            .zip(stored)
            .map(|(key, stored)| {
                let entry = stored.map(|stored| entry(key.clone(), &stored)).transpose()?;
                Ok(BatchGetResult { key, entry })
            })
            .collect::<Result<_, Error>>()?;
        Ok(BatchGetResponse { results })
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check::batch(&self.limits, "keys", request.keys.len())?;
        check::distinct(request.keys.iter().map(|key| &key[..]), |index| format!("keys[{index}]"))?;
        let mut call = self.script(&DELETE);
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(&self.limits, format_args!("keys[{index}]"), key)?;
            call.push(&key[..]);
        }
        let revisions = reply::list(self.call(context, &call).await?)?;
        let results = request
            .keys
            .into_iter()
            .zip(revisions)
            .map(|(key, revision)| Ok(BatchDeleteResult { key, deleted: !reply::some_bytes(revision)?.is_empty() }))
            .collect::<Result<_, Error>>()?;
        Ok(BatchDeleteResponse { results })
    }
}
