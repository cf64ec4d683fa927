//! `keyvalue_basic`

use std::slice;

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
        let expires = time::expiry(request.ttl.as_ref())?;
        let write = Write::set(&request.key, &request.value, request.flags, expires);
        let now = time::now();
        let mut map = self.write(now)?;
        map.reserve(&self.shared, slice::from_ref(&write), now)?;
        let revision = map.next_revision();
        let replaced = map.apply(write, revision, now);
        drop(map);
        // Freed after the lock: freeing a large value takes time.
        drop(replaced);
        Ok(SetResponse { revision })
    }

    async fn get(&self, _: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let map = self.read()?;
        let entry = map.live(&request.key, time::now()).map(|stored| stored.to_entry(request.key));
        Ok(GetResponse { entry })
    }

    async fn delete(&self, _: &Context, request: DeleteRequest) -> Result<DeleteResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let now = time::now();
        let mut map = self.write(now)?;
        let write = Write::delete(request.key);
        map.reserve(&self.shared, slice::from_ref(&write), now)?;
        let removed = map.apply(write, 0, now).filter(|stored| stored.is_live(now));
        drop(map);
        Ok(DeleteResponse { deleted: removed.is_some(), previous_revision: removed.map(|stored| stored.metadata.numbers.revision) })
    }

    async fn exists(&self, _: &Context, request: ExistsRequest) -> Result<ExistsResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(ExistsResponse { exists: self.read()?.live(&request.key, time::now()).is_some() })
    }
}
