//! `keyvalue_basic`.

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    KeyValue,
    rows::{self, Found, Write, unsigned},
};
use prism_call::{
    Context, Error,
    proto::models::keyvalue::v1::{
        DeleteRequest, DeleteResponse, Entry, ExistsRequest, ExistsResponse, GetRequest, GetResponse, KeyValueBasic, SetRequest,
        SetResponse,
    },
};
use prism_driver::{check, time};

impl KeyValue {
    /// Reads a key, where it can inside the runtime.
    pub(super) async fn entry(&self, key: Bytes) -> Result<Option<Entry>, Error> {
        let small = key.clone();
        match self.space.quick(move |connection, space| rows::get_small(connection, space, &small)).await? {
            Found::Entry(entry) => Ok(entry),
            Found::Large => self.space.read(move |connection, space| rows::get(connection, space, &key)).await,
        }
    }
}

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        check::value(self.space.limits(), "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = self.space.write(move |tx, space| {
            let revision = tx.next_number(space)?;
            let SetRequest { key, value, flags, .. } = &request;
            rows::set(tx, space, &Write { key, value, flags: *flags, expires }, revision)?;
            Ok(revision)
        });
        Ok(SetResponse { revision: unsigned(write.await?) })
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        Ok(GetResponse { entry: self.entry(request.key).await? })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        let previous = self.space.write(move |tx, space| rows::delete(tx, space, &request.key)).await?;
        Ok(DeleteResponse { deleted: previous.is_some(), previous_revision: previous.map(unsigned) })
    }

    async fn exists(&self, _: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(self.space.limits(), &request.key)?;
        let head = self.space.quick(move |connection, space| rows::head(connection, space, &request.key)).await?;
        Ok(ExistsResponse { exists: head.is_some() })
    }
}
