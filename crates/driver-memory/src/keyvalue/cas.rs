//! `keyvalue_cas`

use std::slice;

use async_trait::async_trait;

use super::{KeyValue, Write};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, keyvalue::check_expected_revision, time};

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = Write::set(&request.key, &request.value, request.flags, expires);
        let now = time::now();
        let mut map = self.write(now)?;
        let revision = map.revision(&request.key, now);
        if revision != request.expected_revision {
            return Ok(CompareAndSwapResponse { swapped: false, revision });
        }
        map.reserve(&self.shared, slice::from_ref(&write), now)?;
        let revision = map.next_revision();
        map.apply(write, revision, now);
        Ok(CompareAndSwapResponse { swapped: true, revision })
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let now = time::now();
        let mut map = self.write(now)?;
        let revision = map.revision(&request.key, now);
        let deleted = revision == request.expected_revision;
        if deleted {
            let write = Write::delete(request.key);
            map.reserve(&self.shared, slice::from_ref(&write), now)?;
            map.apply(write, 0, now);
        }
        Ok(CompareAndDeleteResponse { deleted, revision })
    }
}
