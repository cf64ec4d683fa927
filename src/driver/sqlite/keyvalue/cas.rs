//! `keyvalue_cas`.

use async_trait::async_trait;

use super::{
    KeyValue,
    rows::{self, unsigned},
};
use crate::{
    call::{Context, Error},
    driver::common::{check, time},
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, _: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        check::value(self.space.limits(), "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = self.space.write(move |tx, space| {
            let current = rows::head(tx.connection, space, &request.key)?.map_or(0, |(revision, _)| revision);
            if unsigned(current) != request.expected_revision {
                return Ok((false, current));
            }
            let revision = tx.next_number(space)?;
            rows::set(tx, space, &request.key, &request.value, expires, revision)?;
            Ok((true, revision))
        });
        let (swapped, revision) = write.await?;
        Ok(CompareAndSwapResponse { swapped, revision: unsigned(revision) })
    }

    async fn compare_and_delete(&self, _: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        if request.expected_revision == 0 {
            return Err(Error::invalid("expected_revision", "must be greater than zero: the revision that the key has"));
        }
        let write = self.space.write(move |tx, space| {
            let current = rows::head(tx.connection, space, &request.key)?.map_or(0, |(revision, _)| revision);
            let deleted = unsigned(current) == request.expected_revision;
            if deleted {
                rows::delete(tx, space, &request.key)?;
            }
            Ok((deleted, current))
        });
        let (deleted, revision) = write.await?;
        Ok(CompareAndDeleteResponse { deleted, revision: unsigned(revision) })
    }
}
