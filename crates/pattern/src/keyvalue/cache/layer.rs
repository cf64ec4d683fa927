//! The interfaces of the slot `storage` with the cache around them: reads ask the cache first, and writes mark what they change.

use std::{future::ready, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use super::copies::{CONCURRENCY, Copies, Found};
use crate::outbox::is_reserved;
use prism_call::{
    Context, Error,
    proto::{
        Interfaces,
        models::keyvalue::v1::{
            BatchDeleteRequest, BatchDeleteResponse, BatchGetRequest, BatchGetResponse, BatchGetResult, BatchSetRequest, BatchSetResponse,
            CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, DeleteRequest,
            DeleteResponse, Entry, ExistsRequest, ExistsResponse, ExpireRequest, ExpireResponse, ForwardKeyValueBasic,
            ForwardKeyValueBatch, ForwardKeyValueCas, ForwardKeyValueTransactional, ForwardKeyValueTtl, GetRequest, GetResponse,
            KeyValueBasic, KeyValueBatch, KeyValueCas, KeyValueTransactional, KeyValueTtl, PersistRequest, PersistResponse, SetRequest,
            SetResponse, TransactRequest, TransactResponse, operation::Action,
        },
    },
};

/// An interface of the storage with the cache.
struct Cached<I: ?Sized> {
    inner: Arc<I>,
    copies: Arc<Copies>,
}

/// Puts the cache around the interfaces that read or write single keys. Scans and watches go to the storage.
pub fn wrap(interfaces: Interfaces, copies: &Arc<Copies>) -> Interfaces {
    macro_rules! cached {
        ($interface:ident, $trait:ident) => {
            interfaces.$interface.map(|inner| Arc::new(Cached { inner, copies: copies.clone() }) as Arc<dyn $trait>)
        };
    }
    Interfaces {
        keyvalue_basic: cached!(keyvalue_basic, KeyValueBasic),
        keyvalue_batch: cached!(keyvalue_batch, KeyValueBatch),
        keyvalue_cas: cached!(keyvalue_cas, KeyValueCas),
        keyvalue_ttl: cached!(keyvalue_ttl, KeyValueTtl),
        keyvalue_transactional: cached!(keyvalue_transactional, KeyValueTransactional),
        ..interfaces
    }
}

/// Keys that a write may have changed. They are marked even if the write fails, because it may have been done nevertheless, and even if the
/// call is cancelled.
struct Changing<'c> {
    copies: &'c Arc<Copies>,
    keys: Vec<Bytes>,
}

impl Changing<'_> {
    async fn run<T>(mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let done = work.await;
        self.copies.mark(&self.keys).await;
        self.keys.clear();
        done
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let (copies, keys) = (self.copies.clone(), std::mem::take(&mut self.keys));
        // The shutdown waits for it, because other gateways may go on with the same cache.
        self.copies.tasks.tracker().spawn(async move { copies.mark(&keys).await });
    }
}

impl<I: ?Sized> Cached<I> {
    fn changing(&self, keys: impl IntoIterator<Item = Bytes>) -> Changing<'_> {
        Changing { copies: &self.copies, keys: keys.into_iter().collect() }
    }
}

impl Cached<dyn KeyValueBasic> {
    /// Reads a key that the cache does not have, and keeps a copy of it.
    async fn load(&self, context: &Context, key: Bytes, mut revision: u64) -> Result<Option<Entry>, Error> {
        let waiting = self.copies.loads.begin(&key);
        let mut load = match context.remaining() {
            None => waiting.await,
            Some(left) => tokio::time::timeout(left, waiting).await.map_err(|_| Error::deadline_exceeded())?,
        };
        if load.waited {
            // Without this, calls for a value that can't be kept would load it one after the other.
            let found = if load.others_kept_nothing() { Found::Unusable } else { self.copies.find(&key).await };
            match found {
                Found::Copy(entry) => return Ok(entry),
                Found::Missing(now) => revision = now,
                Found::Unusable => {
                    drop(load);
                    return Ok(self.inner.get(context, GetRequest { key }).await?.entry);
                }
            }
        }
        let began = Instant::now();
        let loaded = self.inner.get(context, GetRequest { key: key.clone() }).await;
        let is_kept = match &loaded {
            Ok(GetResponse { entry }) => self.copies.keep(&key, revision, entry.as_ref(), began).await,
            Err(_) => false,
        };
        load.set_kept(is_kept);
        Ok(loaded?.entry)
    }
}

#[async_trait]
impl ForwardKeyValueBasic for Cached<dyn KeyValueBasic> {
    fn inner(&self) -> &dyn KeyValueBasic {
        &*self.inner
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        match self.copies.find(&request.key).await {
            Found::Copy(entry) => Ok(GetResponse { entry }),
            Found::Missing(revision) => Ok(GetResponse { entry: self.load(context, request.key, revision).await? }),
            Found::Unusable => self.inner.get(context, request).await,
        }
    }

