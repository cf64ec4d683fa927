//! `stream_consumer_groups`

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream;
use tokio::time::{Instant, sleep_until};

use super::{
    super::shared::{Shared, Subscribed, lock},
    Streams, cursor,
    group::{Group, Member},
    group_not_found,
    log::{Log, State},
    reader::Start,
};
use prism_call::{
    Context, Error, Messages,
    proto::models::stream::v1::{
        AckRequest, AckResponse, CreateConsumerGroupRequest, CreateConsumerGroupResponse, DeleteConsumerGroupRequest,
        DeleteConsumerGroupResponse, GetConsumerGroupInfoRequest, GetConsumerGroupInfoResponse, JoinConsumerGroupRequest,
        JoinConsumerGroupResponse, StreamConsumerGroups, create_consumer_group_request,
    },
};
use prism_driver::{check, time};

const DEFAULT_IN_FLIGHT: u32 = 100;
const MAX_IN_FLIGHT: u32 = 10_000;
const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(30);
const MIN_ACK_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_ACK_TIMEOUT: Duration = Duration::from_hours(12);

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
        let group = Group::new(state.new_id(), state.partitions.iter().map(|partition| start.place(partition)));
        state.groups.insert(request.group, group);
        Ok(CreateConsumerGroupResponse { created: true })
    }

    async fn join_consumer_group(
        &self,
        _: &Context,
        request: JoinConsumerGroupRequest,
    ) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
        let JoinConsumerGroupRequest { stream, group, consumer, max_in_flight, ack_timeout } = request;
        check::name("group", &group)?;
        check::optional_name("consumer", &consumer)?;
        let max_in_flight = check::limit("max_in_flight", max_in_flight, DEFAULT_IN_FLIGHT, MAX_IN_FLIGHT)?;
        let ack_timeout = match &ack_timeout {
            Some(ack_timeout) => time::between("ack_timeout", ack_timeout, MIN_ACK_TIMEOUT, MAX_ACK_TIMEOUT)?,
            None => DEFAULT_ACK_TIMEOUT,
        };
        let log = self.find(&stream)?.ok_or_else(|| group_not_found(&group))?;
        let counted = self.shared.subscribe()?;
        let (group_id, id) = {
            let mut state = lock(&log.state);
            let id = state.new_id();
            let joined = state.groups.get_mut(&group).ok_or_else(|| group_not_found(&group))?;
            let name = if consumer.is_empty() { format!("{:032x}", rand::random::<u128>()) } else { consumer };
            joined.join(id, Member { name, max_in_flight, ack_timeout, in_flight: 0 });
            (joined.id, id)
        };
        let joined = Joined { log, shared: self.shared.clone(), group, group_id, id, _counted: counted };
        Ok(Box::pin(stream::try_unfold(joined, |joined| async move { Ok(Some((joined.next().await?, joined))) })))
    }

    async fn ack(&self, _: &Context, request: AckRequest) -> Result<AckResponse, Error> {
        check::name("group", &request.group)?;
        check::batch(&self.limits, "offsets", request.offsets.len())?;
        let log = self.find(&request.stream)?.ok_or_else(|| group_not_found(&request.group))?;
        let mut acknowledged = 0;
        {
            let mut state = lock(&log.state);
            let group = state.groups.get_mut(&request.group).ok_or_else(|| group_not_found(&request.group))?;
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
        self.look(&request.stream, |state| {
            let State { partitions, groups, .. } = state;
            let group = groups.get_mut(&request.group);
            let info = group.map(|group| {
                group.settle(partitions.len(), Instant::now());
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

/// A member while its stream is there.
struct Joined {
    log: Arc<Log>,
    shared: Arc<Shared>,
    group: String,
    group_id: u64,
    id: u64,
    _counted: Subscribed,
}

impl Joined {
    async fn next(&self) -> Result<JoinConsumerGroupResponse, Error> {
        loop {
            self.shared.open()?;
            let changed = self.log.changed.notified();
            let (delivery, end) = self.take(Instant::now())?;
            if let Some(delivery) = delivery {
                return Ok(delivery);
            }
            let end = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = end => {}
                closed = self.shared.closed() => return Err(closed),
            }
        }
    }

    /// What there is for this member now, else when a delivery to somebody will be over.
    fn take(&self, now: Instant) -> Result<(Option<JoinConsumerGroupResponse>, Option<Instant>), Error> {
        let mut state = lock(&self.log.state);
        let State { partitions, groups, .. } = &mut *state;
        let group = groups.get_mut(&self.group).filter(|group| group.id == self.group_id).ok_or_else(|| group_not_found(&self.group))?;
        group.settle(partitions.len(), now);
        let Some(taken) = group.take(self.id, partitions, now) else { return Ok((None, group.next_end())) };
        let cursor = cursor::encode(&self.log.name, group.places(taken.partition, taken.record.offset));
        let record = taken.record.shown(taken.partition, cursor);
        if taken.ends_first {
            self.log.changed.notify_waiters();
        }
        Ok((Some(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: taken.attempts }), None))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(group) = lock(&self.log.state).groups.get_mut(&self.group).filter(|group| group.id == self.group_id) {
            group.leave(self.id);
        }
        self.log.changed.notify_waiters();
    }
}
