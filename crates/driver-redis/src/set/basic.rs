//! `set_basic`

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Sets,
    scan::{MemberReader, Position},
};
use prism_call::{
    Context, Error, Messages,
    proto::models::set::v1::{
        AddRequest, AddResponse, ContainsRequest, ContainsResponse, GetMembersRequest, GetMembersResponse, RemoveRequest, RemoveResponse,
        SetBasic,
    },
};
use prism_driver::{
    check,
    set::{check_add, check_members, decode_cursor},
};

#[async_trait]
impl SetBasic for Sets {
    async fn add(&self, context: &Context, request: AddRequest) -> Result<AddResponse, Error> {
        check_add(&self.limits, &request.key, &request.members)?;
        let mut command = redis::cmd("SADD");
        command.arg(self.set_key(&request.key));
        for member in &request.members {
            command.arg(&member[..]);
        }
        Ok(AddResponse { added: self.run(context, &command).await? })
    }

    async fn remove(&self, context: &Context, request: RemoveRequest) -> Result<RemoveResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let mut command = redis::cmd("SREM");
        command.arg(self.set_key(&request.key));
        for member in &request.members {
            command.arg(&member[..]);
        }
        Ok(RemoveResponse { removed: self.run(context, &command).await? })
    }

    async fn contains(&self, context: &Context, request: ContainsRequest) -> Result<ContainsResponse, Error> {
        check::key(&self.limits, &request.key)?;
        let mut command = redis::cmd("SISMEMBER");
        command.arg(self.set_key(&request.key)).arg(&request.member[..]);
        Ok(ContainsResponse { contains: self.run(context, &command).await? })
    }

    async fn get_members(&self, context: &Context, request: GetMembersRequest) -> Result<Messages<GetMembersResponse>, Error> {
        check::key(&self.limits, &request.key)?;
        let position = decode_cursor(&request.key, &request.cursor)?.map(|bytes| Position::decode(&bytes)).transpose()?;
        let reader = MemberReader {
            sets: self.clone(),
            context: context.clone(),
            key: request.key,
            position: position.unwrap_or_default(),
            done: false,
            remaining: check::limit_or_all(request.limit),
        };
        let pages = stream::try_unfold(reader, MemberReader::page);
        Ok(pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed())
    }
}
