//! `list_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::{Lists, POP, pop_command};
use crate::reply;
use prism_call::{
    Context, Error,
    proto::models::list::v1::{
        ListBasic, PopLeftRequest, PopLeftResponse, PopRightRequest, PopRightResponse, PushLeftRequest, PushLeftResponse, PushRightRequest,
        PushRightResponse,
    },
};
use prism_driver::{
    check,
    list::{End, POP_BYTES, check_push, pop_limit},
};

impl Lists {
    /// Pushes values with one of the commands `LPUSH`, `LPUSHX`, `RPUSH` and `RPUSHX`, and returns the length.
    async fn push(&self, context: &Context, command: &str, key: &[u8], values: &[Bytes]) -> Result<u64, Error> {
        check_push(&self.limits, key, values)?;
        let mut command = redis::cmd(command);
        command.arg(self.list_key(key));
        for value in values {
            command.arg(&value[..]);
        }
        self.run(context, &command).await
    }

    async fn pop(&self, context: &Context, key: &[u8], limit: u32, end: End) -> Result<Vec<Bytes>, Error> {
        check::key(&self.limits, key)?;
        let limit = pop_limit(limit)?;
        if limit == 1 {
            let value: Option<Bytes> = self.run(context, redis::cmd(pop_command(end)).arg(self.list_key(key))).await?;
            return Ok(value.into_iter().collect());
        }
        let call = self.script(&POP, key).arg(pop_command(end)).arg(limit).arg(POP_BYTES);
        reply::list(self.call(context, &call).await?)?.into_iter().map(reply::required_bytes).collect()
    }
}

#[async_trait]
impl ListBasic for Lists {
    async fn push_left(&self, context: &Context, request: PushLeftRequest) -> Result<PushLeftResponse, Error> {
        let command = if request.only_if_exists { "LPUSHX" } else { "LPUSH" };
        Ok(PushLeftResponse { length: self.push(context, command, &request.key, &request.values).await? })
    }

    async fn push_right(&self, context: &Context, request: PushRightRequest) -> Result<PushRightResponse, Error> {
        let command = if request.only_if_exists { "RPUSHX" } else { "RPUSH" };
        Ok(PushRightResponse { length: self.push(context, command, &request.key, &request.values).await? })
    }

    async fn pop_left(&self, context: &Context, request: PopLeftRequest) -> Result<PopLeftResponse, Error> {
        Ok(PopLeftResponse { values: self.pop(context, &request.key, request.limit, End::Left).await? })
    }

    async fn pop_right(&self, context: &Context, request: PopRightRequest) -> Result<PopRightResponse, Error> {
        Ok(PopRightResponse { values: self.pop(context, &request.key, request.limit, End::Right).await? })
    }
}
