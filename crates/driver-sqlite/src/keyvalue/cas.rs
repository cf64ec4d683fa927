//! `keyvalue_cas`.

use async_trait::async_trait;

use super::{
    KeyValue,
    rows::{self, Write, unsigned},
};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        check::value(self.space.limits(), "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = self.space.write(move |tx, space| {
            let CompareAndSwapRequest { key, value, flags, .. } = &request;
            let current = rows::revision(tx.connection, space, key)?;
            if current != request.expected_revision {
                return Ok(CompareAndSwapResponse { swapped: false, revision: current });
            }
            let revision = tx.next_number(space)?;
            rows::set(tx, space, &Write { key, value, flags: *flags, expires }, revision)?;
            Ok(CompareAndSwapResponse { swapped: true, revision: unsigned(revision) })
        });
        write.await
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        if request.expected_revision == 0 {
            return Err(Error::invalid("expected_revision", "must be greater than zero: the revision that the key has"));
        }
        let write = self.space.write(move |tx, space| {
            let revision = rows::revision(tx.connection, space, &request.key)?;
            let deleted = revision == request.expected_revision;
            if deleted {
                rows::delete(tx, space, &request.key)?;
            }
            Ok(CompareAndDeleteResponse { deleted, revision })
        });
        write.await
    }
}
