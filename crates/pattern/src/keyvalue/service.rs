//! The RPCs, in the order of the service.

use async_trait::async_trait;

use super::{KeyValue, batch, compare, range, scan, to_response, transact, watch};
use prism_call::{
    Code, Context, Error, Messages,
    proto::{
        models::keyvalue::v1 as model,
        patterns::keyvalue::v1::{
            ClearExpirationRequest, ClearExpirationResponse, CompareAndRemoveRequest, CompareAndRemoveResponse, CompareAndStoreRequest,
            CompareAndStoreResponse, CountRequest, CountResponse, ExistsRequest, ExistsResponse, GetCapabilitiesRequest,
            GetCapabilitiesResponse, GetExpirationRequest, GetExpirationResponse, KeyValue as Service, RemoveBatchRequest,
            RemoveBatchResponse, RemoveRangeRequest, RemoveRangeResponse, RemoveRequest, RemoveResponse, RetrieveBatchRequest,
            RetrieveBatchResponse, RetrieveRequest, RetrieveResponse, ScanRequest, ScanResponse, SetExpirationRequest,
            SetExpirationResponse, StoreBatchRequest, StoreBatchResponse, StoreRequest, StoreResponse, TransactRequest, TransactResponse,
            WatchRequest, WatchResponse,
        },
    },
};
use prism_slot::time;

#[async_trait]
impl Service for KeyValue {
    async fn get_capabilities(&self, _: &Context, _: GetCapabilitiesRequest) -> Result<GetCapabilitiesResponse, Error> {
        Ok(GetCapabilitiesResponse { capabilities: Some(self.capabilities.describe()) })
    }

    async fn store(&self, context: &Context, request: StoreRequest) -> Result<StoreResponse, Error> {
        let set = self.basic.set(context, self.check_store("Store", "", request)?).await?;
        Ok(StoreResponse { revision: set.revision })
    }

    async fn retrieve(&self, context: &Context, request: RetrieveRequest) -> Result<RetrieveResponse, Error> {
        let key = self.check_key("key", request.key)?;
        let found = self.basic.get(context, model::GetRequest { key }).await?;
        found.entry.map(to_response).ok_or_else(not_found)
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        let key = self.check_key("key", request.key)?;
        let done = self.basic.delete(context, model::DeleteRequest { key }).await?;
        Ok(RemoveResponse { removed: done.deleted })
    }

    async fn exists(&self, context: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        let key = self.check_key("key", request.key)?;
        let found = self.basic.exists(context, model::ExistsRequest { key }).await?;
        Ok(ExistsResponse { exists: found.exists })
    }

    async fn scan(&self, context: &Context, request: ScanRequest) -> Result<Messages<ScanResponse>, Error> {
        scan::scan(self, context, request).await
    }

    async fn count(&self, context: &Context, request: CountRequest) -> Result<CountResponse, Error> {
        scan::count(self, context, request).await
    }

    async fn remove_range(&self, context: &Context, request: RemoveRangeRequest) -> Result<RemoveRangeResponse, Error> {
        range::remove(self, context, request).await
    }

    async fn store_batch(&self, context: &Context, request: StoreBatchRequest) -> Result<StoreBatchResponse, Error> {
        batch::store(self, context, request).await
    }

    async fn retrieve_batch(&self, context: &Context, request: RetrieveBatchRequest) -> Result<RetrieveBatchResponse, Error> {
        batch::retrieve(self, context, request).await
    }

    async fn remove_batch(&self, context: &Context, request: RemoveBatchRequest) -> Result<RemoveBatchResponse, Error> {
        batch::remove(self, context, request).await
    }

    async fn get_expiration(&self, context: &Context, request: GetExpirationRequest) -> Result<GetExpirationResponse, Error> {
        let interface = self.require(self.ttl.as_ref(), "GetExpiration", "keyvalue_ttl")?;
        let key = self.check_key("key", request.key)?;
        let found = interface.get_ttl(context, model::GetTtlRequest { key }).await?;
        if found.found { Ok(GetExpirationResponse { expire_time: found.expire_time, ttl: found.ttl }) } else { Err(not_found()) }
    }

    async fn set_expiration(&self, context: &Context, request: SetExpirationRequest) -> Result<SetExpirationResponse, Error> {
        let interface = self.require(self.ttl.as_ref(), "SetExpiration", "keyvalue_ttl")?;
        let key = self.check_key("key", request.key)?;
        let ttl = request.ttl.ok_or_else(|| {
            Error::invalid("ttl", "must be set; to let the key live forever, use ClearExpiration").with_reason("INVALID_TTL")
        })?;
        time::expiry_at("ttl", Some(&ttl))?;
        let done = interface.expire(context, model::ExpireRequest { key, ttl: Some(ttl) }).await?;
        if done.found { Ok(SetExpirationResponse { expire_time: done.expire_time }) } else { Err(not_found()) }
    }

    async fn clear_expiration(&self, context: &Context, request: ClearExpirationRequest) -> Result<ClearExpirationResponse, Error> {
        let interface = self.require(self.ttl.as_ref(), "ClearExpiration", "keyvalue_ttl")?;
        let key = self.check_key("key", request.key)?;
        let done = interface.persist(context, model::PersistRequest { key }).await?;
        if done.found { Ok(ClearExpirationResponse { cleared: done.had_expiration }) } else { Err(not_found()) }
    }

    async fn compare_and_store(&self, context: &Context, request: CompareAndStoreRequest) -> Result<CompareAndStoreResponse, Error> {
        compare::store(self, context, request).await
    }

    async fn compare_and_remove(&self, context: &Context, request: CompareAndRemoveRequest) -> Result<CompareAndRemoveResponse, Error> {
        compare::remove(self, context, request).await
    }

    async fn transact(&self, context: &Context, request: TransactRequest) -> Result<TransactResponse, Error> {
        transact::transact(self, context, request).await
    }

    async fn watch(&self, context: &Context, request: WatchRequest) -> Result<Messages<WatchResponse>, Error> {
        watch::watch(self, context, request).await
    }
}

/// Returns the error for a missing key. The message does not contain the key, which may be private: messages end up in logs.
fn not_found() -> Error {
    Error::new(Code::NotFound, "KEY_NOT_FOUND", "the key is not there; it was never stored, or it was removed, or it has expired")
}
