//! Batches: one round trip if the driver has `keyvalue_batch`, otherwise single calls with bounded concurrency.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{KeyValue, key_text, to_response};
use prism_call::{
    Context, Error,
    proto::{
        models::keyvalue::v1::{
            BatchDeleteRequest, BatchGetRequest, BatchSetItem, BatchSetRequest, DeleteRequest, Entry, GetRequest, SetRequest,
        },
        patterns::keyvalue::v1::{
            RemoveBatchRequest, RemoveBatchResponse, RemoveResponse, RetrieveBatchRequest, RetrieveBatchResponse, StoreBatchRequest,
            StoreBatchResponse, StoreResponse, retrieve_batch_response,
        },
    },
};
use prism_slot::check;

/// Number of calls that one emulated batch has in flight: enough to hide a round trip, too few to crowd out other callers.
/// The proto states it in the text about the emulation.
const CONCURRENCY: usize = 16;

pub(super) async fn store(pattern: &KeyValue, context: &Context, request: StoreBatchRequest) -> Result<StoreBatchResponse, Error> {
    check::batch(&pattern.limits, "items", request.items.len())?;
    let mut items = Vec::with_capacity(request.items.len());
    for (index, item) in request.items.into_iter().enumerate() {
        let SetRequest { key, value, ttl, flags } = pattern.check_store("StoreBatch", format_args!("items[{index}]."), item)?;
        items.push(BatchSetItem { key, value, ttl, flags });
    }
    check::distinct(items.iter().map(|item| &*item.key), |index| format!("items[{index}].key"))?;
    let results = if let Some(batch) = &pattern.batch {
        let done = batch.batch_set(context, BatchSetRequest { items }).await?;
        done.results.into_iter().map(|result| StoreResponse { revision: result.revision }).collect()
    } else {
        let calls = items.into_iter().map(|BatchSetItem { key, value, ttl, flags }| {
            let work = pattern.basic.set(context, SetRequest { key, value, ttl, flags });
            async { Ok::<_, Error>(StoreResponse { revision: work.await?.revision }) }
        });
        stream::iter(calls).buffered(CONCURRENCY).try_collect().await?
    };
    Ok(StoreBatchResponse { results })
}

pub(super) async fn retrieve(pattern: &KeyValue, context: &Context, request: RetrieveBatchRequest) -> Result<RetrieveBatchResponse, Error> {
    let keys = check_keys(pattern, request.keys)?;
    let results = if let Some(batch) = &pattern.batch {
        let found = batch.batch_get(context, BatchGetRequest { keys }).await?;
        found.results.into_iter().map(|found| to_result(found.key, found.entry)).collect()
    } else {
        let calls = keys.into_iter().map(|key| {
            let work = pattern.basic.get(context, GetRequest { key: key.clone() });
            async { Ok::<_, Error>(to_result(key, work.await?.entry)) }
        });
        stream::iter(calls).buffered(CONCURRENCY).try_collect().await?
    };
    Ok(RetrieveBatchResponse { results })
}

pub(super) async fn remove(pattern: &KeyValue, context: &Context, request: RemoveBatchRequest) -> Result<RemoveBatchResponse, Error> {
    let keys = check_keys(pattern, request.keys)?;
    check::distinct(keys.iter().map(|key| &**key), |index| format!("keys[{index}]"))?;
    Ok(RemoveBatchResponse { results: delete(pattern, context, keys).await? })
}

/// Removes keys. They must be different, and not more than a batch may have.
pub(super) async fn delete(pattern: &KeyValue, context: &Context, keys: Vec<Bytes>) -> Result<Vec<RemoveResponse>, Error> {
    if let Some(batch) = &pattern.batch {
        let done = batch.batch_delete(context, BatchDeleteRequest { keys }).await?;
        return Ok(done.results.into_iter().map(|result| RemoveResponse { removed: result.deleted }).collect());
    }
    let calls = keys.into_iter().map(|key| {
        let work = pattern.basic.delete(context, DeleteRequest { key });
        async { Ok::<_, Error>(RemoveResponse { removed: work.await?.deleted }) }
    });
    stream::iter(calls).buffered(CONCURRENCY).try_collect().await
}

fn check_keys(pattern: &KeyValue, keys: Vec<String>) -> Result<Vec<Bytes>, Error> {
    check::batch(&pattern.limits, "keys", keys.len())?;
    keys.into_iter().enumerate().map(|(index, key)| pattern.check_key(format_args!("keys[{index}]"), key)).collect()
}

pub(super) fn to_result(key: Bytes, entry: Option<Entry>) -> retrieve_batch_response::Result {
    retrieve_batch_response::Result { key: key_text(key), entry: entry.map(to_response) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prism_call::proto;

    #[test]
    fn the_contract_states_how_many_calls_are_in_flight() {
        let service = proto::descriptors().get_service_by_name(crate::keyvalue::PATTERN.service).expect("a service");
        let implementations = proto::implementations(&service).into_iter().filter(|(rpc, _)| rpc.ends_with("Batch"));
        let emulations: Vec<_> = implementations.map(|(_, one)| one.alternatives[1].emulation.clone()).collect();
        assert_eq!(emulations.len(), 3);
        assert!(emulations.iter().all(|text| text.contains(&format!("{CONCURRENCY} at a time"))), "{emulations:?}");
    }
}
