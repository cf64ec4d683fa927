//! Adds `keyvalue_batch` to a driver that has only `keyvalue_basic`.

use std::sync::Arc;

use async_trait::async_trait;
use prism_call::{
    Context, Error,
    proto::{
        Interfaces,
        models::keyvalue::v1::{
            BatchDeleteRequest, BatchDeleteResponse, BatchDeleteResult, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetItem,
            BatchSetRequest, BatchSetResponse, BatchSetResult, DeleteRequest, GetRequest, KeyValueBasic, KeyValueBatch, SetRequest,
        },
    },
};
use prism_slot::Layer;

pub struct Adding;

impl Layer for Adding {
    fn name(&self) -> &'static str {
        "adding"
    }

    fn wrap(self: Arc<Self>, interfaces: Interfaces) -> Interfaces {
        let added = interfaces.keyvalue_basic.clone().map(|basic| Arc::new(OneByOne(basic)) as Arc<dyn KeyValueBatch>);
        Interfaces { keyvalue_batch: interfaces.keyvalue_batch.or(added), ..interfaces }
    }
}

struct OneByOne(Arc<dyn KeyValueBasic>);

#[async_trait]
impl KeyValueBatch for OneByOne {
    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        let mut results = Vec::new();
        for item in request.items {
            let BatchSetItem { key, value, ttl, flags } = item;
            let stored = self.0.set(context, SetRequest { key: key.clone(), value, ttl, flags }).await?;
            results.push(BatchSetResult { key, revision: stored.revision });
        }
        Ok(BatchSetResponse { results })
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        let mut results = Vec::new();
        for key in request.keys {
            let entry = self.0.get(context, GetRequest { key: key.clone() }).await?.entry;
            results.push(BatchGetResult { key, entry });
        }
        Ok(BatchGetResponse { results })
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        let mut results = Vec::new();
        for key in request.keys {
            let deleted = self.0.delete(context, DeleteRequest { key: key.clone() }).await?.deleted;
            results.push(BatchDeleteResult { key, deleted });
        }
        Ok(BatchDeleteResponse { results })
    }
}
