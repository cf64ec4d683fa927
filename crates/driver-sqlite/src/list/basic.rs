//! `list_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lists, rows};
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        ListBasic, PopLeftRequest, PopLeftResponse, PopRightRequest, PopRightResponse, PushLeftRequest, PushLeftResponse, PushRightRequest,
        PushRightResponse,
    },
};
use prism_driver::{
    check,
    list::{End, check_push, pop_limit},
};

impl Lists {
    async fn push(&self, key: Bytes, values: Vec<Bytes>, only_if_exists: bool, end: End) -> Result<u64, Error> {
        check_push(self.keyspace.limits(), &key, &values)?;
        let write = self.keyspace.write(move |tx, keyspace| {
            if only_if_exists && rows::find(tx.connection, keyspace, &key)?.is_none() {
                return Ok(0);
            }
            rows::push(tx, keyspace, &key, &values, end)
        });
        write.await
    }

    async fn pop(&self, key: Bytes, limit: u32, end: End) -> Result<Vec<Bytes>, Error> {
        check::key(self.keyspace.limits(), &key)?;
        let limit = pop_limit(limit)?;
        self.keyspace.remove(move |tx, keyspace| rows::pop(tx, keyspace, &key, limit, end)).await
    }
}

#[async_trait]
impl ListBasic for Lists {
    async fn push_left(&self, _: &Context, request: PushLeftRequest) -> Result<PushLeftResponse, Error> {
        let length = self.push(request.key, request.values, request.only_if_exists, End::Left).await?;
        Ok(PushLeftResponse { length })
    }

    async fn push_right(&self, _: &Context, request: PushRightRequest) -> Result<PushRightResponse, Error> {
        let length = self.push(request.key, request.values, request.only_if_exists, End::Right).await?;
        Ok(PushRightResponse { length })
    }

    async fn pop_left(&self, _: &Context, request: PopLeftRequest) -> Result<PopLeftResponse, Error> {
        Ok(PopLeftResponse { values: self.pop(request.key, request.limit, End::Left).await? })
    }

    async fn pop_right(&self, _: &Context, request: PopRightRequest) -> Result<PopRightResponse, Error> {
        Ok(PopRightResponse { values: self.pop(request.key, request.limit, End::Right).await? })
    }
}
