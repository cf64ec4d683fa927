//! `keyvalue_basic`.

use async_trait::async_trait;

use super::KeyValue;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteRequest, DeleteResponse, ExistsRequest, ExistsResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest, SetResponse,
    },
};
use prism_driver::{check, time};

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        Ok(SetResponse { revision: self.write(context, &request.key, &request.value, expires, request.flags).await? })
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let row = self.read(&self.deadline(context), &request.key).await?;
        Ok(GetResponse { entry: row.map(|row| row.into_entry(request.key)) })
    }

    async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let previous_revision = self.remove(context, &request.key).await?;
        Ok(DeleteResponse { deleted: previous_revision.is_some(), previous_revision })
    }

    async fn exists(&self, context: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(ExistsResponse { exists: self.read(&self.deadline(context), &request.key).await?.is_some() })
    }
}
