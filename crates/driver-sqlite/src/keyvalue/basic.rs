//! `keyvalue_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    KeyValue,
    rows::{self, SmallEntry, Write, unsigned},
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
    /// Reads the entry of a key: a small value on the calling thread, a large one on a blocking thread.
    pub(super) async fn entry(&self, key: Bytes) -> Result<Option<Entry>, Error> {
        let small_key = key.clone();
        match self.keyspace.quick(move |connection, keyspace| rows::get_small(connection, keyspace, &small_key)).await? {
            SmallEntry::Entry(entry) => Ok(entry),
            SmallEntry::TooLarge => self.keyspace.read(move |connection, keyspace| rows::get(connection, keyspace, &key)).await,
        }
    }
}

#[async_trait]
impl KeyValueBasic for KeyValue {
    async fn set(&self, _: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        check::value(self.keyspace.limits(), "value", &request.value)?;
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = self.keyspace.write(move |tx, keyspace| {
            let revision = tx.next_number(keyspace)?;
            let SetRequest { key, value, flags, .. } = &request;
            rows::set(tx, keyspace, &Write { key, value, flags: *flags, expires }, revision)?;
            Ok(revision)
        });
        Ok(SetResponse { revision: unsigned(write.await?) })
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        Ok(GetResponse { entry: self.entry(request.key).await? })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let previous = self.keyspace.remove(move |tx, keyspace| rows::delete(tx, keyspace, &request.key)).await?;
        Ok(DeleteResponse { deleted: previous.is_some(), previous_revision: previous.map(unsigned) })
    }

    async fn exists(&self, _: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let metadata = self.keyspace.quick(move |connection, keyspace| rows::metadata(connection, keyspace, &request.key)).await?;
        Ok(ExistsResponse { exists: metadata.is_some() })
    }
}
