//! `keyvalue_cas`

use async_trait::async_trait;

use super::{KeyValue, Write, basic::refuse_ttl};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, keyvalue::check_expected_revision};

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        refuse_ttl(request.ttl.as_ref())?;
        let write = Write { key: &request.key, value: &request.value, flags: request.flags };
        Ok(match self.write(write, Some(request.expected_revision)).await? {
            Ok(revision) => CompareAndSwapResponse { swapped: true, revision },
            Err(revision) => CompareAndSwapResponse { swapped: false, revision },
        })
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let (deleted, revision) = self.remove(&request.key, Some(request.expected_revision)).await?;
        Ok(CompareAndDeleteResponse { deleted, revision })
    }
}
