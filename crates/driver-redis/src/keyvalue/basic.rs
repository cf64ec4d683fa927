//! `keyvalue_basic`.

use async_trait::async_trait;
use bytes::Bytes;

use super::{DELETE, KeyValue, SET, parse_entry, ttl_millis};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteRequest, DeleteResponse, Entry, ExistsRequest, ExistsResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest,
        SetResponse,
    },
};
use prism_driver::check;

impl KeyValue {
    /// Reads the entry of a checked key with one `GET`.
    pub(super) async fn read(&self, context: &Context, key: Bytes) -> Result<Option<Entry>, Error> {
        let stored: Option<Bytes> = self.client.run(context, redis::cmd("GET").arg(self.keys.value(&key))).await?;
        stored.map(|stored| parse_entry(key, &stored)).transpose()
    }
}

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let ttl = ttl_millis("ttl", request.ttl.as_ref())?;
        let call = self.script(&SET).arg(&request.key[..]).arg(&request.value[..]).arg(ttl).arg(&request.flags.to_be_bytes()[..]);
        let revision = reply::required_bytes(self.call(context, &call).await?)?;
        Ok(SetResponse { revision: reply::big_endian(&revision)? })
    }

    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(GetResponse { entry: self.read(context, request.key).await? })
    }

    async fn delete(&self, context: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let [revision] = reply::fixed_list(self.call(context, &self.script(&DELETE).arg(&request.key[..])).await?)?;
        let revision = reply::required_bytes(revision)?;
        let previous_revision = if revision.is_empty() { None } else { Some(reply::big_endian(&revision)?) };
        Ok(DeleteResponse { deleted: previous_revision.is_some(), previous_revision })
    }

    async fn exists(&self, context: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let exists = self.client.run(context, redis::cmd("EXISTS").arg(self.keys.value(&request.key))).await?;
        Ok(ExistsResponse { exists })
    }
}
