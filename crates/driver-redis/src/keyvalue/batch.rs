//! `keyvalue_batch`: one script writes or deletes all items of a batch, so a batch is atomic.

use async_trait::async_trait;
use bytes::Bytes;

use super::{DELETE, KeyValue, SET, parse_entry, ttl_millis};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest,
        BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::keyvalue::{check_batch_delete, check_batch_get, check_batch_set};

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        check_batch_set(&self.limits, &request.items)?;
        let mut call = self.script(&SET);
        for (index, item) in request.items.iter().enumerate() {
            let ttl = ttl_millis(format_args!("items[{index}].ttl"), item.ttl.as_ref())?;
            call.push(&item.key[..]);
            call.push(&item.value[..]);
            call.push(ttl);
            call.push(&item.flags.to_be_bytes()[..]);
        }
        let revision = reply::big_endian(&reply::required_bytes(self.call(context, &call).await?)?)?;
        let results = request.items.into_iter().map(|item| BatchSetResult { key: item.key, revision }).collect();
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(&self.limits, &request.keys)?;
        let mut command = redis::cmd("MGET");
        for key in &request.keys {
            command.arg(self.keys.value(key));
        }
        let stored: Vec<Option<Bytes>> = self.client.run(context, &command).await?;
        let results = request
            .keys
            .into_iter()
            .zip(stored)
            .map(|(key, stored)| {
                let entry = stored.map(|stored| parse_entry(key.clone(), &stored)).transpose()?;
                Ok(BatchGetResult { key, entry })
            })
            .collect::<Result<_, Error>>()?;
        Ok(BatchGetResponse { results })
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(&self.limits, &request.keys)?;
        let mut call = self.script(&DELETE);
        for key in &request.keys {
            call.push(&key[..]);
        }
        let revisions = reply::list(self.call(context, &call).await?)?;
        let results = request
            .keys
            .into_iter()
            .zip(revisions)
            .map(|(key, revision)| Ok(BatchDeleteResult { key, deleted: !reply::required_bytes(revision)?.is_empty() }))
            .collect::<Result<_, Error>>()?;
        Ok(BatchDeleteResponse { results })
    }
}
