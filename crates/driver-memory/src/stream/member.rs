//! The stream of one member of a consumer group.

use std::sync::Arc;

use futures::stream;
use tokio::time::{Instant, sleep_until};

use super::{
    Streams, cursor,
    group::Member,
    log::{Log, LogState},
};
use crate::state::{SharedState, SubscriptionPermit};
use prism_call::{
    Error, Messages,
    proto::models::stream::v1::{JoinConsumerGroupRequest, JoinConsumerGroupResponse},
};
use prism_driver::{
    check, id,
    lock::lock,
    stream::{ack_timeout, consumer_group_not_found, max_in_flight},
};

/// Belongs to the stream of a member. The member leaves the group when the stream is dropped.
struct JoinedMember {
    log: Arc<Log>,
    shared: Arc<SharedState>,
    group: String,
    group_id: u64,
    member_id: u64,
    _permit: SubscriptionPermit,
}

/// Joins a group, and returns the stream of the new member.
pub fn join(streams: &Streams, request: JoinConsumerGroupRequest) -> Result<Messages<JoinConsumerGroupResponse>, Error> {
    let JoinConsumerGroupRequest { stream, group, consumer, .. } = request;
    check::name("group", &group)?;
    check::optional_name("consumer", &consumer)?;
    let max_in_flight = max_in_flight(request.max_in_flight)?;
    let ack_timeout = ack_timeout(request.ack_timeout.as_ref())?;
    let log = streams.find(&stream)?.ok_or_else(|| consumer_group_not_found(&stream, &group))?;
    let permit = streams.shared.subscription_permit()?;
    let (group_id, member_id) = {
        let mut state = lock(&log.state);
        let member_id = state.new_id();
        let joined = state.groups.get_mut(&group).ok_or_else(|| consumer_group_not_found(&stream, &group))?;
        let name = if consumer.is_empty() { id::random_text() } else { consumer };
        joined.join(member_id, Member { name, max_in_flight, ack_timeout, in_flight: 0 });
        (joined.id, member_id)
    };
    let member = JoinedMember { log, shared: streams.shared.clone(), group, group_id, member_id, _permit: permit };
    Ok(Box::pin(stream::try_unfold(member, |member| async move { Ok(Some((member.next().await?, member))) })))
}

impl JoinedMember {
    async fn next(&self) -> Result<JoinConsumerGroupResponse, Error> {
        loop {
            self.shared.check_open()?;
            let changed = self.log.changed.notified();
            let (delivery, next_expiry) = self.take(Instant::now())?;
            if let Some(delivery) = delivery {
                return Ok(delivery);
            }
            let delivery_expired = async {
                match next_expiry {
                    Some(expiry) => sleep_until(expiry).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = delivery_expired => {}
                closed = self.shared.wait_until_closed() => return Err(closed),
            }
        }
    }

    /// The next delivery for this member, or the time at which the next delivery of the group expires.
    fn take(&self, now: Instant) -> Result<(Option<JoinConsumerGroupResponse>, Option<Instant>), Error> {
        let mut state = lock(&self.log.state);
        let LogState { partitions, groups, .. } = &mut *state;
        let group = groups
            .get_mut(&self.group)
            .filter(|group| group.id == self.group_id)
            .ok_or_else(|| consumer_group_not_found(&self.log.name, &self.group))?;
        group.update(partitions.len(), now);
        let Some(taken) = group.take(self.member_id, partitions, now) else { return Ok((None, group.next_expiry())) };
        let cursor = cursor::encode(&self.log.name, group.positions_after(taken.partition, taken.record.offset));
        let record = taken.record.to_proto(taken.partition, cursor);
        if taken.expires_first {
            self.log.changed.notify_waiters();
        }
        Ok((Some(JoinConsumerGroupResponse { record: Some(record), delivery_attempt: taken.attempts }), None))
    }
}

impl Drop for JoinedMember {
    fn drop(&mut self) {
        if let Some(group) = lock(&self.log.state).groups.get_mut(&self.group).filter(|group| group.id == self.group_id) {
            group.leave(self.member_id);
        }
        self.log.changed.notify_waiters();
    }
}
