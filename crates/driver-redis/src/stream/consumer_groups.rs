//! `stream_consumer_groups` over the consumer groups of Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    ACK, CREATE, DESTROY, GROUP_INFO, Streams,
    member::{self, GroupMember},
    record_id::RecordId,
};
use crate::{error, reply};
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
};

/// A consumer without deliveries that was idle for this time belonged to a gateway that crashed, and is removed.
const REMOVE_IDLE_AFTER: Duration = Duration::from_mins(10);

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(
        &self,
        context: &Context,
        request: CreateConsumerGroupRequest,
    ) -> Result<CreateConsumerGroupResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let before = match &request.start {
            Some(Start::FromOffset(offset)) => RecordId(*offset).before().to_string(),
            Some(Start::FromTime(time)) => RecordId::at(time).before().to_string(),
            Some(Start::Latest(true)) => "$".to_owned(),
            Some(Start::Latest(false)) | None => RecordId(0).to_string(),
        };
        let call = self.script(&CREATE, &request.stream).arg(&request.group).arg(before);
        Ok(CreateConsumerGroupResponse { created: reply::integer(&self.call(context, &call).await?)? == 1 })
    }

    async fn join_consumer_group(
        &self,
        context: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        let max_in_flight = max_in_flight(request.max_in_flight)?;
        let ack_timeout = ack_timeout(request.ack_timeout.as_ref())?;
        let permit = self.hub.permit()?;
        let random = format!("{:016x}", rand::random::<u64>());
        let name = if request.consumer.is_empty() { random.clone() } else { request.consumer };
        let consumer = format!("{}|{random}|{name}", ack_timeout.as_millis());
        let mut member = GroupMember::new(self.clone(), context.clone(), request.stream, request.group, consumer, max_in_flight, permit);
        // The first take fails if the group does not exist, so the call itself fails.
        member.take().await?;
        Ok(member.messages())
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        check::batch(&self.limits, "offsets", request.offsets.len())?;
        let mut call = self.script(&ACK, &request.stream).arg(&request.group);
        for offset in &request.offsets {
            // Other partitions have no records. No record has the id 0-0.
            call.push(if request.partition == 0 { RecordId(*offset) } else { RecordId(0) });
        }
        match self.call(context, &call).await? {
            redis::Value::Nil => Err(consumer_group_not_found(&request.stream, &request.group)),
            count => Ok(AckResponse { acknowledged: u32::try_from(reply::count(&count)?).unwrap_or(u32::MAX) }),
        }
    }

    async fn get_consumer_group_info(
        &self,
        context: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let millis = u64::try_from(REMOVE_IDLE_AFTER.as_millis()).unwrap_or(u64::MAX);
        let call = self.script(&GROUP_INFO, &request.stream).arg(&request.group).arg(millis);
        let mut items = reply::list(self.call(context, &call).await?)?.into_iter();
        if items.len() == 0 {
            return Ok(GetConsumerGroupInfoResponse::default());
        }
        let mut next = || items.next().ok_or_else(error::unexpected_reply);
        let (lowest, first, delivered) = (RecordId::parse(&next()?)?, RecordId::parse(&next()?)?, RecordId::required(&next()?)?);
        let (pending, lag) = (reply::count(&next()?)?, reply::count(&next()?)?);
        let committed = lowest.or(first).map_or(delivered.next(), |id| id.0);
        let mut consumers = Vec::new();
        while let (Some(name), Some(pending)) = (items.next(), items.next()) {
            let name = reply::required_bytes(name)?;
            consumers.push(ConsumerInfo { consumer: member::client_name(&name), pending: reply::count(&pending)? });
        }
        consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
        consumers.truncate(MAX_LISTED_CONSUMERS);
        let committed = vec![PartitionOffset { partition: 0, offset: committed }];
        Ok(GetConsumerGroupInfoResponse { info: Some(ConsumerGroupInfo { committed, pending, lag, consumers }) })
    }

    async fn delete_consumer_group(
        &self,
        context: &Context,
        request: DeleteConsumerGroupRequest,
    ) -> Result<DeleteConsumerGroupResponse, Error> {
        check_group_names(&request.stream, &request.group)?;
        let call = self.script(&DESTROY, &request.stream).arg(&request.group);
        Ok(DeleteConsumerGroupResponse { deleted: reply::integer(&self.call(context, &call).await?)? == 1 })
    }
}
