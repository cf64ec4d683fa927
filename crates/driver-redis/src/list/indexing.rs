//! `list_indexing`

use async_trait::async_trait;
use bytes::Bytes;

use super::{INSERT, Lists, REMOVE, SET};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        GetRequest, GetResponse, InsertPosition, InsertRequest, InsertResponse, ListIndexing, RemoveRequest, RemoveResponse, SetRequest,
        SetResponse, insert_request, remove_request,
    },
};
use prism_driver::{
    check, id, index,
    list::{check_index_alone, no_target},
};

#[async_trait]
impl ListIndexing for Lists {
    async fn get(&self, context: &Context, request: GetRequest) -> Result<GetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let value: Option<Bytes> =
            self.run(context, redis::cmd("LINDEX").arg(self.list_key(&request.key)).arg(index::clamp(request.index))).await?;
        Ok(GetResponse { value })
    }

    async fn set(&self, context: &Context, request: SetRequest) -> Result<SetResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let call = self.script(&SET, &request.key).arg(index::clamp(request.index)).arg(&request.value[..]);
        Ok(SetResponse { replaced: reply::integer(&self.call(context, &call).await?)? == 1 })
    }

    async fn insert(&self, context: &Context, request: InsertRequest) -> Result<InsertResponse, Error> {
        check::key(&self.limits, &request.key)?;
        check::value(&self.limits, "value", &request.value)?;
        let position = if request.position() == InsertPosition::After { "AFTER" } else { "BEFORE" };
        let call = self.script(&INSERT, &request.key).arg(position).arg(&request.value[..]);
        let call = match request.target.ok_or_else(|| no_target("index or pivot"))? {
            insert_request::Target::Index(index) => call.arg("index").arg(index::clamp(index)).arg(id::random_text()),
            insert_request::Target::Pivot(pivot) => call.arg("pivot").arg(&pivot[..]),
        };
        let [inserted, length] = reply::fixed_list(self.call(context, &call).await?)?;
        Ok(InsertResponse { inserted: reply::integer(&inserted)? == 1, length: reply::count(&length)? })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let call = self.script(&REMOVE, &request.key);
        let call = match request.target.ok_or_else(|| no_target("index or value"))? {
            remove_request::Target::Index(index) => {
                check_index_alone(request.limit, request.from_right)?;
                call.arg("index").arg(index::clamp(index)).arg(id::random_text())
            }
            remove_request::Target::Value(value) => {
                let limit = i64::from(request.limit);
                // Redis counts from the right if the number is negative. Without a limit, the end makes no difference.
                call.arg("value").arg(&value[..]).arg(if request.from_right { -limit } else { limit })
            }
        };
        let [removed, length] = reply::fixed_list(self.call(context, &call).await?)?;
        Ok(RemoveResponse { removed: reply::count(&removed)?, length: reply::count(&length)? })
    }
}
