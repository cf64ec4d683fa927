//! `set_cardinality`

use async_trait::async_trait;

use super::{
    Sets,
    rows::{self, StoredMember},
};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetSizeRequest, GetSizeResponse, IsMemberRequest, IsMemberResponse, SetCardinality},
};
use prism_driver::{check, set::check_members};

#[async_trait]
impl SetCardinality for Sets {
    async fn get_size(&self, _: &Context, request: GetSizeRequest) -> Result<GetSizeResponse, Error> {
        check::key(self.keyspace.limits(), &request.key)?;
        let set = self.keyspace.quick(move |connection, keyspace| rows::find(connection, keyspace, &request.key)).await?;
        Ok(GetSizeResponse { size: set.map_or(0, |set| set.size.unsigned_abs()) })
    }

    async fn is_member(&self, _: &Context, request: IsMemberRequest) -> Result<IsMemberResponse, Error> {
        check_members(self.keyspace.limits(), &request.key, &request.members)?;
        let read = self.keyspace.read(move |connection, keyspace| {
            let snapshot = connection.unchecked_transaction()?;
            let Some(set) = rows::find(&snapshot, keyspace, &request.key)? else { return Ok(vec![false; request.members.len()]) };
            request.members.into_iter().map(|member| set.contains(&snapshot, &StoredMember::new(member).identity)).collect()
        });
        Ok(IsMemberResponse { present: read.await? })
    }
}