    async fn exists(&self, context: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        match self.copies.find(&request.key).await {
            Found::Copy(entry) => Ok(ExistsResponse { exists: entry.is_some() }),
            Found::Missing(_) | Found::Unusable => self.inner.exists(context, request).await,
        }
    }

    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.set(context, request)).await
    }

    async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.delete(context, request)).await
    }
}

#[async_trait]
impl ForwardKeyValueBatch for Cached<dyn KeyValueBatch> {
    fn inner(&self) -> &dyn KeyValueBatch {
        &*self.inner
    }

    async fn batch_get(&self, context: &Context, request: BatchGetRequest) -> Result<BatchGetResponse, Error> {
        let timeout = *self.copies.settings.timeout;
        let until = Instant::now() + timeout;
        let find = |key: Bytes| async move { if Instant::now() < until { self.copies.find(&key).await } else { Found::Unusable } };
        let found: Vec<_> = stream::iter(request.keys.clone()).map(find).buffered(CONCURRENCY).collect().await;
        let is_missing = |found: &Found| !matches!(found, Found::Copy(_));
        let keys: Vec<_> = request.keys.iter().zip(&found).filter(|(_, found)| is_missing(found)).map(|(key, _)| key.clone()).collect();
        let began = Instant::now();
        let loaded =
            if keys.is_empty() { BatchGetResponse::default() } else { self.inner.batch_get(context, BatchGetRequest { keys }).await? };
        // The results of the storage have the order of the keys.
        let mut loaded = loaded.results.into_iter();
        let (mut results, mut kept) = (Vec::with_capacity(found.len()), Vec::new());
        for (key, found) in request.keys.into_iter().zip(found) {
            let entry = match found {
                Found::Copy(entry) => entry,
                Found::Missing(revision) => {
                    let entry = loaded.next().and_then(|result| result.entry);
                    kept.push((key.clone(), revision, entry.clone()));
                    entry
                }
                Found::Unusable => loaded.next().and_then(|result| result.entry),
            };
            results.push(BatchGetResult { key, entry });
        }
        let copies = &self.copies;
        let keep =
            |(key, revision, entry): (Bytes, u64, Option<Entry>)| async move { copies.keep(&key, revision, entry.as_ref(), began).await };
        let keep_all = stream::iter(kept).map(keep).buffer_unordered(CONCURRENCY).for_each(|_| ready(()));
        // A batch has many keys, and none of them has to be kept.
        let _ = tokio::time::timeout(timeout, keep_all).await;
        Ok(BatchGetResponse { results })
    }

    async fn batch_set(&self, context: &Context, request: BatchSetRequest) -> Result<BatchSetResponse, Error> {
        self.changing(request.items.iter().map(|item| item.key.clone())).run(self.inner.batch_set(context, request)).await
    }

    async fn batch_delete(&self, context: &Context, request: BatchDeleteRequest) -> Result<BatchDeleteResponse, Error> {
        self.changing(request.keys.iter().cloned()).run(self.inner.batch_delete(context, request)).await
    }
}

#[async_trait]
impl ForwardKeyValueCas for Cached<dyn KeyValueCas> {
    fn inner(&self) -> &dyn KeyValueCas {
        &*self.inner
    }

    async fn compare_and_swap(&self, context: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.compare_and_swap(context, request)).await
    }

    async fn compare_and_delete(&self, context: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.compare_and_delete(context, request)).await
    }
}

#[async_trait]
impl ForwardKeyValueTtl for Cached<dyn KeyValueTtl> {
    fn inner(&self) -> &dyn KeyValueTtl {
        &*self.inner
    }

    async fn expire(&self, context: &Context, request: ExpireRequest) -> Result<ExpireResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.expire(context, request)).await
    }

    async fn persist(&self, context: &Context, request: PersistRequest) -> Result<PersistResponse, Error> {
        self.changing([request.key.clone()]).run(self.inner.persist(context, request)).await
    }
}

#[async_trait]
impl ForwardKeyValueTransactional for Cached<dyn KeyValueTransactional> {
    fn inner(&self) -> &dyn KeyValueTransactional {
        &*self.inner
    }

    /// The pattern has no other way to write in a transaction.
    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        let operations = request.then_operations.iter().chain(&request.else_operations);
        let written = operations.filter_map(|operation| match operation.action.as_ref()? {
            Action::Set(set) => Some(set.key.clone()),
            Action::Delete(delete) => Some(delete.key.clone()),
            Action::Get(_) => None,
        });
        // Nobody reads the messages of an outbox through the cache.
        let written = written.filter(|key| !is_reserved(key));
        self.changing(written).run(self.inner.transact(context, request)).await
    }
}
