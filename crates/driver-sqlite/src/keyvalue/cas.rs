//! `keyvalue_cas`

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
use prism_driver::{check, keyvalue::check_expected_revision, time};

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        check::value(self.keyspace.limits(), "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let CompareAndSwapRequest { key, value, flags, .. } = &request;
            let current = rows::revision(tx.connection, keyspace, key)?;
            if current != request.expected_revision {
                return Ok(CompareAndSwapResponse { swapped: false, revision: current });
            }
            let revision = tx.next_number(keyspace)?;
            rows::set(tx, keyspace, &Write { key, value, flags: *flags, expires }, revision)?;
            Ok(CompareAndSwapResponse { swapped: true, revision: unsigned(revision) })
        });
        write.await
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let write = self.keyspace.remove(move |tx, keyspace| {
            let revision = rows::revision(tx.connection, keyspace, &request.key)?;
            let deleted = revision == request.expected_revision;
            if deleted {
                rows::delete(tx, keyspace, &request.key)?;
            }
            Ok(CompareAndDeleteResponse { deleted, revision })
        });
        write.await
    }
}
