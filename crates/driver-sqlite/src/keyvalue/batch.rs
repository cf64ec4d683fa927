//! `keyvalue_batch`. A batch is one transaction here, so it happens as a whole.

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    KeyValue,
    rows::{self, Write, unsigned},
};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetItem,
        BatchSetRequest, BatchSetResponse, BatchSetResult, KeyValueBatch,
    },
};
use prism_driver::{check, time};

fn different<'k>(keys: impl Iterator<Item = (String, &'k Bytes)>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for (field, key) in keys {
        if !seen.insert(key) {
            return Err(Error::invalid(field, "comes twice in this batch; send each key once").with_reason("DUPLICATE_KEY"));
        }
    }
    Ok(())
}

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, _: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let (limits, items) = (self.space.limits(), request.items);
        check::batch(limits, "items", items.len())?;
        let mut expirations = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            check::key_at(limits, format_args!("items[{index}].key"), &item.key)?;
            check::value(limits, format_args!("items[{index}].value"), &item.value)?;
            expirations.push(time::expiry_at(format_args!("items[{index}].ttl"), item.ttl.as_ref())?);
        }
        different(items.iter().enumerate().map(|(index, item)| (format!("items[{index}].key"), &item.key)))?;
        let write = self.space.write(move |tx, space| {
            let mut results = Vec::with_capacity(items.len());
            for (item, expires) in items.iter().zip(&expirations) {
                let revision = tx.next_number(space)?;
                let BatchSetItem { key, value, flags, .. } = item;
                rows::set(tx, space, &Write { key, value, flags: *flags, expires: *expires }, revision)?;
                results.push(BatchSetResult { key: item.key.clone(), revision: unsigned(revision) });
            }
            Ok(results)
        });
        Ok(BatchSetResponse { results: write.await? })
    }

    async fn batch_get(&self, _: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        let limits = self.space.limits();
        check::batch(limits, "keys", request.keys.len())?;
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(limits, format_args!("keys[{index}]"), key)?;
        }
        let read = self.space.read(move |connection, space| {
            let one = |key: Bytes| Ok(BatchGetResult { entry: rows::get(connection, space, &key)?, key });
            request.keys.into_iter().map(one).collect()
        });
        Ok(BatchGetResponse { results: read.await? })
    }

    async fn batch_delete(&self, _: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        let limits = self.space.limits();
        check::batch(limits, "keys", request.keys.len())?;
        for (index, key) in request.keys.iter().enumerate() {
            check::key_at(limits, format_args!("keys[{index}]"), key)?;
        }
        different(request.keys.iter().enumerate().map(|(index, key)| (format!("keys[{index}]"), key)))?;
        let write = self.space.write(move |tx, space| {
            let one = |key: &Bytes| Ok(BatchDeleteResult { deleted: rows::delete(tx, space, key)?.is_some(), key: key.clone() });
            request.keys.iter().map(one).collect()
        });
        Ok(BatchDeleteResponse { results: write.await? })
    }
}
