//! `keyvalue_cas`: one script compares and writes.

use async_trait::async_trait;

use super::{KeyValue, REMOVE, SWAP, ttl_millis};
use crate::{reply, script::ScriptCall};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, keyvalue::check_expected_revision};

impl KeyValue {
    /// Runs a script that compares. Returns whether it wrote, and the revision of the key.
    async fn compare_and_write(&self, context: &Context, call: &ScriptCall) -> Result<(bool, u64), Error> {
        let [done, revision] = reply::fixed_list(self.call(context, call).await?)?;
        Ok((reply::integer(&done)? == 1, reply::big_endian(&reply::required_bytes(revision)?)?))
    }
}

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, context: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let ttl = ttl_millis("ttl", request.ttl.as_ref())?;
        let expected = request.expected_revision.to_be_bytes();
        let call = self.script(&SWAP).arg(&request.key[..]).arg(&expected[..]).arg(&request.value[..]).arg(ttl);
        let call = call.arg(&request.flags.to_be_bytes()[..]);
        let (swapped, revision) = self.compare_and_write(context, &call).await?;
        Ok(CompareAndSwapResponse { swapped, revision })
    }

    async fn compare_and_delete(&self, context: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let expected = request.expected_revision.to_be_bytes();
        let call = self.script(&REMOVE).arg(&request.key[..]).arg(&expected[..]);
        let (deleted, revision) = self.compare_and_write(context, &call).await?;
        Ok(CompareAndDeleteResponse { deleted, revision })
    }
}
