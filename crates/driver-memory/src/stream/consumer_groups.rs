//! `stream_consumer_groups`

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Streams, group::Group, log::LogState, member, reader::Start};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, CreateConsumerGroupRequest, CreateConsumerGroupResponse, DeleteConsumerGroupRequest,
        DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse, JoinConsumerGroupRequest,
        JoinConsumerGroupResponse, StreamConsumerGroups, create_consumer_group_request,
    },
};
use prism_driver::{check, lock::lock, stream::consumer_group_not_found, time};

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(&self, _: &Context, request: CreateConsumerGroupRequest) -> Result<CreateConsumerGroupResponse, Error> {
        check::name("group", &request.group)?;
        let start = match request.start {
            Some(create_consumer_group_request::Start::FromOffset(offset)) => Start::Offset(offset),
            Some(create_consumer_group_request::Start::FromTime(time)) => Start::Time(time::millis_up(&time)),
            Some(create_consumer_group_request::Start::Latest(true)) => Start::Latest,
            Some(create_consumer_group_request::Start::Latest(false)) | None => Start::Oldest,
        };
        let log = self.log(&request.stream)?;
        let mut state = lock(&log.state);
        if state.groups.contains_key(&request.group) {
            return Ok(CreateConsumerGroupResponse { created: false });
        }
        self.shared.reserve(Group::size(&request.group))?;
        let group = Group::new(state.new_id(), state.partitions.iter().map(|partition| start.offset_in(partition)));
        state.groups.insert(request.group, group);
        Ok(CreateConsumerGroupResponse { created: true })
    }

    async fn join_consumer_group(
        &self,
        _: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        member::join(self, request)
    }

    async fn ack(&self, _: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        check::name("group", &request.group)?;
        check::batch(&self.limits, "offsets", request.offsets.len())?;
        let log = self.find(&request.stream)?.ok_or_else(|| consumer_group_not_found(&request.stream, &request.group))?;
        let mut acknowledged = 0;
        {
            let mut state = lock(&log.state);
            let group = state.groups.get_mut(&request.group).ok_or_else(|| consumer_group_not_found(&request.stream, &request.group))?;
            for offset in request.offsets {
                acknowledged += u32::from(group.acknowledge(request.partition, offset));
            }
        }
        log.changed.notify_waiters();
        Ok(AckResponse { acknowledged })
    }

    async fn get_consumer_group_info(
        &self,
        _: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        check::name("group", &request.group)?;
        self.with_state(&request.stream, |state| {
            let LogState { partitions, groups, .. } = state;
            let group = groups.get_mut(&request.group);
            let info = group.map(|group| {
                group.update(partitions.len(), Instant::now());
                group.info(partitions)
            });
            GetConsumerGroupInfoResponse { info }
        })
    }

    async fn delete_consumer_group(&self, _: &Context, request: DeleteConsumerGroupRequest) -> Result<DeleteConsumerGroupResponse, Error> {
        check::name("group", &request.group)?;
        let Some(log) = self.find(&request.stream)? else { return Ok(DeleteConsumerGroupResponse { deleted: false }) };
        let deleted = lock(&log.state).groups.remove(&request.group).is_some();
        if deleted {
            self.shared.release(Group::size(&request.group));
            log.changed.notify_waiters();
        }
        Ok(DeleteConsumerGroupResponse { deleted })
    }
}
