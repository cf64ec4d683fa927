//! `set_cardinality`

use async_trait::async_trait;

use super::Sets;
use prism_call::{
    Context, Error,
    proto::models::set::v1::{GetSizeRequest, GetSizeResponse, IsMemberRequest, IsMemberResponse, SetCardinality},
};
use prism_driver::{check, set::check_members};

#[async_trait]
impl SetCardinality for Sets {
    async fn get_size(&self, context: &Context, request: GetSizeRequest) -> Result<GetSizeResponse, Error> {
        check::key(&self.limits, &request.key)?;
        Ok(GetSizeResponse { size: self.run(context, redis::cmd("SCARD").arg(self.set_key(&request.key))).await? })
    }

    async fn is_member(&self, context: &Context, request: IsMemberRequest) -> Result<IsMemberResponse, Error> {
        check_members(&self.limits, &request.key, &request.members)?;
        let mut command = redis::cmd("SMISMEMBER");
        command.arg(self.set_key(&request.key));
        for member in &request.members {
            command.arg(&member[..]);
        }
        Ok(IsMemberResponse { present: self.run(context, &command).await? })
    }
}
