//! `set_random`

use std::sync::LazyLock;

use async_trait::async_trait;
use bytes::Bytes;

use super::{POP, RANDOM, Sets};
use crate::{reply, script::LuaScript};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetRandomMemberRequest, GetRandomMemberResponse, PopRandomMemberRequest, PopRandomMemberResponse, SetRandom},
};
use prism_driver::{
    check,
    set::{RANDOM_BYTES, random_limit},
};

impl Sets {
    /// Runs a script that returns members. A negative number of members means that they may repeat.
    async fn random(&self, context: &Context, lua: &'static LazyLock<LuaScript>, key: &[u8], members: i64) -> Result<Vec<Bytes>, Error> {
        let call = lua.call(&[&self.set_key(key)]).arg(members).arg(RANDOM_BYTES);
        reply::list(self.call(context, &call).await?)?.into_iter().map(reply::required_bytes).collect()
    }
}

#[async_trait]
impl SetRandom for Sets {
    async fn get_random_member(&self, context: &Context, request: GetRandomMemberRequest) -> Result<GetRandomMemberResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let limit = i64::try_from(random_limit(request.limit)?).unwrap_or(1);
        let limit = if request.allow_repeats { -limit } else { limit };
        Ok(GetRandomMemberResponse { members: self.random(context, &RANDOM, &request.key, limit).await? })
    }

    async fn pop_random_member(&self, context: &Context, request: PopRandomMemberRequest) -> Result<PopRandomMemberResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let limit = i64::try_from(random_limit(request.limit)?).unwrap_or(1);
        Ok(PopRandomMemberResponse { members: self.random(context, &POP, &request.key, limit).await? })
    }
}
