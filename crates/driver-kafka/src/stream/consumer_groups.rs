//! `stream_consumer_groups`: groups are part of the state of the journal, see [`Group`](crate::journal::Group).

use std::collections::HashMap;

use async_trait::async_trait;

use super::{
    Streams,
    member::{GroupMember, Membership},
};
use crate::{
    client::Place,
    journal::{Ack, At, CreateGroup, GroupName, Operation, Outcome, Progress},
};
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
        let (topic, deadline) = (self.names.stream(&stream), self.client.deadline(context));
        let count = self.client.partitions(&deadline, &topic).await?.unwrap_or(1);
        let mut not_before = 0;
        let offsets = match start {
            Some(Start::FromOffset(offset)) => vec![offset; count as usize],
            Some(Start::FromTime(time)) => {
                // The time may be in the future.
                not_before = time::millis_up(&time);
                self.offsets(&deadline, &topic, Place::Time(not_before)).await?
            }
            Some(Start::Latest(true)) => self.offsets(&deadline, &topic, Place::End).await?,
            Some(Start::Latest(false)) | None => self.offsets(&deadline, &topic, Place::First).await?,
        };
        let positions = (0..).zip(offsets).map(|(partition, offset)| At { partition, offset }).collect();
        let create = CreateGroup { name: GroupName { stream, group }, group_id: rand::random(), positions, not_before };
        let outcome = self.journal.execute(&deadline, Operation::CreateGroup(create)).await?;
        Ok(CreateConsumerGroupResponse { created: outcome == Outcome::Changed(true) })
    }

    async fn join_consumer_group(
        &self,
        context: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        let membership = Membership {
            max_in_flight: max_in_flight(request.max_in_flight)?,
            ack_timeout: ack_timeout(request.ack_timeout.as_ref())?,
            name: GroupName { stream: request.stream, group: request.group },
            member: request.consumer,
        };
        let permit = self.subscriptions.permit()?;
        // The call itself fails if the group does not exist.
        let group_id = self.group(&self.client.deadline(context), &membership.name, |group| group.id).await?;
        let mut member = GroupMember::new(self.clone(), context.clone(), membership, group_id, permit);
        member.take().await?;
        Ok(member.messages())
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        let AckRequest { stream, group, partition, offsets } = request;
        check_group_names(&stream, &group)?;
        check::batch(&self.limits, "offsets", offsets.len())?;
        let (deadline, name) = (self.client.deadline(context), GroupName { stream, group });
        // Reading an absent group does not create the journal.
        if !self.journal.view(|state| state.groups.contains_key(&name)) {
            self.group(&deadline, &name, |_| ()).await?;
        }
        match self.journal.execute(&deadline, Operation::Ack(Ack { name: name.clone(), partition, offsets })).await? {
            Outcome::Acknowledged(acknowledged) => Ok(AckResponse { acknowledged }),
            _ => Err(consumer_group_not_found(&name.stream, &name.group)),
        }
    }

    async fn get_consumer_group_info(
        &self,
        context: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        let GetConsumerGroupInfoRequest { stream, group } = request;
        check_group_names(&stream, &group)?;
        let deadline = self.client.deadline(context);
        let (topic, name) = (self.names.stream(&stream), GroupName { stream, group });
        self.journal.catch_up(&deadline).await?;
        let Some(state) = self.journal.view(|state| state.groups.get(&name).cloned()) else {
            return Ok(GetConsumerGroupInfoResponse::default());
        };
        let first = self.offsets(&deadline, &topic, Place::First).await?;
        let ends = self.offsets(&deadline, &topic, Place::End).await?;
        let progress = |partition: u32| state.partitions.get(&partition);
        let next = |partition: u32, first: u64| progress(partition).map_or(0, |progress| progress.next).max(first);
        let lag = (0..).zip(first.iter().zip(&ends)).map(|(partition, (first, end))| end.saturating_sub(next(partition, *first))).sum();
        let count = u32::try_from(first.len()).unwrap_or(u32::MAX).max(1);
        let committed =
            (0..count).map(|partition| PartitionOffset { partition, offset: progress(partition).map_or(0, Progress::committed) }).collect();
        let mut waiting: HashMap<u32, u64> = HashMap::new();
        for delivery in state.partitions.values().flat_map(|progress| progress.pending.values()) {
            *waiting.entry(delivery.member).or_default() += 1;
        }
        let mut consumers: Vec<ConsumerInfo> = state
            .members
            .iter()
            .map(|(id, member)| ConsumerInfo { consumer: member.name.clone(), pending: waiting.get(id).copied().unwrap_or(0) })
            .collect();
        consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
        consumers.truncate(MAX_LISTED_CONSUMERS);
        let info = ConsumerGroupInfo { committed, pending: state.pending() as u64, lag, consumers };
        Ok(GetConsumerGroupInfoResponse { info: Some(info) })
    }

    async fn delete_consumer_group(
        &self,
        context: &Context,
        request: DeleteConsumerGroupRequest,
    ) -> Result<DeleteConsumerGroupResponse, Error> {
        let DeleteConsumerGroupRequest { stream, group } = request;
        check_group_names(&stream, &group)?;
        let (deadline, name) = (self.client.deadline(context), GroupName { stream, group });
        self.journal.catch_up(&deadline).await?;
        if !self.journal.view(|state| state.groups.contains_key(&name)) {
            return Ok(DeleteConsumerGroupResponse { deleted: false });
        }
        let outcome = self.journal.execute(&deadline, Operation::DeleteGroup(name)).await?;
        Ok(DeleteConsumerGroupResponse { deleted: outcome == Outcome::Changed(true) })
    }
}
