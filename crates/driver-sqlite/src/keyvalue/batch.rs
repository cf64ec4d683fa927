//! `keyvalue_batch`. A batch is one transaction here, so it is atomic.

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
use prism_driver::keyvalue::{check_batch_delete, check_batch_get, check_batch_set};

#[async_trait]
impl KeyValueBatch for KeyValue {
    async fn batch_set(&self, _: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let items = request.items;
        let expirations = check_batch_set(self.keyspace.limits(), &items)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let mut results = Vec::with_capacity(items.len());
            for (item, expires) in items.iter().zip(&expirations) {
                let revision = tx.next_number(keyspace)?;
                let BatchSetItem { key, value, flags, .. } = item;
                rows::set(tx, keyspace, &Write { key, value, flags: *flags, expires: *expires }, revision)?;
                results.push(BatchSetResult { key: item.key.clone(), revision: unsigned(revision) });
            }
            Ok(results)
        });
        Ok(BatchSetResponse { results: write.await? })
    }

    async fn batch_get(&self, _: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        check_batch_get(self.keyspace.limits(), &request.keys)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let get = |key: Bytes| Ok(BatchGetResult { entry: rows::get(connection, keyspace, &key)?, key });
            request.keys.into_iter().map(get).collect()
        });
        Ok(BatchGetResponse { results: read.await? })
    }

    async fn batch_delete(&self, _: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        check_batch_delete(self.keyspace.limits(), &request.keys)?;
        let write = self.keyspace.remove(move |tx, keyspace| {
            let delete = |key: &Bytes| Ok(BatchDeleteResult { deleted: rows::delete(tx, keyspace, key)?.is_some(), key: key.clone() });
            request.keys.iter().map(delete).collect()
        });
        Ok(BatchDeleteResponse { results: write.await? })
    }
}
