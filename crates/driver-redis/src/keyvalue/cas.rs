//! `keyvalue_cas`: comparison and write are one script.

use async_trait::async_trait;

use super::{REMOVE, SWAP, Store, ttl_at};
use crate::{reply, script::Invocation};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::check;

impl Store {
    /// Whether it was done, and a revision.
    async fn compare(&self, context: &Context, call: &Invocation) -> Result<(bool, u64), Error> {
        let [done, revision] = reply::exactly(self.call(context, call).await?)?;
        Ok((reply::integer(&done)? == 1, reply::number(&reply::some_bytes(revision)?)?))
    }
}

#[async_trait]
impl KeyValueCas for Store {
    async fn compare_and_swap(&self, context: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let ttl = ttl_at("ttl", request.ttl.as_ref())?;
        let expected = request.expected_revision.to_be_bytes();
        let call = self.script(&SWAP).arg(&request.key[..]).arg(&expected[..]).arg(&request.value[..]).arg(ttl);
        let call = call.arg(&request.flags.to_be_bytes()[..]);
        let (swapped, revision) = self.compare(context, &call).await?;
        Ok(CompareAndSwapResponse { swapped, revision })
    }

    async fn compare_and_delete(&self, context: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        if request.expected_revision == 0 {
            return Err(Error::invalid("expected_revision", "must be greater than zero; revision 0 means a key that is not there"));
        }
        let expected = request.expected_revision.to_be_bytes();
        let call = self.script(&REMOVE).arg(&request.key[..]).arg(&expected[..]);
        let (deleted, revision) = self.compare(context, &call).await?;
        Ok(CompareAndDeleteResponse { deleted, revision })
    }
}
