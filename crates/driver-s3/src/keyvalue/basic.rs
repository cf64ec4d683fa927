//! `keyvalue_basic`

use async_trait::async_trait;

use super::{KeyValue, Write};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteRequest, DeleteResponse, ExistsRequest, ExistsResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest, SetResponse,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        refuse_ttl(request.ttl.as_ref())?;
        let write = Write { key: &request.key, value: &request.value, flags: request.flags };
        match self.write(write, None).await? {
            Ok(revision) | Err(revision) => Ok(SetResponse { revision }),
        }
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let entry = self.read(&request.key, true).await?.map(|(stored, value)| stored.into_entry(request.key, value));
        Ok(GetResponse { entry })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let (deleted, revision) = self.remove(&request.key, None).await?;
        Ok(DeleteResponse { deleted, previous_revision: deleted.then_some(revision) })
    }

    async fn exists(&self, _: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(ExistsResponse { exists: self.numbers(&request.key).await?.is_some() })
    }
}

/// Refuses a time to live, which this driver lacks.
pub fn refuse_ttl(ttl: Option<&prost_types::Duration>) -> Result<(), Error> {
    match time::expiry(ttl)? {
        None => Ok(()),
        Some(_) => Err(ttl_unavailable()),
    }
}

/// `UNIMPLEMENTED CAPABILITY_UNAVAILABLE`
pub fn ttl_unavailable() -> Error {
    Error::capability_unavailable("a write with a ttl", "keyvalue_ttl", "s3")
}
