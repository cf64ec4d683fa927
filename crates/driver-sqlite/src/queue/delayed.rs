//! `queue_delayed`.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    Queues,
    rows::{self, NewMessage},
};
use prism_call::{
    Context, Error,
    proto::models::queue::v1::{
        EnqueueDelayedRequest, EnqueueDelayedResponse, GetScheduledCountRequest, GetScheduledCountResponse, QueueDelayed,
        enqueue_delayed_request::Schedule,
    },
};
use prism_driver::{
    check,
    time::{self, Millis},
};

/// Longest delay.
const MAX_DELAY: Duration = Duration::from_hours(365 * 24);

/// When a message is to be delivered: now or later.
fn deliver_time(schedule: Option<&Schedule>) -> Result<Millis, Error> {
    let now = time::now();
    match schedule {
        Some(Schedule::Delay(delay)) => {
            let delay = Duration::try_from(*delay).ok().filter(|delay| *delay <= MAX_DELAY);
            let delay = delay.ok_or_else(|| Error::invalid("delay", "must be zero to 365 days (31536000s)"))?;
            // Rounded up: never too early.
            Ok(now + i64::try_from(delay.as_nanos().div_ceil(1_000_000)).unwrap_or(0))
        }
        Some(Schedule::DeliverTime(at)) => {
            let at = time::millis(at).saturating_add(i64::from(at.nanos % 1_000_000 > 0));
            if at.saturating_sub(now) > i64::try_from(MAX_DELAY.as_millis()).unwrap_or(i64::MAX) {
                return Err(Error::invalid("deliver_time", "must be at most 365 days away"));
            }
            Ok(at.max(now))
        }
        None => Err(Error::invalid("schedule", "delay or deliver_time must be set")),
    }
}

#[async_trait]
impl QueueDelayed for Queues {
    async fn enqueue_delayed(&self, _: &Context, request: EnqueueDelayedRequest) -> Result<EnqueueDelayedResponse, Error> {
        let due = deliver_time(request.schedule.as_ref())?;
        let new = NewMessage::new(self.space.limits(), request.queue, request.payload, request.attributes)?.due(due);
        let message_id = self.space.write(move |tx, space| new.put(tx, space)).await?;
        Ok(EnqueueDelayedResponse { message_id, deliver_time: Some(time::timestamp(due)) })
    }

    async fn get_scheduled_count(&self, _: &Context, request: GetScheduledCountRequest) -> Result<GetScheduledCountResponse, Error> {
        check::name("queue", &request.queue)?;
        self.settle().await?;
        let [_, _, count] = self.space.read(move |connection, space| rows::count(connection, space, &request.queue)).await?;
        Ok(GetScheduledCountResponse { count })
    }
}
