//! `keyvalue_cas`: JetStream compares the sequence of the message that a write replaces.

use async_trait::async_trait;

use super::{Change, KeyValue, row::Row};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        CompareAndDeleteRequest, CompareAndDeleteResponse, CompareAndSwapRequest, CompareAndSwapResponse, KeyValueCas,
    },
};
use prism_driver::{check, keyvalue::check_expected_revision, time};

/// The revision of a row; 0 = there is none.
fn revision(row: Option<&Row>) -> u64 {
    row.map_or(0, |row| row.metadata().numbers.revision)
}

#[async_trait]
impl KeyValueCas for KeyValue {
    async fn compare_and_swap(&self, context: &Context, request: CompareAndSwapRequest) -> Result<CompareAndSwapResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let decide = |row: Option<&Row>| {
            Ok(if revision(row) == request.expected_revision {
                Change::Replace(Row::headers_of_write(row, expires, request.flags), request.value.clone())
            } else {
                Change::Keep
            })
        };
        let (row, sequence) = self.change(context, &request.key, decide).await?;
        let swapped = sequence > 0;
        Ok(CompareAndSwapResponse { swapped, revision: if swapped { sequence } else { revision(row.as_ref()) } })
    }

    async fn compare_and_delete(&self, context: &Context, request: CompareAndDeleteRequest) -> Result<CompareAndDeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check_expected_revision(request.expected_revision)?;
        let equal = |row: Option<&Row>| revision(row) == request.expected_revision;
        let decide = |row: Option<&Row>| Ok(if equal(row) { Change::Remove } else { Change::Keep });
        let (row, _) = self.change(context, &request.key, decide).await?;
        Ok(CompareAndDeleteResponse { deleted: equal(row.as_ref()), revision: revision(row.as_ref()) })
    }
}
