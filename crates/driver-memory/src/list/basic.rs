//! `list_basic`

use async_trait::async_trait;
use bytes::Bytes;

use super::Lists;
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
    fn push(&self, key: &[u8], values: &[Bytes], only_if_exists: bool, end: End) -> Result<u64, Error> {
        check_push(&self.limits, key, values)?;
        // Copies: the bytes of the request may be small parts of a large buffer.
        let values = values.iter().map(|value| Bytes::copy_from_slice(value)).collect();
        let mut state = self.state()?;
        if only_if_exists && !state.lists.contains_key(key) { Ok(0) } else { state.push(key, values, end) }
    }

    fn pop(&self, key: &[u8], limit: u32, end: End) -> Result<Vec<Bytes>, Error> {
        check::key(&self.limits, key)?;
        let limit = pop_limit(limit)?;
        Ok(self.state()?.pop(key, limit, end))
    }
}

#[async_trait]
impl ListBasic for Lists {
    async fn push_left(&self, _: &Context, request: PushLeftRequest) -> Result<PushLeftResponse, Error> {
        let length = self.push(&request.key, &request.values, request.only_if_exists, End::Left)?;
        Ok(PushLeftResponse { length })
    }

    async fn push_right(&self, _: &Context, request: PushRightRequest) -> Result<PushRightResponse, Error> {
        let length = self.push(&request.key, &request.values, request.only_if_exists, End::Right)?;
        Ok(PushRightResponse { length })
    }

    async fn pop_left(&self, _: &Context, request: PopLeftRequest) -> Result<PopLeftResponse, Error> {
        Ok(PopLeftResponse { values: self.pop(&request.key, request.limit, End::Left)? })
    }

    async fn pop_right(&self, _: &Context, request: PopRightRequest) -> Result<PopRightResponse, Error> {
        Ok(PopRightResponse { values: self.pop(&request.key, request.limit, End::Right)? })
    }
}
