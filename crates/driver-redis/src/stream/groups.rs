//! `stream_consumer_groups` over the consumer groups of Redis.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    ACK, CREATE, DESTROY, INFO, Streams,
    member::{self, Member},
    offset::Id,
};
use crate::{error, reply};
use prism_call::{
    Code, Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, ConsumerGroupInfo, ConsumerInfo, CreateConsumerGroupRequest, CreateConsumerGroupResponse,
        DeleteConsumerGroupRequest, DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse,
        JoinConsumerGroupRequest, JoinConsumerGroupResponse, PartitionOffset, StreamConsumerGroups, create_consumer_group_request::Start,
    },
};
use prism_driver::{check, time};

/// Greatest and usual number of records that wait for one member.
const MAX_IN_FLIGHT: u32 = 10_000;
const IN_FLIGHT: u32 = 100;
/// Bounds of the time to acknowledge, and what it is usually.
const ACK_TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(12));
const USUAL_ACK_TIMEOUT: Duration = Duration::from_secs(30);
/// A consumer that holds nothing and was not heard of for so long belonged to a gateway that crashed.
const FORGET_AFTER: Duration = Duration::from_mins(10);
/// Most members that are told of.
const MAX_CONSUMERS: usize = 1000;

/// `NOT_FOUND CONSUMER_GROUP_NOT_FOUND`
pub fn not_found(stream: &str, group: &str) -> Error {
    Error::new(
        Code::NotFound,
        "CONSUMER_GROUP_NOT_FOUND",
        format!("the stream {stream:?} has no consumer group {group:?}; CreateConsumerGroup makes it"),
    )
}

/// Checks the names of a stream and a group.
pub fn check_names(stream: &str, group: &str) -> Result<(), Error> {
    check::name("stream", stream)?;
    check::name("group", group)
}

#[async_trait]
impl StreamConsumerGroups for Streams {
    async fn create_consumer_group(
        &self,
        context: &Context,
        request: CreateConsumerGroupRequest,
    ) -> Result<CreateConsumerGroupResponse, Error> {
        check_names(&request.stream, &request.group)?;
        let before = match &request.start {
            Some(Start::FromOffset(offset)) => Id(*offset).before().to_string(),
            Some(Start::FromTime(time)) => Id::at(time).before().to_string(),
            Some(Start::Latest(true)) => "$".to_owned(),
            Some(Start::Latest(false)) | None => Id(0).to_string(),
        };
        let call = self.script(&CREATE, &request.stream).arg(&request.group).arg(before);
        Ok(CreateConsumerGroupResponse { created: reply::integer(&self.call(context, &call).await?)? == 1 })
    }

    async fn join_consumer_group(
        &self,
        context: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        check_names(&request.stream, &request.group)?;
        check::optional_name("consumer", &request.consumer)?;
        let room = check::limit("max_in_flight", request.max_in_flight, IN_FLIGHT, MAX_IN_FLIGHT)?;
        let ack_timeout = match &request.ack_timeout {
            Some(timeout) => time::between("ack_timeout", timeout, ACK_TIMEOUT.0, ACK_TIMEOUT.1)?,
            None => USUAL_ACK_TIMEOUT,
        };
        let permit = self.hub.permit()?;
        let random = format!("{:016x}", rand::random::<u64>());
        let name = if request.consumer.is_empty() { random.clone() } else { request.consumer };
        let consumer = format!("{}|{random}|{name}", ack_timeout.as_millis());
        let mut member = Member::new(self.clone(), context.clone(), request.stream, request.group, consumer, room, permit);
        // A group that is not there is told before the stream begins.
        member.take().await?;
        Ok(member.messages())
    }

    async fn ack(&self, context: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        check_names(&request.stream, &request.group)?;
        check::batch(&self.limits, "offsets", request.offsets.len())?;
        let mut call = self.script(&ACK, &request.stream).arg(&request.group);
        for offset in &request.offsets {
            // Other partitions hold nothing; the id 0-0 never is one of a record.
            call.push(if request.partition == 0 { Id(*offset) } else { Id(0) });
        }
        match self.call(context, &call).await? {
            redis::Value::Nil => Err(not_found(&request.stream, &request.group)),
            count => Ok(AckResponse { acknowledged: u32::try_from(reply::count(&count)?).unwrap_or(u32::MAX) }),
        }
    }

    async fn get_consumer_group_info(
        &self,
        context: &Context,
        request: GetConsumerGroupInfoRequest,
    ) -> Result<GetConsumerGroupInfoResponse, Error> {
        check_names(&request.stream, &request.group)?;
        let millis = u64::try_from(FORGET_AFTER.as_millis()).unwrap_or(u64::MAX);
        let call = self.script(&INFO, &request.stream).arg(&request.group).arg(millis);
        let mut answer = reply::list(self.call(context, &call).await?)?.into_iter();
        if answer.len() == 0 {
            return Ok(GetConsumerGroupInfoResponse::default());
        }
        let mut next = || answer.next().ok_or_else(error::unexpected);
        let (lowest, first, delivered) = (Id::read(&next()?)?, Id::read(&next()?)?, Id::required(&next()?)?);
        let (pending, lag) = (reply::count(&next()?)?, reply::count(&next()?)?);
        let committed = lowest.or(first).map_or(delivered.next(), |id| id.0);
        let mut consumers = Vec::new();
        while let (Some(name), Some(pending)) = (answer.next(), answer.next()) {
            let name = reply::some_bytes(name)?;
            consumers.push(ConsumerInfo { consumer: member::shown(&name), pending: reply::count(&pending)? });
        }
        consumers.sort_by(|one, other| one.consumer.cmp(&other.consumer));
        consumers.truncate(MAX_CONSUMERS);
        let committed = vec![PartitionOffset { partition: 0, offset: committed }];
        Ok(GetConsumerGroupInfoResponse { info: Some(ConsumerGroupInfo { committed, pending, lag, consumers }) })
    }

    async fn delete_consumer_group(
        &self,
        context: &Context,
        request: DeleteConsumerGroupRequest,
    ) -> Result<DeleteConsumerGroupResponse, Error> {
        check_names(&request.stream, &request.group)?;
        let call = self.script(&DESTROY, &request.stream).arg(&request.group);
        Ok(DeleteConsumerGroupResponse { deleted: reply::integer(&self.call(context, &call).await?)? == 1 })
    }
}
