//! `set_cardinality`

use async_trait::async_trait;

use super::{Sets, members::MemberSet};
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetSizeRequest, GetSizeResponse, IsMemberRequest, IsMemberResponse, SetCardinality},
};
use prism_driver::{check, set::check_members};

#[async_trait]
impl SetCardinality for Sets {
    async fn get_size(&self, _: &Context, request: GetSizeRequest) -> Result<GetSizeResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(GetSizeResponse { size: self.state()?.sets.get(&request.key).map_or(0, MemberSet::len) as u64 })
    }

    async fn is_member(&self, _: &Context, request: IsMemberRequest) -> Result<IsMemberResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let state = self.state()?;
        let set = state.sets.get(&request.key);
        let present = request.members.iter().map(|member| set.is_some_and(|set| set.contains(member))).collect();
        Ok(IsMemberResponse { present })
    }
}
