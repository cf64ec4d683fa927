//! `stream_consumer_groups`. The consumers of JetStream know neither members nor their own times to acknowledge, so that a group is a
//! document of its own, see [`Group`].

use std::collections::HashMap;

use async_trait::async_trait;

use super::{
    Streams,
    group::Group,
    group_tokens,
    member::{GroupMember, Membership},
    record::{offset, sequence},
};
use crate::documents::Changed;
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, ConsumerGroupInfo, ConsumerInfo, CreateConsumerGroupRequest, CreateConsumerGroupResponse,
        DeleteConsumerGroupRequest, DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse,
        JoinConsumerGroupRequest, JoinConsumerGroupResponse, PartitionOffset, StreamConsumerGroups, create_consumer_group_request::Start,
    },
};
use prism_driver::{
    check,
    stream::{MAX_LISTED_CONSUMERS, ack_timeout, check_group_names, consumer_group_not_found, max_in_flight},
    time,
};

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(
        &self,
        context: &Context,
        request: CreateConsumerGroupRequest,
    ) -> Result<CreateConsumerGroupResponse, Error> {
        let CreateConsumerGroupRequest { stream, group, start } = request;
        check_group_names(&stream, &group)?;
        let deadline = self.client.deadline(context);
        let mut state = Group { id: rand::random(), next: 1, ..Group::default() };
        match &start {
            Some(Start::FromOffset(offset)) => state.next = sequence(*offset),
            Some(Start::FromTime(time)) => {
                state.next = self.sequence_at(&deadline, &self.log(&stream), time).await?;
                // The time may be in the future.
                state.not_before = time::millis_up(time);
            }
            Some(Start::Latest(true)) => {
                state.next = self.log(&stream).info(&deadline).await?.map_or(1, |info| info.state.last_seq + 1);
            }
            Some(Start::Latest(false)) | None => {}
        }
        let created = self.documents.save(&deadline, &group_tokens(&stream, &group), 0, &state).await?;
        Ok(CreateConsumerGroupResponse { created: created.is_some() })
    }

    async fn join_consumer_group(
        &self,
        context: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        let membership = Membership {
            max_in_flight: max_in_flight(request.max_in_flight)? as usize,
            ack_timeout: ack_timeout(request.ack_timeout.as_ref())?,
            stream: request.stream,
            group: request.group,
            name: request.consumer,
        };
        let mut member = GroupMember::new(self.clone(), context.clone(), membership, self.subscriptions.permit()?);
        // The first attempt fails if the group does not exist, so the call itself fails.
        member.take().await?;
        Ok(member.messages())
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        let AckRequest { stream, group, partition, offsets } = request;
        check_group_names(&stream, &group)?;
        check::batch(&self.limits, "offsets", offsets.len())?;
        // Other partitions have no records.
        let sequences: Vec<u64> = offsets.into_iter().filter(|_| partition == 0).map(sequence).collect();
        let (deadline, tokens) = (self.client.deadline(context), group_tokens(&stream, &group));
        let acknowledged = self.documents.update(&deadline, &tokens, |group: &mut Group| match group.ack(&sequences) {
            0 => Changed::No(0),
            count => Changed::Yes(count),
        });
        Ok(AckResponse { acknowledged: acknowledged.await?.ok_or_else(|| consumer_group_not_found(&stream, &group))? })
    }

    async fn get_consumer_group_info(
        &self,
        context: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        let GetConsumerGroupInfoRequest { stream, group } = request;
        check_group_names(&stream, &group)?;
        let deadline = self.client.deadline(context);
        let Some((state, _)) = self.documents.load::<Group>(&deadline, &group_tokens(&stream, &group)).await? else {
            return Ok(GetConsumerGroupInfoResponse::default());
        };
        let lag = self
            .log(&stream)
            .info(&deadline)
            .await?
            .map_or(0, |info| (info.state.last_seq + 1).saturating_sub(state.next.max(info.state.first_seq)));
        let mut pending: HashMap<u32, u64> = HashMap::new();
        for delivery in state.pending.values() {
            *pending.entry(delivery.member).or_default() += 1;
        }
        let mut consumers: Vec<ConsumerInfo> = state
            .members
            .iter()
            .map(|(id, member)| ConsumerInfo { consumer: member.name.clone(), pending: pending.get(id).copied().unwrap_or(0) })
            .collect();
        consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
        consumers.truncate(MAX_LISTED_CONSUMERS);
        let committed = vec![PartitionOffset { partition: 0, offset: offset(state.committed()) }];
        let info = ConsumerGroupInfo { committed, pending: state.pending.len() as u64, lag, consumers };
        Ok(GetConsumerGroupInfoResponse { info: Some(info) })
    }

    async fn delete_consumer_group(
        &self,
        context: &Context,
        request: DeleteConsumerGroupRequest,
    ) -> Result<DeleteConsumerGroupResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let tokens = group_tokens(&request.stream, &request.group);
        Ok(DeleteConsumerGroupResponse { deleted: self.documents.remove(&self.client.deadline(context), &tokens).await? })
    }
}
